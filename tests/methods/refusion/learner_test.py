import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.array_types import Batch
from refusion_jax.devices.data_parallel import batch_mesh
from refusion_jax.methods.refusion.hand_made import edges
from refusion_jax.methods.refusion.learner import ReFusionLearner
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.networks import Nets, NetsParams
from refusion_jax.methods.refusion.objectives import Objectives
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.settings import Settings
from refusion_jax.methods.refusion.state import init_state, pairs_of

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


def test_without_a_third_stage_only_a_warm_up_has_fusion_steps():
    def epochs_of_fusion(**settings):
        fusion = learner(third_stage=False, **settings).stages[-1]
        assert fusion.name == "fusion"
        return [epoch for epoch in range(50) if fusion.is_in(epoch)]

    assert epochs_of_fusion() == []
    assert epochs_of_fusion(warm_up_share=0.04) == [0, 1]


def test_without_a_third_stage_f_and_r_move_in_meta_steps(light_nets):
    batches = jax.random.uniform(jax.random.key(1), (2, 2, 2, 16, 16, 1))
    tree = {"any": jnp.ones(())}
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    state = init_state(NetsParams(tree, tree, tree), optimizers, jax.random.key(0))
    for third_stage in (True, False):
        settings = dataclasses.replace(SETTINGS, third_stage=third_stage)
        trained = ReFusionLearner(settings, 1, batch_mesh(1), light_nets)
        drawn = {"inner": Batch(*batches[0]), "outer": Batch(*batches[1])}
        params = trained.step("meta", state, drawn, trained.rates(0))[0].params
        assert (params.fusion == tree) == third_stage
        assert (params.reconstruction == tree) == third_stage


def test_a_cosine_warms_up_and_falls_to_a_fiftieth():
    cosine = learner(schedule="cosine")
    shares = [float(cosine.rates(epoch).fusion) / 1e-4 for epoch in range(50)]
    assert shares[:2] == pytest.approx([0.5, 1])
    assert shares[25] == pytest.approx((1 + 0.02) / 2, abs=0.01)
    assert shares[49] == pytest.approx(0.02)
    assert all(np.diff(shares[1:]) < 0)


def test_a_cosine_of_one_epoch_has_half_the_step_size():
    settings = dataclasses.replace(SETTINGS, schedule="cosine", learning_rate=1.0)
    assert float(ReFusionLearner(settings, 1, batch_mesh(1)).rates(0).fusion) == (
        pytest.approx(0.5)
    )


def test_a_ramp_may_end_early():
    ramp = learner(alpha_ramp=True, ramp_share=0.2)
    alphas = [float(ramp.rates(epoch).alpha_fusion) for epoch in (0, 4, 9, 10, 49)]
    assert alphas == pytest.approx([0.2, 1.0, 2.0, 2.0, 2.0])


def test_rules_come_with_imitation_in_place_of_meta_learning():
    by_rule = learner(loss_weights="rule", meta_steps=2, fusion_steps=3)
    assert [stage.name for stage in by_rule.stages] == ["imitation", "fusion"]
    assert [stage.steps for stage in by_rule.stages] == [2, 3]


def test_p_learns_to_imitate_the_rule(light_nets):
    """A P of two numbers, which can become the rule: its gains."""

    def propose(gains, a, b):
        logits = gains * jnp.stack([a - b, edges(a) - edges(b)])
        return WeightMaps(
            *(jax.nn.softmax(jnp.concatenate([x, 0 * x], -1)) for x in logits)
        )

    imitation = ReFusionLearner(
        dataclasses.replace(SETTINGS, loss_weights="rule", decay_every=0),
        epochs=1,
        mesh=batch_mesh(1),
        nets=light_nets._replace(propose=propose),
    )
    gains = jnp.zeros((2, 1, 1, 1, 1))
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    tree = {"any": jnp.ones(())}
    state = init_state(NetsParams(tree, tree, gains), optimizers, jax.random.key(0))
    rates = imitation.rates(0)._replace(imitation=1.0)
    batch = Batch(*jax.random.uniform(jax.random.key(1), (2, 2, 16, 16, 1)))
    step = jax.jit(
        lambda state: imitation.step("imitation", state, {"batch": batch}, rates)
    )
    first = None
    for _ in range(60):
        state, scalars = step(state)
        first = first or scalars
    learned = np.ravel(state.params.proposal)
    np.testing.assert_allclose(learned, [20, 10], rtol=0.1)
    for name in ("intensity_imitation_error", "gradient_imitation_error"):
        assert scalars[name] < 0.01 < 0.1 < first[name]
    assert state.params.fusion == tree and int(state.step) == 60


