r"""Compares the meta-gradient's modes and inner steps along a training run.

    python experiments/train.py --workdir=runs/s0 --source_a=TRAIN/ir \
        --source_b=TRAIN/vi --preset=default --keep_checkpoints=9
    python experiments/orders.py --run=runs/s0 \
        --table=experiments/results/orders/orders.md

For the state of each checkpoint and for several pairs of batches, drawn as training
draws them, all modes compute the meta-gradient with the step sizes of that epoch.
Each is compared with `exact` of one inner step, and with `reverse` of as many inner
steps where there is one. How alike two batches are is the scale for all of it. What was
computed is kept beside the table, in a file that ends in .json, and not computed again
unless a case is missing; a plot, in one that ends in .svg.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from launch import launch
from orders_report import draw, to_page
from tqdm import tqdm

from refusion_jax.array_types import Batch
from refusion_jax.commands.set_up import use_cache
from refusion_jax.data.crops import epoch_order
from refusion_jax.data.device_batches import PairSet, draw_batch, pack
from refusion_jax.data.sources import in_order, repeats_of
from refusion_jax.devices.huge_pages import restart_with_huge_pages
from refusion_jax.files.atomic import replace_file
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.refusion.gradients import meta_gradient
from refusion_jax.methods.refusion.nets.networks import Nets
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import Pairs, pairs_of
from refusion_jax.runs.run import Run, open_pairs
from refusion_jax.training.checkpoint import Checkpointer
from refusion_jax.training.config import Config
from refusion_jax.training.program import make_learner
from refusion_jax.training.schedule import schedule
from refusion_jax.training.trainer import split_pairs

_RUNS = flags.DEFINE_multi_string(
    "run", None, "Folder of a run with checkpoints. Repeatable.", required=True
)
_TABLE = flags.DEFINE_string("table", None, "Markdown file to write.", required=True)
_BATCHES = flags.DEFINE_integer(
    "batches", 4, "Pairs of batches per checkpoint.", lower_bound=2
)
_CASES = flags.DEFINE_list(
    "cases",
    "exact,first_order,finite_difference,stopped,reverse,exact:2,exact:4,reverse:2,"
    "reverse:4",
    "MODE or MODE:INNER_STEPS with commas between; exact is always among them.",
)

REFERENCE = "exact"
STREAM = 19  # of random numbers: no batch of the training is drawn again
# Of params, meta-train pairs, meta-test pairs, eta and alpha_1: all of the
# meta-gradient's entries.
Gradient = Callable[[Any, Pairs, Pairs, float, float], np.ndarray]


def gradient_of(case: str, objectives: Objectives) -> Gradient:
    """Returns the compiled meta-gradient of a mode.

    Args:
      case: MODE or MODE:INNER_STEPS.
      objectives: L_f and L_r.
    """
    mode, _, steps = case.partition(":")

    @jax.jit
    def compiled(
        params: Any, inner: Pairs, outer: Pairs, eta: float, alpha: float
    ) -> jax.Array:
        result = meta_gradient(
            params,
            inner,
            outer,
            objectives=objectives._replace(alpha_fusion=alpha),
            learning_rate=eta,
            mode=mode,
            inner_steps=int(steps or 1),
        )
        return jnp.concatenate(
            [jnp.ravel(x) for x in jax.tree.leaves(result.meta_grads)]
        )

    return lambda *arguments: np.asarray(compiled(*arguments), np.float64)


def compare(grads: np.ndarray, reference: np.ndarray) -> dict[str, float | None]:
    """Compares two gradients.

    >>> compare(np.array([3.0, 4.0]), np.array([3.0, 0.0]))
    {'cosine': 0.6, 'error': 1.3333333333333333, 'size': 1.6666666666666667}

    Args:
      grads: all entries.
      reference: the same of what counts as true.

    Returns:
      Their cosine (None where one is 0), |grads - reference| / |reference|, and
      |grads| / |reference|.
    """
    ours, true = np.linalg.norm(grads), np.linalg.norm(reference)
    cosine = float(grads @ reference / (ours * true)) if ours * true > 0 else None
    error = float(np.linalg.norm(grads - reference) / true)
    return {"cosine": cosine, "error": error, "size": float(ours / true)}


def measure(
    gradients: Mapping[str, Gradient],
    params: Any,
    batches: Sequence[tuple[Pairs, Pairs]],
    eta: float,
    alpha: float,
) -> list[dict[str, Any]]:
    """Computes and compares all meta-gradients of one state.

    Args:
      gradients: by case; `REFERENCE` is among them.
      params: theta_F, theta_R, theta_P.
      batches: meta-train and meta-test pairs, twice or more.
      eta: step size of the inner update.
      alpha: alpha_1.

    Returns:
      For each of the batches, by case: what `compare` says with `REFERENCE`
      (`exact`), with reverse of as many inner steps (`reverse`, if it is a case), and
      after the first batches the CPU's seconds. The case `another batch` is the
      reference on the batches before.
    """
    found: list[dict[str, Any]] = []
    all_grads: list[np.ndarray] = []
    for inner, outer in batches:
        grads, seconds = {}, {}
        for case, gradient in gradients.items():
            start = time.process_time()
            grads[case] = gradient(params, inner, outer, eta, alpha)
            seconds[case] = time.process_time() - start
        true, row = grads[REFERENCE], {}
        for case, ours in grads.items():
            steps = case.partition(":")[1:]
            oracle = grads.get("reverse" + "".join(steps))
            row[case] = {
                "exact": compare(ours, true),
                "reverse": None if oracle is None else compare(ours, oracle),
                # The first ones compile.
                **({"seconds": seconds[case]} if found else {}),
            }
        row[REFERENCE]["norm"] = float(np.linalg.norm(true))
        all_grads.append(true)
        found.append(row)
    for number, row in enumerate(found):
        row["another batch"] = {
            "exact": compare(all_grads[number - 1], all_grads[number]),
            "reverse": None,
        }
    return found


def epoch_of_step(config: Config, learner: Any, step: int) -> int:
    """Returns the epoch of the update after a step, or the last one."""
    for dispatch in schedule(
        learner.stages,
        epochs=config.run.epochs,
        steps_per_dispatch=config.run.steps_per_dispatch,
    ):
        if dispatch.end_step > step:
            return dispatch.epoch
    return config.run.epochs - 1


def draw_pairs(
    config: Config,
    pair_set: PairSet,
    repeats: Sequence[int],
    state: TrainState,
    epoch: int,
    number: int,
) -> tuple[Pairs, Pairs]:
    """Draws meta-train and meta-test pairs from the epoch's two halves."""
    settings, data = config.settings, config.data
    order = epoch_order(state.key, epoch, repeats)
    key = jax.random.fold_in(jax.random.fold_in(state.key, STREAM), state.step)
    drawn: list[Pairs] = []
    for part, half in enumerate((order.first_half, order.second_half)):
        batch: Batch = draw_batch(
            pair_set,
            key,
            stream=part,
            epoch=epoch,
            step=number,
            order=half,
            count=config.method.pairs_in_batch(settings, data.batch_size),
            crop_size=data.crop_size,
            augment=data.augment,
        )
        noise_key = jax.random.fold_in(key, 2 * number + part)
        drawn.append(
            pairs_of(
                batch,
                swap=settings.swap,
                noise=settings.reconstruction_noise,
                key=noise_key,
            )
        )
    return drawn[0], drawn[1]


