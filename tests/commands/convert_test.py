import hashlib
from functools import partial

import jax
import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.methods.registry import find
from refusion_jax.methods.uaafusion.nets import networks
from refusion_jax.weights.authors import convert_authors
from refusion_jax.weights.pretrained import record_beside, suitable_range
from refusion_jax.weights.store import (
    load_any_weights,
    load_weights,
    read_pth,
    save_weights,
)


@pytest.fixture
def run(workplace, params, tree_of):
    """A run folder in the current one."""
    (workplace / "run").mkdir()
    trees = {"fusion": params, "proposal": tree_of("proposal")}
    save_weights(workplace / "run" / "weights.safetensors", trees, {"step": "80"})
    return workplace


def assert_equal(trees, expected):
    jax.tree.map(np.testing.assert_array_equal, trees, expected)


def test_a_run_becomes_one_file_with_all_it_holds(run, params, tree_of, capsys):
    assert main(["convert", "run", "out.safetensors"]) == 0
    converted = load_weights(run / "out.safetensors")
    assert_equal(converted.trees, {"fusion": params, "proposal": tree_of("proposal")})
    content = (run / "run" / "weights.safetensors").read_bytes()
    assert converted.metadata == {
        "step": "80",
        "converted_from": "weights.safetensors",
        "converted_from_sha256": hashlib.sha256(content).hexdigest(),
    }
    assert capsys.readouterr().out == (
        "out.safetensors fusion: 59,856 parameters of run/weights.safetensors\n"
        "out.safetensors proposal: 89,058 parameters of run/weights.safetensors\n"
    )


def test_the_authors_file_is_converted(workplace, shared):
    path = shared("official", "ivif", "ReFusion_IVIF.pth")
    assert main(["convert", str(path), "ivif.safetensors"]) == 0
    trees = load_weights(workplace / "ivif.safetensors").trees
    assert_equal(trees, {"fusion": convert_authors(read_pth(path))})


def test_weights_of_another_method_keep_it(workplace, capsys):
    method = find("uaafusion")
    init = partial(networks.init_params, classes=2)
    trees = jax.eval_shape(init, jax.random.key(0))
    tree = jax.tree.map(lambda x: np.full(x.shape, 0.1, x.dtype), trees[0])
    name = method.trees[0]
    save_weights("w.safetensors", {name: tree}, {"converted_from": "b"}, method=method)
    assert main(["convert", "w.safetensors", "out.safetensors"]) == 0
    converted = load_any_weights("out.safetensors")
    assert converted.method is method
    assert_equal(converted.trees, {name: tree})
    # What the file was converted from last, not what that was converted from.
    assert converted.metadata["converted_from"] == "w.safetensors"


def test_the_range_that_suits_the_weights_stays_with_them(workplace):
    assert main(["convert", "mfif", "focus.safetensors"]) == 0
    record = record_beside(workplace / "focus.safetensors")
    assert record is not None and record.output_range == "source"
    assert suitable_range("focus.safetensors") == "source"


def test_the_same_again_changes_nothing(run, capsys):
    assert main(["convert", "run", "out.safetensors"]) == 0
    before = (run / "out.safetensors").stat().st_mtime_ns
    assert main(["convert", "run", "out.safetensors"]) == 0
    assert "holds these weights already" in capsys.readouterr().out
    assert (run / "out.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("other", ["weights", "text"])
def test_another_file_is_replaced_by_force_only(run, params, capsys, other):
    target = run / "out.safetensors"
    if other == "weights":
        save_weights(target, {"fusion": jax.tree.map(lambda x: x + 1, params)})
    else:
        target.write_text("something dear")
    before = target.read_bytes()
    assert main(["convert", "run", "out.safetensors"]) == 2
    err = capsys.readouterr().err
    assert "got out.safetensors, which holds other content" in err
    assert err.count("\n") == 1
    assert target.read_bytes() == before
    assert main(["convert", "run", "out.safetensors", "--force"]) == 0
    assert_equal(load_weights(target).trees["fusion"], params)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pth", "out.safetensors"], "none.pth"),
        (["run", "out.pth"], "ending in .safetensors, got out.pth"),
        (["run", "nowhere/out.safetensors"], "got no folder at nowhere; create it"),
        (["none.pth", "nowhere/out.safetensors"], "got no folder at nowhere"),
    ],
)
def test_what_cannot_be_converted_is_told(run, capsys, arguments, message):
    assert main(["convert", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
