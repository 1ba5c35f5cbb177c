import dataclasses

import numpy as np
import pytest

from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.methods.refusion.learner import ReFusionLearner
from refusion_jax.methods.refusion.settings import Settings

SETTINGS = Settings(
    learning_rate=1e-4,
    inner_learning_rate=2e-4,
    proposal_learning_rate=3e-4,
    decay_every=10,
    decay_factor=0.1,
    alpha_fusion=2.0,
)


def learner(**settings):
    return ReFusionLearner(
        dataclasses.replace(SETTINGS, **settings), epochs=50, mesh=batch_mesh(1)
    )


@pytest.mark.parametrize(
    ("epoch", "decay"), [(0, 1), (9, 1), (10, 0.1), (19, 0.1), (20, 0.01), (49, 1e-4)]
)
def test_all_step_sizes_decay_together(epoch, decay):
    rates = learner().rates(epoch)
    np.testing.assert_allclose(rates.inner, 2e-4 * decay, rtol=1e-6)
    np.testing.assert_allclose(rates.proposal, 3e-4 * decay, rtol=1e-6)
    np.testing.assert_allclose(rates.fusion, 1e-4 * decay, rtol=1e-6)
    assert rates.alpha_fusion == 2


def test_without_decay_nothing_changes():
    constant = learner(decay_every=0)
    assert constant.rates(0) == constant.rates(49)


@pytest.mark.parametrize(("epoch", "ramp"), [(0, 0.02), (24, 0.5), (49, 1)])
def test_the_ramp_ends_at_alpha_in_the_last_epoch(epoch, ramp):
    """The authors' alpha_1(epoch) = (epoch + 1) / 50."""
    rates = learner(alpha_ramp=True).rates(epoch)
    np.testing.assert_allclose(rates.alpha_fusion, 2.0 * ramp, rtol=1e-6)
    assert rates[:3] == learner().rates(epoch)[:3]


def test_stages_are_algorithm_1_with_disjoint_meta_batches():
    meta, fusion = learner(meta_steps=3, fusion_steps=5).stages
    assert (meta.name, meta.steps, fusion.name, fusion.steps) == (
        "meta",
        3,
        "fusion",
        5,
    )
    assert [draw.part for draw in meta.draws] == ["first_half", "second_half"]
    assert [draw.part for draw in fusion.draws] == ["all"]
    assert [draw.stream for draw in (*meta.draws, *fusion.draws)] == [1, 2, 3]
