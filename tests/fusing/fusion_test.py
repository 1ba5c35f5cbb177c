import io
import json

import numpy as np
import pytest
from PIL import Image

from refusion_jax import Fuser, Fusion
from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing.provenance import is_same_way, provenance_of, with_sources
from refusion_jax.fusing.rules import Rules
from refusion_jax.pictures.photographs import Photograph, origin_of, read_photograph
from refusion_jax.weights.store import save_weights

RNG = np.random.default_rng(0)
GREY_A, GREY_B = RNG.integers(0, 256, (2, 6, 8), np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)
MAPS = {"w_a": np.full((6, 8), 0.25, np.float32)}


@pytest.fixture
def fuser(hand_model):
    return Fuser(hand_model(maps=lambda a, b: MAPS), output_range="none")


def test_a_call_gives_the_picture_that_fuse_gives(fuser):
    fusion = fuser(GREY_A, RGB)
    np.testing.assert_array_equal(fusion.image, fuser.fuse(GREY_A, RGB))
    np.testing.assert_array_equal(np.asarray(fusion), fusion.image)
    assert fusion.maps is fusion.maps and fusion.maps == MAPS
    assert fusion.registration == ()
    assert repr(fusion) == "Fusion(8 x 6, colour of 8 bits, by by hand)"


def test_a_notebook_sees_the_picture(fuser):
    deep = GREY_A.astype(np.uint16) * 257
    for fusion in (fuser(GREY_A, RGB), fuser(deep, GREY_B)):
        with Image.open(io.BytesIO(fusion._repr_png_())) as image:
            np.testing.assert_array_equal(np.asarray(image), fusion.image)
        assert 'src="data:image/png;base64,iVBOR' in fusion._repr_html_()


def test_images_of_two_alphas_are_shown_in_8_bits():
    pixels = np.full((2, 3, 3), 65535, np.uint16)
    alpha = np.full((2, 3), 257, np.uint16)
    fusion = Fusion(Photograph(pixels, alpha), provenance={}, make_maps=dict)
    assert np.asarray(fusion.to_pil()).tolist() == [[[255, 255, 255, 1]] * 3] * 2


def test_without_maps_the_reason_is_told(hand_model):
    fuser = Fuser(hand_model())
    assert not fuser.has_maps
    with pytest.raises(ValueError, match="expected weights with maps"):
        fuser(GREY_A, GREY_B).maps  # noqa: B018


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("picture", [RGB, GREY_A, RGB.astype(np.uint16) * 99])
def test_a_file_tells_how_it_was_made_and_keeps_its_pixels(
    fuser, tmp_path, ending, picture
):
    fusion = fuser(Photograph(picture, name="/home/me/a.png"), GREY_B)
    path = tmp_path / f"x.{ending}"
    if ending in ("jpg", "webp") and picture.dtype == np.uint16:
        pytest.skip("8 bits only, which a warning says")
    fusion.save(path)
    told = json.loads(origin_of(path))
    assert told == json.loads(json.dumps(fusion.provenance))
    assert told["sources"] == ["a.png", "source 2"]
    assert told["options"]["output_range"] == "none"
    if ending != "jpg":
        # WebP has no grey: any channel will do.
        for read, made in ((read_photograph(path).pixels, fusion.image),):
            np.testing.assert_array_equal(
                np.atleast_3d(read)[..., 0], np.atleast_3d(made)[..., 0]
            )


def test_tags_of_the_source_stay_beside_the_origin(fuser, tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0131] = "Maker", "Camera 1.0"
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    for ending in ("png", "jpg", "tif", "webp"):
        fuser.fuse_file(tmp_path / f"x.{ending}", tmp_path / "a.png", GREY_B)
        with Image.open(tmp_path / f"x.{ending}") as image:
            tags = image.getexif()
        assert (tags[0x010F], tags[0x0131]) == ("Maker", "Camera 1.0")
        assert origin_of(tmp_path / f"x.{ending}").startswith("{")
    # What is fused again has its own origin, not that of its source.
    assert fuser(tmp_path / "x.png", GREY_B).photograph.exif is not None
    with Image.open(tmp_path / "a.png"):
        assert origin_of(tmp_path / "a.png") is None


def test_weights_and_options_decide_whether_two_ways_are_the_same(
    params, hand_model, tmp_path
):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"fusion": params})
    model = hand_model()
    record = provenance_of(path, model, Rules())
    assert record["weights_sha256"] == sha256_of(path)
    assert record["weights"] == "w.safetensors"
    text = json.dumps({**record, "software": "refusion-jax 0.0.1", "sources": ["x"]})
    assert is_same_way(text, record) is True
    assert is_same_way(text, with_sources(record, ["a/x"])) is True
    assert is_same_way(text, with_sources(record, ["a/x", "b/x"])) is False
    assert is_same_way(json.dumps(record), with_sources(record, ["x"])) is True
    assert is_same_way(text, provenance_of(path, model, Rules(align="crop"))) is False
    assert is_same_way(text, provenance_of(None, model, Rules())) is False
    assert is_same_way(text, provenance_of(path, model, Rules(), is_fast=True)) is False
    for other in (None, "", "{", "[1]", "GIMP 2.10", '{"a": 1}'):
        assert is_same_way(other, record) is None


def test_a_fuser_names_its_weights(params, tmp_path, hand_model):
    path = tmp_path / "ours.safetensors"
    save_weights(path, {"fusion": params})
    text = repr(Fuser(path))
    assert text.startswith("Fuser('ours', 59,856 parameters, without maps, ")
    assert text.endswith("range=stretch, on cpu x2)")
    of_maps = repr(Fuser(hand_model(maps=dict)))
    assert of_maps.startswith("Fuser('weights', 0 parameters, with maps, ")


def test_batches_are_fused_picture_by_picture(fuser):
    batch_a, batch_b = RNG.integers(0, 256, (2, 3, 6, 8), np.uint8)
    made = fuser.fuse_batch(batch_a, batch_b)
    for i in range(3):
        np.testing.assert_array_equal(made[i], fuser.fuse(batch_a[i], batch_b[i]))
    colour = np.stack([batch_a] * 3, axis=-1)
    colour[1, ..., 0] = 0  # one of three is coloured
    assert fuser.fuse_batch(colour, batch_b).shape == (3, 6, 8, 3)
    with pytest.raises(ValueError, match=r"equally many pictures.*\(3, 6, 8\) and"):
        fuser.fuse_batch(batch_a, batch_b[:2])
    with pytest.raises(ValueError, match="equally many pictures"):
        fuser.fuse_batch(GREY_A, GREY_B)


def test_pictures_of_two_depths_in_a_batch_are_equally_bright(fuser):
    """Grey is as deep as the thermal source, colour as the visible one."""
    deep = np.full((2, 6, 8), 0x8080, np.uint16)
    visible = np.full((2, 6, 8, 3), 0x80, np.uint8)
    visible[1, ..., 0] = 0x90
    alone = [fuser.fuse(deep[i], visible[i]) for i in range(2)]
    assert [x.dtype for x in alone] == [np.uint16, np.uint8]
    grey, coloured = fuser.fuse_batch(deep, visible)
    assert grey.dtype == np.uint16
    np.testing.assert_array_equal(grey, np.full((6, 8, 3), 0x8080))
    np.testing.assert_array_equal(coloured, alone[1].astype(int) * 65535 // 255)
