import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFilter

from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.inference import fuse, fuse_pictures
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.refusion.nets import networks
from refusion_jax.weights.store import load_model, save_weights

AS_IT_IS = Rules(output_range="none")
HEIGHT, WIDTH = 11, 9
RNG = np.random.default_rng(0)
GREY_A, GREY_B = RNG.integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
RGB_A, RGB_B = RNG.integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def mean_of_luminances(hand_model):
    """In place of a network: expected pictures can be computed by hand."""
    return hand_model()


def luminance(picture):
    picture = np.asarray(picture, np.float64)
    return picture if picture.ndim == 2 else picture @ [0.299, 0.587, 0.114]


def stretched_mean(picture_a, picture_b):
    """0..255, before rounding."""
    mean = (luminance(picture_a) + luminance(picture_b)) / 2
    return 255 * (mean - mean.min()) / (mean.max() - mean.min())


def chroma_offset(rgb):
    """Cb and Cr around zero, 0..255 scale."""
    rgb = np.asarray(rgb, np.float64)
    difference = rgb - luminance(rgb)[..., None]
    return np.stack([difference[..., 2] / 1.772, difference[..., 0] / 1.402], axis=-1)


def coloured(y, offset):
    blue, red = 1.772 * offset[..., 0], 1.402 * offset[..., 1]
    green = -(0.299 * red + 0.114 * blue) / 0.587
    return np.clip(y[..., None] + np.stack([red, green, blue], axis=-1), 0, 255)


def assert_rounded(picture, expected):
    """Equal to the expected picture, half-levels may round either way."""
    assert picture.dtype == np.uint8
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).max() < 0.5 + 1e-3


def test_two_grey_pictures_give_a_stretched_grey_picture(mean_of_luminances):
    fused = fuse(GREY_A, GREY_B, weights=mean_of_luminances)
    assert_rounded(fused, stretched_mean(GREY_A, GREY_B))
    assert (fused.min(), fused.max()) == (0, 255)


@pytest.mark.parametrize("grey", [GREY_A[..., None], np.dstack([GREY_A] * 3)])
def test_grey_is_grey_in_any_shape(mean_of_luminances, grey):
    expected = fuse(GREY_A, GREY_B, weights=mean_of_luminances)
    for pair in ((grey, GREY_B), (grey, np.dstack([GREY_B] * 3))):
        np.testing.assert_array_equal(fuse(*pair, weights=mean_of_luminances), expected)


@pytest.mark.parametrize(
    ("source_a", "source_b", "colour"),
    [(GREY_A, RGB_B, RGB_B), (RGB_A, np.dstack([GREY_B] * 3), RGB_A)],
)
def test_one_coloured_source_lends_its_chroma(
    mean_of_luminances, source_a, source_b, colour
):
    fused = fuse(source_a, source_b, weights=mean_of_luminances)
    expected = coloured(stretched_mean(source_a, source_b), chroma_offset(colour))
    assert_rounded(fused, expected)


def test_the_chroma_of_two_coloured_sources_is_fused_by_equation_15(mean_of_luminances):
    fused = fuse(RGB_A, RGB_B, weights=mean_of_luminances)
    a, b = chroma_offset(RGB_A), chroma_offset(RGB_B)
    offset = (a * abs(a) + b * abs(b)) / (abs(a) + abs(b))
    assert_rounded(fused, coloured(stretched_mean(RGB_A, RGB_B), offset))


def test_pixels_that_are_grey_in_both_coloured_sources_stay_grey(mean_of_luminances):
    a, b = RGB_A.copy(), RGB_B.copy()
    a[3:6], b[3:6] = GREY_A[3:6, :, None], GREY_B[3:6, :, None]
    fused = fuse(a, b, weights=mean_of_luminances)
    assert np.ptp(fused[3:6], axis=-1).max() == 0
    assert np.ptp(fused, axis=-1).max() > 0


def test_a_constant_fused_picture_is_not_stretched(mean_of_luminances):
    grey = np.full((4, 4), 100, np.uint8)
    np.testing.assert_array_equal(fuse(grey, grey, weights=mean_of_luminances), grey)


