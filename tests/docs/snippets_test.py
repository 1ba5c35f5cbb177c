"""Python in documents runs, or is marked `<!-- not run: why -->` and imports well.

Examples with a prompt are run by examples_test.py, which compares what they print.
"""

import ast
import doctest
import importlib
import re

import numpy as np
import pytest
from documents import DOCUMENTS, blocks_of
from PIL import Image

from refusion_jax.methods import registry

MARK = re.compile(r"<!-- not run: \S.* -->")
SNIPPETS = [
    pytest.param(before, code, id=f"{document}-{place}")
    for document in DOCUMENTS
    for place, (before, code) in enumerate(blocks_of(document, "python"))
]
PROMPT = ">>> "
WITH_PYTHON = [page for page in DOCUMENTS if blocks_of(page, "python")]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A working folder with the pictures that documents name."""
    noise = np.random.default_rng(0)
    for name in ("near", "far", "infrared", "visible"):
        shape = (40, 48) if name == "infrared" else (40, 48, 3)
        picture = Image.fromarray(noise.integers(0, 256, shape, np.uint8))
        picture.save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTERED", {})  # what documents register


@pytest.mark.parametrize(("_", "code"), SNIPPETS)
def test_snippets_import_what_there_is(_, code):
    if code.startswith(PROMPT):
        code = doctest.script_from_examples(code)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("refusion_jax"):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):  # then it is a module of its own
                    importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.parametrize("document", WITH_PYTHON)
def test_snippets_run(document, pictures):
    """One after the other, with the names of those before."""
    names = {}
    for before, code in blocks_of(document, "python"):
        if not (MARK.fullmatch(before) or code.startswith(PROMPT)):
            exec(compile(code, document, "exec"), names)
