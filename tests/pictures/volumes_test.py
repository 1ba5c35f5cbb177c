"""An asymmetric phantom in every orientation: only headers say which way is left."""

import itertools
import locale

import numpy as np
import pytest

from refusion_jax.cli import main
from refusion_jax.fusing.volumes import fuse_volumes
from refusion_jax.pictures import volumes
from refusion_jax.pictures.volumes import is_volume, read_volume, window_of

sitk = pytest.importorskip(
    "SimpleITK", reason="SimpleITK is absent; pip install 'refusion-jax[medical]'"
)

SIZE = (9, 8, 7)  # x, y, z
SPACING, ORIGIN = (2.0, 3.0, 4.0), (-7.0, 5.0, 11.0)
# A corner block, a line and a dot: no turn or mirror of it is the same.
PHANTOM = np.zeros(SIZE[::-1], np.float32)
PHANTOM[1:3, 1:3, 1:4] = 100
PHANTOM[5, 2:7, 6] = 60
PHANTOM[3, 5, 2] = 30
PHANTOM += np.arange(SIZE[2], dtype=np.float32)[:, None, None]
SECOND = np.flip(PHANTOM, 1) * 0.5


def volume(values, orientation="LPS"):
    """The same voxels in the same places of the patient, stored in another order."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return sitk.DICOMOrient(image, orientation)


def written(path, values, orientation="LPS"):
    sitk.WriteImage(volume(values, orientation), str(path))
    return path


def in_patient(path):
    """Voxels in the order left, posterior, superior."""
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")), image


def shown(values, window):
    return np.clip((values - window[0]) / (window[1] - window[0]), 0, 1)


ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*axes)
]


@pytest.fixture
def mean(hand_model):
    return hand_model()


WINDOWS = ("50:100", "25:50")  # 0 to 100, 0 to 50


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_that_of_the_headers(tmp_path, mean, orientation):
    """All 48 for one source, against the other, stored as LPS; and back."""
    for kinds in ((orientation, "LPS"), ("LPS", orientation)):
        a = written(tmp_path / "a.nii.gz", PHANTOM, kinds[0])
        b = written(tmp_path / "b.nrrd", SECOND, kinds[1])
        made = fuse_volumes(mean, [a, b], tmp_path / "f.nii.gz", windows=WINDOWS)
        assert (made.fused, made.kept) == (SIZE[2], 0)
        fused, image = in_patient(tmp_path / "f.nii.gz")
        expected = (shown(PHANTOM, (0, 100)) + shown(SECOND, (0, 50))) / 2
        # Slices without an eighth of the scale are a mixture with their mean.
        rich = [i for i in range(SIZE[2]) if np.ptp(shown(PHANTOM[i], (0, 100))) > 0.2]
        assert len(rich) >= 3
        low, high = expected[rich].min(), expected[rich].max()
        expected = (expected - low) / (high - low)
        np.testing.assert_allclose(fused[rich] / 65535, expected[rich], atol=1e-4)
        like = sitk.ReadImage(str(b))
        np.testing.assert_allclose(image.GetOrigin(), like.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(image.GetSpacing(), like.GetSpacing(), atol=1e-4)
        np.testing.assert_allclose(image.GetDirection(), like.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_the_axis_of_the_slices_is_the_patients(tmp_path, hand_model, axis):
    sizes = set()

    def fuse(a, b):
        sizes.add(a.shape[:2])
        return (a + b) / 2

    a = written(tmp_path / "a.nii", PHANTOM, "SAR")
    b = written(tmp_path / "b.nii", SECOND, "IPR")
    fuse_volumes(hand_model(fuse), [a, b], tmp_path / "f.nii", axis=axis)
    x, y, z = SIZE
    assert sizes == {{"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[axis]}


def test_a_coarse_source_is_resampled_and_slices_it_lacks_are_kept(tmp_path, mean):
    """A ramp in the patient's space is the same ramp on any grid."""
    fine = sitk.Image(10, 10, 12, sitk.sitkFloat32)
    fine.SetSpacing((1, 1, 1))
    coarse = sitk.Image(5, 5, 3, sitk.sitkFloat32)
    coarse.SetSpacing((2.25, 2.25, 2))
    coarse.SetOrigin((0, 0, 3))
    for image in (fine, coarse):
        x = [
            image.TransformIndexToPhysicalPoint((i, 0, 0))[0]
            for i in range(image.GetSize()[0])
        ]
        shape = image.GetSize()[::-1]
        filled = sitk.GetImageFromArray(np.broadcast_to(np.float32(x), shape).copy())
        filled.CopyInformation(image)
        name = "fine" if image is fine else "coarse"
        sitk.WriteImage(filled, str(tmp_path / f"{name}.mha"))
    sources = [tmp_path / "coarse.mha", tmp_path / "fine.mha"]
    windows = ("4.5:9", "4.5:9")
    made = fuse_volumes(mean, sources, tmp_path / "f.mha", windows=windows)
    assert (made.fused, made.kept) == (6, 6)  # voxels around 3, 5 and 7 are 2 high
    fused, _ = in_patient(tmp_path / "f.mha")
    ramp = np.broadcast_to(np.arange(10) / 9, (12, 10, 10))
    np.testing.assert_allclose(fused / 65535, ramp, atol=1e-4)


