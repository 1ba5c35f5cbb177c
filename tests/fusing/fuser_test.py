import hashlib
import inspect
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from PIL import Image

import refusion_jax
from refusion_jax import Fuser, fuse
from refusion_jax.fusing import fuser as fuser_module
from refusion_jax.fusing import inference
from refusion_jax.methods.refusion import forward, model
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.pictures.photographs import read_photograph
from refusion_jax.weights.store import load_any_weights, save_weights

RNG = np.random.default_rng(0)
GREY_A, GREY_B = RNG.integers(0, 256, (2, 6, 8), np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def trees():
    """Trees with any numbers: `init_params` compiles for long."""
    rng = np.random.default_rng(5)
    shapes = jax.eval_shape(networks.init_params, jax.random.key(0))._asdict()
    return jax.tree.map(
        lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32), shapes
    )


@pytest.fixture
def most():
    """How many of the models run at a time, noted at each start."""
    return []


@pytest.fixture
def mean(hand_model, most):
    """A model that compiles at once."""
    running = []

    def mean(a, b):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.002)
        running.pop()
        return (a + b) / 2

    return hand_model(mean)


@pytest.fixture
def files(tmp_path):
    image = Image.fromarray(RGB)
    image.putalpha(Image.fromarray(GREY_A))
    image.save(tmp_path / "rgb.png")
    Image.fromarray(GREY_B).save(tmp_path / "grey.png")
    return tmp_path


def test_a_fuser_gives_what_fuse_gives(mean):
    rules = {"output_range": "none", "align": "crop", "levels": "min-max"}
    fuser = Fuser(mean, **rules)
    deep = GREY_A.astype(np.uint16) * 100
    for sources in ((deep, RGB), (deep, GREY_B), (deep, GREY_B[1:], RGB)):
        expected = fuse(*sources, weights=mean, **rules)
        np.testing.assert_array_equal(fuser.fuse(*sources), expected)
        assert fuser.fuse(*sources).dtype == expected.dtype


def test_weights_are_loaded_once(trees, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"fusion": trees["fusion"]})
    fuser = Fuser(path)
    path.unlink()
    expected = fuse(GREY_A, GREY_B, weights=trees["fusion"])
    np.testing.assert_array_equal(fuser.fuse(GREY_A, GREY_B), expected)


def test_a_file_is_written_with_what_belongs_to_it(mean, files):
    fuser = Fuser(mean)
    made = fuser.fuse_file(files / "out.png", files / "grey.png", files / "rgb.png")
    read = read_photograph(files / "out.png")
    np.testing.assert_array_equal(read.pixels, fuser.fuse(GREY_B, RGB))
    for pixels in (read.alpha, made.alpha):
        np.testing.assert_array_equal(pixels, GREY_A)
    with pytest.raises(ValueError, match=r"got '\.gif'"):
        fuser.fuse_file(files / "out.gif", files / "grey.png", files / "rgb.png")


def test_many_are_fused_in_order_and_a_bad_one_is_an_outcome(mean, files):
    (files / "bad.png").write_bytes(b"no picture")
    groups = [
        (files / "grey.png", files / "rgb.png"),
        (files / "grey.png", files / "bad.png"),
        (GREY_A, GREY_B, RGB),
        (GREY_A, GREY_B.T),
    ]
    fuser = Fuser(mean)
    outcomes = list(fuser.fuse_many(groups, jobs=3))
    assert [outcome.item for outcome in outcomes] == groups
    for i in (0, 2):
        np.testing.assert_array_equal(outcomes[i].result, fuser.fuse(*groups[i]))
        assert outcomes[i].error is None
    assert "bad.png" in str(outcomes[1].error) and outcomes[1].result is None
    assert "source 2 of 6x8" in str(outcomes[3].error)


def test_threads_share_a_fuser_and_one_is_on_the_device_at_a_time(mean, most):
    fuser = Fuser(mean)
    pairs = RNG.integers(0, 256, (24, 2, 6, 8), np.uint8)
    expected = [fuser.fuse(*pair) for pair in pairs]
    with ThreadPoolExecutor(6) as pool:
        for one, other in zip(
            expected, pool.map(lambda pair: fuser.fuse(*pair), pairs), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert set(most) == {1}


def test_warming_up_traces_the_size_that_is_fused_later(trees, monkeypatch):
    fuser = Fuser(trees["fusion"])
    fuser.warm_up(6, 8)
    monkeypatch.setattr(networks, "fuse_tiles", None)  # whoever traces F again fails
    fuser.fuse(GREY_A, GREY_B)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"output_range": "wide"}, "expected output_range to be one of stretch, none"),
        ({"align": "rotate"}, "expected align to be one of none, crop"),
        ({"levels": "warm"}, "expected a range rule"),
    ],
)
def test_rules_that_do_not_exist_are_refused_at_once(hand_model, rules, message):
    # Without the annotations that tests check: users have no such check.
    unchecked = inspect.unwrap(Fuser.__init__)
    with pytest.raises(ValueError, match=message):
        unchecked(object.__new__(Fuser), hand_model(), **rules)


@pytest.mark.parametrize("weights", [{}, {"fusion": {}}, "none.pth"])
def test_weights_of_another_kind_are_refused_at_once(weights):
    with pytest.raises((ValueError, FileNotFoundError), match="expected"):
        Fuser(weights)


