"""The notebook's outputs are what its cells give today.

To renew them: jupyter execute --inplace docs/notebooks/fuse.ipynb
"""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/fuse.ipynb"
NUMBER = re.compile(r"\d+\.\d+")
pytest.importorskip("skimage")


def cells():
    every = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in every if cell["cell_type"] == "code"]


def printed(cell):
    outputs = [x for x in cell["outputs"] if x["output_type"] == "stream"]
    assert all(output["name"] == "stdout" for output in outputs)
    return "".join("".join(output["text"]) for output in outputs)


def test_cells_print_what_is_stored():
    names = {}
    for cell in cells():
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            exec("".join(cell["source"]), names)
        now, stored = stdout.getvalue(), printed(cell)
        assert NUMBER.sub("#", now) == NUMBER.sub("#", stored)
        # Two decimals are printed, and programs differ in rounding.
        assert list(map(float, NUMBER.findall(now))) == pytest.approx(
            list(map(float, NUMBER.findall(stored))), abs=0.02
        )


def test_pictures_are_stored():
    pictures = [x for cell in cells() for x in cell["outputs"] if "data" in x]
    assert len(pictures) == 2
    assert all("image/png" in picture["data"] for picture in pictures)
    assert NOTEBOOK.stat().st_size < 200_000
