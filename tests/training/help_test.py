"""The table of settings in docs/training.md is what the fields say: it is made here.

To write it anew: REFUSION_WRITE_TABLE=1 python -m pytest tests/training/help_test.py
"""

import os
import re
from pathlib import Path

import pytest

from refusion_jax.methods import registry
from refusion_jax.training.help import all_fields, default_of, help_of, titled_fields

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
BEGIN, END = "<!-- settings: made by tests/training/help_test.py -->", "<!-- end -->"


@pytest.fixture(autouse=True)
def only_methods_of_the_package(monkeypatch):
    """Other tests of the process may have registered methods of their own."""
    monkeypatch.setattr(registry, "_REGISTERED", {})


def table():
    parts = []
    for title, names in titled_fields().items():
        parts += [f"### {title[0].upper()}{title[1:]}", ""]
        parts += [
            "| setting | meaning | unit | default | paper |",
            "|---|---|---|---|---|",
        ]
        for name in names:
            rules = all_fields()[name].metadata
            choices = ", ".join(map(str, rules["choices"]))
            meaning = rules["help"] + (f" One of {choices}." if choices else "")
            here, there = default_of(name), default_of(name, "paper")
            parts.append(
                f"| `{name}` | {meaning.replace('|', '/')} | {rules['unit']} "
                f"| {here} | {'' if here == there else there} |"
            )
        parts.append("")
    return "\n".join(parts).rstrip()


def test_the_table_of_settings_is_what_the_fields_say():
    made = f"{BEGIN}\n\n{table()}\n\n{END}"
    text = PAGE.read_text()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if os.environ.get("REFUSION_WRITE_TABLE"):
        PAGE.write_text(re.sub(pattern, lambda _: made, text, flags=re.DOTALL))
    (written,) = re.findall(pattern, PAGE.read_text(), re.DOTALL)
    assert written == made


def test_help_names_every_rule_that_is_accepted():
    assert "full, min-max, percentile, auto or LOW:HIGH." in help_of("levels")
    assert "none, crop, resize, resize-largest, register." in help_of("align")


def test_help_says_meaning_unit_choices_and_default():
    assert help_of("crop_size").startswith(
        "Side of the patches. In pixels. Default: 48"
    )
    assert "One of brighter, sharper, even. Default: brighter." in help_of("rule")
    assert help_of("swap").endswith("Default: true; paper: false.")


def test_every_setting_stands_under_one_title():
    names = [name for group in titled_fields().values() for name in group]
    assert sorted(names) == sorted(all_fields())
