"""`refusion metrics`: lists the metrics, and scores one fused picture."""

import argparse
import json
import math
from typing import TYPE_CHECKING

from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import Commands, add_command, add_levels_option

if TYPE_CHECKING:
    from refusion_jax.metrics import Metric

EXAMPLES = """\
examples:
  refusion metrics --list
  refusion metrics infrared.png visible.png fused.png
  refusion metrics near.tif far.tif sharp.tif --columns mefb --json
  refusion metrics under.jpg over.jpg fused.jpg --columns mef_ssim,qabf

exit status: 0 done, 2 wrong usage or a picture that cannot be scored
"""


def add_parser(commands: Commands) -> None:
    """Adds the parser of this command.

    Args:
      commands: the parsers of all commands.
    """
    parser = add_command(
        commands,
        "metrics",
        run,
        summary="list the metrics, or score one fused picture",
        description="List the metrics, or score one fused picture against its two "
        "sources. Colour is scored by its luminance (BT.601), as evaluate does. "
        "Prints key, value, unit and direction.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "pictures",
        metavar="PICTURE",
        nargs="*",
        help="the two sources and the fused picture, in this order",
    )
    parser.add_argument(
        "--list", action="store_true", help="list all metrics instead of scoring"
    )
    parser.add_argument(
        "--columns",
        default="all",
        metavar="KEYS",
        help="all (default): every metric but those that only MEFB has; paper: those "
        "of the paper's tables; mefb: those of the benchmark MEFB, of which some take "
        "seconds; or metrics separated by commas",
    )
    add_levels_option(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object by key; null where a metric is undefined",
    )


def run(arguments: argparse.Namespace) -> int:
    """Lists the metrics or scores the pictures.

    Args:
      arguments: the arguments that `add_parser` describes.

    Returns:
      0.

    Raises:
      OSError, ValueError: if a picture cannot be scored.
    """
    pictures = arguments.pictures
    if arguments.list:
        if pictures:
            raise ValueError(
                f"expected no pictures with --list, got {len(pictures)}; leave out the "
                "pictures or --list."
            )
        return _list(arguments.json)
    if len(pictures) != 3:
        raise ValueError(
            f"expected two sources and the fused picture, got {len(pictures)} "
            "pictures; name three, or ask for --list (evaluate scores folders)."
        )
    from refusion_jax.evaluation.scoring import columns
    from refusion_jax.evaluation.triple import score
    from refusion_jax.metrics import ALL_METRICS

    keys = columns(arguments.columns, None)
    a, b, fused = pictures
    scores = score(a, b, fused, keys, levels=arguments.levels)
    if arguments.json:
        defined = {k: x if math.isfinite(x) else None for k, x in scores.items()}
        say(json.dumps(defined, indent=1, allow_nan=False))
        return 0
    for key, value in scores.items():
        metric = ALL_METRICS[key]
        shown = f"{value:.6g}" if math.isfinite(value) else "undefined"
        say(f"{key:14} {shown:>12} {metric.unit:8} {_direction(metric)}")
    return 0


def _list(is_json: bool) -> int:
    from refusion_jax.metrics import ALL_METRICS, TRUTH_METRICS

    facts = {
        key: {
            "title": metric.title,
            "direction": _direction(metric),
            "unit": metric.unit,
            "source": _formula_of(metric),
            "smallest_side": metric.smallest_side,
            "needs_truth": key in TRUTH_METRICS,
        }
        for key, metric in ALL_METRICS.items()
    }
    if is_json:
        say(json.dumps(facts, indent=1))
        return 0
    for key, fact in facts.items():
        unit = f" [{fact['unit']}]" if fact["unit"] else ""
        say(f"{key:14} {fact['direction']:6}  {fact['source']}{unit}")
    return 0


def _direction(metric: "Metric") -> str:
    return "higher" if metric.higher_is_better else "lower"


def _formula_of(metric: "Metric") -> str:
    """Returns what the first line of the docstring says after "Returns"."""
    line = (metric.function.__doc__ or metric.title).splitlines()[0]
    return line.removeprefix("Returns ").removesuffix(".")
