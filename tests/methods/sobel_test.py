import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.sobel import sobel_gradient

KERNEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def sobel_by_loops(image):
    height, width = image.shape
    padded = np.pad(image, 1)
    result = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            window = padded[i : i + 3, j : j + 3]
            result[i, j] = abs((window * KERNEL).sum()) + abs((window * KERNEL.T).sum())
    return result


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3), (9, 6)])
def test_sobel_equals_a_loop_over_pixels_with_zero_padding(size):
    images = np.random.default_rng(0).random((2, *size, 3)).astype(np.float32)
    ours = sobel_gradient(jnp.asarray(images))
    for b in range(2):
        for c in range(3):
            expected = sobel_by_loops(images[b, :, :, c])
            np.testing.assert_allclose(ours[b, :, :, c], expected, atol=1e-6)


def test_sobel_of_a_ramp_is_constant_inside():
    ramp = jnp.broadcast_to(jnp.arange(8.0) / 8, (1, 6, 8))[..., None]
    inside = sobel_gradient(ramp)[0, 1:-1, 1:-1, 0]
    np.testing.assert_allclose(inside, 8 * (1 / 8), rtol=1e-6)


def test_sobel_of_a_constant_is_zero_inside():
    assert not sobel_gradient(jnp.full((1, 5, 5, 1), 0.7))[0, 1:-1, 1:-1, 0].any()


def test_sobel_never_exceeds_six():
    corner = jnp.zeros((1, 3, 3, 1)).at[0, 1:, 1:, 0].set(1).at[0, 0, 2, 0].set(1)
    assert sobel_gradient(corner.at[0, 2, 0, 0].set(1).at[0, 1, 1].set(0)).max() == 6
