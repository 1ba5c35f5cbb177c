"""Makes demo pairs, trains ReFusion on them by Algorithm 1, writes a report.

    python experiments/demo.py --workdir=runs/demo

Takes a few minutes on two CPU cores. The networks have full size; patches, batches and
the schedule are small, and the step sizes are large to match. The same command resumes
a stopped run.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import flags
from configs.demo import SETTINGS
from launch import launch

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


def main() -> int:
    """Makes pairs, trains, fuses the held-out pairs, writes the report.

    Returns:
      0 when the report is written.
    """
    workdir = Path(_WORKDIR.value)
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
    made = look(state.params, *(jnp.asarray(x)[None, ..., None] for x in luminances))
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
    launch(main, NonFiniteError, Interrupted)
