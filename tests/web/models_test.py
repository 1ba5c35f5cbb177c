import hashlib
import json

import jax
import pytest
from PIL import Image
from web.visitors import scene

from refusion_jax.cli import main
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.refusion import forward
from refusion_jax.pictures.photographs import origin_of
from refusion_jax.web.models import Models
from refusion_jax.web.options import read_options
from refusion_jax.web.uploads import Form
from refusion_jax.weights.pretrained import RUN_WEIGHTS
from refusion_jax.weights.store import save_weights

YOURS = "heat (yours)"


@pytest.fixture
def own(shipped, params, tmp_path, monkeypatch):
    """A run's folder with the name of shipped weights, whose card tells a range."""
    folder = tmp_path / "runs" / "heat"
    folder.mkdir(parents=True)
    file = folder / RUN_WEIGHTS
    save_weights(file, {"fusion": jax.tree.map(lambda leaf: leaf / 2, params)})
    card = (shipped / "heat.card.md").read_text()
    card = card.replace(digest(shipped / "heat.safetensors"), digest(file))
    (folder / "weights.card.md").write_text(
        card.replace("method:", "range: none\nmethod:")
    )
    monkeypatch.chdir(tmp_path)
    return folder


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_weights_called_as_shipped_ones_have_a_name_of_their_own(own, shipped):
    models = Models(own)
    assert models.preferred == YOURS == next(iter(models.offers))
    assert models.offers[YOURS].sha256 == digest(own / RUN_WEIGHTS)
    assert models.offers["heat"].sha256 == digest(shipped / "heat.safetensors")
    # `--weights=heat` would be the shipped ones wherever there is no such folder.
    assert models.offers[YOURS].argument == "--weights=runs/heat"
    assert models.offers["heat"].argument == "--task=heat"
    assert models.model(YOURS) is not models.model("heat")


def test_other_weights_keep_their_name(own):
    models = Models(own.rename(own.with_name("mine")), task="scan")
    assert list(models.offers) == ["mine", "bracket", "depth", "heat", "scan"]
    assert models.offers["mine"].argument == "--weights=mine"
    assert models.preferred == "scan"


def test_shipped_weights_may_be_given_by_name(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = Models("heat")
    assert models.preferred == "heat"
    assert list(models.offers) == ["bracket", "depth", "heat", "scan"]


def test_pictures_are_made_and_told_as_by_the_copied_command(own, monkeypatch):
    monkeypatch.setattr(forward, "fuse_luminance", lambda params, a, b, **_: a)
    models = Models("runs/heat")
    options = read_options(Form({}, {}), models, 1)
    assert options.rules == Rules(output_range="none")  # that of the card
    for name, picture in zip("ab", scene(), strict=True):
        Image.fromarray(picture).save(f"{name}.png")
    words = ["fuse", "a.png", "b.png", "-o", "fused.png", options.offer.argument]
    assert main(words) == 0
    told = json.loads(origin_of("fused.png"))
    assert told.pop("sources") == ["a.png", "b.png"]
    assert models.provenance(YOURS, options.rules) == told


def test_a_training_that_goes_on_changes_nothing(own, params):
    models = Models(own)
    before = models.provenance(YOURS, Rules())
    save_weights(own / RUN_WEIGHTS, {"fusion": params})
    assert models.provenance(YOURS, Rules()) == before
