"""What the demo's page says of its pictures, without networks."""

import demo
import numpy as np
import pytest
from configs.demo import SHIPPED
from PIL import Image

from refusion_jax.data.pairs import Pair
from refusion_jax.weights.pretrained import pretrained_names


@pytest.fixture
def scene(tmp_path):
    """A black photograph; everything else is off by a known number of levels."""

    def flat(level):
        return np.full((12, 16), level, np.uint8)

    for side, level in (("a", 10), ("b", 100)):
        Image.fromarray(flat(level)).save(tmp_path / f"{side}.png")
    pair = Pair("cup_focus", tmp_path / "a.png", tmp_path / "b.png")
    fused = {demo.AVERAGE: flat(3), "the shipped weights": flat(1), "this run": flat(5)}
    return demo.Scene(pair, "focus", flat(0), fused, {"map": flat(7)})


def test_every_kind_of_pair_has_shipped_weights():
    assert set(SHIPPED) == {"focus", "exposure"}
    assert set(SHIPPED.values()) <= set(pretrained_names())


def test_the_verdict_compares_this_run_with_all_others(scene):
    """PSNR falls by 20 dB where the error is ten times as large."""
    assert demo._verdict(scene) == (
        "PSNR of this run on cup_focus: 34.2 dB; +6.0 dB against source a, "
        "+26.0 dB against source b, -4.4 dB against the average of the sources, "
        "-14.0 dB against the shipped weights. So short a run has not learned which "
        "source is sharp: the average of the sources, which chooses nothing, is not "
        "beaten."
    )
    scene.fused["this run"][:] = 2
    assert demo._verdict(scene).endswith(
        "It is ahead of the average of the sources, which chooses nothing."
    )


def test_a_scene_shows_sources_all_that_was_fused_and_the_photograph(scene):
    section = demo._section(scene)
    assert section.heading == "cup, focus"
    assert "--task=mfif" in section.paragraphs[0]
    assert section.paragraphs[1] == (
        "PSNR of the luminance to the photograph: source a 28.1 dB, source b 8.1 dB, "
        "the average of the sources 38.6 dB, the shipped weights 48.1 dB, this run "
        "34.2 dB."
    )
    assert list(section.pictures) == [
        "Source a, near",
        "Source b, far",
        "Fused: the average of the sources",
        "Fused: the shipped weights",
        "Fused: this run",
        "The photograph that both were made from",
        "map",
    ]
    assert [int(x[0, 0]) for x in section.pictures.values()] == [10, 100, 3, 1, 5, 0, 7]


def test_exposures_have_no_figures(scene):
    section = demo._section(scene._replace(kind="exposure"))
    assert "--task=meif" in section.paragraphs[0]
    assert section.paragraphs[1].startswith("No figures: the photograph is one of many")
    assert list(section.pictures)[:2] == ["Source a, dark", "Source b, bright"]
