"""Fuses demo pairs by shipped weights, then learns on pairs of the same kind; a report.

    python experiments/demo.py --workdir=runs/demo

The report is there after seconds, with the pictures that the shipped weights make, and
complete after a few minutes on two CPU cores: then it also shows how far a run of
minutes gets by Algorithm 1. The networks have full size; patches, batches and the
schedule are small, and the step sizes are large to match. The same command resumes a
stopped run.
"""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from absl import flags
from configs.demo import SETTINGS, SHIPPED
from launch import launch

from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.pairs import Pair, find_pairs, read_pairs
from refusion_jax.devices.cores import split_cpu
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.evaluation.candidates import read_luminances
from refusion_jax.fusing.inference import fuse
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.metrics import compute_truth
from refusion_jax.pictures.codecs import read_picture, to_luminance, write_picture
from refusion_jax.pictures.levels import average
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.curves import plot_curves
from refusion_jax.reporting.page import Section, write_report
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.scalars import read_scalars
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError, train
from refusion_jax.weights.pretrained import pretrained_file
from refusion_jax.weights.store import load_model

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder of the demo.")

TITLE = "ReFusion fuses, and learns to fuse: the demo"
CURVES = {
    "fusion loss, fusion steps": ("fusion", "fusion_loss"),
    "reconstruction loss, fusion steps": ("fusion", "reconstruction_loss"),
    "reconstruction loss, held out": ("validation", "reconstruction_loss"),
}
META_CURVES = {
    "norm of the meta-gradient": ("meta", "meta_grads_norm"),
    "relative update of P": ("meta", "proposal_relative_update"),
}


AVERAGE, RUN = "the average of the sources", "this run"


class Scene(NamedTuple):
    """A test pair, and what was made of it.

    Attributes:
      pair: the sources.
      kind: a key of SHIPPED.
      truth: the photograph that both sources were made from, uint8.
      fused: fused picture by what fused it, uint8.
      maps: coloured loss maps by caption.
    """

    pair: Pair
    kind: str
    truth: np.ndarray
    fused: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]


