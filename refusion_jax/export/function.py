"""What every export shares: the function of two batches, its description, the files."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from refusion_jax.array_types import Image, RgbImage
from refusion_jax.export.artefact import write_artefact
from refusion_jax.extras import version_of
from refusion_jax.fusing.inference import fuse_pictures
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.pictures.color import fuse_chroma, rgb_to_ycbcr, ycbcr_to_rgb
from refusion_jax.pictures.names import COLOURS
from refusion_jax.pictures.ranges import apply_range, check_range

CHECKED_SIZE = (37, 53)  # height and width of the pair that an export is tried on

Pictures = Image | RgbImage
FusionFunction = Callable[[Pictures, Pictures], Pictures]


class Lowered(NamedTuple):
    """A function in the form of a file.

    Attributes:
      content: all bytes of the file.
      facts: what its kind of file adds to the JSON.
      versions: of the packages that made it, beside this one and JAX.
    """

    content: bytes
    facts: Mapping[str, Any]
    versions: Mapping[str, str] = {}


def write_export(
    model: FusionModel,
    path: str | os.PathLike[str],
    lower: Callable[[FusionFunction, jax.ShapeDtypeStruct], Lowered],
    *,
    ending: str,
    fuse_grey: Callable[[Image, Image], Image],
    colour: str,
    output_range: str,
    notes: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Writes an export and its JSON.

    Args:
      model: what fuses.
      path: of the file; an existing one is replaced. The JSON is `path` + ".json".
      lower: turns the function, and the symbolic shape of each input, into a file.
      ending: that the path must have.
      fuse_grey: `batched` or `plainly` of the model.
      colour: "outside", luminance in and F's own output out, or "inside", RGB in and
        out with the colour of `inference`.
      output_range: with colour inside, a rule of `pictures.ranges`.
      notes: further entries of the JSON, such as where the weights are from.

    Returns:
      The content of the JSON.

    Raises:
      ValueError: if the name or a rule cannot be used.
    """
    path = Path(path)
    if path.suffix != ending:
        raise ValueError(f"expected a name ending in {ending}, got {path}; rename it.")
    function = fusion_function(fuse_grey, colour=colour, output_range=output_range)
    shape = jax.export.symbolic_shape(f"batch, height, width, {channels_of(colour)}")
    lowered = lower(function, jax.ShapeDtypeStruct(shape, jnp.float32))
    metadata = description(model, colour=colour, output_range=output_range)
    metadata["versions"].update(lowered.versions)
    metadata |= {**lowered.facts, **(notes or {})}
    return write_artefact(path, lowered.content, metadata)


def fusion_function(
    fuse_grey: Callable[[Image, Image], Image],
    *,
    colour: str,
    output_range: str = "stretch",
) -> FusionFunction:
    """Returns the function to export, of two batches of pictures alone.

    Args:
      fuse_grey: `batched` or `plainly` of a model, whose weights become constants.
      colour, output_range: as for `write_export`.

    Returns:
      A function of source_a and source_b, NHWC in [0, 1], of one or three channels.

    Raises:
      ValueError: for an unknown rule.
    """
    check_range(output_range)
    if colour not in COLOURS:
        raise ValueError(
            f"expected colour {' or '.join(COLOURS)}, got {colour!r}; choose one."
        )

    def fuse_colour(source_a: RgbImage, source_b: RgbImage) -> RgbImage:
        ycbcr_a, ycbcr_b = rgb_to_ycbcr(source_a), rgb_to_ycbcr(source_b)
        sources = (ycbcr_a[..., :1], ycbcr_b[..., :1])
        raw = fuse_grey(*sources)
        # The range rule applies to each picture of the batch by itself.
        luminance = jax.vmap(lambda f, *x: apply_range(f, x, rule=output_range))(
            raw, *sources
        )
        # Eq. 15 leaves one coloured source its chroma, and grey ones grey.
        chroma = fuse_chroma(ycbcr_a[..., 1:], ycbcr_b[..., 1:])
        rgb = ycbcr_to_rgb(jnp.concatenate([luminance, chroma], axis=-1))
        return jnp.clip(rgb, 0, 1)

    return fuse_colour if colour == "inside" else fuse_grey


def difference(
    model: FusionModel, fuse: FusionFunction, *, colour: str, output_range: str
) -> float:
    """Measures how far an export is from the network, on a pair of noise.

    Args:
      model: what was exported.
      fuse: the function of the export.
      colour, output_range: as for `write_export`.

    Returns:
      The largest absolute difference before any rounding; NaN if a value is NaN.
    """
    shape = (1, *CHECKED_SIZE, channels_of(colour))
    pair = np.random.default_rng(0).random((2, *shape), np.float32)
    if colour == "inside":
        rules = Rules(output_range=output_range)
        expected = fuse_pictures(model, *pair[:, 0], rules=rules)
    else:
        luminances = map(jnp.asarray, pair[:, 0])
        expected = np.asarray(model.fuse(*luminances, precision="float32"))
    return float(np.abs(np.asarray(fuse(*pair))[0] - expected).max())


def channels_of(colour: str) -> int:
    """Returns the number of channels of the pictures that go in and come out.

    Args:
      colour: one of `names.COLOURS`.
    """
    return 3 if colour == "inside" else 1


def description(
    model: FusionModel, *, colour: str, output_range: str
) -> dict[str, Any]:
    """Returns what a user of an export must know, as JSON.

    Args:
      model: what is exported.
      colour, output_range: as for `write_export`.

    Returns:
      Inputs and output with shapes and ranges, the network, the versions.
    """
    inside = colour == "inside"
    picture = {
        "shape": ["batch", "height", "width", channels_of(colour)],
        "type": "float32",
        "channels": "R, G, B" if inside else "luminance, the Y of BT.601",
        "range": [0, 1],
    }
    first = "infrared, functional, near or under-exposed"
    second = "visible, MRI, far or over-exposed"
    stretched = f"range rule {output_range}, colour by Eq. 15"
    return {
        "inputs": {
            "source_a": {**picture, "order": f"first: {first}"},
            "source_b": {**picture, "order": f"second: {second}; size of source_a"},
        },
        "outputs": {
            "fused": {
                **picture,
                "values": stretched if inside else "F's own, before any stretch",
            }
        },
        "colour": colour,
        **({"output_range": output_range} if inside else {}),
        "network": dict(model.facts),
        "versions": {"refusion_jax": version_of(), "jax": jax.__version__},
    }
