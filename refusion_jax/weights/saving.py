"""Weights saved for others: a folder with a weight file and its card."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refusion_jax.files.checksums import sha256_of
from refusion_jax.methods.registry import DEFAULT, find
from refusion_jax.weights.cards import card_of_unknown, read_card, write_card
from refusion_jax.weights.pretrained import RUN_WEIGHTS, card_beside, record_beside
from refusion_jax.weights.store import (
    Weights,
    load_any_weights,
    parameter_count,
    save_weights,
    weights_file,
)


def save_with_card(
    weights: object,
    folder: str | os.PathLike[str],
    output_range: str,
    *,
    loaded: str | None = None,
) -> Path:
    """Writes weights to a folder with a card, from where they are read like a run's.

    Args:
      weights: a path as `store.load_model` takes it, whose card goes along if it has
        one, or the parameters of the default method's fusing network.
      folder: is made if need be; `weights.safetensors` in it and its card are replaced.
      output_range: the rule that suits their pictures, for the card.
      loaded: the checksum that the file at a path must have; None takes any.

    Returns:
      The weight file, with the metadata that the weights have.

    Raises:
      OSError: if the folder cannot be written to.
      ValueError: if the weights are neither, or the file has another checksum.
    """
    known: tuple[dict[str, Any], str] | None = None
    if isinstance(weights, str | os.PathLike):
        read, source = load_any_weights(weights), weights_file(weights)
        if loaded not in (None, sha256_of(source)):
            raise ValueError(
                f"expected the weights that were loaded, got {source}, which has been "
                "replaced since; load it again."
            )
        if record := record_beside(source):
            known = read_card(record.card)
    elif isinstance(weights, Mapping):
        method = find(DEFAULT)
        read = Weights(method, {method.trees[0]: dict(weights)}, {})
    else:
        raise ValueError(
            "expected a fuser of a weight file or of parameters, got one of a "
            f"{type(weights).__name__}; save what that was made of."
        )
    file = Path(folder) / RUN_WEIGHTS
    file.parent.mkdir(parents=True, exist_ok=True)
    save_weights(file, read.trees, read.metadata, method=read.method)
    counts = {name: parameter_count(tree) for name, tree in read.trees.items()}
    facts, body = known or card_of_unknown(
        read.method, counts, read.metadata, output_range
    )
    facts |= {"sha256": sha256_of(file), "range": output_range}
    write_card(card_beside(file), facts, body)
    return file
