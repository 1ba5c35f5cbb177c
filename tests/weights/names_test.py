"""The authors' weights under the names and in the wrappers that people have them in."""

import re
import shutil
import zipfile

import jax
import numpy as np
import pytest

from refusion_jax.weights.authors import convert_authors
from refusion_jax.weights.pth import read_pth
from refusion_jax.weights.store import load_any_weights


@pytest.fixture
def released(shared):
    return shared("official", "ivif", "ReFusion_IVIF.pth")


@pytest.mark.parametrize("name", ["W.PTH", "w.pt", "w.ckpt", "w"])
def test_a_pth_is_known_by_its_content(tmp_path, released, name):
    shutil.copy(released, tmp_path / name)
    loaded, expected = (load_any_weights(x).trees for x in (tmp_path / name, released))
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)


def test_an_unpacked_pth_is_called_so(tmp_path, released):
    with zipfile.ZipFile(released) as archive:
        archive.extractall(tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} of an unpacked .pth")):
        load_any_weights(tmp_path)


def test_the_prefix_of_a_wrapper_is_dropped(released):
    tensors = read_pth(released)
    wrapped = {f"module.{key}": array for key, array in tensors.items()}
    jax.tree.map(
        np.testing.assert_array_equal,
        convert_authors(wrapped),
        convert_authors(tensors),
    )