def _empty_state(learner: Any, seed: int) -> TrainState:
    """Returns zeros in the shape of a state; making a real one compiles for long."""
    key = jax.random.key(seed)
    shapes = jax.eval_shape(learner.init, key)._replace(key=None)
    zeros: TrainState = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return zeros._replace(key=key)


def study_run(folder: Path, known: dict[str, Any], keep: Callable[[], None]) -> None:
    """Adds what is not known yet of a run, checkpoint by checkpoint.

    Args:
      folder: of the run.
      known: by step; is added to.
      keep: is called after each checkpoint.
    """
    config = Run(folder).config
    settings = config.settings
    learner, _ = make_learner(config)
    training, _ = split_pairs(config, learner.stages, *open_pairs(config))
    pair_set, repeats = pack([*in_order(training)]), repeats_of(training)
    like = _empty_state(learner, config.run.seed)
    objectives = Objectives(
        nets=Nets(),
        alpha_reconstruction=settings.alpha_reconstruction,
        weight_power=settings.weight_power,
        reduction=settings.reduction,
    )
    cases = dict.fromkeys([REFERENCE, *_CASES.value])
    gradients = {case: gradient_of(case, objectives) for case in cases}
    with Checkpointer(folder / "checkpoints", config.run.keep_checkpoints) as saved:
        for step in tqdm(saved.steps, folder.name, unit="checkpoint"):
            if str(step) in known and not cases.keys() - known[str(step)]["batches"][0]:
                continue
            state = saved.restore(step, like).state
            epoch = epoch_of_step(config, learner, step)
            rates = learner.rates(epoch)
            batches = [
                draw_pairs(config, pair_set, repeats, state, epoch, number)
                for number in range(_BATCHES.value)
            ]
            eta, alpha = float(rates.inner), float(rates.alpha_fusion)
            known[str(step)] = {
                "epoch": epoch,
                "eta": eta,
                "batches": measure(gradients, state.params, batches, eta, alpha),
            }
            keep()


def main() -> int:
    """Studies all runs and writes table, record and plot.

    Returns:
      0 when all is written.
    """
    use_cache(is_wanted=True)
    out = Path(_TABLE.value)
    record = out.with_suffix(".json")
    found = json.loads(record.read_text()) if record.exists() else {}

    def keep() -> None:
        replace_file(record, (json.dumps(found, indent=1) + "\n").encode())

    out.parent.mkdir(parents=True, exist_ok=True)
    for folder in map(Path, _RUNS.value):
        study_run(folder, found.setdefault(folder.name, {}), keep)
    page = to_page(found)
    replace_file(out, page.encode())
    draw(found, out.with_suffix(".svg"))
    print(page, end="")
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    launch(main, ImportError)
