from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.refusion import forward
from refusion_jax.methods.refusion.forward import fuse_luminance, place
from refusion_jax.methods.refusion.nets import networks


def test_fuse_luminance_returns_the_networks_own_range(params):
    a, b = jax.random.uniform(jax.random.key(2), (2, 11, 9, 1))
    raw = fuse_luminance(params, a, b)
    assert raw.shape == (11, 9, 1)
    expected = jax.jit(networks.fuse)(params, a[None], b[None])
    np.testing.assert_allclose(raw[None], expected, atol=1e-6)


def test_a_long_thin_picture_is_the_same_on_tiles_and_as_a_whole(params):
    pair = jax.random.uniform(jax.random.key(3), (2, 17, 300, 1))
    whole = jax.jit(networks.fuse)(params, *pair[:, None])[0]
    on_tiles = fuse_luminance(params, *pair)
    np.testing.assert_allclose(on_tiles, whole, rtol=0, atol=1e-5)


def test_bfloat16_is_near_and_float32_is_not_touched(params):
    pair = jax.random.uniform(jax.random.key(4), (2, 17, 300, 1))
    exact = np.asarray(fuse_luminance(params, *pair))
    rounded = np.asarray(fuse_luminance(params, *pair, precision="bfloat16"))
    assert rounded.dtype == np.float32
    assert 1e-5 < np.abs(rounded - exact).max() < 0.02
    # CPUs have no products of fewer digits.
    np.testing.assert_array_equal(
        fuse_luminance(params, *pair, precision="tf32"), exact
    )


def wide_pair():
    pair = np.random.default_rng(6).random((2, 20, 130, 1), np.float32)
    return jnp.asarray(pair[0]), jnp.asarray(pair[1])


def test_large_pictures_give_what_small_ones_give(params, monkeypatch):
    pair = wide_pair()  # wide enough for two devices
    expected = fuse_luminance(params, *pair)
    assert forward.choose_tiling(*pair[0].shape[:2]).devices == 2
    monkeypatch.setattr(forward, "LARGE_PIXELS", 0)
    ran = []
    large = forward._fuse_large
    monkeypatch.setattr(
        forward,
        "_fuse_large",
        lambda *args, **options: ran.append(True) or large(*args, **options),
    )
    fused = fuse_luminance(params, *pair)
    assert ran
    np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 130), (5, 7)])
def test_parameters_on_all_devices_give_the_same_bits(params, shape):
    pair = jnp.asarray(np.random.default_rng(7).random((2, *shape, 1), np.float32))
    placed = place(params)
    assert len(placed["tail1"].sharding.device_set) == jax.local_device_count() > 1
    expected = fuse_luminance(params, *pair)
    np.testing.assert_array_equal(fuse_luminance(placed, *pair), expected)


def test_threads_that_share_the_devices_do_not_wait_for_each_other_for_ever(params):
    pair = wide_pair()
    expected = fuse_luminance(params, *pair)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fuse_luminance(params, *pair), range(12)))
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_what_a_picture_leaves_in_memory_does_not_reach_the_next(params):
    pair = wide_pair()
    expected = fuse_luminance(params, *pair)
    nothing = jnp.full_like(pair[0], jnp.nan)
    assert np.isnan(fuse_luminance(params, nothing, nothing)).all()
    np.testing.assert_array_equal(fuse_luminance(params, *pair), expected)


def test_pictures_of_one_size_share_the_memory_of_the_features(params):
    pair = wide_pair()
    fuse_luminance(params, *pair)
    (before,) = forward._kept.values()
    places = {shard.data.unsafe_buffer_pointer() for shard in before.addressable_shards}
    for _ in range(2):
        fuse_luminance(params, *pair)
        (after,) = forward._kept.values()
        assert {
            shard.data.unsafe_buffer_pointer() for shard in after.addressable_shards
        } == places
    assert before.is_deleted()


def test_memory_is_kept_of_the_last_size_alone_and_of_no_large_picture(
    params, monkeypatch
):
    for shape in ((20, 130, 1), (5, 7, 1)):
        fuse_luminance(params, *jnp.zeros((2, *shape)))
        assert len(forward._kept) == 1
    monkeypatch.setattr(forward, "KEPT_BYTES", 1000)
    expected = fuse_luminance(params, *wide_pair())
    assert not forward._kept
    monkeypatch.undo()
    np.testing.assert_array_equal(fuse_luminance(params, *wide_pair()), expected)


def test_a_picture_that_fails_takes_no_memory_from_the_next(params, monkeypatch):
    pair = wide_pair()
    expected = fuse_luminance(params, *pair)

    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(forward, "_fuse_tiles", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            fuse_luminance(params, *pair)
    assert not forward._kept
    np.testing.assert_array_equal(fuse_luminance(params, *pair), expected)
