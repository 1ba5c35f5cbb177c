"""Pages that are made from other files whenever the documents are built.

`made/` receives the model cards, one page per room of the public API, and the
Markdown files of the repository, with the links that lead out of the documents taken
off. It is not under version control.
"""

import os
import re
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from refusion_jax.weights.pretrained import pretrained

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
DOCS = "docs"
MADE = ROOT / DOCS / "made"
# Documents of the repository that are pages too, with their tables and plots.
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
FOLDERS = ("experiments",)
# The public API: modules with `__all__`, or with the names that are public.
API: dict[str, tuple[str, ...]] = {
    "refusion_jax": (),
    "refusion_jax.metrics": (),
    "refusion_jax.export": (),
    "refusion_jax.weights.store": ("load_model", "load_weights", "save_weights"),
    "refusion_jax.weights.pretrained": ("Pretrained",),
    "refusion_jax.training.trainer": ("train", "NonFiniteError"),
    "refusion_jax.training.config": ("Config", "preset", "with_fields"),
    "refusion_jax.training.loggers.protocol": ("Logger",),
    "refusion_jax.runs.study": ("study", "ScoredPairs"),
    "refusion_jax.evaluation.segmentation": (
        *("Ious", "confusion", "ious", "constant_guess", "total"),
    ),
    "refusion_jax.methods.protocol": ("Method", "FusionModel", "Learner"),
    "refusion_jax.methods.registry": ("names", "find", "register", "unregister"),
    "refusion_jax.methods.uaafusion.own": ("with_network",),
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
SECTION = re.compile(r"(Args|Attributes|Examples|Note|Raises|Returns|Yields):")
CODE_OR_MARK = re.compile(r"`[^`]*`|[*|]|(?<=\w)_(?=\W|$)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def write_made_pages() -> None:
    """Writes all of `made/` anew."""
    shutil.rmtree(MADE, ignore_errors=True)
    _write_cards(MADE / "cards")
    _write_api(MADE / "api")
    for name in _sources():
        target = MADE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.suffix == ".md":
            text = with_links(_titled((ROOT / name).read_text(), name), name, target)
            target.write_text(text)
        else:
            shutil.copyfile(ROOT / name, target)


def with_links(text: str, name: Path, page: Path) -> str:
    """Makes the links to files of the repository lead to pages, or takes them off.

    So a link that works in the repository works among the pages. Where it leads to a
    file that is no page, its words stay.

    Args:
      text: Markdown.
      name: where it lies, relative to the root of the repository.
      page: the page that it becomes, absolute.

    Returns:
      The text with other links.
    """
    known = _pages()

    def linked(match: re.Match[str]) -> str:
        mark, words, address = match.groups()
        path, *anchor = address.split("#")
        if "://" in address or not path:
            return match[0]
        target = Path(os.path.normpath(ROOT / name.parent / path)).relative_to(ROOT)
        if target in known:
            path = os.path.relpath(MADE / known[target], page.parent)
        elif target.parts[0] == DOCS:
            path = os.path.relpath(ROOT / target, page.parent)
        else:
            return words
        return f"{mark}[{words}]({'#'.join([path, *anchor])})"

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(linked, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(linked, text[end:])])


def with_links_of_pages(app: "Sphinx", page: str, source: list[str]) -> None:
    """Does the same to the pages of this folder, as Sphinx reads them."""
    path = Path(app.env.doc2path(page))
    if path.suffix == ".md" and MADE not in path.parents:
        source[0] = with_links(source[0], path.relative_to(ROOT), path)


def as_restructured_text(_: "Sphinx", *about: object) -> None:
    """Keeps Sphinx from reading markup into a docstring: it has formulas and code."""
    lines = about[-1]
    assert isinstance(lines, list)
    made: list[str] = []
    in_prose, in_formula = True, False
    for line in lines:
        in_prose = in_prose and not SECTION.fullmatch(line)
        is_formula = in_prose and line.startswith("  ")
        if is_formula != in_formula:
            made += ["", "::", ""] if is_formula else [""]
        in_formula = is_formula
        is_code = is_formula or line.lstrip().startswith((">>>", "..."))
        made.append(line if is_code else CODE_OR_MARK.sub(_escaped, line))
    lines[:] = made


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("`") else f"\\{match[0]}"


def _titled(text: str, name: Path) -> str:
    """Gives a table without a title the name of its file."""
    is_titled = re.search(r"^# ", FENCE.sub("", text), re.MULTILINE)
    return text if is_titled else f"# {name.stem.capitalize()}\n\n{text}"


def _pages() -> dict[Path, Path]:
    """Pages below `made/` by the file of the repository that becomes one."""
    cards = {
        weights.card.relative_to(ROOT): Path("cards", f"{weights.name}.md")
        for weights in pretrained()
    }
    front_door = {Path("refusion_jax/__init__.py"): Path("api/refusion_jax.md")}
    return {name: name for name in _sources()} | cards | front_door


def _sources() -> list[Path]:
    """Files of the repository that become pages or plots, relative to its root."""
    found = [ROOT / name for name in DOCUMENTS]
    for folder in FOLDERS:
        found += [*(ROOT / folder).rglob("*.md"), *(ROOT / folder).rglob("*.svg")]
    return sorted(path.relative_to(ROOT) for path in found)


def _write_cards(folder: Path) -> None:
    folder.mkdir(parents=True)
    for weights in pretrained():
        _, _, text = weights.card.read_text().split("---\n", 2)
        page = folder / f"{weights.name}.md"
        page.write_text(with_links(text, weights.card.relative_to(ROOT), page))


def _write_api(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, public in API.items():
        module = import_module(name)
        names = public or tuple(module.__all__)
        lines = [f"# {name}", "", (module.__doc__ or "").strip(), "", "```{eval-rst}"]
        if public:
            lines[2] = lines[2].partition("\n")[0]
        for entry in names:
            value = getattr(module, entry)
            if isinstance(value, ModuleType):
                continue  # it has a page of its own
            if isinstance(value, type):
                lines += [f".. autoclass:: {name}.{entry}", "   :members:", ""]
            elif callable(value):
                lines += [f".. autofunction:: {name}.{entry}", ""]
            else:
                # A mapping's keys or a tuple's entries: their docstring is the type's.
                entries = [value] if isinstance(value, str) else value
                content = ", ".join(f"`{x}`" for x in entries)
                lines += [
                    f".. py:data:: {name}.{entry}",
                    "",
                    f"   Holds {content}.",
                    "",
                ]
        (folder / f"{name}.md").write_text("\n".join([*lines, "```", ""]))
