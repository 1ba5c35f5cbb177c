"""Part `modes`: every mode of the meta-gradient, and more inner steps."""

from functools import partial

from speed import material
from speed.contest import one_worker
from speed.results import Row, Table
from speed.scale import cost, table_of
from speed.settings import Settings, scratch
from speed.training import BATCH, OURS, SIZE

INNER_STEPS = (1, 2, 4, 8)
SINGLE_STEP_MODES = ("exact", "first_order", "finite_difference", "stopped")


def measure(settings: Settings) -> list[Table]:
    """Measures each mode with one inner step, and `exact` and `reverse` with more.

    Args:
      settings: of the command line.

    Returns:
      One table.
    """

    def of_mode(mode: str, inner_steps: int) -> Row:
        options = {"step": "meta", "mode": mode, "inner_steps": inner_steps}
        with scratch() as folder:
            material.write_weights(folder)
            material.write_batches(folder, BATCH, SIZE)
            row = cost(settings, OURS, folder, BATCH * SIZE**2, **options)
            with one_worker() as call:
                compiled = call(
                    "speed.ours:compile_step", folder=str(folder), **options
                )
        return {
            "mode": mode,
            "inner steps": inner_steps,
            **row,
            "temporaries on one device, MiB": compiled["temporaries"] / 2**20,
        }

    counts = [x for x in INNER_STEPS if x <= settings.max_inner_steps]
    cases = [(mode, 1) for mode in SINGLE_STEP_MODES]
    cases += [("exact", x) for x in counts if x > 1] + [("reverse", x) for x in counts]
    return [
        table_of(
            f"Meta-step, batch {BATCH} of {SIZE} x {SIZE}",
            {f"{mode}, K = {k}": partial(of_mode, mode, k) for mode, k in cases},
        )
    ]
