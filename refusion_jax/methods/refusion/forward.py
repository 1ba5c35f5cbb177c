"""F on one pair: cuts it into tiles, shares them among devices, joins the results."""

import math
import threading
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from refusion_jax.array_types import Image, Params
from refusion_jax.devices.mesh import device_mesh
from refusion_jax.methods.precision import in_precision
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.methods.refusion.nets.fusion import state_shape
from refusion_jax.methods.refusion.nets.strips import Grid
from refusion_jax.methods.refusion.nets.tiles import (
    AXIS,
    Tile,
    Tiling,
    choose_tiling,
    cut,
    join,
    make_tiling,
    most_devices,
)

# Because two programs on several devices deadlock if the devices start them in
# different orders.
_one_at_a_time = threading.Lock()

# Rows of a strip on CPUs: what `make_grid` takes for 256 columns and more.
ROWS = 16

# Above this size memory matters more than a tenth of the time.
LARGE_PIXELS = 8_000_000

# Up to this size the memory of F's features is kept for the next picture. Otherwise
# glibc returns it to the kernel and requests it again for every picture, and retains as
# much for each thread that has ever run F.
KEPT_BYTES = 256 << 20
_kept: dict[tuple[tuple[int, ...], Mesh], Array] = {}


def place(params: Params) -> Params:
    """Copies parameters to all devices, to spare `fuse_luminance` a copy per picture.

    Args:
      params: theta_F.

    Returns:
      The parameters on every device.
    """
    return jax.device_put(params, _everywhere(device_mesh(most_devices(), AXIS)))


def fuse_luminance(
    params: Params,
    luminance_a: Float[Array, "height width 1"],
    luminance_b: Float[Array, "height width 1"],
    *,
    tile: Tile | None = None,
    precision: str = "float32",
) -> Float[Array, "height width 1"]:
    """Runs F on one pair, tile by tile (see `nets.tiles`): exact for every tile size.

    Args:
      params: theta_F; pass it through `place` first if there are many pictures.
      luminance_a, luminance_b: in [0, 1].
      tile: the size of a tile; None chooses one for the picture and the device.
      precision: see `methods.precision`.

    Returns:
      F's output in (0, 1), before any stretch.
    """
    height, width = luminance_a.shape[:2]
    if tile is None:
        tiling = choose_tiling(height, width)
    else:
        tiling = make_tiling(height, width, tile)
    pair = [np.asarray(x)[..., 0] for x in (luminance_a, luminance_b)]
    mesh = device_mesh(tiling.devices, AXIS)
    # Large pictures must not occupy host memory while the network runs.
    tiles = jax.device_put(cut(pair, tiling), NamedSharding(mesh, PartitionSpec(AXIS)))
    del pair, luminance_a, luminance_b
    with _one_at_a_time:
        fuse_tiles = _fuse_large if _is_large(tiling) else _fuse_tiles
        shape = (tiling.devices, *state_shape(tiles.shape[2], tiling))
        fused, features = fuse_tiles(
            jax.device_put(params, _everywhere(mesh)),
            tiles,
            tiling,
            _take_workspace(shape, mesh, precision),
            precision=precision,
        )
        fused = np.asarray(fused)
        if features is not None:
            _kept[shape, mesh] = features
    return jnp.asarray(join(fused, tiling)[..., None])


def by_platform(params: Params, source_a: Image, source_b: Image) -> Image:
    """Runs F in the way that is fast on each platform: strips on CPUs, else at once.

    Args:
      params: theta_F.
      source_a, source_b: luminance in [0, 1], any or symbolic sizes.

    Returns:
      The same as `networks.fuse`.
    """
    return jax.lax.platform_dependent(
        source_a,
        source_b,
        cpu=partial(_in_strips, params),
        default=partial(at_once, params),
    )


def at_once(params: Params, source_a: Image, source_b: Image) -> Image:
    """Runs F on whole pictures, without a loop over strips.

    Args:
      params, source_a, source_b: see `by_platform`.

    Returns:
      The same as `networks.fuse`.
    """
    batch, height, width, _ = source_a.shape
    grid = Grid(batch, height, width, height, sequential=False)
    return networks.fuse(params, source_a, source_b, grid)


def _in_strips(params: Params, source_a: Image, source_b: Image) -> Image:
    batch, height, width, _ = source_a.shape
    grid = Grid(batch, height, width, ROWS, sequential=True)
    return networks.fuse(params, source_a, source_b, grid)


def _everywhere(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def _is_large(tiling: Tiling) -> bool:
    pixels = int(tiling.height) * int(tiling.width)
    is_shared_cpu = tiling.devices > 1 and jax.default_backend() == "cpu"
    return is_shared_cpu and pixels > LARGE_PIXELS


def _take_workspace(shape: tuple[int, ...], mesh: Mesh, precision: str) -> Array | None:
    """Returns memory for F's features: the last picture's if it fits, or new memory."""
    kept = _kept.pop((shape, mesh), None)
    _kept.clear()
    # Accelerators have their own allocator; bfloat16 would need half the memory.
    is_worth_it = jax.default_backend() == "cpu" and precision != "bfloat16"
    if not is_worth_it or 4 * math.prod(shape) > KEPT_BYTES:
        return None
    if kept is not None:
        return kept
    # It is never read, so no program needs to be compiled to fill it.
    nothing = np.empty(shape, np.float32)
    return jax.device_put(nothing, NamedSharding(mesh, PartitionSpec(AXIS)))


def _forward(
    params: Params,
    tiles: Array,
    tiling: Tiling,
    workspace: Array | None,
    *,
    precision: str,
) -> tuple[Array, Array | None]:
    """Runs F; the workspace is only donated: the features reuse its memory."""
    fused, features = in_precision(networks.fuse_tiles, precision)(
        params, tiles, tiling
    )
    return fused, None if workspace is None else features


_jit = partial(
    jax.jit,
    static_argnames="precision",
    donate_argnames="workspace",
    keep_unused=True,
)
_fuse_tiles = _jit(_forward)
# Where CPU devices share a picture, YNNPACK's matrix products (XLA's default) offer
# work to threads that are busy on another device; the offers pile up until the program
# ends, 15 MB per megapixel. Without YNNPACK F takes a tenth longer.
_fuse_large = _jit(
    _forward,
    compiler_options={"xla_cpu_experimental_ynn_fusion_type": ""},
)
