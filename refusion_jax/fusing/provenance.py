"""How a picture was made: by which weights, options and version, from which sources."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from refusion_jax.extras import version_of
from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.weights.store import weights_file

# What decides about the pixels; the version does not, so that an update keeps results.
_DECISIVE = ("method", "weights_sha256", "is_fast", "options")


def provenance_of(
    weights: object, model: FusionModel, rules: Rules, *, is_fast: bool = False
) -> dict[str, Any]:
    """Returns what is the same for all pictures of a `Fuser`.

    Args:
      weights: what the fuser was given; a path is read for its checksum.
      model: what it fuses by.
      rules: how.
      is_fast: whether guiding networks are left out.

    Returns:
      JSON values: software, method, weights and weights_sha256 (None where they are
      not a file), options, and is_fast where it is true.
    """
    record: dict[str, Any] = {
        "software": f"refusion-jax {version_of() or 'unknown'}",
        "method": model.method,
        "weights": None,
        "weights_sha256": None,
    }
    if isinstance(weights, str | os.PathLike):
        file = weights_file(weights)
        record |= {"weights": Path(file).name, "weights_sha256": sha256_of(file)}
    if is_fast:
        record["is_fast"] = True
    return {**record, "options": asdict(rules)}


def with_sources(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Returns a record of one picture.

    Args:
      record: as `provenance_of` returns it.
      names: of the sources; of paths only the last part is kept, because a picture that
        is passed on should not tell its author's folders.
    """
    return {**record, "sources": [Path(name).name for name in names]}


def to_text(record: Mapping[str, Any]) -> str:
    """Returns a record as one line of ASCII, for `write_photograph`.

    Args:
      record: JSON values.
    """
    return json.dumps(record, separators=(",", ":"))


def is_same_way(text: str | None, record: Mapping[str, Any]) -> bool | None:
    """Returns whether a picture was made by the same weights, options and sources.

    Args:
      text: what the picture tells, see `photographs.origin_of`.
      record: as `provenance_of` or `with_sources` returns it; names of sources are
        compared where both have them.

    Returns:
      None if the picture tells nothing of the kind.
    """
    try:
        told = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(told, dict) or "options" not in told:
        return None
    # By JSON, so that tuples and lists are the same.
    known = json.loads(to_text(record))
    decisive = set(_DECISIVE) | ({"sources"} & told.keys() & known.keys())
    return all(told.get(key) == known.get(key) for key in decisive)
