"""The documents of the repository, and what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "docs").rglob("*.md")
    if not {"made", "_build"} & set(path.relative_to(ROOT).parts)
)
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "experiments/README.md",
    *PAGES,
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(document: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / document).read_text()


def prose_of(document: str) -> str:
    """The same without blocks of code."""
    return FENCED.sub("", text_of(document))


def blocks_of(document: str, language: str) -> list[tuple[str, str]]:
    """Blocks of code, each with the line before it."""
    pattern = rf"^([^\n]*)\n```{language}\n(.*?)^```$"
    return re.findall(pattern, text_of(document), re.MULTILINE | re.DOTALL)
