"""Exports as files: the artefact, and a JSON description beside it."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export

from refusion_jax.extras import require
from refusion_jax.files.atomic import replace_file
from refusion_jax.files.checksums import sha256_of

# The first entry of the JSON, by which `read_metadata` recognises it.
FORMAT = "refusion-jax export, 1"
REMEDY = "export the weights again with this JAX, or use a JAX near that version."


class ExportedFusion(NamedTuple):
    """An export that has been loaded.

    Attributes:
      fuse: (source_a, source_b) -> fused, arrays as the metadata describe them; that
        of a `.jax` file compiles for the first picture of each size.
      metadata: the JSON beside the artefact.
    """

    fuse: Callable[[Any, Any], Any]
    metadata: dict[str, Any]


def metadata_file(path: str | os.PathLike[str]) -> Path:
    """Returns the path of an artefact's JSON.

    Args:
      path: of the artefact.
    """
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def write_artefact(
    path: Path, content: bytes, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes an artefact and its JSON.

    Args:
      path: of the artefact, in a folder that exists.
      content: all of its bytes.
      metadata: its description.

    Returns:
      The JSON: the metadata with the format and the artefact's name, size and SHA-256.
    """
    record = {
        "format": FORMAT,
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **metadata,
    }
    replace_file(path, content)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    replace_file(metadata_file(path), text.encode())
    return record


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the JSON beside an artefact, after checking that they belong together.

    Args:
      path: of the artefact.

    Raises:
      FileNotFoundError: if the artefact or its JSON is missing.
      ValueError: if the JSON does not describe an export, or not this artefact.
    """
    path, beside = Path(path), metadata_file(path)
    for file in (path, beside):
        if not file.is_file():
            raise FileNotFoundError(
                f"expected an export with its JSON beside it, got no file {file}; "
                "export the weights again."
            )
    try:
        record = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"expected the JSON of an export in {beside}, got {error}; export the "
            "weights again."
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(
            f"expected the format {FORMAT!r} in {beside}, got another one; export the "
            "weights again with this version."
        )
    digest = sha256_of(path)
    if digest != record.get("sha256"):
        raise ValueError(
            f"expected {path} with the SHA-256 {record.get('sha256')}, got {digest}; "
            "the file is damaged or another one: export the weights again."
        )
    return record


def load_exported(path: str | os.PathLike[str]) -> ExportedFusion:
    """Loads a `.jax` artefact of `jax_export.export_fusion`.

    Args:
      path: of the artefact; the JSON must be beside it.

    Returns:
      Its function, and its metadata.

    Raises:
      FileNotFoundError: if the artefact or its JSON is missing.
      ImportError: if flatbuffers is not installed.
      ValueError: if it is damaged, or made for another JAX or other devices.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if "calling_convention" not in metadata:
        raise ValueError(
            f"expected a .jax export, got {path}, which JAX cannot run; load "
            ".onnx files with load_onnx."
        )
    require_flatbuffers()
    origin = f"{path} of JAX {metadata['versions']['jax']}"
    _check_convention(metadata["calling_convention"], origin)
    platform = jax.export.default_export_platform()
    if platform not in metadata["platforms"]:
        raise ValueError(
            f"expected an export for {platform}, got {path} for "
            f"{', '.join(metadata['platforms'])}; set JAX_PLATFORMS to one of these."
        )
    try:
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        exported.mlir_module()  # fails if the program is newer than this JAX
    # The errors that a file of another version raises are undocumented.
    except Exception as error:
        raise ValueError(
            f"expected an export that JAX {jax.__version__} can read, got {origin} "
            f"({_first_line(error)}); {REMEDY}"
        ) from error
    return ExportedFusion(jax.jit(exported.call), metadata)


def _check_convention(convention: int, origin: str) -> None:
    lowest = jax.export.minimum_supported_calling_convention_version
    highest = jax.export.maximum_supported_calling_convention_version
    if not lowest <= convention <= highest:
        raise ValueError(
            f"expected calling convention {lowest} to {highest}, which JAX "
            f"{jax.__version__} runs, got {convention} in {origin}; {REMEDY}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def require_flatbuffers() -> None:
    """Raises ImportError unless flatbuffers is installed, which JAX needs to export."""
    require("flatbuffers", extra="export", why="to write and read exports")
