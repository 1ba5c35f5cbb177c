"""Documents name commands, options and flags that the real parsers know."""

import argparse
import json
import re
import shlex
import subprocess
import sys

import pytest
from documents import CODE_SPAN, DOCUMENTS, ROOT, blocks_of, prose_of

from refusion_jax.cli import _parser
from refusion_jax.training.help import all_fields

OPTION = re.compile(r"(?<![\w-])--([a-z][\w-]*)")
# Options of other programs: ruff, Jupyter, XLA, pip, and absl's own.
OF_OTHERS = re.compile(r"check$|inplace$|xla_|no-deps$|helpfull$")
# Imports each binary once, in a process of its own: absl has one set of flags.
CHILD = """
import copy, importlib, json, sys
import launch
from absl import flags

errors, names = [], set(flags.FLAGS)
for binary, lines in json.load(sys.stdin).items():
    module = importlib.import_module(binary)
    for line in lines:
        try:
            copy.deepcopy(flags.FLAGS)([binary, *line])
        except flags.Error as error:
            errors.append(f"{binary} {' '.join(line)}: {error}")
    names |= set(flags.FLAGS)
    for flag in flags.FLAGS.get_flags_for_module(module):
        delattr(flags.FLAGS, flag.name)
json.dump([errors, sorted(names)], sys.stdout)
"""


def commands_of(document):
    """The words of each line of shell, continued lines joined, comments left out."""
    for _, block in blocks_of(document, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)


def refusion_commands(document):
    return [words[1:] for words in commands_of(document) if words[:1] == ["refusion"]]


def binary_commands():
    """Arguments by binary of experiments/; each has an entry."""
    found = {
        path.stem: []
        for path in (ROOT / "experiments").glob("*.py")
        if "flags.DEFINE" in path.read_text()
    }
    for document in DOCUMENTS:
        for words in commands_of(document):
            for place, word in enumerate(words):
                if match := re.fullmatch(r"experiments/(\w+)\.py", word):
                    # NAME stands for one of several.
                    line = [x.replace("=NAME", "=msrs") for x in words[place + 1 :]]
                    found[match[1]].append(line)
    return found


@pytest.fixture(scope="module")
def flags():
    """Errors of the command lines of binaries, and the names of all flags."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(binary_commands()),
        capture_output=True,
        text=True,
        cwd=ROOT / "experiments",
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def parsers():
    """The parser of each subcommand by its name."""
    (commands,) = (
        action
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return commands.choices


def test_documents_show_commands():
    """The tests below would pass if nothing were found."""
    assert len([x for page in DOCUMENTS for x in refusion_commands(page)]) > 20
    assert sum(map(len, binary_commands().values())) > 10


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_command_accepts_what_documents_show(document, capsys):
    for words in refusion_commands(document):
        try:
            _parser().parse_args(words)
        except SystemExit as stop:
            if stop.code == 0:  # as after --print-completion
                continue
            pytest.fail(f"refusion {shlex.join(words)}: {capsys.readouterr().err}")


def test_binaries_accept_what_documents_show(flags):
    errors, _ = flags
    assert errors == []


def test_documents_name_options_that_there_are(flags):
    _, names = flags
    every = (_parser(), *parsers().values())
    options = {name for parser in every for name in parser_options(parser)}
    known = options | set(names) | {f"no{name}" for name in names}
    known |= {name.replace("_", "-") for name in all_fields()}  # of refusion train
    unknown = [
        (document, name)
        for document in DOCUMENTS
        for span in CODE_SPAN.findall(prose_of(document))
        for name in OPTION.findall(span)
        if name not in known and not OF_OTHERS.match(name) and not is_pattern(name)
    ]
    assert unknown == []


def parser_options(parser):
    return [name[2:] for name in parser._option_string_actions if name[:2] == "--"]


def is_pattern(name):
    """`--max_...` stands for several flags."""
    return name.endswith("_")