def main() -> int:
    """Makes pairs, fuses the test pairs, trains, fuses them again, writes the report.

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
    report = workdir / "report.html"
    scenes = [_fused_by_shipped_weights(pair, workdir) for pair in test]
    underway = Section(
        "Learning is under way", ["This page will be complete then."], {}
    )
    write_report(report, TITLE, [*map(_section, scenes), underway])
    print(f"What the shipped weights make of the test pairs is in {report.resolve()}")
    print("Learning from the start, on the demo's own pairs, for a few minutes.")
    train(config, read_pairs(training), workdir, held_out=read_pairs(test))
    scenes = [_fused_by_this_run(scene, workdir) for scene in scenes]
    learned = _learning(workdir, scenes)
    write_report(report, TITLE, [*map(_section, scenes), learned])
    print(*learned.paragraphs[:2], sep="\n")
    print(f"The report is at {report.resolve()}")
    return 0


def _fused_by_shipped_weights(pair: Pair, workdir: Path) -> Scene:
    kind = pair.stem.rpartition("_")[-1]
    task = SHIPPED[kind]
    fused = fuse(pair.path_a, pair.path_b, task=task)
    write_picture(workdir / f"{pair.stem}_shipped.png", fused)
    return Scene(
        pair,
        kind,
        read_picture(pair.path_a.parent.parent / "truth" / f"{pair.stem}.png"),
        {
            AVERAGE: average(read_picture(pair.path_a), read_picture(pair.path_b)),
            "the shipped weights": fused,
        },
        _maps(load_model(pretrained_file(task)), pair, "the shipped weights"),
    )


def _fused_by_this_run(scene: Scene, workdir: Path) -> Scene:
    pair, model = scene.pair, load_model(workdir)
    fused = fuse(pair.path_a, pair.path_b, weights=model)
    write_picture(workdir / f"{pair.stem}.png", fused)
    return scene._replace(
        fused=scene.fused | {RUN: fused},
        maps=scene.maps | _maps(model, pair, RUN),
    )


def _maps(model: FusionModel, pair: Pair, name: str) -> dict[str, np.ndarray]:
    a, b = (jnp.asarray(x / np.float32(255)) for x in read_luminances(pair))
    made = model.maps(a[..., None], b[..., None])
    return {
        f"P of {name}, {key[0]} of source a: where its "
        f"{'brightness' if key[0] == 'w' else 'edges'} should be kept (brown: 1, "
        "blue: 0, that of b)": color_map(made[key])
        for key in ("w_a", "v_a")
    }


def _section(scene: Scene) -> Section:
    names = {"focus": ("near", "far"), "exposure": ("dark", "bright")}[scene.kind]
    sources = [read_picture(path) for path in (scene.pair.path_a, scene.pair.path_b)]
    return Section(
        scene.pair.stem.replace("_", ", "),
        [
            "A pair that was not trained on. Fused by the weights that come with the "
            f"package, as by refusion fuse A B -o OUT --task={SHIPPED[scene.kind]}.",
            _against_truth(scene),
        ],
        {
            f"Source a, {names[0]}": sources[0],
            f"Source b, {names[1]}": sources[1],
            **{f"Fused: {name}": picture for name, picture in scene.fused.items()},
            "The photograph that both were made from": scene.truth,
            **scene.maps,
        },
    )


def _against_truth(scene: Scene) -> str:
    if scene.kind == "exposure":
        return (
            "No figures: the photograph is one of many good exposures of the scene, "
            "and by construction near the average of these two."
        )
    psnrs = _psnrs(scene)
    figures = ", ".join(f"{name} {value:.1f} dB" for name, value in psnrs.items())
    return f"PSNR of the luminance to the photograph: {figures}."


def _psnrs(scene: Scene) -> dict[str, float]:
    """Returns the PSNR to the photograph by name, of the sources and all fused."""
    truth = to_luminance(scene.truth)
    pictures = dict(
        zip(("source a", "source b"), read_luminances(scene.pair), strict=True)
    )
    pictures |= {name: to_luminance(x) for name, x in scene.fused.items()}
    return {name: compute_truth(truth, x)["psnr_truth"] for name, x in pictures.items()}


def _learning(workdir: Path, scenes: list[Scene]) -> Section:
    lines = read_scalars(workdir / "scalars.jsonl")
    held_out = [x["reconstruction_loss"] for x in lines if x["stage"] == "validation"]
    moves = [x["proposal_relative_update"] for x in lines if x["stage"] == "meta"]
    return Section(
        "How far a run of minutes gets",
        [
            f"Reconstruction loss on held-out pairs: {held_out[0]:.4f} before "
            f"training, {held_out[-1]:.4f} after it "
            f"({held_out[-1] / held_out[0]:.2f} of it). P moved by {max(moves):.1e} "
            "of its norm in the largest step.",
            *(_verdict(scene) for scene in scenes if scene.kind == "focus"),
            "A falling loss is not yet a good picture: compare the fused pictures of "
            "this run with those of the shipped weights, which come from longer runs "
            "on many real pairs (refusion info prints their cards).",
            "Each epoch runs outer updates, which move the loss proposal module P by "
            "exact meta-gradients, then fusion updates, which move F and R.",
        ],
        {
            "Losses": plot_curves(lines, CURVES),
            "The outer update": plot_curves(lines, META_CURVES),
        },
    )


def _verdict(scene: Scene) -> str:
    psnrs = _psnrs(scene)
    run = psnrs.pop(RUN)
    differences = ", ".join(
        f"{run - value:+.1f} dB against {name}" for name, value in psnrs.items()
    )
    # The average chooses nothing: who does not beat it has not learned to choose.
    standing = (
        "It is ahead of the average of the sources, which chooses nothing."
        if run > psnrs[AVERAGE]
        else "So short a run has not learned which source is sharp: the average of the "
        "sources, which chooses nothing, is not beaten."
    )
    return (
        f"PSNR of this run on {scene.pair.stem}: {run:.1f} dB; {differences}. "
        f"{standing}"
    )


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, NonFiniteError, Interrupted)
