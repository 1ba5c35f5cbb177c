"""The scores on the cards of shipped weights, from the records of the comparison."""

from collections.abc import Mapping
from pathlib import Path

from configs.comparison import TEST_SETS

from comparison.pages import OURS, mean_ranks
from comparison.records import Record
from refusion_jax.files.atomic import replace_file

HEAD = "**Scores**"


def update_card(card: Path, task: str, records: Mapping[str, Record]) -> None:
    """Replaces the paragraph of a card that begins with `**Scores**`.

    Args:
      card: the card of the weights of a task.
      task: whose sets are named.
      records: by the names of their sets; those of other tasks are left out.

    Raises:
      ValueError: if the card does not have exactly one such paragraph.
    """
    text = card.read_text(encoding="utf-8")
    paragraphs = text.rstrip("\n").split("\n\n")
    places = [i for i, part in enumerate(paragraphs) if part.startswith(HEAD)]
    if len(places) != 1:
        raise ValueError(
            f"expected one paragraph that begins with {HEAD} in {card}, got "
            f"{len(places)}; correct the card."
        )
    paragraphs[places[0]] = scores_paragraph(task, records)
    replace_file(card, ("\n\n".join(paragraphs) + "\n").encode())


def scores_paragraph(task: str, records: Mapping[str, Record]) -> str:
    """Returns what a card says of scores, in Markdown.

    Args:
      task: whose sets are named.
      records: by the names of their sets.
    """
    lines = [
        f"{HEAD} on test sets (no setting was chosen by them): mean rank over the "
        "columns of the paper's table (1 is the best), and that of the best other "
        "method. Every column, with intervals: `experiments/results/comparison/`.",
    ]
    for name, record in records.items():
        test_set = TEST_SETS[name]
        if test_set.task != task:
            continue
        ranks = mean_ranks(name, record)
        ours = ranks.pop(OURS)
        best = min(ranks, key=ranks.__getitem__)
        pairs = len(record.methods[OURS].scores.stems)
        lines.append(
            f"- {test_set.title}, {pairs} pairs: {ours:.2f} of {len(ranks) + 1} "
            f"methods; {best} {ranks[best]:.2f}"
        )
    return "\n".join(lines)
