import numpy as np
import pytest
from PIL import Image

from refusion_jax.fusing.loss_maps import maps_of, write_maps
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.panel import GAP, LABEL_HEIGHT

W_A = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
MAPS = {"w_a": W_A, "w_b": 1 - W_A, "v_a": W_A.T.reshape(5, 6), "v_b": W_A * 0}


def test_maps_are_written_as_arrays_pictures_and_a_panel(tmp_path):
    fused = np.arange(30, dtype=np.uint16).reshape(5, 6) * 2000
    write_maps(tmp_path / "new" / "x.maps", MAPS, fused)
    folder = tmp_path / "new" / "x.maps"
    with np.load(folder / "maps.npz") as arrays:
        assert set(arrays) == set(MAPS)
        for name, values in MAPS.items():
            np.testing.assert_array_equal(arrays[name], values)
    for name, values in MAPS.items():
        with Image.open(folder / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), np.rint(255 * values))
    with Image.open(folder / "panel.png") as image:
        panel = np.asarray(image)
    top = GAP + 2 * (5 + LABEL_HEIGHT + GAP) + LABEL_HEIGHT
    np.testing.assert_array_equal(
        panel[top : top + 5, GAP : GAP + 6], color_map(MAPS["v_a"])
    )
    top = GAP + LABEL_HEIGHT
    expected = np.round(fused / 65535 * 255)[..., None].repeat(3, axis=-1)
    np.testing.assert_array_equal(panel[top : top + 5, GAP : GAP + 6], expected)


def test_maps_weigh_two_sources(hand_model):
    photographs = [Photograph(np.zeros((4, 4), np.uint8))] * 3
    with pytest.raises(ValueError, match="two sources for the maps, got 3"):
        maps_of(hand_model(), photographs, Rules())


def test_any_names_and_number_of_maps_are_written(tmp_path):
    fused = np.zeros((5, 6), np.uint8)
    maps = {"w_i": W_A, "w_v": 1 - W_A, "attention_2": W_A / 2}
    write_maps(tmp_path / "maps", maps, fused)
    assert {path.stem for path in (tmp_path / "maps").glob("*.png")} == {*maps, "panel"}
    with Image.open(tmp_path / "maps" / "panel.png") as image:
        panel = np.asarray(image)
    top = GAP + 2 * (5 + LABEL_HEIGHT + GAP) + LABEL_HEIGHT
    np.testing.assert_array_equal(
        panel[top : top + 5, GAP : GAP + 6], color_map(maps["attention_2"])
    )
