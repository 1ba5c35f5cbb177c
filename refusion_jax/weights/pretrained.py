"""Weights that come with the package: in `pretrained/`, a file and a card for each.

The YAML of a card (see `weights.cards`) is the only place that tells what the weights
are for; no code names a task.
"""

import os
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from refusion_jax.files.checksums import sha256_of
from refusion_jax.pictures.names import RANGES, Range
from refusion_jax.weights.cards import CARD, read_card, wrong

WEIGHTS = ".safetensors"
RUN_WEIGHTS = f"weights{WEIGHTS}"  # in a run folder, replaced at each save
_WORD_LISTS = ("first", "second", "any")


class Hints(NamedTuple):
    """How sources that suit the weights are recognised, see `fusing.choice`.

    Attributes:
      first: words in the name of the first source, in lower case.
      second: words in the name of the second one.
      any: words in the names of all sources.
      look: a key of `fusing.choice.LOOKS`; empty if looks tell nothing.
    """

    first: frozenset[str] = frozenset()
    second: frozenset[str] = frozenset()
    any: frozenset[str] = frozenset()
    look: str = ""


class Pretrained(NamedTuple):
    """Weights that come with the package.

    Attributes:
      name: what `--task` and `Fuser.from_pretrained` take.
      title: what they fuse, in words.
      sources: the first and the second source, in words.
      path: the weight file.
      sha256: its checksum, as the card tells it.
      card: the card.
      license: of the weights, by its SPDX name.
      method: the name of the method that they belong to.
      hints: how their sources are recognised.
      output_range: the rule of `pictures.ranges` that suits their pictures.
      settings: of training on such sources, where they differ from the preset.
    """

    name: str
    title: str
    sources: tuple[str, str]
    path: Path
    sha256: str
    card: Path
    license: str
    method: str
    hints: Hints
    output_range: Range
    settings: dict[str, Any]


def pretrained_names(folder: Path | None = None) -> tuple[str, ...]:
    """Lists the names of the shipped weights; fast, since no card is read.

    Args:
      folder: where they are; None: in the package.
    """
    files = (folder or shipped_folder()).glob(f"*{WEIGHTS}")
    return tuple(sorted(file.name.removesuffix(WEIGHTS) for file in files))


def pretrained_listing(separator: str = ", ", folder: Path | None = None) -> str:
    """Returns the names of the shipped weights for a sentence.

    Args:
      separator: stands between the names.
      folder: where they are; None: in the package.
    """
    return separator.join(pretrained_names(folder)) or "(none)"


def pretrained(folder: Path | None = None) -> tuple[Pretrained, ...]:
    """Lists the weights that come with the package.

    Args:
      folder: where they are; None: in the package.

    Returns:
      One record each, in the order of their names.

    Raises:
      FileNotFoundError: if a card is missing.
      ValueError: if a card lacks a fact, or tells it in another form.
    """
    return tuple(find_pretrained(name, folder) for name in pretrained_names(folder))


def find_pretrained(name: str, folder: Path | None = None) -> Pretrained:
    """Returns what the card of shipped weights tells.

    Args:
      name: one of `pretrained_names()`.
      folder: where they are; None: in the package.

    Raises:
      ValueError: listing the names, if there are no such weights; or as `pretrained`.
      FileNotFoundError: as `pretrained` does.
    """
    folder = folder or shipped_folder()
    if name not in pretrained_names(folder):
        raise ValueError(
            f"expected shipped weights among {pretrained_listing(folder=folder)}, got "
            f"{name!r}; choose one of these."
        )
    card = folder / f"{name}{CARD}"
    facts, _ = read_card(card)
    sources: Any = facts.get("sources")
    if not _are_words(sources) or len(sources) != 2:
        raise wrong(card, "two sources in words", sources)
    return Pretrained(
        name=name,
        title=_text(facts, "title", card),
        sources=(sources[0], sources[1]),
        path=folder / f"{name}{WEIGHTS}",
        sha256=_text(facts, "sha256", card),
        card=card,
        license=_text(facts, "license", card),
        method=_text(facts, "method", card),
        hints=_hints(facts.get("hints", {}), card),
        output_range=_range(facts.get("range", RANGES[0]), card),
        settings=_settings(facts.get("settings", {}), card),
    )


