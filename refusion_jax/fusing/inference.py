"""Pictures in, picture out: colour, network, range, rounding.

The authors' rule, for every task alike: the luminances are fused, the result is
stretched from its own minimum and maximum to the full range (or another rule of
`pictures.ranges`), and colour is added. Grey sources give a grey picture, one coloured
source lends its chroma, the chroma of more is fused by Eq. 15. Grey is a picture whose
three channels are equal everywhere.

F fuses two; of more sources (a focus stack, a bracket of exposures) the first half and
the second half are fused, and then the two results: a balanced tree. If F took the
mean, all of 2, 4, 8 sources would count alike, and of others none more than twice as
much as another, while one after the other the last would count as much as all before
it. Between two fusions stands F's own output; the range rule comes once, at the end.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from refusion_jax.array_types import Params
from refusion_jax.methods.precision import check_precision
from refusion_jax.methods.refusion.forward import fuse_luminance
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.pictures.alignment import common_size, fit
from refusion_jax.pictures.color import fuse_chroma, is_grey, rgb_to_ycbcr, ycbcr_to_rgb
from refusion_jax.pictures.photographs import (
    Photograph,
    Source,
    as_photograph,
    from_unit,
    to_unit,
)
from refusion_jax.pictures.ranges import apply_range, check_range
from refusion_jax.weights.store import load_fusion_params

Picture = Float[np.ndarray, "height width *channels"]


def fuse(
    source_a: Source,
    source_b: Source,
    *more: Source,
    weights: str | os.PathLike[str] | Params,
    output_range: str = "stretch",
    align: str = "none",
    levels: str = "full",
    precision: str = "float32",
) -> np.ndarray:
    """Fuses two or more pictures of one scene.

    Args:
      source_a, source_b, *more: files, or arrays of shape (height, width), (height,
        width, 1) or (height, width, 3): uint8, floats in [0, 1], or grey of uint16. In
        the order of training: infrared, visible; functional, MRI; near to far; under-
        to over-exposed.
      weights: a weight file or run folder as `weights.store.load_fusion_params` takes
        it, or the parameters that it returns.
      output_range: "stretch", "none" or "source", see `pictures.ranges`.
      align: what to do with two sizes, see `data.pairs.align_pair`; "none" refuses.
      levels: range rule of 16-bit grey, see `pictures.levels`.
      precision: of the network, "float32", "tf32" or "bfloat16", see
        `methods.precision`.

    Returns:
      (height, width) if all sources are grey, else (height, width, 3). uint8, 0..255;
      uint16 if it is grey and any source is 16-bit grey.

    Raises:
      FileNotFoundError: if a file is missing.
      ValueError: if a source, a rule or the weights cannot be used, or sizes differ.
    """
    photographs = [as_photograph(source) for source in (source_a, source_b, *more)]
    if isinstance(weights, str | os.PathLike):
        weights = load_fusion_params(weights)
    return fuse_photographs(
        weights,
        photographs,
        output_range=output_range,
        align=align,
        levels=levels,
        precision=precision,
    ).pixels


def fuse_photographs(
    params: Params,
    photographs: Sequence[Photograph],
    *,
    output_range: str = "stretch",
    align: str = "none",
    levels: str = "full",
    precision: str = "float32",
) -> Photograph:
    """`fuse` for pictures with what belongs to them.

    Args:
      params: theta_F.
      photographs: two or more of one scene.
      output_range, align, levels, precision: as for `fuse`.

    Returns:
      The fused picture, with transparency, profile and EXIF of its sources.

    Raises:
      ValueError: as `fuse` does.
    """
    check_range(output_range)
    check_precision(precision)
    check_params(params)
    fused = _fuse(
        params,
        lambda: aligned_pictures(photographs, align=align, levels=levels),
        output_range,
        precision,
    )
    size = (fused.shape[0], fused.shape[1])
    sources = [
        x if x.alpha is None else x._replace(alpha=fit(x.alpha, size, align))
        for x in photographs
    ]
    return from_unit(fused, sources)


def aligned_pictures(
    photographs: Sequence[Photograph], *, align: str = "none", levels: str = "full"
) -> Iterator[Picture]:
    """Pixels of one size and one scale, one picture after the other.

    Args:
      photographs: of one scene.
      align, levels: as for `fuse`.

    Returns:
      float32 in [0, 1], one height and width for all. They are made when they are asked
      for: of large pictures only one should be in memory so.

    Raises:
      ValueError: if the sizes differ and may not, or for an unknown rule.
    """
    shapes = [photograph.pixels.shape for photograph in photographs]
    names = [
        x.name or f"source {place}" for place, x in enumerate(photographs, start=1)
    ]
    size = common_size(shapes, align, names)
    return (fit(to_unit(photograph, levels), size, align) for photograph in photographs)


def fuse_pictures(
    params: Params,
    *pictures: Picture,
    output_range: str = "stretch",
    precision: str = "float32",
) -> Picture:
    """`fuse` between the files and the rounding.

    Args:
      params: theta_F.
      *pictures: two or more, float32 in [0, 1], of one height and width; three
        channels, or one, or none.
      output_range, precision: as for `fuse`.

    Returns:
      float32 in [0, 1]: (height, width) if all are grey, else (height, width, 3).

    Raises:
      ValueError: if the sizes differ, or params are not F's or give no finite result.
    """
    check_range(output_range)
    check_precision(precision)
    if len(pictures) < 2:
        raise ValueError(
            f"expected two sources or more, got {len(pictures)}; there is nothing to "
            "fuse."
        )
    names = [f"source {place}" for place in range(1, len(pictures) + 1)]
    common_size([x.shape for x in pictures], "none", names)
    check_params(params)
    return _fuse(params, lambda: pictures, output_range, precision)


def _fuse(
    params: Params,
    pictures: Callable[[], Iterable[Picture]],
    rule: str,
    precision: str,
) -> Picture:
    """`fuse_pictures` of pictures that are made anew where they are needed.

    Beside the network, whose features take 128 bytes a pixel, little else should be in
    memory: of colour only whether there is any, of luminance only its extremes.
    """
    luminances, extremes, are_coloured = [], [], []
    for picture in pictures():
        luminance, chroma, is_coloured = _split(np.atleast_3d(np.float32(picture)))
        luminances.append(luminance)
        # In numpy: jax would compile a program for each of these.
        levels = np.asarray(luminance)
        extremes.append(np.stack([levels.min(), levels.max()])[:, None, None])
        are_coloured.append(bool(is_coloured))
        del picture, luminance, levels, chroma
    raw = _fuse_tree(partial(fuse_luminance, params, precision=precision), luminances)
    if not np.isfinite(raw).all():
        raise ValueError("expected a finite fused picture, got NaN; check the weights.")
    chromas = [
        _split(np.atleast_3d(np.float32(picture)))[1]
        for picture, is_coloured in zip(pictures(), are_coloured, strict=True)
        if is_coloured
    ]
    fused = np.asarray(_finish(raw, extremes, chromas, rule=rule))
    return fused if chromas else fused[..., 0]


def check_params(params: Params) -> None:
    """Refuses what are no parameters of F.

    Args:
      params: theta_F, it is hoped.

    Raises:
      ValueError: saying what was expected.
    """
    if not networks.is_fusion(params):
        raise ValueError(
            "expected a weight file, a run folder or the parameters of the fusion "
            f"network, got {type(params).__name__}; see weights.load_fusion_params."
        )


def _fuse_tree(
    fuse_two: Callable[[Array, Array], Array],
    luminances: list[Float[Array, "height width 1"]],
) -> Float[Array, "height width 1"]:
    """Fuses all in the list, and empties it: each is freed once it is used."""
    if len(luminances) == 1:
        return luminances.pop()
    middle = (len(luminances) + 1) // 2
    first, second = luminances[:middle], luminances[middle:]
    luminances.clear()
    return fuse_two(_fuse_tree(fuse_two, first), _fuse_tree(fuse_two, second))


def luminance_of(picture: Picture) -> Float[Array, "height width 1"]:
    """What F sees of a picture.

    Args:
      picture: float32 in [0, 1]; three channels, or one, or none.

    Returns:
      The Y of BT.601, in [0, 1].
    """
    return _split(np.atleast_3d(np.float32(picture)))[0]


# The two functions around the network are compiled as a whole: run one by one, their
# operations would each be compiled for each size of picture.
@jax.jit
def _split(
    pixels: Float[Array, "height width channels"],
) -> tuple[Array, Array, Array]:
    """Luminance, chroma, and whether there is any."""
    if pixels.shape[-1] == 1:
        return pixels, jnp.zeros((*pixels.shape[:2], 2)), jnp.asarray(False)
    ycbcr = rgb_to_ycbcr(pixels)
    return ycbcr[..., :1], ycbcr[..., 1:], ~is_grey(pixels)


@partial(jax.jit, static_argnames="rule")
def _finish(
    raw: Float[Array, "height width 1"],
    extremes: list[Float[Array, "2 1 1"]],
    chromas: list[Array],
    *,
    rule: str,
) -> Float[Array, "height width channels"]:
    # Of the sources the rules ask for nothing else.
    luminance = apply_range(raw, extremes, rule=rule)
    if not chromas:
        return luminance
    chroma = chromas[0] if len(chromas) == 1 else fuse_chroma(*chromas)
    rgb = ycbcr_to_rgb(jnp.concatenate([luminance, chroma], axis=-1))
    return jnp.clip(rgb, 0, 1)
