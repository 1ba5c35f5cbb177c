import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.pictures.ranges import apply_range, check_range, stretch

FUSED = jnp.asarray([[0.1, 0.2], [0.5, 0.9]], jnp.float32)[..., None]
SOURCES = [
    jnp.asarray([[0.3, 0.4], [0.5, 0.6]], jnp.float32)[..., None],
    jnp.asarray([[0.15, 0.4], [0.5, 0.8]], jnp.float32)[..., None],
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("stretch", [[0, 0.125], [0.5, 1]]),
        ("none", [[0.1, 0.2], [0.5, 0.9]]),
        ("source", [[0.15, 0.2], [0.5, 0.8]]),
    ],
)
def test_a_rule_says_what_is_black_and_white(rule, expected):
    made = apply_range(FUSED, SOURCES, rule=rule)
    np.testing.assert_allclose(made[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("rule", ["none", "source"])
def test_a_bright_spot_does_not_change_the_rest(rule):
    spot = FUSED.at[0, 0].set(1.0)
    before, after = (apply_range(x, SOURCES, rule=rule) for x in (FUSED, spot))
    np.testing.assert_array_equal(before.ravel()[1:], after.ravel()[1:])
    stretched = [apply_range(x, SOURCES, rule="stretch") for x in (FUSED, spot)]
    assert not np.allclose(stretched[0].ravel()[1:], stretched[1].ravel()[1:])


@pytest.mark.parametrize("rule", ["wide", "", "Stretch"])
def test_an_unknown_rule_lists_the_rules(rule):
    for function in (check_range, lambda x: apply_range(FUSED, SOURCES, rule=x)):
        with pytest.raises(ValueError, match=rf"stretch, none, source, got '{rule}'"):
            function(rule)


def test_stretch_maps_each_picture_to_its_own_range():
    images = np.random.default_rng(1).uniform(0.2, 0.7, (3, 4, 5, 1))
    ours = stretch(jnp.asarray(images, jnp.float32))
    for image, stretched in zip(images, ours, strict=True):
        expected = (image - image.min()) / (image.max() - image.min())
        np.testing.assert_allclose(stretched, expected, atol=1e-6)


def test_stretch_leaves_a_constant_picture_alone():
    constant = jnp.full((2, 3, 3, 1), 0.3)
    np.testing.assert_array_equal(stretch(constant), constant)


@pytest.mark.parametrize(
    ("extents", "share"),
    [((0, 0), 0), ((0, 1 / 16), 1 / 8), ((1 / 8, 0), 1), ((0.5, 1), 1)],
)
def test_the_largest_range_of_a_source_is_the_share_of_the_stretched_picture(
    extents, share
):
    sources = [jnp.asarray([[[0.25], [0.25 + x]]], jnp.float32) for x in extents]
    made = apply_range(jnp.asarray([[[0.9], [0.2]]]), sources, rule="stretch")
    mean = [0.25, 0.25 + sum(extents) / 2]
    expected = share * np.array([1, 0]) + (1 - share) * np.array(mean)
    np.testing.assert_allclose(np.ravel(made), expected, atol=1e-6)
