"""Makes demo pairs, trains ReFusion on them by Algorithm 1, reports what it learned.

    python experiments/demo.py --workdir=runs/demo

A few minutes on two CPU cores. The networks are the real ones; patches, batches and the
schedule are small, and the step sizes large to suit it. The same command goes on where
it was stopped.
"""

import logging
import sys
from pathlib import Path

import numpy as np
from absl import app, flags
from absl import logging as absl_logging
from configs.demo import SETTINGS

from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.pairs import Pair, find_pairs, read_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.fusing.inference import fuse
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.refusion.maps import look
from refusion_jax.pictures.codecs import read_picture, to_luminance, write_picture
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.curves import plot_curves
from refusion_jax.reporting.page import Section, write_report
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder of the demo.")

CURVES = {
    "fusion loss, fusion steps": ("fusion", "fusion_loss"),
    "reconstruction loss, fusion steps": ("fusion", "reconstruction_loss"),
    "reconstruction loss, held out": ("validation", "reconstruction_loss"),
}
META_CURVES = {
    "norm of the meta-gradient": ("meta", "meta_grads_norm"),
    "relative update of P": ("meta", "proposal_relative_update"),
}


def main(argv: list[str]) -> int:
    """Makes pairs, trains, fuses the held-out pairs, writes the report.

    Args:
      argv: what absl left of the command line: the program's name.

    Returns:
      0 when the report is written, 1 on an error, 128 + its number after a signal.
    """
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, got {argv[1]!r}.")
    # absl would show what every library has to say; we speak for ourselves only.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("refusion_jax").setLevel(logging.INFO)
    workdir = Path(_WORKDIR.value)
    try:
        config = with_fields(preset("default"), SETTINGS)
        split_cpu(config.data.batch_size)
        print("Making pairs from scikit-image's photographs.")
        write_demo_pairs(workdir / "data")
        training, test = (
            find_pairs(workdir / "data" / part / "a", workdir / "data" / part / "b")
            for part in ("train", "test")
        )
        state = train(config, read_pairs(training), workdir, held_out=read_pairs(test))
        report = workdir / "report.html"
        sections = [_learning(workdir)]
        sections += [_scene(pair, state, workdir) for pair in test]
        write_report(report, "ReFusion learns to fuse: the demo run", sections)
    except (ValueError, OSError, NonFiniteError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"demo: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    print(f"The report is at {report.resolve()}")
    return 0


def _learning(workdir: Path) -> Section:
    lines = read_scalars(workdir / "scalars.jsonl")
    held_out = [x["reconstruction_loss"] for x in lines if x["stage"] == "validation"]
    moves = [x["proposal_relative_update"] for x in lines if x["stage"] == "meta"]
    summary = (
        f"Reconstruction loss on held-out pairs: {held_out[0]:.4f} before training, "
        f"{held_out[-1]:.4f} after it ({held_out[-1] / held_out[0]:.2f} of it). "
        f"P moved by {max(moves):.1e} of its norm in the largest step."
    )
    print(summary)
    return Section(
        "What was learned",
        [
            summary,
            "Each epoch runs outer updates, which move the loss proposal module P by "
            "exact meta-gradients, then fusion updates, which move F and R.",
        ],
        {
            "Losses": plot_curves(lines, CURVES),
            "The outer update": plot_curves(lines, META_CURVES),
        },
    )


def _scene(pair: Pair, state: TrainState, workdir: Path) -> Section:
    fused = fuse(pair.path_a, pair.path_b, weights=state.params.fusion)
    write_picture(workdir / f"{pair.stem}.png", fused)
    sources = [read_picture(path) for path in (pair.path_a, pair.path_b)]
    luminances = (to_luminance(source) / np.float32(255) for source in sources)
    made = look(state.params, *(x[None, ..., None] for x in luminances))
    maps = {
        f"{name[0]} of source {name[2]}: where the "
        f"{'brightness' if name[0] == 'w' else 'edges'} of {name[2]} should be kept "
        "(red: 1, blue: 0)": color_map(made[name])
        for name in ("w_a", "w_b", "v_a", "v_b")
    }
    return Section(
        pair.stem.replace("_", ", "),
        [
            "A pair that was not trained on: the sources, the fused picture, what R "
            "rebuilds from it, and the loss that P proposes."
        ],
        {
            "Source a": sources[0],
            "Source b": sources[1],
            "Fused": fused,
            "R's reconstruction of a": made["recon_a"],
            "R's reconstruction of b": made["recon_b"],
            **maps,
        },
    )


if __name__ == "__main__":
    restart_with_huge_pages()
    app.run(main)
