"""The numbers of the paper's Tables 1 to 4: published by others, not measured here.

Source: H. Bai et al., "ReFusion: Learning Image Fusion from Reconstruction with
Learnable Loss via Meta-Learning", IJCV 2024, arXiv:2312.07943. The paper specifies
neither the pictures of its splits nor the code of its metrics; `metrics` states which
variants of SSIM and VIF fit its numbers.
"""

from typing import NamedTuple

from refusion_jax.metrics import WITH_SSIM, WITH_VIFF


class PublishedTable(NamedTuple):
    """One data set's half of a table.

    Attributes:
      number: number of the table in the paper.
      task: the paper's abbreviation.
      dataset: name of the test set.
      pairs: number of its pairs according to the paper.
      keys: metric of each column, in the paper's order.
      rows: values by method, as printed (two decimals).
    """

    number: int
    task: str
    dataset: str
    pairs: int
    keys: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


def _rows(text: str) -> dict[str, tuple[float, ...]]:
    """Parses a table with one method per line: its name, then its values."""
    lines = (line.split() for line in text.strip().splitlines())
    return {name: tuple(map(float, values)) for name, *values in lines}


TABLES = (
    PublishedTable(
        1,
        "IVIF",
        "MSRS",
        361,
        WITH_SSIM,
        _rows("""
        SDNet       5.25  17.35   8.67   2.67   0.99   0.36
        TarDAL      5.28  25.22   5.98   1.83   0.71   0.24
        DeFusion    6.46  37.63   8.60   2.80   1.35   0.47
        MetaFusion  5.65  24.97   9.99   3.40   1.14   0.18
        CDDFuse     6.70  43.38  11.56   3.73   1.62   0.50
        LRRNet      6.19  31.78   8.46   2.63   0.79   0.22
        MURF        5.04  16.37   8.31   2.67   0.86   0.29
        DDFM        6.19  29.26   7.44   2.51   1.45   0.45
        SegMIF      5.95  37.28  11.10   3.47   1.57   0.35
        ReFusion    6.71  42.89  11.64   3.80   1.67   0.51
        """),
    ),
    PublishedTable(
        1,
        "IVIF",
        "RoadScene",
        50,
        WITH_SSIM,
        _rows("""
        SDNet       7.10  38.93  12.66   4.91   1.42   0.72
        TarDAL      7.11  43.13   9.60   3.43   1.47   0.71
        DeFusion    7.23  43.38   9.38   3.68   1.68   0.69
        MetaFusion  6.70  28.59  12.43   4.72   0.93   0.66
        CDDFuse     7.28  44.43  14.10   5.13   1.69   0.70
        LRRNet      7.02  37.15   9.87   3.69   1.56   0.62
        MURF        6.80  31.10  12.96   4.88   1.16   0.71
        DDFM        7.09  38.46   9.11   3.46   1.67   0.71
        SegMIF      7.15  42.11  12.31   4.54   1.57   0.59
        ReFusion    7.28  45.65  14.20   5.23   1.70   0.72
        """),
    ),
    PublishedTable(
        2,
        "MIF",
        "Harvard",
        50,
        WITH_SSIM,
        _rows("""
        DIF-Net     4.85  52.33  16.53   4.68   1.14   0.26
        SDNet       4.23  56.79  28.33   6.98   1.10   0.58
        U2Fusion    4.18  52.95  22.02   5.90   1.05   0.54
        DeFusion    4.30  63.95  21.15   5.44   1.19   0.76
        MATR        4.62  53.35  20.52   5.75   0.40   0.26
        CDDFuse     4.41  72.18  28.08   7.26   1.59   0.75
        DDFM        4.14  59.12  19.12   4.86   1.36   0.75
        GeSeNet     4.76  70.83  28.15   7.54   1.54   0.51
        MsgFusion   4.36  69.42  27.98   6.68   1.18   0.51
        ReFusion    5.09  72.38  28.35   7.60   1.62   0.75
        """),
    ),
    PublishedTable(
        3,
        "MFIF",
        "RealMFF",
        200,
        WITH_VIFF,
        _rows("""
        DIFNet      6.85  48.87  10.98   0.86   0.65   0.83
        CUNet       6.58  37.13  13.52   0.74   0.53   0.82
        SDNet       6.81  49.93  15.58   0.92   0.72   0.83
        U2Fusion    6.60  47.07  14.35   0.92   0.60   0.82
        DeFusion    6.96  52.84  11.49   0.97   0.71   0.83
        RFL         6.87  50.62  15.26   0.95   0.74   0.83
        EPT         6.87  50.64  15.30   0.95   0.75   0.82
        ReFusion    6.98  54.35  15.65   1.09   0.76   0.83
        """),
    ),
    PublishedTable(
        3,
        "MFIF",
        "Lytro",
        20,
        WITH_VIFF,
        _rows("""
        DIFNet      7.43  52.52  11.47   0.73   0.59   0.83
        CUNet       7.25  45.78  15.54   0.71   0.57   0.82
        SDNet       7.47  55.25  16.88   0.84   0.65   0.83
        U2Fusion    7.30  51.95  14.83   0.83   0.64   0.82
        DeFusion    7.52  56.65  11.55   0.80   0.62   0.82
        RFL         7.53  57.53  18.43   0.94   0.68   0.83
        EPT         7.53  57.55  18.44   0.94   0.68   0.85
        ReFusion    7.56  59.82  18.56   0.95   0.69   0.83
        """),
    ),
    PublishedTable(
        4,
        "MEIF",
        "SICE",
        100,
        WITH_VIFF,
        _rows("""
        DIFNet      6.39  29.11  17.19   0.49   0.26   0.82
        CUNet       6.87  32.28  16.22   0.79   0.37   0.81
        SDNet       6.61  34.94  29.41   0.57   0.44   0.81
        U2Fusion    6.38  29.30  14.23   0.53   0.36   0.82
        DeFusion    6.61  36.60  16.55   0.77   0.28   0.81
        AGAL        7.02  39.70  23.60   0.80   0.38   0.81
        HoLoCo      6.98  37.07  11.69   0.80   0.40   0.81
        ReFusion    7.38  55.48  23.69   1.18   0.41   0.82
        """),
    ),
    PublishedTable(
        4,
        "MEIF",
        "MEFB",
        30,
        WITH_VIFF,
        _rows("""
        DIFNet      7.06  42.62  12.48   0.57   0.37   0.83
        CUNet       7.14  38.84  12.75   0.71   0.41   0.81
        SDNet       7.01  48.12  23.60   0.67   0.49   0.82
        U2Fusion    6.89  41.22  13.27   0.60   0.46   0.83
        DeFusion    6.91  45.70  13.71   0.67   0.37   0.82
        AGAL        7.30  52.02  18.53   0.83   0.45   0.83
        HoLoCo      7.24  46.10  13.26   0.76   0.45   0.82
        ReFusion    7.47  62.83  19.01   0.97   0.47   0.83
        """),
    ),
)