def suitable_range(weights: object) -> Range:
    """Returns the range rule that suits the pictures of some weights.

    Args:
      weights: a weight file or folder with a card, or the name of shipped weights where
        there is nothing at this path, as for `store.weights_file`; or anything else,
        for which it is the authors' rule.

    Returns:
      One of `pictures.names.RANGES`.

    Raises:
      FileNotFoundError, ValueError: as `find_pretrained` does.
    """
    record = None
    if isinstance(weights, str | os.PathLike):
        path = Path(weights)
        if not path.exists() and str(path) in pretrained_names():
            path = shipped_folder() / f"{path}{WEIGHTS}"
        record = record_beside(path / RUN_WEIGHTS if path.is_dir() else path)
    return record.output_range if record else RANGES[0]


def card_beside(file: Path) -> Path:
    """Returns the path of a weight file's card.

    Args:
      file: the weight file.
    """
    return file.with_name(f"{file.name.removesuffix(WEIGHTS)}{CARD}")


def record_beside(file: Path) -> Pretrained | None:
    """Returns what the card beside a weight file tells.

    Args:
      file: the weight file.

    Returns:
      None if there is no card, or if it is that of other weights by its checksum.

    Raises:
      ValueError: as `pretrained` does.
    """
    has_card = card_beside(file).is_file()
    if file.suffix != WEIGHTS or not has_card or not file.is_file():
        return None
    record = find_pretrained(file.name.removesuffix(WEIGHTS), file.parent)
    return record if record.sha256 == sha256_of(file) else None


def pretrained_file(name: str, folder: Path | None = None) -> Path:
    """Returns the file of shipped weights, after checking it against its card.

    Args:
      name: one of `pretrained_names()`.
      folder: where they are; None: in the package.

    Raises:
      FileNotFoundError, ValueError: as `find_pretrained` does, or if the file has
        another checksum than its card tells.
    """
    record = find_pretrained(name, folder)
    found = sha256_of(record.path)
    if found != record.sha256:
        raise ValueError(
            f"expected the shipped weights {record.path} to have the SHA-256 of their "
            f"card, {record.sha256}, got {found}; install the package again."
        )
    return record.path


def shipped_folder() -> Path:
    """Returns the folder of the shipped weights, which may be absent."""
    return Path(str(resources.files(__package__))) / "pretrained"


def _text(facts: dict[str, Any], key: str, card: Path) -> str:
    text = facts.get(key)
    if not isinstance(text, str) or not text:
        raise wrong(card, f"{key} as text", text)
    return text


def _range(rule: Any, card: Path) -> Range:
    if rule not in RANGES:
        raise wrong(card, f"a range among {', '.join(RANGES)}", rule)
    return RANGES[RANGES.index(rule)]


def _settings(settings: Any, card: Path) -> dict[str, Any]:
    if not isinstance(settings, dict) or not all(isinstance(x, str) for x in settings):
        raise wrong(card, "settings by name", settings)
    return settings


def _hints(hints: Any, card: Path) -> Hints:
    if not isinstance(hints, dict) or not set(hints) <= set(Hints._fields):
        raise wrong(card, f"hints among {', '.join(Hints._fields)}", hints)
    look, lists = hints.get("look", ""), [hints.get(x, []) for x in _WORD_LISTS]
    # YAML reads words such as `on` and `no` as true and false.
    if not isinstance(look, str) or not all(_are_words(words) for words in lists):
        raise wrong(card, "hints of quoted words", hints)
    first, second, common = (frozenset(map(str.lower, words)) for words in lists)
    return Hints(first, second, common, look)


def _are_words(words: Any) -> bool:
    return isinstance(words, list) and all(isinstance(word, str) for word in words)
