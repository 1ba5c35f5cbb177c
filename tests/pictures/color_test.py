import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from refusion_jax.pictures.color import (
    NEUTRAL_CHROMA,
    fuse_chroma,
    is_grey,
    rgb_to_luminance,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)

# JPEG File Interchange Format 1.02, the published matrix of full-range BT.601.
JFIF = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)
GREYS = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


def random_rgb(*shape):
    return jnp.asarray(np.random.default_rng(0).random((*shape, 3)), jnp.float32)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (2, 3, 4, 6)])
def test_rgb_comes_back_from_ycbcr(shape):
    rgb = random_rgb(*shape)
    assert jnp.abs(ycbcr_to_rgb(rgb_to_ycbcr(rgb)) - rgb).max() < 1e-6


def test_ycbcr_comes_back_from_rgb():
    ycbcr = random_rgb(9, 9)
    assert jnp.abs(rgb_to_ycbcr(ycbcr_to_rgb(ycbcr)) - ycbcr).max() < 2e-6


@pytest.mark.parametrize("convert", [rgb_to_ycbcr, jax.jit(rgb_to_ycbcr)])
def test_grey_is_exactly_neutral_and_keeps_its_value(convert):
    grey = jnp.asarray(GREYS, jnp.float32) / 255
    ycbcr = convert(grey)
    np.testing.assert_array_equal(ycbcr[..., 0], grey[..., 0])
    np.testing.assert_array_equal(ycbcr[..., 1:], NEUTRAL_CHROMA)
    np.testing.assert_array_equal(ycbcr_to_rgb(ycbcr), grey)


def test_conversion_agrees_with_the_published_matrix():
    rgb = random_rgb(8, 8)
    expected = np.asarray(rgb, np.float64) @ JFIF.T + [0, 0.5, 0.5]
    np.testing.assert_allclose(rgb_to_ycbcr(rgb), expected, atol=2e-6)
    np.testing.assert_allclose(rgb_to_luminance(rgb), expected[..., :1], atol=2e-7)


def test_conversion_agrees_with_pillow_to_its_rounding():
    rgb = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    pillow = np.asarray(Image.fromarray(rgb).convert("YCbCr"), np.float64)
    ours = 255 * np.asarray(rgb_to_ycbcr(jnp.asarray(rgb, jnp.float32) / 255))
    # Neutral is 127.5 here and 128 there; Pillow cuts or rounds to whole levels.
    ours[..., 1:] += 0.5
    assert np.abs(ours - pillow).max() <= 1


def test_luminance_is_the_first_channel_of_ycbcr():
    rgb = random_rgb(2, 5, 6)
    np.testing.assert_array_equal(rgb_to_luminance(rgb), rgb_to_ycbcr(rgb)[..., :1])


def chroma_fused_by_loops(chroma_a, chroma_b, tau):
    fused = np.empty_like(chroma_a)
    for index in np.ndindex(fused.shape):
        a, b = chroma_a[index], chroma_b[index]
        weight_a, weight_b = abs(a - tau), abs(b - tau)
        total = weight_a + weight_b
        fused[index] = (a * weight_a + b * weight_b) / total if total else tau
    return fused


def test_chroma_fusion_equals_a_loop_over_pixels():
    chroma_a, chroma_b = np.random.default_rng(2).random((2, 6, 5, 2))
    ours = fuse_chroma(
        jnp.asarray(chroma_a, jnp.float32), jnp.asarray(chroma_b, jnp.float32)
    )
    expected = chroma_fused_by_loops(chroma_a, chroma_b, 0.5)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_chroma_fusion_is_the_papers_on_8_bit_chroma_with_tau_128():
    """Offset-128 chroma c stands for (c - 128) / 255 + 1/2 here."""
    levels = np.random.default_rng(3).integers(0, 256, (2, 6, 5, 2)).astype(np.float64)
    ours = fuse_chroma(
        *(jnp.asarray((x - 128) / 255 + NEUTRAL_CHROMA, jnp.float32) for x in levels)
    )
    expected = chroma_fused_by_loops(*levels, tau=128.0)
    np.testing.assert_allclose(255 * (ours - 0.5) + 128, expected, atol=2e-4)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0.7, 0.5, 0.7),  # a neutral source has no say
        (0.5, 0.3, 0.3),
        (0.6, 0.4, 0.5),  # equal and opposite cancel
        (0.9, 0.6, 0.5 + (0.4 * 0.4 + 0.1 * 0.1) / 0.5),
        (0.2, 0.9, 0.5 + (-0.3 * 0.3 + 0.4 * 0.4) / 0.7),
    ],
)
def test_chroma_is_weighted_by_its_distance_from_neutral(a, b, expected):
    fused = fuse_chroma(jnp.full((1, 1, 2), a), jnp.full((1, 1, 2), b))
    np.testing.assert_allclose(fused, expected, atol=1e-6)


@pytest.mark.parametrize("fuse", [fuse_chroma, jax.jit(fuse_chroma)])
def test_two_neutral_chromas_stay_exactly_neutral(fuse):
    neutral = jnp.full((3, 4, 2), NEUTRAL_CHROMA)
    rounding = neutral + 1e-7 * jnp.sign(jnp.arange(4.0) - 1.5)[None, :, None]
    np.testing.assert_array_equal(fuse(neutral, neutral), NEUTRAL_CHROMA)
    np.testing.assert_array_equal(fuse(rounding, neutral), NEUTRAL_CHROMA)


def test_the_gradient_of_chroma_fusion_is_finite_where_both_are_neutral():
    neutral = jnp.full((2, 2, 2), NEUTRAL_CHROMA)
    grads = jax.grad(lambda a, b: fuse_chroma(a, b).sum(), argnums=(0, 1))
    assert all(jnp.isfinite(grad).all() for grad in grads(neutral, neutral))


def test_a_picture_is_grey_if_its_channels_are_equal_everywhere():
    batch = jnp.asarray(np.stack([GREYS, GREYS, GREYS]), jnp.float32) / 255
    batch = batch.at[1, 3, 4, 2].add(1 / 255).at[2, 0, 0, 0].add(1 / 255)
    assert is_grey(batch).tolist() == [True, False, False]
