from refusion_jax.evaluation.tables import Cell
from refusion_jax.runs.ablation import COLUMNS, table


def test_means_stand_with_the_smallest_and_the_largest_of_several_seeds():
    one, other = (dict.fromkeys(COLUMNS, number) for number in (0.25, 1.0))
    made = table({"epochs=1": [one, other], "epochs=2": [one]})
    assert made.titles == ("variant", *COLUMNS.values())
    spread, alone = (dict(zip(COLUMNS, row.cells, strict=True)) for row in made.rows)
    assert spread["gradient_entropy"] == Cell("0.625 (0.250 to 1.000)")
    assert spread["focus_psnr"] == Cell("0.6 (0.2 to 1.0)")  # decibels: one digit
    assert alone["gradient_entropy"] == Cell("0.250")
    assert dict(zip(COLUMNS, made.directions, strict=True))["focus_psnr"] == 1
