"""The options of a run: from the fields of a form, checked, and into words."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from refusion_jax.extras import version_of
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.photographs import count_pages
from refusion_jax.web.jobs import Upload
from refusion_jax.web.models import Models, Offer
from refusion_jax.web.uploads import Form

PAGE_SUFFIX = ", page {}"  # of a page's name, after that of its file
_WORDS = {"output_range": "range"}  # as the command calls it


class Options(NamedTuple):
    """How a visitor wants pictures fused.

    Attributes:
      offer: the weights.
      rules: how.
      max_pixels: of one picture.
    """

    offer: Offer
    rules: Rules
    max_pixels: int


def read_options(form: Form, models: Models, most_pixels: int) -> Options:
    """Reads the options of a form.

    Args:
      form: with the fields weights, range, align, motion, border, levels, precision
        and max_pixels, each of which may be absent or empty.
      models: what can be chosen.
      most_pixels: the limit of the server, which a visitor can lower only.

    Raises:
      ValueError: if an option is none of its choices.
    """
    name = form.field("weights") or models.preferred
    if name not in models.offers:
        raise ValueError(
            f"expected weights among {', '.join(models.offers)}, got {name[:40]!r}; "
            "choose one of these."
        )
    offer = models.offers[name]
    given = {
        rule.name: form.field(_WORDS.get(rule.name, rule.name))
        for rule in dataclasses.fields(Rules)
    }
    chosen = {key: value for key, value in given.items() if value}
    rules = Rules(**{"output_range": offer.output_range, **chosen})
    text = form.field("max_pixels") or str(most_pixels)
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= most_pixels:
        raise ValueError(
            f"expected at most {most_pixels} pixels of a picture, got {text[:20]!r}; "
            "lower the limit, or raise that of refusion serve with --max-pixels."
        )
    return Options(offer, rules, int(text))


def describe_rules() -> list[dict[str, Any]]:
    """Returns the rules with choices and help as JSON values, for the page's form."""
    return [
        {
            "name": _WORDS.get(rule.name, rule.name),
            "choices": list(rule.metadata["choices"] or ()),
            "default": rule.default,
            "help": rule.metadata["help"],
        }
        for rule in dataclasses.fields(Rules)
    ]


def files_of(uploads: Sequence[Upload]) -> list[str]:
    """Returns the names of files that `refusion fuse` makes the same picture of.

    Args:
      uploads: the sources, in order.

    Returns:
      A name for each; one for all pages of a file in their order, which is a stack; or
      none if there are pages and these are not all.
    """
    pages = [x.page for x in uploads if x.page is not None]
    if not pages:
        return [x.name for x in uploads]
    first = uploads[0]
    is_one = len({x.path for x in uploads}) == 1
    if not is_one or pages != [*range(count_pages(first.path))]:
        return []
    return [first.name.removesuffix(PAGE_SUFFIX.format(1))]


def command_of(names: Sequence[str], options: Options) -> str:
    """Returns the command that makes the same picture, or a remark that none does.

    Args:
      names: of the files, as `files_of` returns them.
      options: of the run.
    """
    if not names:
        return (
            "# No command takes pages of a file, except all of them, alone and in "
            "order; save these as files first."
        )
    flags = [
        f"--{_WORDS.get(key, key)}={value}" for key, value in _changed(options).items()
    ]
    weights = options.offer.argument
    words = ["refusion", "fuse", *map(_as_file, names), "-o", "fused.png", weights]
    return shlex.join([*filter(None, words), *flags])


def python_of(names: Sequence[str], options: Options) -> str:
    """Returns the lines of Python that make the same picture, or a remark.

    Args:
      names: as `command_of` takes them.
      options: of the run.
    """
    if not names:
        return (
            "# refusion_jax.fuse takes no pages of a file; save these as files first."
        )
    if len(names) == 1:
        return (
            "# refusion_jax.fuse takes the first page of a file; use the command, or "
            "save the pages as files first."
        )
    flag, _, value = options.offer.argument.partition("=")
    weights = {flag.removeprefix("--"): value} if value else {}
    words = [repr(name) for name in names]
    words += [
        f"{key}={text!r}" for key, text in {**weights, **_changed(options)}.items()
    ]
    inner = "".join(f"    {word},\n" for word in words)
    return f"import refusion_jax\n\nfused = refusion_jax.fuse(\n{inner})\n"


def facts_of(
    sources: Sequence[dict[str, Any]], options: Options, result: dict[str, Any]
) -> bytes:
    """Returns fuse.json: what made a picture, for whoever finds it later.

    Args:
      sources: name, SHA-256, size and depth of each.
      options: of the run.
      result: facts about the picture.
    """
    facts = {
        "made_by": f"refusion-jax {version_of()}",
        "sources": list(sources),
        "weights": {"name": options.offer.name, "sha256": options.offer.sha256},
        "rules": dataclasses.asdict(options.rules),
        **result,
    }
    return (json.dumps(facts, indent=1) + "\n").encode()


def _changed(options: Options) -> dict[str, str]:
    """Returns the rules that differ from what `refusion fuse` takes by itself."""
    usual = {**dataclasses.asdict(Rules()), "output_range": options.offer.output_range}
    chosen = dataclasses.asdict(options.rules)
    return {key: value for key, value in chosen.items() if value != usual[key]}


def _as_file(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name
