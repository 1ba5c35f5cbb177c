"""One setting: its default, its allowed values and its meaning, as field metadata.

    @dataclass(frozen=True)
    class Settings:
        epochs: int = setting(50, "Length of the run.", at_least=1)

        def __post_init__(self) -> None:
            check(self)

Flags, help texts, checks and the rule whether a resumed run may change the setting all
read this metadata.
"""

import dataclasses
import math
from typing import Any, Literal, get_args

Precision = Literal["float32", "tf32", "bfloat16"]  # see `methods.precision`
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[Any, ...] = (),
    at_least: float | None = None,
    is_positive: bool = False,
    multiple_of: int = 1,
    may_change: bool = False,
    unit: str = "",
) -> Any:
    """Returns a dataclass field that describes one setting.

    >>> field = setting(50, "Length of the run.", at_least=1)
    >>> field.default, field.metadata["help"], field.metadata["at_least"]
    (50, 'Length of the run.', 1)

    Args:
      default: bool, int, float or str; its type is the setting's type.
      help: the setting's meaning, in one or two sentences.
      choices: the allowed values; empty allows all.
      at_least: the smallest allowed value; the value must also be finite.
      is_positive: whether the value must be above 0 and finite.
      multiple_of: a number that must divide the value.
      may_change: whether a run may be resumed with another value, because no step
        depends on it.
      unit: what a number counts or measures, in the plural; empty for none.

    Returns:
      The field, to be assigned in the class body.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "choices": choices,
            "at_least": at_least,
            "is_positive": is_positive,
            "multiple_of": multiple_of,
            "may_change": may_change,
            "unit": unit,
        },
    )


def check(settings: Any) -> None:
    """Checks every field against its metadata.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Settings:
    ...     epochs: int = setting(50, "Length of the run.", at_least=1)
    >>> check(Settings(epochs=2))
    >>> check(Settings(epochs=0))
    Traceback (most recent call last):
    ValueError: expected epochs to be at least 1, got 0; change it.

    Args:
      settings: an instance of a dataclass whose fields are made by `setting`.

    Raises:
      ValueError: naming the field, the allowed values and the actual one.
    """
    for field in dataclasses.fields(settings):
        value, rule = getattr(settings, field.name), field.metadata
        kind, words = type(field.default), KINDS[type(field.default)]
        # A whole number will do for a float; Python takes truth for one, we do not.
        is_one = isinstance(value, (int, float) if kind is float else kind)
        is_one &= isinstance(value, bool) == (kind is bool)
        require(is_one, field.name, words, value)
        if rule["choices"]:
            names = ", ".join(str(choice) for choice in rule["choices"])
            require(value in rule["choices"], field.name, f"one of {names}", value)
        if rule["at_least"] is not None:
            # One chain of comparisons, because NaN then fails as well.
            holds = rule["at_least"] <= value < math.inf
            require(holds, field.name, f"at least {rule['at_least']:g}", value)
        if rule["is_positive"]:
            require(0 < value < math.inf, field.name, "above 0 and finite", value)
        if rule["multiple_of"] > 1:
            holds = value % rule["multiple_of"] == 0
            require(holds, field.name, f"divisible by {rule['multiple_of']}", value)


def truth(text: str) -> bool:
    """Reads a setting that is on or off.

    >>> truth("True"), truth("false")
    (True, False)

    Args:
      text: true or false, in any case.

    Raises:
      ValueError: for anything else.
    """
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise ValueError(f"expected true or false, got {text!r}")
    return words[text.lower()]


def require(holds: bool, name: str, expected: str, value: Any) -> None:
    """Raises unless a condition on a setting holds.

    Args:
      holds: whether the condition holds.
      name: the setting's name.
      expected: the condition in words that follow "to be", such as "at least 1".
      value: the setting's value.

    Raises:
      ValueError: stating name, expectation and value.
    """
    if not holds:
        raise ValueError(f"expected {name} to be {expected}, got {value!r}; change it.")
