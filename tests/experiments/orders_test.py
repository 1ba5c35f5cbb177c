"""`experiments/orders.py`: what it compares, and what it says of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orders import compare, draw_pairs, epoch_of_step, gradient_of, measure
from orders_report import draw, to_page

from refusion_jax.array_types import Batch
from refusion_jax.data.device_batches import pack
from refusion_jax.methods.protocol import TrainState
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.state import pairs_of
from refusion_jax.training.config import preset, with_fields
from refusion_jax.training.program import make_learner


def propose(theta, a, b):
    logits = jnp.concatenate([theta * a, jnp.square(theta) * b], axis=-1)
    return WeightMaps(jax.nn.softmax(logits), jax.nn.softmax(jnp.square(logits)))


SMALL = Objectives(
    nets=Nets(
        fuse=lambda theta, a, b: jax.nn.sigmoid(theta * a + jnp.square(theta) * b),
        reconstruct=lambda theta, fused: (theta * fused, fused - theta),
        propose=propose,
    )
)


@pytest.fixture(scope="module")
def found():
    """Of one state, three pairs of batches and networks of one number each."""
    cases = ("exact", "stopped", "reverse", "exact:2", "reverse:2")
    gradients = {case: gradient_of(case, SMALL) for case in cases}
    params = NetsParams(*map(jnp.asarray, (0.4, 0.2, 1.3)))
    pictures = jax.random.uniform(jax.random.key(0), (3, 4, 1, 6, 6, 1))
    batches = [(pairs_of(Batch(*x[:2])), pairs_of(Batch(*x[2:]))) for x in pictures]
    return measure(gradients, params, batches, 1e-3, 1.0)


def test_equal_gradients_have_no_distance_and_stopped_ones_all_of_it(found):
    for row in found:
        assert row["exact"]["exact"] == {"cosine": 1, "error": 0, "size": 1}
        assert row["reverse"]["exact"]["error"] < 1e-3
        assert row["stopped"]["exact"] == {"cosine": None, "error": 1, "size": 0}
        # Two steps push about twice as far; the oracle is that of two steps.
        assert 1.5 < row["exact:2"]["exact"]["size"] < 2.5
        assert row["exact:2"]["reverse"]["error"] < 1e-3


def test_batches_are_compared_with_the_ones_before(found):
    norms = [row["exact"]["norm"] for row in found]
    sizes = [row["another batch"]["exact"]["size"] for row in found]
    expected = [norms[number - 1] / norms[number] for number in range(3)]
    np.testing.assert_allclose(sizes, expected, rtol=1e-6)


def test_the_report_has_a_row_per_case_and_a_plot(found, tmp_path):
    runs = {"s0": {"7": {"batches": found}, "40": {"batches": found[:1]}}}
    text = to_page(runs)
    rows = [line.split(" | ")[0] for line in text.splitlines()[2:-2]]
    assert rows[0] == "| exact" and rows[-2:] == ["| reverse, K = 2", "| another batch"]
    assert "4 pairs of batches at these steps: s0: 7, 40." in text
    draw(runs, tmp_path / "plot.svg")
    plot = (tmp_path / "plot.svg").read_text()
    assert "exact, K = 2" in plot and "stopped" in plot


def test_a_cosine_is_that_of_the_angle():
    turned = compare(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    assert turned["cosine"] == pytest.approx(0.5**0.5)
    assert turned["error"] == pytest.approx(0.5**0.5)


def test_the_pairs_are_those_of_the_epochs_halves():
    config = with_fields(preset("default"), {"crop_size": 8, "augment": False})
    learner, _ = make_learner(config)
    # Warm-up: 3 epochs of 60 + 60 steps, then 12 + 60.
    assert [epoch_of_step(config, learner, x) for x in (0, 360, 432, 9999)] == [
        *(0, 3, 4, 8)
    ]
    # The grey level says which pair it is.
    pair_set = pack([[np.full((8, 8), 20 * n, np.uint8)] * 2 for n in range(10)])
    state = TrainState(None, None, jnp.asarray(360), jax.random.key(3))
    seen = [set(), set()]
    for number in range(6):
        for half, pairs in zip(
            seen,
            draw_pairs(config, pair_set, [1] * 10, state, 4, number),
            strict=True,
        ):
            assert pairs.source_a.shape == (4, 8, 8, 1)  # two pairs and their copies
            half |= set(np.ravel(pairs.source_a[:, 0, 0]).tolist())
    assert not seen[0] & seen[1] and min(map(len, seen)) > 2
