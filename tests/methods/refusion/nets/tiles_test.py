"""Tiles in place: the same picture, whatever the tile."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from refusion_jax.devices.mesh import device_mesh
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.nets.in_place import (
    InPlace,
    collect,
    fill,
    total,
    update,
)
from refusion_jax.methods.refusion.nets.tiles import (
    AXIS,
    Tile,
    capacity,
    choose_tiling,
    cut,
    join,
    make_tiling,
    mask_of,
)

TILE = Tile(4, 6)
SIZES = [(1, 1), (4, 6), (5, 13), (17, 3), (9, 20)]
ENOUGH = 16  # tiles of any of these sizes


def picture_of(size, seed=0):
    return np.random.default_rng(seed).random(size, np.float32)


def cut_with_room(pictures, tiling):
    tiles = cut(pictures, tiling)
    room = ENOUGH - tiles.shape[2]
    return np.pad(tiles, ((0, 0), (0, 0), (0, room), (0, 0)), constant_values=7)


def window_sum(picture):
    padded = np.pad(picture.astype(np.float64), 1)
    height, width = picture.shape
    return sum(
        padded[i : i + height, j : j + width] for i in range(3) for j in range(3)
    )


@pytest.mark.parametrize("size", SIZES)
def test_tiles_are_windows_of_the_padded_picture_and_join_again(size):
    picture, tiling = picture_of(size), make_tiling(*size, TILE)
    tiles = cut([picture], tiling)[0, 0]
    padded = np.pad(picture, ((1, 20), (1, 20)))
    for index in range(tiling.tile_count):
        top = index % tiling.down * TILE.rows
        left = index // tiling.down * TILE.columns
        window = padded[top : top + TILE.rows + 2, left : left + TILE.columns + 2]
        np.testing.assert_array_equal(tiles[index], window.ravel())
    without_halo = tiles[:, TILE.margin : TILE.margin + TILE.length]
    np.testing.assert_array_equal(join(without_halo[None], tiling), picture)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("devices", [2, 3])
def test_devices_have_the_bands_of_the_picture_side_by_side(size, devices):
    picture, tiling = picture_of(size), make_tiling(*size, TILE, devices)
    alone = make_tiling(*size, TILE)
    tiles = cut([picture], tiling)[:, 0, : tiling.tile_count]
    expected = cut([picture], alone)[0, 0, : alone.tile_count]
    in_a_row = tiles.reshape(-1, TILE.extended)
    np.testing.assert_array_equal(in_a_row[: alone.tile_count], expected)
    beside = in_a_row[alone.tile_count + alone.down :]
    assert not beside.any()  # but for the halo of the first of them
    without_halo = tiles[..., TILE.margin : TILE.margin + TILE.length]
    np.testing.assert_array_equal(join(without_halo, tiling), picture)


@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_one_on_the_picture(size):
    tiling = make_tiling(*size, TILE)
    ones = cut([np.ones(size)], tiling)[0, 0]
    for index in range(tiling.tile_count):
        np.testing.assert_array_equal(
            mask_of(index, tiling, jnp.float32)[0], ones[index]
        )
    owned = sum(
        float(tiling.inside(mask_of(index, tiling, jnp.float32)).sum())
        for index in range(tiling.tile_count)
    )
    assert owned == size[0] * size[1]


@jax.jit
def three_window_sums(tiles, tiling):
    """Two passes in place and one out of it, on one of two groups of channels."""
    if tiling.devices == 1:
        return _three_window_sums(tiles, tiling)
    whole, part = PartitionSpec(), PartitionSpec(AXIS)
    return jax.shard_map(
        _three_window_sums,
        mesh=device_mesh(tiling.devices, AXIS),
        in_specs=(part, whole),
        out_specs=(part, whole, part),
        check_vma=False,
    )(tiles, tiling)


def _three_window_sums(tiles, tiling):
    tiles = tiles[0, 0]

    def body(extended, mask):
        inside = extended * mask
        shifts = [i * TILE.stride + j for i in range(3) for j in range(3)]
        return sum(inside[:, shift : shift + TILE.length] for shift in shifts)

    state = jnp.full((ENOUGH, 4, TILE.rows + 2, TILE.stride), 5.0)
    for channel in (1, 2):
        features = fill(body, tiles, InPlace(state, channel, 1), tiling)
        state = features.state
    features = InPlace(state, 1, 2)
    features = update(body, features, tiling)

    def of_tile(extended, mask):
        owned = tiling.inside(mask)
        return (extended[:, TILE.margin : TILE.margin + TILE.length] * owned).sum(1)

    last = collect(lambda *piece: body(*piece)[:1], features, tiling)
    return last[None], total(of_tile, features, tiling), features.state[None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("devices", [1, 2])
def test_passes_in_place_are_passes_over_the_whole_picture(size, devices):
    picture, tiling = picture_of(size), make_tiling(*size, TILE, devices)
    tiles = cut_with_room([picture], tiling)
    result, totals, state = three_window_sums(tiles, tiling)
    twice = window_sum(window_sum(picture))
    np.testing.assert_allclose(join(result, tiling), window_sum(twice), rtol=1e-5)
    np.testing.assert_allclose(totals, [twice.sum()] * 2, rtol=1e-5)
    assert np.all(np.asarray(state)[:, :, [0, 3]] == 5)  # other channels
    others = np.asarray(state)[:, tiling.tile_count :]
    assert np.all(others[..., 1:-1, 1:-1] == 5)  # but for their halos, never read


def test_all_sizes_share_one_program():
    three_window_sums.clear_cache()
    for size in SIZES:
        tiling = make_tiling(*size, TILE)
        three_window_sums(cut_with_room([picture_of(size)], tiling), tiling)
    assert three_window_sums._cache_size() == 1


VARIANTS = [
    (True, True, False),
    (True, False, False),
    (False, True, False),
    (False, False, False),
    (True, True, True),
]


@pytest.fixture(scope="module")
def fusion_params():
    """Larger than fresh ones, whose F is nearly the same everywhere."""

    def of_variant(interaction, gating, decision):
        init = partial(
            networks.init_params,
            interaction=interaction,
            gating=gating,
            decision=decision,
        )
        rng = np.random.default_rng(5)
        return jax.tree.map(
            lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
            jax.eval_shape(init, jax.random.key(0)).fusion,
        )

    return {variant: of_variant(*variant) for variant in VARIANTS}


fuse_tiles = jax.jit(networks.fuse_tiles)
fuse_whole = jax.jit(networks.fuse)


@pytest.mark.parametrize(
    ("variant", "size", "devices"),
    [(variant, (9, 20), 1) for variant in VARIANTS]
    + [(variant, (9, 20), 2) for variant in VARIANTS]
    + [(VARIANTS[0], size, 1) for size in SIZES[:-1]]
    + [(VARIANTS[0], size, 2) for size in SIZES[:-1]],
)
def test_f_on_tiles_is_f_on_the_whole_picture(fusion_params, variant, size, devices):
    params, tiling = fusion_params[variant], make_tiling(*size, TILE, devices)
    source_a, source_b = picture_of(size, 1), picture_of(size, 2)
    tiles = cut_with_room([source_a, source_b], tiling)
    ours = join(np.asarray(fuse_tiles(params, tiles, tiling)[0]), tiling)
    whole = fuse_whole(params, *(x[None, ..., None] for x in (source_a, source_b)))
    assert min(size) < 4 or np.std(whole) > 0.01
    np.testing.assert_allclose(ours, whole[0, ..., 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 45, 1000, 1023, 1025, 3000])
def test_capacity_wastes_little_in_few_steps(count):
    room = capacity(count)
    waste = 1 / 8 if count < 512 else 1 / 32
    assert count <= room <= count * (1 + waste)
    assert capacity(room) == room
    assert len({capacity(n) for n in range(257, 512)}) == 8


@pytest.mark.parametrize("size", [(1, 1), (17, 4000), (480, 640), (4000, 6000)])
def test_the_chosen_tile_covers_the_picture_with_little_waste(size):
    tiling = choose_tiling(*size)
    tile, devices = tiling.tile, tiling.devices
    assert tiling.down * tile.rows >= size[0]
    assert devices * tiling.bands * tile.columns >= size[1]
    if min(size) > 100:
        pixels = devices * tiling.tile_count * tile.extended
        assert pixels < 1.2 * size[0] * size[1]


def test_wide_pictures_are_shared_and_narrow_ones_are_not():
    assert choose_tiling(480, 640).devices == jax.local_device_count() == 2
    assert choose_tiling(480, 64).devices == 1