def test_loss_maps_need_the_loss_proposal_module(trees, tmp_path, monkeypatch):
    def left(params, a, b):
        nothing = np.zeros(a.shape[:2])
        maps = {"w_a": a[..., 0], "w_b": nothing, "v_a": b[..., 0], "v_b": nothing}
        return {name: np.asarray(x, np.float32) for name, x in maps.items()}

    monkeypatch.setattr(model, "propose_maps", left)
    path = tmp_path / "weights.safetensors"
    save_weights(path, {name: trees[name] for name in ("fusion", "proposal")})
    maps = Fuser(path).loss_maps(GREY_A, RGB)
    np.testing.assert_allclose(maps["w_a"], GREY_A / 255, atol=1e-7)
    np.testing.assert_allclose(
        maps["v_a"], RGB @ [0.299, 0.587, 0.114] / 255, atol=1e-6
    )
    assert not maps["w_b"].any() and not maps["v_b"].any()
    save_weights(path, {"fusion": trees["fusion"]})
    for weights in (path, trees["fusion"]):
        with pytest.raises(ValueError, match=r"loss proposal module P, got .* without"):
            Fuser(weights).loss_maps(GREY_A, GREY_B)


def test_the_package_offers_the_fuser_at_its_front_door():
    names = {"Fuser", "__version__", "evaluate", "fuse", "pretrained", "use_all_cores"}
    assert names < set(refusion_jax.__all__) <= set(dir(refusion_jax))
    for name in dir(refusion_jax):  # all that is listed can be had
        assert getattr(refusion_jax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'melt'"):
        refusion_jax.melt  # noqa: B018


def test_shipped_weights_fuse_as_their_file_does(shipped, monkeypatch):
    monkeypatch.setattr(forward, "fuse_luminance", lambda _, a, b, **__: (a + b) / 2)
    expected = Fuser(shipped / "heat.safetensors", output_range="none").fuse(
        RGB, GREY_A
    )
    fuser = Fuser.from_pretrained("heat", output_range="none")
    np.testing.assert_array_equal(fuser.fuse(RGB, GREY_A), expected)
    fused = refusion_jax.fuse(RGB, GREY_A, task="heat", output_range="none")
    np.testing.assert_array_equal(fused, expected)


def test_weights_or_a_task_are_needed(shipped):
    names = "expected either weights or a task among bracket, depth, heat, scan, got "
    with pytest.raises(ValueError, match=names + "neither; name one of them"):
        refusion_jax.fuse(RGB, GREY_A)
    with pytest.raises(ValueError, match=names + "both; name one of them"):
        refusion_jax.fuse(RGB, GREY_A, weights=shipped, task="heat")
    with pytest.raises(ValueError, match=r"among bracket, .*, got 'melt'; choose"):
        Fuser.from_pretrained("melt")


def test_a_pickled_fuser_loads_its_weights_anew(trees, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"fusion": trees["fusion"]})
    fuser = Fuser(path, output_range="source", align="crop")
    copy = pickle.loads(pickle.dumps(fuser))
    assert copy._rules == fuser._rules
    expected = fuser.fuse(GREY_A, GREY_B)
    np.testing.assert_array_equal(copy.fuse(GREY_A, GREY_B), expected)


def test_a_forked_process_says_so_instead_of_hanging(mean, monkeypatch):
    fuser = Fuser(mean)
    # As in a child of a process in which JAX runs.
    monkeypatch.setattr(fuser_module, "_FORKED", set())
    monkeypatch.setattr(fuser_module.os, "getppid", os.getpid)
    fuser_module._after_fork()
    for work in (fuser, fuser.fuse, fuser.loss_maps):
        with pytest.raises(RuntimeError, match=r"forked .*\.get_context\('spawn'\)"):
            work(GREY_A, GREY_B)


def test_saved_weights_are_read_back_to_the_bit(trees, tmp_path):
    save_weights(tmp_path / "all.safetensors", trees, {"step": "7"})
    made = Fuser(tmp_path / "all.safetensors").save_pretrained(tmp_path / "new" / "x")
    assert made == tmp_path / "new" / "x" / "weights.safetensors"
    found = load_any_weights(tmp_path / "new" / "x")
    assert found.metadata == {"step": "7"}
    jax.tree.map(np.testing.assert_array_equal, found.trees, dict(trees))
    assert Fuser(tmp_path / "new" / "x").has_maps


def test_a_file_that_is_replaced_later_is_not_taken_for_what_was_loaded(
    trees, tmp_path
):
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"fusion": trees["fusion"]}, {"step": "7"})
    loaded = hashlib.sha256(path.read_bytes()).hexdigest()
    fuser = Fuser(path)
    save_weights(path, {"fusion": trees["fusion"]}, {"step": "8"})
    assert fuser.provenance["weights_sha256"] == loaded
    with pytest.raises(ValueError, match=r"weights\.safetensors, .* replaced since"):
        fuser.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    Fuser(path).save_pretrained(tmp_path / "new")


def test_parameters_are_saved_and_models_are_not(params, mean, tmp_path):
    Fuser(params).save_pretrained(tmp_path)
    assert list(load_any_weights(tmp_path).trees) == ["fusion"]
    with pytest.raises(ValueError, match="expected a fuser of a weight file"):
        Fuser(mean).save_pretrained(tmp_path)


def test_an_address_of_the_web_is_not_taken_for_a_file(mean):
    with pytest.raises(FileNotFoundError, match="download it first"):
        Fuser(mean).fuse("https://example.org/a.png", GREY_B)


def test_a_long_compilation_is_logged(hand_model, monkeypatch, caplog):
    monkeypatch.setattr(inference, "long_compilations", told_at_once)
    with caplog.at_level("INFO", logger="refusion_jax"):
        Fuser(hand_model(lambda a, b: (a + b) / 2)).fuse(GREY_A, GREY_B)
    assert caplog.messages == ["Compiling for 8 x 6, once for this range of sizes."]


@contextmanager
def told_at_once(tell):
    tell()
    yield
