"""Options from the fields of a run's settings: names, types and help are theirs."""

import argparse
from typing import Any

from refusion_jax.methods.setting import truth


def add_settings(parser: argparse.ArgumentParser, *, without: tuple[str, ...]) -> None:
    """Adds an option per setting, in a group per section.

    Each is understood with dashes and with underscores; a flag that is on or off also
    as `--no-NAME`.

    Args:
      parser: to add to.
      without: settings that are given in another way.
    """
    from refusion_jax.training.help import all_fields, help_of, titled_fields

    fields = all_fields()
    for title, names in titled_fields().items():
        group = parser.add_argument_group(f"settings: {title}")
        for name in names:
            if name not in without:
                _add(group, name, type(fields[name].default), help_of(name))


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that the command line gives, by name.

    Args:
      arguments: of a parser with `add_settings`.
    """
    from refusion_jax.training.help import all_fields

    values = {name: getattr(arguments, name, None) for name in all_fields()}
    return {name: value for name, value in values.items() if value is not None}


def _add(
    group: "argparse._ArgumentGroup", name: str, kind: type[Any], text: str
) -> None:
    # argparse reads a per cent sign as the beginning of a name.
    text = text.replace("%", "%%")
    dashed = name.replace("_", "-")
    spellings = list(dict.fromkeys((f"--{dashed}", f"--{name}")))
    if kind is not bool:
        word = {int: "N", float: "X"}.get(kind, "TEXT")
        group.add_argument(*spellings, dest=name, type=kind, metavar=word, help=text)
        return
    group.add_argument(
        *spellings,
        dest=name,
        nargs="?",
        const=True,
        type=_truth,
        metavar="true|false",
        help=text,
    )
    group.add_argument(
        *dict.fromkeys((f"--no-{dashed}", f"--no-{name}")),
        dest=name,
        action="store_const",
        const=False,
        help=argparse.SUPPRESS,
    )


def _truth(text: str) -> bool:
    try:
        return truth(text)
    except ValueError as error:  # whose text argparse would not show
        raise argparse.ArgumentTypeError(str(error)) from error