class PublishedRow(NamedTuple):
    """The paper's values for one method on one test set.

    Attributes:
      name: method and test set.
      source: table and number of pairs.
      values: value by metric, as printed.
    """

    name: str
    source: str
    values: dict[str, float]


def published_rows(*, task: str | None, dataset: str | None) -> list[PublishedRow]:
    """Returns the published rows to show beside measured ones.

    Args:
      task: the task, in upper or lower case; None if unknown.
      dataset: a test set, in upper or lower case, to get every method's row on this
        set. None to get ReFusion's own row on each set of the task, or no row if the
        task is unknown.

    Returns:
      Rows in the order of the paper.

    Raises:
      ValueError: if the paper has no table of this set, listing those that it has.

    Examples:
      >>> for row in published_rows(task="ivif", dataset=None):
      ...     print(row.name, row.source, row.values["en"], sep="; ")
      ReFusion, MSRS; Table 1, 361 pairs; 6.71
      ReFusion, RoadScene; Table 1, 50 pairs; 7.28
    """
    if dataset is None:
        return [
            _row(table, "ReFusion")
            for table in TABLES
            if task is not None and table.task.lower() == task.lower()
        ]
    found = [table for table in TABLES if table.dataset.lower() == dataset.lower()]
    if not found:
        known = ", ".join(table.dataset for table in TABLES)
        raise ValueError(
            f"expected a test set of the paper ({known}), got {dataset!r}; choose one "
            "of these."
        )
    return [_row(table, method) for table in found for method in table.rows]


def _row(table: PublishedTable, method: str) -> PublishedRow:
    return PublishedRow(
        f"{method}, {table.dataset}",
        f"Table {table.number}, {table.pairs} pairs",
        dict(zip(table.keys, table.rows[method], strict=True)),
    )