def test_colours_are_clipped_to_the_range_of_a_picture(mean_of_luminances):
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[..., 2] = 255
    blue[0] = 0
    picture = fuse_pictures(mean_of_luminances, np.float32(blue) / 255, np.eye(2))
    assert picture.min() == 0 and picture.max() == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
def test_floats_stand_for_the_same_picture(mean_of_luminances, dtype, convert):
    levels = np.array([[0, 51], [102, 255]], np.uint8)
    expected = fuse(levels, levels.T, weights=mean_of_luminances)
    floats = convert((levels / 255).astype(np.float32)).astype(
        dtype if convert is np.asarray else jnp.float32
    )
    fused = fuse(floats, floats.T, weights=mean_of_luminances)
    np.testing.assert_array_equal(fused, expected)


def test_the_network_sees_the_unrounded_luminance_of_a_and_of_b(params):
    seen_a, seen_b = (luminance(x)[..., None] / 255 for x in (RGB_A, GREY_B))
    raw = jax.jit(networks.fuse)(
        params,
        jnp.asarray(seen_a, jnp.float32)[None],
        jnp.asarray(seen_b, jnp.float32)[None],
    )
    y = raw[0, ..., 0]
    y = 255 * (y - y.min()) / (y.max() - y.min())
    fused = fuse(RGB_A, GREY_B, weights=params)
    # The stretch amplifies float32 rounding on this untrained network's flat output.
    expected = coloured(np.asarray(y, np.float64), chroma_offset(RGB_A))
    assert np.abs(fused - expected).max() < 0.55


def test_unknown_precisions_are_refused(params):
    message = "expected precision to be one of float32, tf32, bfloat16, got 'half'"
    for call in (
        lambda: unchecked(fuse)(GREY_A, GREY_B, weights=params, precision="half"),
        lambda: unchecked(Fuser.__init__)(
            object.__new__(Fuser), params, precision="half"
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_files_and_weight_files_are_read(tmp_path, params):
    Image.fromarray(GREY_A).save(tmp_path / "a.png")
    Image.fromarray(RGB_B).save(tmp_path / "b.png")
    save_weights(tmp_path / "weights.safetensors", {"fusion": params})
    expected = fuse(GREY_A, RGB_B, weights=params)
    for weights in (tmp_path, str(tmp_path / "weights.safetensors")):
        fused = fuse(str(tmp_path / "a.png"), tmp_path / "b.png", weights=weights)
        np.testing.assert_array_equal(fused, expected)


def test_the_package_offers_fuse_at_its_front_door():
    import refusion_jax

    assert refusion_jax.fuse is fuse


def unchecked(function):
    """Without the annotations that tests check: users have no such check."""
    return inspect.unwrap(function)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([[0.0, 1.0]], "expected a path, an array or an image, got list"),
        (None, "got NoneType"),
        (np.zeros((4, 4, 5), np.uint8), r"got \(4, 4, 5\)"),
        (
            np.zeros((1, 4, 4, 3), np.uint8),
            r"got \(1, 4, 4, 3\); Fuser.fuse_batch takes batches",
        ),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        (np.zeros((0, 4), np.uint8), r"got \(0, 4\)"),
        (np.zeros((4, 4), np.int32), "expected uint8, uint16 .* got int32"),
        (np.zeros((4, 4), bool), "got bool"),
        (np.full((4, 4), 255.0), r"got 255\.0 to 255\.0; divide it by 255"),
        (np.full((4, 4), -0.1), r"got -0\.1 to -0\.1; rescale it"),
        (np.full((4, 4), np.nan), "got 16 values that are NaN or inf.*; fill them"),
    ],
    ids=repr,
)
def test_sources_that_are_no_pictures_are_refused(mean_of_luminances, source, message):
    good = np.zeros((4, 4), np.uint8)
    for pair in ((source, good), (good, source)):
        with pytest.raises(ValueError, match=message):
            unchecked(fuse)(*pair, weights=mean_of_luminances)


def test_two_sizes_are_told(mean_of_luminances):
    with pytest.raises(
        ValueError, match="source 1 of 9x11 and source 2 of 11x9 pixels; crop"
    ):
        fuse(GREY_A, GREY_B.T, weights=mean_of_luminances)