def test_volumes_of_two_places_are_refused(tmp_path, mean):
    a = written(tmp_path / "a.nii", PHANTOM)
    far = volume(SECOND)
    far.SetOrigin((900.0, 0.0, 0.0))
    sitk.WriteImage(far, str(tmp_path / "b.nii"))
    with pytest.raises(ValueError, match=r"a\.nii and .*b\.nii, which do not overlap"):
        fuse_volumes(mean, [a, tmp_path / "b.nii"], tmp_path / "f.nii")
    assert not (tmp_path / "f.nii").exists()


def test_empty_slices_stay_empty_and_the_range_is_that_of_the_volume(
    tmp_path, hand_model
):
    def edges(a, b):
        return (a + b) / 4 + (0.2 if a.max() < 0.1 else 0.1)

    values = np.zeros((3, 6, 5), np.float32)
    values[1, 2, 2], values[2, 3, 3] = 50, 100
    a, b = (written(tmp_path / f"{x}.nii", values) for x in "ab")
    options = {"windows": ("50:100", "50:100")}
    fuse_volumes(hand_model(edges), [a, b], tmp_path / "f.nii", **options)
    fused, _ = in_patient(tmp_path / "f.nii")
    assert not fused[0].any()
    assert fused[1].max() == pytest.approx(65535 / 2, abs=1)
    assert fused[2].max() == 65535


def test_a_palette_colours_the_first_source(tmp_path, mean):
    a = written(tmp_path / "a.nii", PHANTOM, "RAI")
    b = written(tmp_path / "b.nii", SECOND, "SPL")
    fuse_volumes(mean, [a, b], tmp_path / "f.nii", windows=WINDOWS, palette="hot")
    image = sitk.ReadImage(str(tmp_path / "f.nii"))
    assert image.GetNumberOfComponentsPerPixel() == 3
    red, green, blue = (
        sitk.GetArrayFromImage(
            sitk.DICOMOrient(sitk.VectorIndexSelectionCast(image, i), "LPS")
        ).astype(int)
        for i in range(3)
    )
    dot = np.s_[3, 5, 2]  # a third of the scale, which is red
    assert red[dot] > max(green[dot], blue[dot]) + 50
    assert np.abs(red - blue)[0, 0, 0] <= 2  # black has no colour


def channels_of(path):
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")).astype(int)


@pytest.mark.parametrize("axis", ["axial", "sagittal"])
def test_what_the_first_source_does_not_show_stays_grey(tmp_path, mean, axis):
    """The first has half of the rows; the second is bright tissue everywhere."""
    a = sitk.GetImageFromArray(PHANTOM[:, :4])
    a.CopyInformation(volume(PHANTOM)[:, :4, :])
    sitk.WriteImage(a, str(tmp_path / "a.nii"))
    b = written(tmp_path / "b.nii", np.full_like(PHANTOM, 40) + PHANTOM / 20)
    options = {"windows": ("50:100", "25:50"), "palette": "hot", "axis": axis}
    fuse_volumes(mean, [tmp_path / "a.nii", b], tmp_path / "f.nii", **options)
    colours = channels_of(tmp_path / "f.nii")
    spread = np.ptp(colours, axis=-1)
    assert spread[:, 4:].max() == 0
    assert colours[:, 4:].min() > 50  # tissue, which the palette would make red
    assert spread[:, :4].max() > 50


SIGNED_16_BITS = {
    "0028|0100": "16",
    "0028|0101": "16",
    "0028|0102": "15",
    "0028|0103": "1",
}
TURNED = (1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8)


