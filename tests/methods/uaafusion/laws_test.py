"""Laws of attribution and unfolding, with segmentation networks made by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.uaafusion.attribution import (
    attribute,
    by_deviation,
    mask_of_labels,
    pathway,
    plain,
    regions_of,
    without_unlabelled,
)
from refusion_jax.methods.uaafusion.guidance import blend, unfold_guided
from refusion_jax.methods.uaafusion.losses import (
    best_class,
    cross_entropy,
    intersections_and_unions,
    mean_iou,
)
from refusion_jax.methods.uaafusion.nets.fusion import init_fusion, unfold
from refusion_jax.methods.uaafusion.nets.identity import passing_on
from refusion_jax.methods.uaafusion.nets.networks import init_params, shapes_of
from refusion_jax.methods.uaafusion.nets.window import window_convolution

CLASSES = 3
RNG = np.random.default_rng(0)
A, B = jnp.asarray(RNG.random((2, 2, 8, 6, 1)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, CLASSES, (2, 8, 6)))
MASK = mask_of_labels(LABELS, CLASSES)
KERNEL = jnp.asarray(RNG.normal(size=(3, 3, 1, CLASSES)), jnp.float32)


def logits_of(image):
    """A segmentation network whose pixels see their neighbours."""
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return 2 * jnp.tanh(window_convolution(padded, KERNEL)) - 0.5


S = plain(logits_of)


@pytest.fixture(scope="module")
def fusion():
    shapes = jax.eval_shape(lambda: init_params(jax.random.key(0), classes=2)).fusion
    rng = np.random.default_rng(2)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.uniform(-0.2, 0.2, x.shape), x.dtype), shapes
    )


def by_loop(source, label, points, pictures=slice(None)):
    """The formula as it stands: one gradient for each class and point."""
    total = np.zeros(CLASSES)
    for c in range(CLASSES):
        region = (label == c)[..., None]
        count = region.sum()
        for k in range(1, points + 1):

            def score(x, region=region, count=count, c=c):
                scores = jax.nn.sigmoid(logits_of(x))[..., c : c + 1]
                return (scores * region).sum() / count

            slope = jax.grad(score)(k / points * source)
            total[c] += float((slope * source * region).sum() / count) / points
    return total


@pytest.mark.parametrize("is_joint", [False, True])
def test_attributions_are_those_of_one_gradient_for_each_class_and_point(is_joint):
    made = attribute(S, A, B, MASK, points=3, is_joint=is_joint).classes
    for side, source in enumerate((A, B)):
        if is_joint:
            expected = [by_loop(source, LABELS, 3)]
        else:
            expected = [
                by_loop(source[i : i + 1], LABELS[i : i + 1], 3) for i in range(2)
            ]
        np.testing.assert_allclose(made[side], expected, rtol=1e-5, atol=1e-9)


def test_points_in_smaller_groups_attribute_the_same():
    whole = attribute(S, A, B, MASK, points=4)
    for at_once in (1, 2, 4):
        part = attribute(S, A, B, MASK, points=4, at_once=at_once)
        np.testing.assert_allclose(part.classes, whole.classes, rtol=1e-5)
        np.testing.assert_allclose(part.weights, whole.weights, atol=1e-5)


def test_weights_add_up_to_one_and_are_constant_on_each_region():
    weights = attribute(S, A, B, MASK, points=3).weights
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    for picture, labels in zip(weights, LABELS, strict=True):
        for c in range(CLASSES):
            region = np.asarray(picture)[np.asarray(labels) == c]
            assert np.ptp(region, axis=0).max() == 0


def test_weights_follow_the_positive_attributions():
    made = attribute(S, A, B, MASK, points=3)
    positive = np.maximum(np.asarray(made.classes, np.float64), 0) + 1e-8
    shares = positive[0] / positive.sum(axis=0)
    expected = np.take_along_axis(shares, np.asarray(LABELS).reshape(2, -1), axis=1)
    np.testing.assert_allclose(made.weights[..., 0].reshape(2, -1), expected, rtol=1e-5)


def test_integrated_gradients_are_complete_as_points_grow():
    """With one region everywhere they add up to the change of the score from black."""
    everywhere = jnp.zeros_like(MASK).at[..., 1].set(1)
    scores = [jax.nn.sigmoid(logits_of(x))[..., 1].mean((1, 2)) for x in (A, 0 * A)]
    errors = []
    for points in (2, 8, 32):
        classes = attribute(S, A, B, everywhere, points=points).classes
        errors.append(np.abs(classes[0, :, 1] * 48 - (scores[0] - scores[1])).max())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.01


def test_empty_regions_leave_both_sources_alike():
    nothing = jnp.zeros_like(MASK)
    made = attribute(S, A, B, nothing, points=2)
    assert (made.weights == 0.5).all()
    assert (made.classes == 0).all()
    unlabelled = without_unlabelled(mask_of_labels(0 * LABELS, CLASSES))
    assert not regions_of(unlabelled).any()


def test_pictures_of_a_batch_do_not_influence_each_other_unless_released(fusion):
    def run(a, b, mask, released):
        weights = attribute(S, a, b, regions_of(mask), points=2, is_joint=released)
        return unfold_guided(
            fusion, S, a, b, mask, weights.weights, is_released=released
        ), weights.weights

    for released in (False, True):
        (both, weights), (one, weight) = (
            run(A[:n], B[:n], MASK[:n], released) for n in (2, 1)
        )
        same = np.allclose(weights[:1], weight, atol=1e-6)
        attention = both.stages.attention[:, :1] - one.stages.attention
        is_apart = same and float(jnp.abs(attention).max()) < 1e-4
        assert is_apart is not released


def test_the_first_stage_has_no_attention(fusion):
    made = unfold(fusion, A, B, guide=pathway(S, MASK), scale=by_deviation)
    assert not made.stages.attention[0].any()
    assert float(made.stages.attention[1:].std(axis=(2, 3, 4)).min()) > 0.9


def test_path_increments_add_up_to_the_difference_of_linear_scores(fusion):
    """With a linear score g is constant: the sum of increments is exact."""
    slope = jnp.asarray(RNG.normal(size=(8, 6, 1)), jnp.float32)

    def guide(image):
        return jnp.broadcast_to(slope[None], image.shape), ()

    made = unfold(fusion, A, B, guide=guide)
    outputs = jnp.concatenate([0.5 * (A + B)[None], made.stages.fused])
    for k in range(2, 6):  # A_k is the mean of k - 1 increments
        total = (k - 1) * made.stages.attention[k - 1].sum((1, 2, 3))
        expected = (slope[None] * (outputs[k - 1] - outputs[0])).sum((1, 2, 3))
        np.testing.assert_allclose(total, expected, atol=1e-5)


def test_the_data_step_lowers_the_quadratic_term_and_the_released_one_does_not(fusion):
    weights = attribute(S, A, B, MASK, points=2).weights
    fusion = {**fusion, "step_sizes": jnp.full(5, 0.3)}

    def term(f):
        errors = weights * jnp.square(f - jnp.concatenate([A, B], axis=-1))
        return float(errors.sum())

    made = unfold(fusion, A, B, target=blend(A, B, weights))
    before = [0.5 * (A + B), *made.stages.fused[:-1]]
    for f, moved in zip(before, made.stages.prox_input, strict=True):
        assert term(moved) < term(f)
    released = unfold(fusion, A, B)
    np.testing.assert_array_equal(released.stages.prox_input[0], before[0])
    fused = released.stages.fused[:-1]
    np.testing.assert_array_equal(released.stages.prox_input[1:], fused)


def test_attention_has_no_derivative_of_its_own(fusion):
    """The guide is a constant: its own parameters get no gradient."""

    def total(gain):
        network = plain(lambda x: gain * logits_of(x))
        return unfold(fusion, A, B, guide=pathway(network, MASK)).fused.sum()

    assert float(jax.grad(total)(1.5)) == 0


def test_networks_have_the_published_numbers_of_parameters():
    counts = {
        name: sum(int(np.prod(shape)) for shape in shapes_of(name, leaves).values())
        for name, leaves in {
            "fusion": {},
            "segmentation": {"decoder/classes/bias": np.zeros(15)},
            "statistics": {},
        }.items()
    }
    assert [*counts.values()] == [1_010_380, 3_255_519, 32_672]


def test_cross_entropy_is_that_of_the_labelled_pixels():
    scores = np.asarray(logits_of(A), np.float64)
    labels = np.asarray(LABELS)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(shares, labels[..., None], -1)[..., 0])
    expected = losses[labels > 0].mean()
    made = cross_entropy(logits_of(A), LABELS)
    assert float(made) == pytest.approx(expected, rel=1e-5)
    weights = np.array([(labels == c).sum() for c in range(3)])[labels] ** -0.5
    weights = weights * (labels > 0)
    expected = (losses * weights).sum() / weights.sum()
    rooted = cross_entropy(logits_of(A), LABELS, class_weights="root")
    assert float(rooted) == pytest.approx(expected, rel=1e-5)


def test_unlabelled_batches_have_no_loss_and_no_gradient():
    grads = jax.grad(lambda x: cross_entropy(x, 0 * LABELS))(logits_of(A))
    assert not grads.any()


def test_iou_counts_by_hand():
    labels = jnp.array([[[1, 1, 2, 0]]])
    predicted = jnp.array([[[1, 2, 2, 2]]])
    ratio = intersections_and_unions(predicted, labels, 4)
    assert [x.tolist() for x in ratio] == [[0, 1, 1, 0], [0, 2, 2, 0]]
    assert float(mean_iou(predicted, labels, 4)) == 0.5
    scores = jnp.array([[[[9.0, 1, 2], [9, 3, 2]]]])
    assert best_class(scores).tolist() == [[[2, 1]]]


def test_proximal_networks_that_start_as_the_identity_pass_each_pixel_on():
    start = init_fusion(jax.random.key(0))
    target = jnp.asarray(RNG.random(A.shape), jnp.float32)
    draws = iter(RNG.normal(size=(4, *A.shape)))

    def guide(image):
        return jnp.asarray(next(draws, np.ones(image.shape)), jnp.float32), ()

    made = unfold(passing_on(start), A, B, target=target, guide=guide).stages
    expected = jax.nn.sigmoid(4 * (made.prox_input - 0.5))
    np.testing.assert_allclose(made.fused, expected, atol=1e-5)
    # PyTorch's start loses the picture instead: each stage is flatter than the last.
    flat = np.std(unfold(start, A, B, target=target).stages.fused, axis=(1, 2, 3, 4))
    assert (flat[1:] < 0.5 * flat[:-1]).all() and flat[-1] < 1e-5
