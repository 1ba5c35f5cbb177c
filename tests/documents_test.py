"""Documents name what exists: folders, files, links, make targets, versions."""

import re

import pytest
from documents import CODE_SPAN, DOCUMENTS, FENCED, LINK, ROOT, text_of

PACKAGE = ROOT / "refusion_jax"
# What looks like a path of the repository: folders end in a slash, files in a suffix.
PATH = re.compile(r"[a-z_.]+(?:/[a-z_0-9.]+)*(?:/|\.(?:py|css|js|cff|yml|toml))")


def paths_in(text):
    """Code spans that name a file or a folder."""
    spans = CODE_SPAN.findall(FENCED.sub("", text))
    return {span for span in spans if PATH.fullmatch(span)}


def anchors_in(text):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", x.lower()).replace(" ", "-") for x in headings}


@pytest.mark.parametrize("path", sorted(paths_in(text_of("ARCHITECTURE.md"))))
def test_architecture_names_what_exists(path):
    assert (PACKAGE / path).exists() or (ROOT / path).exists()


def test_architecture_names_every_room():
    rooms = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    rooms |= {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert rooms <= paths_in(text_of("ARCHITECTURE.md"))


def test_architecture_fits_on_a_page():
    assert len(text_of("ARCHITECTURE.md").splitlines()) <= 120


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_of_the_repository(document):
    broken = []
    for link in LINK.findall(FENCED.sub("", text_of(document))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        if not target.exists() or (
            anchor and anchor not in anchors_in(target.read_text())
        ):
            broken.append(link)
    assert broken == []


def test_the_first_page_fits_on_a_page():
    assert len(text_of("README.md").splitlines()) <= 100


def test_contributing_names_every_make_target():
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text_of("Makefile"), re.MULTILINE)
    named = re.findall(r"`make (\w+)`", text_of("CONTRIBUTING.md"))
    assert sorted(phony.split()) == sorted(set(named))


def test_hooks_run_the_pinned_ruff():
    pinned = re.findall(r"^ruff==(.+)$", text_of("requirements.txt"), re.MULTILINE)
    hooks = text_of(".pre-commit-config.yaml")
    assert re.findall(r"ruff-pre-commit\n +rev: v(\S+)", hooks) == pinned


def test_citation_has_the_version_of_the_package():
    version = re.search(r"^version = (.+)$", text_of("setup.cfg"), re.MULTILINE)
    assert f"\nversion: {version[1]}\n" in text_of("CITATION.cff")
