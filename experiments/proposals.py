r"""Measures what P's weights follow, beside the rules by hand: one row per weights.

    python experiments/proposals.py --data=DIR --out=table.md \
        --weights=ivif=ivif --weights=ivif=runs/learned

A second table tells how the correlations of each run have moved, epoch by epoch, on the
pairs that it holds out.

Takes the middle of test pairs of every set of the task, as evenly over the set as
--pairs allows. Means over pairs; a pair's correlation is over its pixels. The rules of
`methods.refusion.hand_made` stand beside the weights. Where shipped weights imitate a
rule, their rows say how well, not what meta-learning finds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags
from launch import launch
from proposals_report import (
    COLUMNS,
    along_runs,
    measure,
    middle,
    name_of,
    of_rule,
    of_weights,
    row,
)

from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.pairs import find_pairs, read_pairs
from refusion_jax.data.sources import in_order
from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.refusion.hand_made import RULES

_DATA = flags.DEFINE_string("data", None, "Folder of the data sets.", required=True)
_OUT = flags.DEFINE_string("out", None, "Markdown file to write.", required=True)
_WEIGHTS = flags.DEFINE_multi_string(
    "weights",
    ["ivif=ivif", "mif=mif", "mfif=mfif", "meif=meif"],
    "TASK=WEIGHTS: a task of the table and a file, a run or a name. Repeatable.",
)
_PAIRS = flags.DEFINE_integer("pairs", 12, "Most pairs per set.", lower_bound=1)

SETS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "ivif": (
        ("RoadScene", "ivif/roadscene/test/infrared", "ivif/roadscene/test/visible"),
        ("MSRS", "ivif/msrs/test/infrared", "ivif/msrs/test/visible"),
    ),
    "mif": (
        ("Harvard CT", "mif/harvard_ct/test/ct", "mif/harvard_ct/test/mri"),
        ("Harvard PET", "mif/harvard_pet/test/pet", "mif/harvard_pet/test/mri"),
        ("Harvard SPECT", "mif/harvard_spect/test/spect", "mif/harvard_spect/test/mri"),
    ),
    "mfif": (("Lytro", "mfif/lytro/test/near", "mfif/lytro/test/far"),),
    "meif": (("MEFB", "meif/mefb/test/under", "meif/mefb/test/over"),),
}


def main() -> int:
    """Measures all weights and rules on all sets of their tasks, and writes the tables.

    Returns:
      0 when it is written.
    """
    use_cache(is_wanted=True)
    places: dict[str, list[str]] = {}
    for text in _WEIGHTS.value:
        task, equals, place = text.partition("=")
        if task not in SETS or not equals:
            raise ValueError(
                f"expected TASK=WEIGHTS with a task among {', '.join(SETS)}, got "
                f"{text!r}; write it like ivif=runs/mine."
            )
        of_task = places.setdefault(task, [])
        if name_of(place) in map(name_of, of_task):
            raise ValueError(
                f"expected weights of different names for {task}, got two called "
                f"{name_of(place)}; rename a file or a folder."
            )
        of_task.append(place)
    head = [f"{x}: {column}" for x in ("w_a", "v_a") for column in COLUMNS.values()]
    lines = ["| set | weights | " + " | ".join(head) + " |"]
    lines.append("|---|---|" + "---:|" * len(head))
    for task, of_task in places.items():
        proposals = {name_of(place): of_weights(place) for place in of_task}
        proposals |= {f"rule `{name}`": of_rule(name) for name in RULES}
        for set_name, *folders in SETS[task]:
            found = find_pairs(*(Path(_DATA.value) / folder for folder in folders))
            chosen = found[:: -(-len(found) // _PAIRS.value)]
            pairs = [middle(pair) for pair in in_order(read_pairs(chosen))]
            lines += [
                row(f"{set_name} ({len(pairs)})", name, measure(proposal, pairs))
                for name, proposal in proposals.items()
            ]
            replace_file(Path(_OUT.value), ("\n".join(lines) + "\n").encode())
    if along := along_runs(places):
        lines += ["", "Along each run, on the pairs that it holds out:", "", *along]
        replace_file(Path(_OUT.value), ("\n".join(lines) + "\n").encode())
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    launch(main, ImportError)
