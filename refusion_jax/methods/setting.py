"""One setting: its default, what it may be, what it means; all as its field's metadata.

    @dataclass(frozen=True)
    class Settings:
        epochs: int = setting(50, "Length of the run.", at_least=1)

        def __post_init__(self) -> None:
            check(self)

Flags, help texts, checks and the question whether a resumed run may change a setting
all read it from there.
"""

import dataclasses
import math
from typing import Any

PRECISIONS = ("float32", "tf32", "bfloat16")  # see `methods.precision`


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[Any, ...] = (),
    at_least: float | None = None,
    is_positive: bool = False,
    multiple_of: int = 1,
    may_change: bool = False,
) -> Any:
    """Describes a field of a dataclass of settings.

    Args:
      default: bool, int, float or str; its type is the setting's.
      help: what it means, in one or two sentences.
      choices: the only values that are allowed; empty allows all.
      at_least: the smallest value that is allowed; the largest is finite.
      is_positive: whether the value must be above 0, and finite.
      multiple_of: what must divide the value.
      may_change: whether a run may be resumed with another value: no step depends on
        it.

    Returns:
      What the field is assigned.
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
        },
    )


def check(settings: Any) -> None:
    """Checks every field against its metadata.

    Args:
      settings: an instance of a dataclass whose fields are made by `setting`.

    Raises:
      ValueError: naming the field, what is allowed and what came.
    """
    for field in dataclasses.fields(settings):
        value, rule = getattr(settings, field.name), field.metadata
        if rule["choices"]:
            names = ", ".join(str(choice) for choice in rule["choices"])
            require(value in rule["choices"], field.name, f"among {names}", value)
        if rule["at_least"] is not None:
            # Written so that NaN fails too.
            holds = rule["at_least"] <= value < math.inf
            require(holds, field.name, f"of at least {rule['at_least']:g}", value)
        if rule["is_positive"]:
            require(0 < value < math.inf, field.name, "above 0 and finite", value)
        if rule["multiple_of"] > 1:
            holds = value % rule["multiple_of"] == 0
            require(holds, field.name, f"divisible by {rule['multiple_of']}", value)


def require(holds: bool, name: str, expected: str, value: Any) -> None:
    """Raises unless a condition on a setting holds.

    Args:
      holds: the condition.
      name: of the setting.
      expected: what it should be, such as "of at least 1".
      value: what it is.

    Raises:
      ValueError: with all of these.
    """
    if not holds:
        raise ValueError(f"expected {name} {expected}, got {value!r}; change it.")