def series(
    folder,
    values,
    window=None,
    uid="1.2.3.4",
    places=None,
    turned=False,
    slopes=None,
    coloured=(),
):
    """A DICOM series, slice by slice, last one first; places are in slices.

    Each slope is what a step of the stored 16 bits is worth.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    folder.mkdir(exist_ok=True)
    kind = sitk.sitkFloat64 if slopes else sitk.sitkInt16
    image = sitk.Cast(volume(values), kind)
    if turned:
        image.SetDirection(TURNED)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    directions = np.reshape(image.GetDirection(), (3, 3)).T.ravel()[:6]
    for number in range(image.GetSize()[2])[::-1]:
        part = image[:, :, number]
        if number in coloured:
            part = sitk.Compose(*[sitk.Cast(part, sitk.sitkUInt8)] * 3)
        at = number if places is None else places[number]
        place = image.TransformContinuousIndexToPhysicalPoint((0, 0, at))
        tags = {
            "0020|000e": uid,
            "0008|0018": f"{uid}.{number}",
            "0020|0013": str(number),
            "0020|0037": "\\".join(f"{x:g}" for x in directions),
            "0020|0032": "\\".join(f"{x:g}" for x in place),
            "0008|0060": "MR",
        }
        if window is not None:
            tags |= {"0028|1050": str(window[0]), "0028|1051": str(window[1])}
        if slopes is not None:
            tags |= SIGNED_16_BITS | {"0028|1052": "0"}
            tags |= {"0028|1053": str(slopes[number])}
        for key, value in tags.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}_{9 - number}.dcm"))
        writer.Execute(part)
    # The writer leaves the process in the locale C, where text files are ASCII.
    locale.setlocale(locale.LC_CTYPE, before)
    return folder


def test_a_dicom_series_that_is_too_large_is_refused(tmp_path, monkeypatch):
    folder = series(tmp_path / "scan", PHANTOM)
    monkeypatch.setattr(volumes, "_MOST_VOXELS", PHANTOM.size - 1)
    with pytest.raises(ValueError, match=r"moderate size, got .* voxels; crop it"):
        read_volume(folder)


def test_two_dicom_series_in_one_folder_are_refused(tmp_path):
    folder = series(tmp_path / "scan", PHANTOM)
    series(folder, PHANTOM, uid="1.2.3.5")
    with pytest.raises(ValueError, match=r"expected one DICOM series in .*scan, got 2"):
        read_volume(folder)


def test_a_dicom_series_lies_where_its_headers_say_and_has_its_window(tmp_path):
    folder = series(tmp_path / "scan", PHANTOM, window=(40, 80))
    assert is_volume(folder)
    read = read_volume(folder)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(sitk.DICOMOrient(read.image, "LPS")), PHANTOM
    )
    np.testing.assert_allclose(read.image.GetOrigin(), ORIGIN)
    np.testing.assert_allclose(read.image.GetSpacing(), SPACING)
    assert window_of(read, "auto") == (0, 80)
    assert window_of(read, "10:4") == (8, 12)
    assert window_of(read, "min-max") == (PHANTOM.min(), PHANTOM.max())


@pytest.mark.parametrize(
    "slopes",
    [
        (1, 0.5, 0.25, 1.5, 1, 2, 0.125),
        (1, 1000, 1, 1, 1, 1, 1),
        (0.5, 1, 1, 1, 1, 1, 1),
        (1,) * 7,
    ],
    ids=["fractions later", "32 bits later", "a fraction first", "all alike"],
)
def test_every_slice_has_a_slope_of_its_own(tmp_path, slopes):
    values = np.rint(PHANTOM) * np.reshape(slopes, (7, 1, 1))
    folder = series(tmp_path / "scan", values, slopes=slopes)
    read = sitk.GetArrayFromImage(read_volume(folder).image)
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("coloured", [{3}, set(range(7))])
def test_a_series_with_colour_is_refused(tmp_path, coloured):
    folder = series(tmp_path / "scan", PHANTOM, coloured=coloured)
    with pytest.raises(ValueError, match="more than one value a voxel"):
        read_volume(folder)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("places", "message"),
    [
        (
            (0, 1, 3, 4, 5, 6, 7),
            r"got 8 mm from .*_8\.dcm to .*_7\.dcm and 4\.667 mm on",
        ),
        ((0, 1, 2, 3, 4, 5, 6.5), r"got 6 mm from "),
        ((0, 1, 2, 2, 3, 4, 5), r"got 0 mm from "),
        ((0,) * 7, r"got 0 mm from .* and 0 mm on average; add the missing slices or"),
    ],
    ids=["a slice is missing", "one is apart", "one is double", "all are at one place"],
)
def test_slices_at_unequal_distances_are_refused(tmp_path, places, message, turned):
    folder = series(tmp_path / "scan", PHANTOM, places=places, turned=turned)
    with pytest.raises(ValueError, match=r"equal distances in .*scan, " + message):
        read_volume(folder)


def test_slices_of_a_tilted_gantry_are_refused(tmp_path):
    folder = series(tmp_path / "scan", PHANTOM)
    for file in folder.iterdir():
        header = sitk.ImageFileReader()
        header.SetFileName(str(file))
        header.ReadImageInformation()
        x, y, z = map(float, header.GetMetaData("0020|0032").split("\\"))
        place = f"{x:g}\\{y + z / 10:g}\\{z:g}".encode()
        content = with_element(file.read_bytes(), b"\x20\0\x32\0", place)
        file.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"above each other in .*scan, .* tilted gantry"
    ):
        read_volume(folder)


@pytest.mark.parametrize(
    "places",
    [range(7), range(7)[::-1], (0, 1, 2.02, 3.05, 3.96, 5, 6)],
    ids=["forth", "back", "rounded to 0.1 mm"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_slices_at_equal_distances_are_read(tmp_path, places, turned):
    folder = series(tmp_path / "scan", PHANTOM, places=places, turned=turned)
    image = read_volume(folder).image
    np.testing.assert_allclose(image.GetSpacing(), SPACING, rtol=1e-3)
    direction = TURNED if turned else (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_allclose(image.GetDirection(), direction, atol=1e-6)
    order = list(np.argsort(places))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), PHANTOM[order])


def with_element(content, tag, text):
    """A DICOM file with another text in one of its elements, which store no kinds."""
    start = content.index(tag) + 4
    end = start + 4 + int.from_bytes(content[start : start + 4], "little")
    text += b" " * (len(text) % 2)
    return content[:start] + len(text).to_bytes(4, "little") + text + content[end:]


@pytest.mark.parametrize("tag", [b"\x20\0\x32\0", b"\x20\0\x37\0"])
@pytest.mark.parametrize("text", [b"", b"0", b"a\\b\\c"])
def test_slices_that_do_not_say_where_they_are_are_read(tmp_path, tag, text):
    folder = series(tmp_path / "scan", PHANTOM, places=(0, 1, 3, 4, 5, 6, 7))
    for file in folder.iterdir():
        file.write_bytes(with_element(file.read_bytes(), tag, text))
    assert read_volume(folder).image.GetSize() == SIZE


@pytest.mark.parametrize("rule", ["wide", "5:0", "5:-1", "1:2:3"])
def test_an_unknown_window_lists_the_windows(tmp_path, rule):
    read = read_volume(written(tmp_path / "a.nii", PHANTOM))
    with pytest.raises(ValueError, match=r"auto, min-max, percentile, or CENTRE:WIDTH"):
        window_of(read, rule)


def test_what_is_no_volume_is_one_sentence(tmp_path):
    (tmp_path / "x.nii").write_bytes(b"no volume" * 60)
    flat = sitk.GetImageFromArray(np.zeros((4, 5), np.float32))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    colours = sitk.GetImageFromArray(np.zeros((2, 4, 5, 3), np.uint8), isVector=True)
    sitk.WriteImage(colours, str(tmp_path / "rgb.mha"))
    hole = PHANTOM.copy()
    hole[0, 0, 0] = np.nan
    written(tmp_path / "nan.mha", hole)
    for name, reason in (
        ("x.nii", r"x\.nii \("),
        ("flat.nrrd", "2 dimensions"),
        ("rgb.mha", "more than one value"),
        ("nan.mha", "NaN"),
    ):
        with pytest.raises(ValueError, match=reason) as error:
            read_volume(tmp_path / name)
        assert "\n" not in str(error.value)


def test_the_command_fuses_volumes_and_names_the_extra(
    tmp_path, params, capsys, monkeypatch
):
    from refusion_jax.methods.refusion import forward
    from refusion_jax.weights.store import save_weights

    def half(params, a, b, **_):
        return (a + b) / 2

    monkeypatch.setattr(forward, "fuse_luminance", half)
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "w.safetensors", {"fusion": params})
    written(tmp_path / "a.nii.gz", PHANTOM)
    written(tmp_path / "b.nii.gz", SECOND)
    command = ["fuse", "a.nii.gz", "b.nii.gz", "--weights", "w.safetensors", "-o"]
    assert main([*command, "f.nii.gz"]) == 0
    assert capsys.readouterr().out == "f.nii.gz 9x8x7, 7 slices fused\n"
    assert main([*command, "f.png"]) == 2
    assert "a volume's name ending in one of .nii" in capsys.readouterr().err
    for option in (
        "--range=none",
        "--fast",
        "--precision=bfloat16",
        "--align=resize",
        "--levels=0:1",
        "--pair=order",
        "--max-pixels=9",
    ):
        assert main([*command, "h.nii.gz", option]) == 2
        err = capsys.readouterr().err
        assert f"expected pictures with {option.partition('=')[0]}" in err
        assert err.count("\n") == 1 and not (tmp_path / "h.nii.gz").exists()

    def missing(*_, **__):
        raise ImportError("expected it; install it with pip install 'x[medical]'.")

    monkeypatch.setattr(volumes, "require", missing)
    assert main([*command, "g.nii.gz"]) == 2
    assert "x[medical]" in capsys.readouterr().err