@pytest.mark.parametrize("weights", [{}, {"fusion": {}}, [1]])
def test_weights_of_another_kind_are_refused(weights):
    with pytest.raises(ValueError, match="parameters of the fusion network, got"):
        unchecked(fuse)(GREY_A, GREY_B, weights=weights)


def test_a_fused_picture_that_is_not_finite_is_refused(hand_model):
    with pytest.raises(ValueError, match="got NaN; check the weights"):
        fuse(GREY_A, GREY_B, weights=hand_model(lambda a, b: a / 0 * 0))


# More than two, other rules


def weight_of_each(count, weights):
    """How much each of `count` sources weighs in the tree, if F takes the mean."""
    levels = np.eye(count, dtype=np.float32).reshape(count, 1, count)
    fused = fuse_pictures(weights, *levels, rules=AS_IT_IS)
    return fused[0].tolist()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, [1 / 2, 1 / 2]),
        (3, [1 / 4, 1 / 4, 1 / 2]),
        (4, [1 / 4] * 4),
        (5, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4]),
        (7, [1 / 8] * 6 + [1 / 4]),
        (8, [1 / 8] * 8),
    ],
)
def test_sources_of_a_stack_weigh_alike_up_to_a_factor_of_two(
    mean_of_luminances, count, expected
):
    assert weight_of_each(count, mean_of_luminances) == expected


def test_a_stack_is_fused_first_half_and_second_half_in_order(hand_model):
    def note(a, b):
        calls.append((float(a[0, 0, 0]), float(b[0, 0, 0])))
        return a / 2 + b / 4

    calls = []
    stack = [np.full((2, 2), level, np.float32) for level in (0.25, 0.5, 1, 0.125)]
    fuse_pictures(hand_model(note), *stack, rules=AS_IT_IS)
    assert calls == [(0.25, 0.5), (1, 0.125), (0.25, 0.53125)]


def test_the_chroma_of_all_coloured_sources_is_fused_by_equation_15(mean_of_luminances):
    third = RGB_A[::-1]
    fused = fuse(RGB_A, GREY_A, RGB_B, third, weights=mean_of_luminances)
    chromas = [chroma_offset(x) for x in (RGB_A, RGB_B, third)]
    offset = sum(c * abs(c) for c in chromas) / sum(abs(c) for c in chromas)
    mean = np.mean([luminance(x) for x in (RGB_A, GREY_A, RGB_B, third)], axis=0)
    y = 255 * (mean - mean.min()) / np.ptp(mean)
    assert_rounded(fused, coloured(y, offset))


@pytest.mark.parametrize("rule", ["none", "source"])
def test_the_range_rule_comes_before_the_colour(mean_of_luminances, rule):
    fused = fuse(GREY_A, RGB_B, weights=mean_of_luminances, output_range=rule)
    y = (luminance(GREY_A) + luminance(RGB_B)) / 2  # within the sources' range
    assert_rounded(fused, coloured(y, chroma_offset(RGB_B)))


def test_16_bit_grey_gives_16_bits(mean_of_luminances):
    deep = RNG.integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
    fused = fuse(deep, GREY_B, weights=mean_of_luminances, output_range="none")
    assert fused.dtype == np.uint16
    # float32 luminance: a 16-bit level is exact to a hundredth of itself.
    assert np.abs(fused - (deep + 257.0 * GREY_B) / 2).max() < 0.52
    assert fuse(deep, RGB_B, weights=mean_of_luminances).dtype == np.uint8


def test_levels_bound_16_bit_grey(mean_of_luminances):
    deep = RNG.integers(28000, 33000, (HEIGHT, WIDTH), np.uint16)
    rules = {"levels": "29000:31000", "output_range": "none"}
    fused = fuse(deep, GREY_B, weights=mean_of_luminances, **rules)
    expected = (np.clip((deep - 29000.0) / 2000, 0, 1) + GREY_B / 255) / 2
    assert np.abs(fused / 65535 - expected).max() < 1e-5


def edge_effects(a, b, *_):
    """What a network makes of black: its borders."""
    frame = jnp.full(a.shape, 0.2).at[1:-1, 1:-1].set(0.1)
    return frame + (a + b) / 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("share", [0, 0.3, 1])
