"""What P's weights and rules by hand follow on pairs, and how a run's weights moved."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from refusion_jax.data.sources import Luminances
from refusion_jax.methods.refusion.diagnosis import observe_weights
from refusion_jax.methods.refusion.hand_made import RULES, weigh
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.state import Pairs
from refusion_jax.runs.run import Run
from refusion_jax.training.workdir import SCALARS
from refusion_jax.weights.store import load_model

SIDE = 256  # pixels, of what is measured: one size, compiled once
COLUMNS = {
    "correlation": "correlation",
    "mean": "mean",
    "spread": "spread",
    "at_one": "at 1",
    "at_zero": "at 0",
}
# What a run measures on held-out pairs.
MEASURED = {
    "intensity_weights_correlation": "w_a",
    "gradient_weights_correlation": "v_a",
    "fused_rank": "rank",
}
# From two luminances in [0, 1] to weights.
Proposal = Callable[[np.ndarray, np.ndarray], WeightMaps]


def middle(pair: Luminances) -> list[np.ndarray]:
    """Returns the middle of both sources, in [0, 1], height x width x 1."""
    made = []
    for picture in pair[:2]:
        top, left = (max(0, side - SIDE) // 2 for side in picture.shape)
        part = picture[top : top + SIDE, left : left + SIDE]
        made.append(part[..., None].astype(np.float32) / 255)
    return made


def of_weights(place: str) -> Proposal:
    """Returns P of a weight file, as a function of one pair."""
    model = load_model(place)
    model.require_maps()

    def propose(a: np.ndarray, b: np.ndarray) -> WeightMaps:
        maps = model.maps(jnp.asarray(a), jnp.asarray(b))
        intensity, gradient = (
            jnp.asarray(np.stack([maps[f"{x}_a"], maps[f"{x}_b"]], -1))[None]
            for x in "wv"
        )
        return WeightMaps(intensity, gradient)

    return propose


def of_rule(name: str) -> Proposal:
    """Returns a rule by hand as a function of one pair."""
    rule = jax.jit(lambda a, b: weigh({}, a, b, rule=RULES[name]))
    return lambda a, b: rule(a[None], b[None])


def measure(proposal: Proposal, pairs: Sequence[list[np.ndarray]]) -> dict[str, float]:
    """Measures weights on pairs.

    Args:
      proposal: makes them.
      pairs: as `middle` returns them.

    Returns:
      The means of `diagnosis.observe_weights`, by name.
    """
    seen = []
    for a, b in pairs:
        shown = Pairs(*(jnp.asarray(x[None]) for x in (a, b, a, b)))
        seen.append(jax.device_get(observe_weights(proposal(a, b), shown)))
    return {name: float(np.mean([x[name] for x in seen])) for name in seen[0]}


def row(set_name: str, name: str, seen: Mapping[str, float]) -> str:
    """Formats a row: w's columns, then v's."""
    cells = [
        f"{seen[f'{part}_weights_{column}']:.2f}"
        for part in ("intensity", "gradient")
        for column in COLUMNS
    ]
    return "| " + " | ".join([set_name, name, *cells]) + " |"


def name_of(place: str) -> str:
    """Returns what weights are called in the tables.

    >>> name_of("runs/lr0.5"), name_of("weights/ivif.safetensors")
    ('lr0.5', 'ivif')

    Args:
      place: a file, a run or a name.
    """
    path = Path(place)
    return path.stem if path.suffix in (".safetensors", ".pth") else path.name


def along_runs(places: Mapping[str, Sequence[str]]) -> list[str]:
    """Formats what runs have measured at their start and after each epoch.

    Args:
      places: files, runs or names of weights, by task; only runs have rows.

    Returns:
      The lines of a table: of each run the correlations of w and v, and the mean rank
      of its fused pictures where the run judges them. Empty without runs.
    """
    runs = {
        (task, place): Run(Path(place)).validations()
        for task, of_task in places.items()
        for place in of_task
        if (Path(place) / SCALARS).exists()
    }
    if not runs:
        return []
    epochs = range(max(map(len, runs.values())))
    lines = [
        "| task | run | of | " + " | ".join(["start", *map(str, epochs[1:])]) + " |",
        "|---|---|---|" + "---:|" * len(epochs),
    ]
    for (task, place), validations in runs.items():
        for key, name in MEASURED.items():
            found = [f"{x[key]:.2f}" for x in validations if key in x]
            if found:
                cells = [*found, *[""] * (len(epochs) - len(found))]
                head = [task, name_of(place), name]
                lines.append("| " + " | ".join([*head, *cells]) + " |")
    return lines