def test_a_warm_up_has_equal_weights_and_no_gradients_and_p_only_imitates():
    warm = learner(
        warm_up_share=0.04, imitation_steps=3, alpha_ramp=True, ramp_share=0.5
    )
    names = {
        epoch: [stage.name for stage in warm.stages if stage.is_in(epoch)]
        for epoch in (0, 1, 2, 49)
    }
    before, after = ["imitation", "fusion"], ["meta", "fusion"]
    assert names == {0: before, 1: before, 2: after, 49: after}
    assert warm.warm_up_epochs == 2
    rates = [warm.rates(epoch) for epoch in (0, 1, 2, 25, 49)]
    assert [float(x.trust) for x in rates] == [0, 0, 1, 1, 1]
    # alpha_1 grows from epoch 2 on, over half of the 48 that are left.
    alphas = [float(x.alpha_fusion) for x in rates]
    assert alphas == pytest.approx([0, 0, 2 / 24, 2, 2])


def test_f_does_not_see_the_weights_while_it_is_warmed_up(light_nets):
    batch = Batch(*jax.random.uniform(jax.random.key(1), (2, 2, 16, 16, 1)))
    tree = {"any": jnp.ones(())}
    norms = {}
    for prefers_a in (0.0, 1.0):

        def propose(params, a, b, share=prefers_a):
            maps = jnp.broadcast_to(jnp.array([share, 1 - share]), (*a.shape[:3], 2))
            return WeightMaps(maps, maps)

        warm = ReFusionLearner(
            dataclasses.replace(SETTINGS, warm_up_share=0.5),
            epochs=2,
            mesh=batch_mesh(1),
            nets=light_nets._replace(propose=propose),
        )
        optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
        params = NetsParams(jnp.full((3,), 0.3), jnp.full((2,), 0.3), tree)
        state = init_state(params, optimizers, jax.random.key(0))
        for epoch in (0, 1):
            rates = warm.rates(epoch)
            _, scalars = warm.step("fusion", state, {"batch": batch}, rates)
            norms[prefers_a, epoch] = float(scalars["fusion_grads_norm"])
    assert norms[0.0, 0] == norms[1.0, 0]
    assert norms[0.0, 1] != norms[1.0, 1]


def test_p_starts_to_learn_with_fresh_moments():
    warm = learner(warm_up_share=0.04, imitation_steps=3, fusion_steps=4)
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    tree = {"any": jnp.ones(())}
    state = init_state(NetsParams(tree, tree, tree), optimizers, jax.random.key(0))
    used = jax.tree.map(lambda x: x + 5, state.opt_states.proposal)
    state = state._replace(opt_states=state.opt_states._replace(proposal=used))
    for step, expected in ((13, 5.0), (14, 0.0), (15, 5.0)):
        at = warm._with_fresh_moments(state._replace(step=jnp.asarray(step)))
        assert float(at.opt_states.proposal.nu["any"]) == expected


def test_noise_is_drawn_anew_in_every_step_and_only_for_r():
    batch = Batch(*jax.random.uniform(jax.random.key(1), (2, 2, 64, 64, 1)))
    key = jax.random.key(2)
    quiet, noisy = (
        pairs_of(batch, swap=True),
        pairs_of(batch, swap=True, noise=0.1, key=key),
    )
    assert quiet.noise is None and noisy.noise.shape == noisy.source_a.shape
    assert float(noisy.noise.std()) == pytest.approx(0.1, rel=0.03)
    seen = []
    objectives = Objectives(
        nets=Nets(
            reconstruct=lambda params, fused: seen.append(fused) or (fused, fused)
        )
    )
    fused = jnp.zeros_like(noisy.source_a)
    objectives.reconstruction({}, fused, noisy)
    np.testing.assert_array_equal(seen[0], noisy.noise)


def test_between_a_picture_and_itself_the_mean_makes_no_error(light_nets):
    """Identical pairs reach the fusion update, and only that."""

    def mean(params, a, b):
        return (a + b) / 2 + 0 * params["any"]

    tree = {"any": jnp.ones(())}
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    state = init_state(NetsParams(tree, tree, tree), optimizers, jax.random.key(0))
    batch = Batch(*jax.random.uniform(jax.random.key(1), (2, 2, 16, 16, 1)))
    losses = {}
    for share in (0.0, 1 - 1e-6):
        made = ReFusionLearner(
            dataclasses.replace(SETTINGS, identical_share=share),
            epochs=1,
            mesh=batch_mesh(1),
            nets=light_nets._replace(fuse=mean),
        )
        for stage, draws in (
            ("fusion", {"batch": batch}),
            ("meta", {"inner": batch, "outer": batch}),
        ):
            _, scalars = made.step(stage, state, draws, made.rates(0))
            losses[stage, share > 0] = float(scalars["fusion_loss_intensity"])
    assert losses["fusion", True] < 1e-9 < 0.02 < losses["fusion", False]
    assert losses["meta", True] == losses["meta", False] > 0.02


@pytest.mark.parametrize(
    "wrong",
    [{"imitation_steps": 1}, {"imitation_steps": 1, "loss_weights": "rule"}],
)
def test_imitation_needs_a_warm_up_and_a_p_that_learns(wrong):
    with pytest.raises(
        ValueError, match="imitation_steps to be 0 unless loss_weights is"
    ):
        Settings(**wrong)
