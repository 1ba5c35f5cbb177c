import io
import sys
import warnings

import pytest
from PIL import Image

from refusion_jax.commands.messages import notes_on_stderr, table_format
from refusion_jax.evaluation.table_formats import to_markdown, to_terminal
from refusion_jax.pictures.notes import note


def test_notes_are_lines_and_what_pillow_says_of_exif_is_none(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with notes_on_stderr():
            note("a.tif has 3 pages.")
            Image.Exif().load(b"Exif\0\0II*\0\x08\0\0\0\x05\0")  # five tags, none there
    assert capsys.readouterr().err == "refusion: a.tif has 3 pages.\n"


@pytest.mark.parametrize(
    ("is_terminal", "expected"), [(True, to_terminal), (False, to_markdown)]
)
def test_only_a_terminal_sees_drawn_tables(monkeypatch, is_terminal, expected):
    class Stream(io.StringIO):
        def isatty(self):
            return is_terminal

    monkeypatch.setattr(sys, "stdout", Stream())
    assert table_format() is expected
