"""Model cards: what a weight file holds, for people and for this package.

A card, `NAME.card.md` beside `NAME.safetensors`, is a model card of the Hugging Face
Hub: YAML between two lines of `---`, then Markdown.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusion_jax.extras import DISTRIBUTION, version_of
from refusion_jax.files.atomic import replace_file

if TYPE_CHECKING:  # because it loads JAX, and the command's help names the weights
    from refusion_jax.methods.protocol import Method

CARD = ".card.md"
UNKNOWN = "unknown"  # the Hub's word for a licence that nobody has told
# Settings of a run that a card tells besides the method's.
_OF_RUNS = ("epochs", "batch_size", "crop_size", "seed")


def read_card(card: Path) -> tuple[dict[str, Any], str]:
    """Reads a model card.

    Args:
      card: a Markdown file that begins with YAML between two lines of `---`.

    Returns:
      The facts of the YAML, and the Markdown below.

    Raises:
      FileNotFoundError: if there is no card.
      ValueError: if the YAML is missing or broken.
    """
    import yaml  # here, because only cards need it

    if not card.is_file():
        raise FileNotFoundError(
            f"expected a card beside the shipped weights, got no file at {card}; "
            "install the package again."
        )
    head, _, rest = card.read_text(encoding="utf-8").partition("---\n")
    front, end, body = rest.partition("\n---\n")
    try:
        facts = yaml.safe_load(front)
    except yaml.YAMLError as error:
        raise wrong(card, "YAML", " ".join(str(error).split())) from error
    if head or not end or not isinstance(facts, dict):
        raise wrong(card, "YAML between two lines of ---", front[:20])
    return facts, body.lstrip("\n")


def write_card(card: Path, facts: Mapping[str, Any], body: str) -> None:
    """Writes a card; the file appears whole or not at all.

    Args:
      card: the file.
      facts: for the YAML.
      body: the Markdown below.
    """
    import yaml

    front = yaml.safe_dump(
        dict(facts),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=10**6,  # a fact a line
    )
    replace_file(card, f"---\n{front}---\n\n{body}".encode())


def card_of_unknown(
    method: "Method", parts: Mapping[str, int], notes: Mapping[str, str], rule: str
) -> tuple[dict[str, Any], str]:
    """Returns a card for weights of which only their file tells.

    Args:
      method: the one that they belong to.
      parts: parameter tree to number of parameters.
      notes: the file's metadata; `config` and `step` of a run are read.
      rule: the range that suits their pictures.

    Returns:
      The facts, without the checksum, and the Markdown.
    """
    config = json.loads(notes.get("config", "{}"))
    fields = {
        field.name: field.default for field in dataclasses.fields(method.settings)
    }
    settings = {
        name: config[name]
        for name, default in fields.items()
        if name in config and config[name] != default
    }
    packages = (DISTRIBUTION, "jax", "flax")
    facts = {
        "license": UNKNOWN,
        "title": f"{method.title}, own weights",
        "method": method.name,
        "sources": ["first source", "second source"],
        "library_name": DISTRIBUTION,
        "tags": ["image-fusion", "jax"],
        "range": rule,
        "settings": settings,
        "hints": {},
        "versions": {name: version_of(name) or UNKNOWN for name in packages},
    }
    trees = ", ".join(f"{name} ({count:,} parameters)" for name, count in parts.items())
    run = [f"{name}={config[name]}" for name in _OF_RUNS if name in config]
    steps = (
        f"{notes['step']} steps" if "step" in notes else "An unknown number of steps"
    )
    body = f"""\
# {facts["title"]}

{method.title}: {trees}.

```sh
refusion fuse A B -o fused.png --weights=FOLDER
```

FOLDER is the one that holds this card.

**Sources.** Unknown. Name them here and above, in the order of the training.

**Terms.** The license is unknown: name it above. It depends on the pictures too.

**Recipe.** {", ".join([steps, *run])}. The settings above are those that differ from
the defaults; `refusion info FOLDER` prints all that the file holds.

**Scores.** Unknown; `refusion evaluate` computes them.
"""
    return facts, body


def wrong(card: Path, expected: str, got: object) -> ValueError:
    """Returns the error of a card that does not hold what it should.

    Args:
      card: the file.
      expected: what it should hold.
      got: what it holds.
    """
    return ValueError(
        f"expected {expected} in the card {card}, got {got!r}; correct it."
    )
