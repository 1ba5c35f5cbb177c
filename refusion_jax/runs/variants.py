"""Variants of a run's settings, as `field=value,...`, and named lists of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from refusion_jax.methods.registry import DEFAULT, find
from refusion_jax.methods.setting import truth
from refusion_jax.training.config import Config, preset, to_flat, with_fields

NAMED = ": "  # stands between a variant's name and its fields


def expand(variants: Sequence[str], method: str = DEFAULT) -> list[str]:
    """Replaces the names of lists of variants by what is in them.

    >>> expand(["table5"])[1]
    'I: loss_weights=equal,imitation_steps=0,meta_steps=0'

    Args:
      variants: each one as for `read_variant`, or a name among the method's `studies`.
      method: the method's name.

    Raises:
      ValueError: for a word that names none.
    """
    studies = find(method).studies
    expanded: list[str] = []
    for text in variants:
        if text and "=" not in text and text not in studies:
            raise ValueError(
                f"expected field=value,... or a list of variants among "
                f"{', '.join(studies) or 'none'}, got {text!r}; choose one of these."
            )
        expanded += studies.get(text, [text])
    return expanded


def read_variant(text: str, common: Mapping[str, Any]) -> Config:
    """Reads the config of a variant.

    Args:
      text: `field=value,...`, with fields of the config and `preset`; a name may come
        before them, with a colon and a space between.
      common: fields of all variants; those of the text win.

    Returns:
      The preset with the common and the given fields.

    Raises:
      ValueError: for an unknown field, or a value of the wrong type.
    """
    given = read_fields(text.rpartition(NAMED)[2])
    name = str(given.pop("preset", "default"))
    base = preset(name, str(given.get("method", common.get("method", DEFAULT))))
    return with_fields(base, {**common, **typed(given, base, text)})


def names_of(variants: Sequence[str]) -> dict[str, str]:
    """Returns what variants are called: their names, or all of their text.

    >>> names_of(["ours: preset=default", "reduction=sum"])
    {'ours: preset=default': 'ours', 'reduction=sum': 'reduction=sum'}

    Args:
      variants: as for `read_variant`.
    """
    short = {text: text.rpartition(NAMED)[0] or text for text in variants}
    counts = Counter(short.values())
    return {text: x if counts[x] == 1 else text for text, x in short.items()}


def read_fields(text: str) -> dict[str, str]:
    """Splits `field=value,...`.

    Args:
      text: the fields; none if it is empty.

    Raises:
      ValueError: for a part without an equals sign.
    """
    given = {}
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"expected field=value,..., got {item!r} in {text!r}.")
        given[name.strip()] = value.strip()
    return given


def typed(given: Mapping[str, str], config: Config, text: str) -> dict[str, Any]:
    """Converts values to the types of their fields.

    Args:
      given: value by field.
      config: has the fields; unknown ones stay as they are, for `with_fields` to name.
      text: what they were read from, for messages.

    Raises:
      ValueError: for a value of the wrong type.
    """
    defaults = {**to_flat(config), "fixed_weights": False}  # an older form
    values: dict[str, Any] = {}
    for name, value in given.items():
        kind = type(defaults.get(name, ""))
        try:
            values[name] = truth(value) if kind is bool else kind(value)
        except ValueError as error:
            raise ValueError(
                f"expected {name} of type {kind.__name__}, got {value!r} in {text!r}."
            ) from error
    return values
