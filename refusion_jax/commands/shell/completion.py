"""`refusion --print-completion`: a script by which a shell completes the command."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refusion_jax.commands.messages import say
from refusion_jax.commands.parsers import LateParser
from refusion_jax.extras import require
from refusion_jax.weights.pretrained import pretrained_names

SHELLS = ("bash", "zsh", "fish")
# How help texts call arguments that are files or folders and are kept as text.
_FILES = {"A", "B", "B [C ...]", "PICTURE", "OUT", "WEIGHTS"}
# Zsh completes `--task=i` where the option is told as `--task=[...]:...`.
_ZSH_OPTION = re.compile(r'^( +"\*?--[a-z-]+)(\[.*\]:)', re.MULTILINE)
# Bash takes `--task=ivif` for three words, and shtab's function for two arguments.
_BASH = """
_refusion() {
  local word words=() at=0
  for word in "${COMP_WORDS[@]}"; do
    if [ "$word" != "=" ]; then
      words+=("$word")
    elif [ "$at" = "$COMP_CWORD" ]; then
      words+=("")
    elif [ "$at" -lt "$COMP_CWORD" ]; then
      COMP_CWORD=$((COMP_CWORD - 1)) at=$((at - 1))
    fi
    at=$((at + 1))
  done
  COMP_WORDS=("${words[@]}")
  _shtab_refusion
}
complete -o bashdefault -F _refusion refusion
"""


class PrintCompletion(argparse.Action):
    """Prints the script for a shell and ends the program."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Prints the script for the shell that `values` names.

        Args:
          parser: of the whole command.
          namespace: not used.
          values: one of `SHELLS`.
          option_string: not used.
        """
        try:
            say(completion(parser, values))
        except ImportError as error:
            parser.error(str(error))
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script by which a shell completes the command.

    Args:
      parser: of the whole command; it may not parse afterwards, because names that
        are suggested become the only ones it takes.
      shell: one of `SHELLS`.

    Raises:
      ImportError: if shtab is not installed.
    """
    shtab = require("shtab", extra="completion", why="to write completions")
    _suggest(parser)
    script: str = shtab.complete(parser, shell)
    if shell == "zsh":
        return _ZSH_OPTION.sub(r"\1=\2", script)
    return script + _BASH if shell == "bash" else script


def _suggest(parser: argparse.ArgumentParser) -> None:
    """Marks arguments as files, or gives them names to choose from, as shtab reads."""
    names: dict[str, Sequence[Any]] = {"task": pretrained_names()}
    if isinstance(parser, LateParser) and parser.fill:
        parser.fill(parser)
        names |= _of_settings()
    for action in parser._actions:
        # A second spelling of a setting with "_" would only be noise.
        spellings = [name for name in action.option_strings if "_" not in name]
        action.option_strings = spellings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _suggest(command)
        elif action.nargs != 0 and not action.choices:
            action.choices = names.get(action.dest)
            if action.type is Path or action.metavar in _FILES:
                action.complete = "file"  # type: ignore[attr-defined]  # for shtab


def _of_settings() -> dict[str, Sequence[Any]]:
    """Returns what settings of a run can be chosen from, by their names."""
    from refusion_jax.methods import registry
    from refusion_jax.training.help import all_fields

    names: dict[str, Sequence[Any]] = {
        name: field.metadata["choices"] or ("true", "false")
        for name, field in all_fields().items()
        if field.metadata["choices"] or isinstance(field.default, bool)
    }
    methods = [registry.find(name) for name in registry.names()]
    presets = [preset for method in methods for preset in method.presets]
    return names | {"preset": tuple(dict.fromkeys(presets))}