@pytest.mark.parametrize("count", [2, 3])
def test_sources_of_one_level_give_that_level(hand_model, dtype, share, count):
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    flat = np.full((HEIGHT, WIDTH), round(share * 255) * white / 255).astype(dtype)
    fused = fuse(*[flat] * count, weights=hand_model(edge_effects))
    expected = round(share * 255) * np.iinfo(fused.dtype).max / 255
    np.testing.assert_array_equal(fused, np.full((HEIGHT, WIDTH), round(expected)))


def test_one_colour_gives_that_colour(hand_model):
    red = np.broadcast_to(np.uint8([200, 40, 40]), (HEIGHT, WIDTH, 3))
    fused = fuse(red, red, weights=hand_model(edge_effects))
    assert np.abs(fused.astype(int) - red).max() <= 1


def test_a_pixel_of_one_level_does_not_become_white(hand_model):
    black = np.zeros((HEIGHT, WIDTH), np.uint8)
    speck = black.copy()
    speck[5, 4] = 1
    fused = fuse(speck, black, weights=hand_model(edge_effects))
    assert fused.max() <= 1


def test_crop_keeps_the_middle_of_the_common_size(mean_of_luminances):
    wide = RNG.integers(0, 256, (HEIGHT - 4, WIDTH + 6, 3), np.uint8)
    fused = fuse(GREY_A, wide, weights=mean_of_luminances, align="crop")
    cut = GREY_A[2:-2], wide[:, 3:-3]
    np.testing.assert_array_equal(fused, fuse(*cut, weights=mean_of_luminances))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resize_scales_to_the_first_source(mean_of_luminances, dtype):
    """Against Pillow, which resizes floats without rounding."""
    small = RNG.random((5, 4))
    maximum = 1 if dtype == np.float32 else np.iinfo(dtype).max
    small = (small * maximum).astype(dtype)
    rules = {"align": "resize", "output_range": "none"}
    fused = fuse(GREY_A, small, weights=mean_of_luminances, **rules)
    image = Image.fromarray((small / maximum).astype(np.float32))
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    expected = (GREY_A / 255 + np.clip(np.asarray(image), 0, 1)) / 2
    step = 1 / np.iinfo(fused.dtype).max
    assert np.abs(fused * step - expected).max() < 0.51 * step


def test_less_than_two_sources_are_refused(mean_of_luminances):
    with pytest.raises(ValueError, match="expected two sources or more, got 1"):
        fuse_pictures(mean_of_luminances, np.float32(GREY_A))


def test_names_of_files_are_in_the_message_of_two_sizes(tmp_path, mean_of_luminances):
    Image.fromarray(GREY_A).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png of 9x11 and source 3 of 11x9"):
        fuse(tmp_path / "a.png", GREY_A, GREY_A.T, weights=mean_of_luminances)


def test_the_order_of_a_stack_matters_little_and_less_than_one_after_the_other(shared):
    """Four slices of focus of a real scene, under the authors' weights."""
    model = load_model(shared("official", "ivif", "ReFusion_IVIF.pth"))
    with Image.open(shared("official", "ivif", "visible", "00906N.png")) as image:
        scene = image.convert("L").resize((64, 48))
    blurred = np.asarray(scene.filter(ImageFilter.GaussianBlur(3)), np.float32) / 255
    stack = [blurred.copy() for _ in range(4)]
    for i, picture in enumerate(stack):
        slice_in_focus = np.s_[:, 16 * i : 16 * (i + 1)]
        picture[slice_in_focus] = np.float32(scene)[slice_in_focus] / 255

    def one_after_the_other(model, *pictures, rules):
        return functools.reduce(
            lambda a, b: fuse_pictures(model, a, b, rules=rules), pictures
        )

    def deviation(fuse):
        orders = [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)]
        fused = [
            fuse(model, *(stack[i] for i in order), rules=AS_IT_IS) for order in orders
        ]
        return 255 * np.abs(np.stack(fused[1:]) - fused[0]).mean()

    assert deviation(fuse_pictures) < 3
    assert deviation(fuse_pictures) < deviation(one_after_the_other)
