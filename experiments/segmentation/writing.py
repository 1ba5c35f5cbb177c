"""The pages of segmentation: folds, and methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refusion_jax.evaluation.segmentation import constant_guess, ious, total
from refusion_jax.evaluation.table_formats import to_markdown
from refusion_jax.evaluation.tables import Cell, Row, Table

FOREGROUND = -1  # the last class of few is the one that is looked for


def table(
    title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Any]], *notes: str
) -> str:
    """Formats a table.

    Args:
      title: of the names.
      columns: the other titles.
      rows: cells by name: text, or numbers to 3 digits, NaN as a dash.
      notes: sentences below.
    """
    made = tuple(
        Row(name, tuple(Cell(_text(x)) for x in cells)) for name, cells in rows.items()
    )
    heads = (title, *columns)
    return to_markdown(Table(heads, (0,) * len(columns), made, tuple(notes)))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "-" if np.isnan(value) else f"{value:.3f}"


def folds_page(found: Sequence[Mapping[str, Any]]) -> str:
    """Writes the results of all folds.

    Args:
      found: of each fold, from `parts.judge_fold`.
    """
    names = list(found[0]["counts"])
    each = {name: [np.array(fold["counts"][name]) for fold in found] for name in names}
    rows = {
        name: [
            *(float(ious(one).classes[FOREGROUND]) for one in counts),
            float(ious(total(counts)).classes[FOREGROUND]),
        ]
        for name, counts in each.items()
    }
    some = each[names[0]]
    rows["constant guess"] = [
        float(constant_guess(one)[FOREGROUND]) for one in (*some, total(some))
    ]
    heads = [*(f"fold {fold['fold']}" for fold in found), "all pixels"]
    page = table(
        "S on",
        heads,
        rows,
        "IoU of the last class on whole pictures that the fold withheld; the constant "
        "guess says that class everywhere.",
    )
    if "changes" not in found[0]:
        return page
    parts = {
        name: [f"{fold['changes'][name]:.2f}" for fold in found]
        for name in found[0]["changes"]
    }
    page += "\n" + table(
        "change of the fused picture",
        heads[:-1],
        parts,
        "Mean absolute difference from the full method, in 255ths.",
    )
    losses = {
        name: [f"{f['terms'][name][0]:.4f} to {f['terms'][name][1]:.4f}" for f in found]
        for name in found[0]["terms"]
    }
    losses["pixels with w not 1/2"] = [
        f"{100 * fold['decided']:.0f} %" for fold in found
    ]
    page += "\n" + table(
        "loss on withheld crops", heads[:-1], losses, "Before and after joint training."
    )
    return page


def methods_page(found: Mapping[str, np.ndarray], names: Sequence[str] = ()) -> str:
    """Writes the IoU of each class, and their mean, for each method's pictures.

    Args:
      found: counts of all withheld pictures by method, see `evaluation.segmentation`.
      names: of the classes from 1; those without one are numbered.
    """
    first = next(iter(found.values()))
    labels = range(1, len(first))
    heads = [names[i - 1] if i <= len(names) else f"class {i}" for i in labels]
    rows: dict[str, list[Any]] = {}
    for name, counts in found.items():
        each = ious(counts)
        rows[name] = [*(float(each.classes[i]) for i in labels), each.mean]
    share = constant_guess(first)
    rows["constant guess"] = [*(float(share[i]) for i in labels), "-"]
    absent = [heads[i - 1] for i in ious(first).absent]
    notes = [
        "IoU over all withheld pictures. The mean is over the classes that are true or "
        "predicted somewhere. The constant guess says the class everywhere."
    ]
    if absent:
        notes.append(f"Not in the labels: {', '.join(absent)}.")
    return table("trained and judged on", [*heads, "mean IoU"], rows, *notes)
