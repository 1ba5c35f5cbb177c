"""P finds from a random start which source is right at each pixel of a synthetic set.

Each source shows textured, bright objects that the other does not show. A fused picture
that shows both kinds of object lets R, who sees it through noise, rebuild both sources.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.methods.refusion.learner import ReFusionLearner
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams, init_proposal
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.settings import Settings
from refusion_jax.methods.refusion.state import init_state

SIZE, PAIRS, SEED = 24, 4, 1
WARM_UP, UPDATES = 300, 8
SETTINGS = {
    "balanced": True,
    "reconstruction_noise": 0.1,
    "alpha_reconstruction": 0.1,
    "inner_learning_rate": 1e-3,
    "weight_power": 2,
    "swap": True,
    "learning_rate": 2e-3,
    "proposal_learning_rate": 1e-3,
}
# The warm-up runs longer than it compiles.
optimised = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})


def smooth(noise, width):
    """Blurs periodic noise to a spread of 1."""
    frequency = np.fft.fftfreq(SIZE)
    damping = np.exp(-2 * np.square(np.pi * width * frequency))
    spectrum = np.fft.fft2(noise) * damping[:, None] * damping
    blurred = np.fft.ifft2(spectrum).real
    return blurred / blurred.std(axis=(1, 2), keepdims=True)


def draw(rng, count):
    """Pairs, and where source a (1), source b (0) or neither (NaN) has an object."""
    field, *texture = (
        smooth(rng.standard_normal((count, SIZE, SIZE)), width) for width in (4, 1, 1)
    )
    places = field > 0.6, field < -0.6
    sources = [
        np.where(place, 0.65 + 0.12 * t, 0.2 + 0.02 * t).clip(0, 1)[..., None]
        for place, t in zip(places, texture, strict=True)
    ]
    truth = np.where(places[0], 1.0, np.where(places[1], 0.0, np.nan))
    return Batch(*(x.astype(np.float32) for x in sources)), truth


def small_net(kernels, x):
    """Three convolutions in place of F and R, which would compile for minutes."""
    for kernel in kernels:
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.sigmoid(x) if kernel is kernels[-1] else jax.nn.gelu(x)
    return x


def init_small_net(key, inputs, outputs, width=8):
    channels = inputs, width, width, outputs
    return [
        jax.random.normal(key, (3, 3, i, o)) / np.sqrt(9 * i)
        for key, i, o in zip(
            jax.random.split(key, 3), channels, channels[1:], strict=False
        )
    ]


NETS = Nets(
    fuse=lambda kernels, a, b: small_net(kernels, jnp.concatenate([a, b], axis=-1)),
    reconstruct=lambda kernels, f: tuple(jnp.split(small_net(kernels, f), 2, axis=-1)),
)


@pytest.fixture(scope="module")
def agreement():
    """Correlation of w and of v with the truth, before and after P has learned."""
    warm_up, learner = (
        ReFusionLearner(Settings(**SETTINGS, **more), 1, batch_mesh(1), NETS)
        for more in (
            {"loss_weights": "equal", "meta_steps": 0, "alpha_fusion": 0.0},
            {"alpha_fusion": 0.3},
        )
    )
    key = jax.random.key(SEED)
    of_f, of_r, of_p = jax.random.split(key, 3)
    state = init_state(
        NetsParams(
            init_small_net(of_f, 2, 1),
            init_small_net(of_r, 1, 2),
            jax.jit(partial(init_proposal, balanced=True))(of_p),
        ),
        make_optimizers(proposal_optimizer="adam", accumulate=1),
        key,
    )
    rng = np.random.default_rng(SEED)
    seen, truth = draw(np.random.default_rng(99), 8)
    known = np.isfinite(truth)
    propose = jax.jit(NETS.propose)

    def correlations():
        maps = propose(state.params.proposal, seen.source_a, seen.source_b)
        return [
            np.corrcoef(np.asarray(x)[..., 0][known], truth[known])[0, 1] for x in maps
        ]

    batches = [draw(rng, PAIRS)[0] for _ in range(WARM_UP)]
    stacked = Batch(*(np.stack(x) for x in zip(*(b[:2] for b in batches), strict=True)))
    state, _ = optimised(
        lambda state, batches: jax.lax.scan(
            lambda s, b: warm_up.step("fusion", s, {"batch": b}, warm_up.rates(0)),
            state,
            batches,
        )
    )(state, stacked)
    before = correlations()
    update = jax.jit(lambda s, b: learner.step("meta", s, b, learner.rates(0))[0])
    for _ in range(UPDATES):
        batches = {name: draw(rng, PAIRS)[0] for name in ("inner", "outer")}
        state = update(state, batches)
    return before, correlations()


def test_p_starts_without_the_right_choice(agreement):
    (w, v), _ = agreement
    assert w < 0 and v < 0.2


def test_p_finds_the_right_source_at_every_pixel(agreement):
    _, (w, v) = agreement
    assert w > 0.5 and v > 0.5
