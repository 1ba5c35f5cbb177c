"""The fusion network as one file that runs with JAX alone.

A `jax.export` artefact holds the program and the weights: any batch, height and width,
lowered for CPUs, CUDA and TPUs. It is a build product: JAX promises to run it for six
months; the weights are the archive. A JSON file beside it describes its content.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.export

from refusion_jax.export.artefact import require_flatbuffers
from refusion_jax.export.function import FusionFunction, Lowered, write_export
from refusion_jax.methods.protocol import FusionModel

PLATFORMS = ("cpu", "cuda", "tpu")


def export_fusion(
    model: FusionModel,
    path: str | os.PathLike[str],
    *,
    colour: str = "outside",
    output_range: str = "stretch",
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes F as a `jax.export` artefact, with a JSON description beside it.

    Args:
      model: what fuses.
      path: ends in `.jax`; an existing file is replaced. The JSON is `path` + ".json".
      colour, output_range, notes: as for `function.write_export`.

    Returns:
      The content of the JSON.

    Raises:
      ImportError: if flatbuffers is not installed.
      ValueError: if the name or a rule cannot be used.
    """
    return write_export(
        model,
        path,
        _lower,
        ending=".jax",
        fuse_grey=model.batched,
        colour=colour,
        output_range=output_range,
        notes=notes,
    )


def _lower(function: FusionFunction, pictures: jax.ShapeDtypeStruct) -> Lowered:
    require_flatbuffers()
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(
        pictures, pictures
    )
    facts = {
        "platforms": list(exported.platforms),
        "calling_convention": exported.calling_convention_version,
    }
    return Lowered(bytes(exported.serialize()), facts)
