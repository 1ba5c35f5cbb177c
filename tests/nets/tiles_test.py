"""Tiles in place: the same picture, whatever the tile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax import nets
from refusion_jax.nets.tiles import (
    InPlace,
    Tile,
    capacity,
    choose_tile,
    collect,
    cut,
    fill,
    join,
    make_tiling,
    mask_of,
    total,
    update,
)

TILE = Tile(4, 6)
SIZES = [(1, 1), (4, 6), (5, 13), (17, 3), (9, 20)]
ENOUGH = 16  # tiles of any of these sizes


def picture_of(size, seed=0):
    return np.random.default_rng(seed).random(size, np.float32)


def cut_with_room(pictures, tiling):
    tiles = cut(pictures, tiling)
    room = ENOUGH - tiles.shape[1]
    return np.pad(tiles, ((0, 0), (0, room), (0, 0)), constant_values=7)


def window_sum(picture):
    padded = np.pad(picture.astype(np.float64), 1)
    height, width = picture.shape
    return sum(
        padded[i : i + height, j : j + width] for i in range(3) for j in range(3)
    )


@pytest.mark.parametrize("size", SIZES)
def test_tiles_are_windows_of_the_padded_picture_and_join_again(size):
    picture, tiling = picture_of(size), make_tiling(*size, TILE)
    tiles = cut([picture], tiling)[0]
    padded = np.pad(picture, ((1, 20), (1, 20)))
    for index in range(tiling.tile_count):
        top = index % tiling.down * TILE.rows
        left = index // tiling.down * TILE.columns
        window = padded[top : top + TILE.rows + 2, left : left + TILE.columns + 2]
        np.testing.assert_array_equal(tiles[index], window.ravel())
    without_halo = tiles[:, TILE.margin : TILE.margin + TILE.length]
    np.testing.assert_array_equal(join(without_halo, tiling), picture)


@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_one_on_the_picture(size):
    tiling = make_tiling(*size, TILE)
    (ones,) = cut([np.ones(size)], tiling)
    for index in range(tiling.tile_count):
        np.testing.assert_array_equal(mask_of(index, tiling)[0], ones[index])
    owned = sum(
        float(tiling.inside(mask_of(index, tiling)).sum())
        for index in range(tiling.tile_count)
    )
    assert owned == size[0] * size[1]


@jax.jit
def three_window_sums(tiles, tiling):
    """Two passes in place and one out of it, on one of two groups of channels."""

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
    return last, total(of_tile, features, tiling), features.state


@pytest.mark.parametrize("size", SIZES)
def test_passes_in_place_are_passes_over_the_whole_picture(size):
    picture, tiling = picture_of(size), make_tiling(*size, TILE)
    (tiles,) = cut_with_room([picture], tiling)
    result, totals, state = three_window_sums(tiles, tiling)
    twice = window_sum(window_sum(picture))
    np.testing.assert_allclose(join(result, tiling), window_sum(twice), rtol=1e-5)
    np.testing.assert_allclose(totals, [twice.sum()] * 2, rtol=1e-5)
    assert np.all(np.asarray(state)[:, [0, 3]] == 5)  # other channels
    assert np.all(np.asarray(state)[tiling.tile_count :] == 5)  # other tiles


def test_all_sizes_share_one_program():
    three_window_sums.clear_cache()
    for size in SIZES:
        tiling = make_tiling(*size, TILE)
        three_window_sums(cut_with_room([picture_of(size)], tiling)[0], tiling)
    assert three_window_sums._cache_size() == 1


VARIANTS = [(True, True), (True, False), (False, True), (False, False)]


@pytest.fixture(scope="module")
def fusion_params():
    return {
        variant: nets.init_params(
            jax.random.key(0), interaction=variant[0], gating=variant[1]
        ).fusion
        for variant in VARIANTS
    }


fuse_tiles = jax.jit(nets.fuse_tiles)
fuse_whole = jax.jit(nets.fuse)


@pytest.mark.parametrize(
    ("variant", "size"),
    [(variant, (9, 20)) for variant in VARIANTS]
    + [(VARIANTS[0], size) for size in SIZES[:-1]],
)
def test_f_on_tiles_is_f_on_the_whole_picture(fusion_params, variant, size):
    params, tiling = fusion_params[variant], make_tiling(*size, TILE)
    source_a, source_b = picture_of(size, 1), picture_of(size, 2)
    tiles = cut_with_room([source_a, source_b], tiling)
    ours = join(np.asarray(fuse_tiles(params, tiles, tiling)), tiling)
    whole = fuse_whole(params, *(x[None, ..., None] for x in (source_a, source_b)))
    np.testing.assert_allclose(ours, whole[0, ..., 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 45, 1000, 1023, 1025, 3000])
def test_capacity_wastes_little_in_few_steps(count):
    room = capacity(count)
    waste = 1 / 8 if count < 1024 else 1 / 32
    assert count <= room <= count * (1 + waste)
    assert capacity(room) == room
    assert len({capacity(n) for n in range(513, 1025)}) == 8


@pytest.mark.parametrize("size", [(1, 1), (17, 4000), (480, 640), (4000, 6000)])
def test_the_chosen_tile_covers_the_picture_with_little_waste(size):
    tile = choose_tile(*size)
    tiling = make_tiling(*size, tile)
    assert tiling.down * tile.rows >= size[0] and tiling.bands * tile.columns >= size[1]
    if min(size) > 100:
        assert tiling.tile_count * tile.extended < 1.2 * size[0] * size[1]
