"""What every setting means, in words, from the metadata of its field."""

import dataclasses
from typing import Any

from refusion_jax.methods.registry import DEFAULT, find, names
from refusion_jax.training.config import DataConfig, RunConfig, preset, to_flat


def titled_fields() -> dict[str, tuple[str, ...]]:
    """Returns the names of the settings under a title, each once, for help texts."""
    classes = {"pairs": DataConfig, "run": RunConfig}
    classes |= {find(name).title: find(name).settings for name in names()}
    seen: set[str] = set()
    titled: dict[str, tuple[str, ...]] = {}
    for title, section in classes.items():
        own = [item.name for item in dataclasses.fields(section)]
        titled[title] = tuple(name for name in own if name not in seen)
        seen |= set(own)
    return titled


def all_fields() -> dict[str, dataclasses.Field[Any]]:
    """Returns every setting of every method by name, for flags.

    Where methods share a name, the field is that of the first.
    """
    classes: list[type[Any]] = [DataConfig, RunConfig]
    classes += [find(name).settings for name in names()]
    fields: dict[str, dataclasses.Field[Any]] = {}
    for section in classes:
        for item in dataclasses.fields(section):
            fields.setdefault(item.name, item)
    return fields


def default_of(name: str, preset_name: str = "default") -> str:
    """Returns a setting's default in words.

    >>> default_of("swap"), default_of("swap", "paper")
    ('true', 'false')

    Args:
      name: one of `all_fields()`.
      preset_name: the preset; of methods without it their defaults count.

    Returns:
      The value; where methods differ, each with its method.
    """
    values: dict[str, Any] = {}
    for method in names():
        there = preset_name in find(method).presets
        flat = to_flat(preset(preset_name if there else "default", method))
        if name in flat:
            values[method] = flat[name]
    if name == "method":
        values = {DEFAULT: DEFAULT}
    texts = {method: _value(value) for method, value in values.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} ({method})" for method, text in texts.items())


def help_of(name: str) -> str:
    """Returns what a setting means, its unit and choices, and its defaults.

    >>> help_of("fusion_steps")
    'N, updates of F and R. In steps per epoch. Default: 60; paper: 1600.'

    Args:
      name: one of `all_fields()`.
    """
    field = all_fields()[name]
    rules = field.metadata
    parts = [str(rules["help"])]
    if rules["unit"]:
        parts.append(f"In {rules['unit']}.")
    if rules["choices"]:
        parts.append(f"One of {', '.join(map(str, rules['choices']))}.")
    here, there = default_of(name), default_of(name, "paper")
    parts.append(f"Default: {here}{'' if here == there else f'; paper: {there}'}.")
    return " ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) or "none"
