"""How pages are made of other files, and what the pages may hold."""

import pages
import pytest
from documents import LINK, ROOT, text_of

HERE = pages.ROOT / "docs/tasks/focus.md"


@pytest.mark.parametrize(
    ("link", "made"),
    [
        ("[a](../start.md#install)", "[a](../start.md#install)"),
        ("[a](../../SECURITY.md)", "[a](../made/SECURITY.md)"),
        (
            "[a](../../experiments/README.md#speed)",
            "[a](../made/experiments/README.md#speed)",
        ),
        (
            "[a](../../refusion_jax/weights/pretrained/mfif.card.md)",
            "[a](../made/cards/mfif.md)",
        ),
        ("[a](../../refusion_jax/__init__.py)", "[a](../made/api/refusion_jax.md)"),
        ("[a](../../setup.cfg)", "a"),
        ("[`a[0]`](../../refusion_jax/)", "`a[0]`"),
        ("![a](../images/mfif.webp)", "![a](../images/mfif.webp)"),
        ("[a](https://arxiv.org/a.md)", "[a](https://arxiv.org/a.md)"),
        ("[a](#depth)", "[a](#depth)"),
        ("```\n[a](../../setup.cfg)\n```", "```\n[a](../../setup.cfg)\n```"),
    ],
)
def test_links_lead_to_pages_or_are_taken_off(link, made):
    assert pages.with_links(link, HERE.relative_to(pages.ROOT), HERE) == made


def test_formulas_of_docstrings_stay_as_they_are():
    lines = [
        "Scores |x| as f_ does, by `a * b`. With",
        "  G = |x| * y_",
        "the rest follows.",
        "",
        "Args:",
        "  *more: x.",
    ]
    pages.as_restructured_text(None, lines)
    assert lines == [
        r"Scores \|x\| as f\_ does, by `a * b`. With",
        *("", "::", "", "  G = |x| * y_", ""),
        "the rest follows.",
        "",
        "Args:",
        r"  \*more: x.",
    ]


def test_pictures_are_small():
    pictures = list((ROOT / "docs/images").iterdir())
    assert pictures
    assert {path.name for path in pictures if path.stat().st_size > 150_000} == set()


def test_the_page_of_the_index_has_links_that_work_anywhere():
    """It stands where the files of the repository are not."""
    text = text_of("docs/pypi.md")
    assert all(link.startswith("https://") for link in LINK.findall(text))
    assert "long_description = file: docs/pypi.md" in text_of("setup.cfg")
