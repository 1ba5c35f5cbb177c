import pytest

from refusion_jax.evaluation.published import TABLES, published_rows
from refusion_jax.metrics import METRICS, PAPER_COLUMNS


def test_columns_are_those_of_the_task():
    for table in TABLES:
        assert table.keys == PAPER_COLUMNS[table.task.lower()]
        assert set(table.keys) <= set(METRICS)


def test_every_task_has_a_table_and_every_table_refusion():
    assert {table.task.lower() for table in TABLES} == set(PAPER_COLUMNS)
    for table in TABLES:
        assert "ReFusion" in table.rows
        assert all(len(row) == len(table.keys) for row in table.rows.values())


def test_the_paper_claims_what_the_rows_say():
    """Sentences of sections 4.2 to 4.4: who leads in what."""
    by_set = {table.dataset: table for table in TABLES}

    def leaders(dataset, key):
        table = by_set[dataset]
        column = {name: row[table.keys.index(key)] for name, row in table.rows.items()}
        return {name for name, x in column.items() if x == max(column.values())}

    for dataset in ("MSRS", "RoadScene"):
        for key in ("en", "sf", "ag", "scd", "ssim_refusion"):
            assert "ReFusion" in leaders(dataset, key)
    assert leaders("Harvard", "ssim_refusion") == {"DeFusion"}
    for key in ("en", "sd", "sf", "ag", "scd"):
        assert leaders("Harvard", key) == {"ReFusion"}
    for dataset in ("RealMFF", "Lytro"):
        for key in ("en", "sf", "viff", "qcb"):
            assert leaders(dataset, key) == {"ReFusion"}


def test_a_set_gives_every_method_in_any_case():
    rows = published_rows(task=None, dataset="lytro")
    assert len(rows) == 8
    assert rows[-1][:2] == ("ReFusion, Lytro", "Table 3, 20 pairs")
    assert rows[-1].values == dict(
        en=7.56, sd=59.82, sf=18.56, viff=0.95, qcb=0.69, qncie=0.83
    )


def test_a_task_gives_refusion_on_each_of_its_sets():
    rows = published_rows(task="meif", dataset=None)
    assert [row[:2] for row in rows] == [
        ("ReFusion, SICE", "Table 4, 100 pairs"),
        ("ReFusion, MEFB", "Table 4, 30 pairs"),
    ]
    assert not published_rows(task=None, dataset=None)


def test_another_set_is_told_with_the_choices():
    with pytest.raises(ValueError, match=r"MSRS, RoadScene, .* got 'kaist'; choose"):
        published_rows(task="ivif", dataset="kaist")
