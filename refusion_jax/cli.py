"""The `refusion` command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from refusion_jax.commands import evaluate

if TYPE_CHECKING:
    from refusion_jax.array_types import Params
    from refusion_jax.data.pairs import Pair

EXAMPLES = """\
examples:
  refusion fuse infrared.png visible.png -o fused.png --weights ReFusion_IVIF.pth
  refusion fuse infrared/ visible/ -o fused/ --weights runs/msrs
  refusion evaluate infrared/ visible/ fused/ --task ivif -o scores/

exit status: 0 all written, 1 some failed, 2 wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: arguments without the program's name; None takes those of the process.

    Returns:
      The exit status: 0 if all is written, 1 if some pictures failed, 2 if the
      arguments are wrong. Errors of the user are one sentence on stderr.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or an error
        return int(stop.code or 0)
    try:
        return int(arguments.run(arguments))
    except (OSError, ValueError) as error:
        _complain(error)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refusion",
        description="Image fusion with a meta-learned loss.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fuse = commands.add_parser(
        "fuse",
        help="fuse two pictures, or two folders of them",
        description="Fuse two pictures of a scene, or two folders paired by file name.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fuse.add_argument(
        "a", type=Path, metavar="A", help="infrared, functional, near or under-exposed"
    )
    fuse.add_argument(
        "b", type=Path, metavar="B", help="visible, MRI, far or over-exposed"
    )
    fuse.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="picture to write, or folder to write <name>.png to",
    )
    fuse.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE_OR_RUN",
        help=".safetensors file, the authors' .pth file, or a training run's folder",
    )
    fuse.set_defaults(run=_fuse)
    evaluate.add_parser(commands)
    return parser


def _fuse(arguments: argparse.Namespace) -> int:
    # jax takes a second to import; help and typing errors should not wait for it.
    from refusion_jax.weights import load_fusion_params

    jobs = _jobs(arguments.a, arguments.b, arguments.output)
    params = load_fusion_params(arguments.weights)
    failures = sum(not _fuse_pair(pair, output, params) for pair, output in jobs)
    if failures and len(jobs) > 1:
        print(f"refusion: {failures} of {len(jobs)} pairs failed", file=sys.stderr)
    return 1 if failures else 0


def _jobs(a: Path, b: Path, output: Path) -> "list[tuple[Pair, Path]]":
    """Which pair goes where; what is wrong with all of them is raised here."""
    from refusion_jax.data.pairs import Pair, find_pairs
    from refusion_jax.data.pictures import check_writable

    for path in (a, b):
        if not path.exists():
            raise FileNotFoundError(
                f"expected a file or a folder, got nothing at {path}."
            )
    if a.is_dir() != b.is_dir():
        raise ValueError(
            f"expected two files or two folders, got {a} and {b}; name two of a kind."
        )
    if a.is_dir():
        pairs = find_pairs(a, b)
        output.mkdir(parents=True, exist_ok=True)
        jobs = [(pair, output / f"{pair.stem}.png") for pair in pairs]
    else:
        pair = Pair(a.stem, a, b)
        jobs = [(pair, output / f"{a.stem}.png" if output.is_dir() else output)]
    for pair, target in jobs:
        check_writable(target)
        if target.resolve() in (pair.path_a.resolve(), pair.path_b.resolve()):
            raise ValueError(
                f"expected an output apart from the sources, got {target}; name "
                "another."
            )
    return jobs


def _fuse_pair(pair: "Pair", output: Path, params: "Params") -> bool:
    """Writes one fused picture; False, after a sentence on stderr, if it cannot."""
    from refusion_jax.data.pictures import write_picture
    from refusion_jax.inference import fuse

    try:
        fused = fuse(pair.path_a, pair.path_b, weights=params)
        write_picture(output, fused)
    # RuntimeError is how jax reports that memory has run out.
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        _complain(f"{pair.stem}: {error}")
        return False
    print(f"{output} {fused.shape[1]}x{fused.shape[0]}", flush=True)
    return True


def _complain(problem: object) -> None:
    print(f"refusion: {str(problem).splitlines()[0]}", file=sys.stderr)
