"""Medical volumes: NIfTI, NRRD, MetaImage and DICOM series, by SimpleITK.

A volume is a grid in the patient's space: origin, spacing and direction say where each
voxel is, and only they say which way is left. Volumes are brought to one orientation
(left, posterior, superior), worked on there, and written back on the grid they had.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refusion_jax.extras import require
from refusion_jax.files.atomic import check_folder_of
from refusion_jax.pictures.formats.dicom import check_dicom, is_dicom
from refusion_jax.pictures.levels import numbers_of

READ_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITE_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha")
WINDOWS = ("auto", "min-max", "percentile")
# Array axis that slices are cut along, in a volume of the orientation LPS.
AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
_ORIENTATION = "LPS"
_MOST_VOXELS, _MOST_EXPANSION = 300_000_000, 1100
_CENTRE, _WIDTH = "0028|1050", "0028|1051"
_PLACE, _DIRECTIONS = "0020|0032", "0020|0037"
# As parts of their distance: what the reader may move a slice by, since positions are
# rounded when they are written, and how far beside the one before a slice may lie.
_MOST_MOVED, _MOST_SLANTED = 0.1, 0.01


class Volume(NamedTuple):
    """A volume in the patient's space.

    Attributes:
      image: of SimpleITK, one value a voxel, in any orientation.
      window: lowest and highest value to show, as its DICOM header says; or None.
      name: for messages.
    """

    image: Any
    window: tuple[float, float] | None
    name: str


def is_volume(path: Path) -> bool:
    """Returns whether a path is a volume: a file by its ending, or a DICOM series.

    Args:
      path: a file or a folder.
    """
    if path.is_dir():
        return any(is_dicom(file) for file in sorted(path.iterdir())[:3])
    return path.name.lower().endswith(READ_ENDINGS)


def check_volume_output(path: Path) -> None:
    """Raises unless a volume can be written to a path.

    Args:
      path: the file to write.

    Raises:
      FileNotFoundError: if its folder is missing.
      ValueError: if its ending is another, listing those that are known.
    """
    if not path.name.lower().endswith(WRITE_ENDINGS):
        raise ValueError(
            f"expected a volume's name ending in one of {', '.join(WRITE_ENDINGS)}, "
            f"got {path}; rename it."
        )
    check_folder_of(path)


def read_volume(path: Path) -> Volume:
    """Reads a volume.

    Args:
      path: a file, or a folder with one DICOM series.

    Returns:
      The volume, as its header places it.

    Raises:
      FileNotFoundError: if there is nothing.
      ImportError: without SimpleITK, with the name of the extra.
      ValueError: if it cannot be read, has not three dimensions, or more than one value
        a voxel; if the slices of a series lie at unequal distances.
    """
    sitk = _simpleitk()
    if not path.exists():
        raise FileNotFoundError(
            f"expected a volume, got nothing at {path}; check the path."
        )
    with _one_sentence(path):
        if path.is_dir():
            return _read_series(sitk, path)
        if is_dicom(path):
            check_dicom(path)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_extent(reader.GetSize(), [path])
        image = reader.Execute()
        if image.GetDimension() == 4 and image.GetSize()[3] == 1:
            image = image[:, :, :, 0]
        return Volume(_checked(sitk, image), None, str(path))


def window_of(volume: Volume, rule: str) -> tuple[float, float]:
    """Returns the values that become black and white.

    Args:
      volume: the volume.
      rule: "auto", the DICOM's own window or else percentiles; "min-max";
        "percentile", the 1st and the 99th of what is not background; or CENTRE:WIDTH.

    Returns:
      The lowest and the highest value.

    Raises:
      ValueError: if there is no such rule.
    """
    if rule == "auto" and volume.window is not None:
        return volume.window
    values = _simpleitk().GetArrayViewFromImage(volume.image)
    if rule == "min-max":
        return float(values.min()), float(values.max())
    if rule in ("auto", "percentile"):
        shown = values[values > values.min()]
        if not shown.size:
            return float(values.min()), float(values.min())
        low, high = np.percentile(shown, (1, 99))
        return float(min(low, high)), float(high)
    bounds = numbers_of(rule)
    if bounds is None or bounds[1] <= 0:
        raise ValueError(
            f"expected a window ({', '.join(WINDOWS)}, or CENTRE:WIDTH), got {rule!r}; "
            "choose one of these."
        )
    centre, width = bounds
    return centre - width / 2, centre + width / 2


def on_grid_of(
    moving: Volume, fixed: Volume
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resamples one volume onto another's grid by their headers alone.

    Args:
      moving, fixed: of one patient, in one space.

    Returns:
      Values of moving and of fixed, float32, and where moving is known, bool; each
      (slices, rows, columns) in the orientation LPS.

    Raises:
      ValueError: if the two do not overlap.
    """
    sitk = _simpleitk()
    reference = sitk.DICOMOrient(fixed.image, _ORIENTATION)
    image = sitk.Cast(moving.image, sitk.sitkFloat32)
    ones = sitk.Image(image.GetSize(), sitk.sitkFloat32) + 1
    ones.CopyInformation(image)
    arguments = (reference, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear)
    values = sitk.GetArrayFromImage(sitk.Resample(image, *arguments, 0.0))
    known = sitk.GetArrayFromImage(sitk.Resample(ones, *arguments, 0.0)) > 1 - 1e-3
    if not known.any():
        raise ValueError(
            f"expected volumes of one space, got {moving.name} and {fixed.name}, which "
            "do not overlap by their headers; register them first."
        )
    own = sitk.GetArrayFromImage(sitk.Cast(reference, sitk.sitkFloat32))
    return values, own, known


def write_volume(path: Path, voxels: np.ndarray, like: Volume) -> None:
    """Writes a volume on another's grid; the file appears whole or not at all.

    Args:
      path: ends in one of `WRITE_ENDINGS`.
      voxels: uint16 (slices, rows, columns), or uint8 with a last axis of RGB, in the
        orientation LPS.
      like: whose origin, spacing, direction and order of axes the file gets.

    Raises:
      FileNotFoundError, ValueError: as `check_volume_output` does.
    """
    sitk = _simpleitk()
    check_volume_output(path)
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    image.CopyInformation(sitk.DICOMOrient(like.image, _ORIENTATION))
    orient = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    image = sitk.DICOMOrient(image, orient(like.image.GetDirection()))
    # The orientation is exact, but origins are sums of products.
    image.CopyInformation(like.image)
    ending = next(x for x in WRITE_ENDINGS[::-1] if path.name.lower().endswith(x))
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / f"volume{ending}"
        sitk.WriteImage(image, str(temporary), useCompression=ending != ".nii")
        os.replace(temporary, path)


def _simpleitk() -> Any:
    sitk = require("SimpleITK", extra="medical", why="to read and write volumes")
    # Its warnings go to the terminal in several lines each.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of many lines, the last of which is the reason
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1].rpartition("): ")[2].rstrip(".") if lines else "unknown"
        raise ValueError(
            f"expected a readable volume, got {path} ({reason}); replace it or convert "
            "it to NIfTI."
        ) from error


def _check_extent(size: Sequence[int], files: Sequence[Path]) -> None:
    """Raises unless this many voxels are credible for the length of the files."""
    voxels = int(np.prod([float(x) for x in size]))
    length = sum(path.stat().st_size for path in files)
    # The values of a header alone are in another file.
    is_apart = files[0].name.lower().endswith((".mhd", ".nhdr"))
    if voxels > _MOST_VOXELS or (not is_apart and voxels > _MOST_EXPANSION * length):
        raise ValueError(
            f"expected a volume of moderate size, got {files[0]} of "
            f"{'x'.join(map(str, size))} voxels; crop it or replace it."
        )


def _checked(sitk: Any, image: Any) -> Any:
    """Returns an image with three dimensions and finite values; else RuntimeError."""
    if image.GetDimension() != 3:
        raise RuntimeError(f"it has {image.GetDimension()} dimensions, not three")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise RuntimeError("it has more than one value a voxel")
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise RuntimeError("it holds NaN or infinite values")
    return image


def _read_series(sitk: Any, folder: Path) -> Volume:
    for file in sorted(folder.iterdir()):  # the reader looks into all of them
        if is_dicom(file):
            check_dicom(file)
    reader = sitk.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise ValueError(
            f"expected one DICOM series in {folder}, got {len(series)}; give each a "
            "folder of its own."
        )
    files = reader.GetGDCMSeriesFileNames(str(folder), series[0])
    header = _header_of(sitk, files[0])
    # Files of other sizes than the first's are refused by the reader.
    size = (*header.GetSize()[:2], len(files))
    _check_extent(size, [Path(file) for file in files])
    headers = [header, *(_header_of(sitk, file) for file in files[1:])]
    _check_places(headers, folder)
    reader.SetFileNames(files)
    if len({header.GetPixelID() for header in headers}) > 1:
        if any(header.GetNumberOfComponents() != 1 for header in headers):
            raise RuntimeError("it has more than one value a voxel")
        # The first slice's type, which the reader takes, may not hold the others'.
        reader.SetOutputPixelType(sitk.sitkFloat64)
    image = _checked(sitk, reader.Execute())
    return Volume(image, _dicom_window(header), str(folder))


def _header_of(sitk: Any, file: str) -> Any:
    header = sitk.ImageFileReader()
    header.SetFileName(file)
    header.ReadImageInformation()
    return header


def _check_places(headers: Sequence[Any], folder: Path) -> None:
    """Raises unless slices that say where they are lie as the reader puts them.

    It spreads them evenly between the first and the last, along their normal.
    """
    directions = _numbers_in(headers[0], _DIRECTIONS, 6)
    places = [_numbers_in(header, _PLACE, 3) for header in headers]
    known = [place for place in places if place is not None]
    if len(headers) == 1 or len(known) < len(headers) or directions is None:
        return
    normal = np.cross(directions[:3], directions[3:])
    heights = np.stack(known) @ normal
    steps = np.diff(heights)
    distance = abs(steps.mean())
    moved = np.abs(heights - np.linspace(heights[0], heights[-1], len(heights)))
    if distance == 0 or moved.max() > _MOST_MOVED * distance:
        worst = int(np.abs(steps - steps.mean()).argmax())
        names = [Path(headers[worst + i].GetFileName()).name for i in range(2)]
        raise ValueError(
            f"expected slices at equal distances in {folder}, got "
            f"{abs(steps[worst]):.4g} mm from {names[0]} to {names[1]} and "
            f"{distance:.4g} mm on average; add the missing slices or give each part "
            "of the series a folder of its own."
        )
    way = known[-1] - known[0]
    aside = np.linalg.norm(way - (way @ normal) * normal) / (len(headers) - 1)
    if aside > _MOST_SLANTED * distance:
        raise ValueError(
            f"expected slices above each other in {folder}, got each {aside:.3g} mm "
            "beside the one before, as of a tilted gantry; resample the series first."
        )


def _numbers_in(header: Any, key: str, count: int) -> np.ndarray | None:
    """Returns the finite numbers of a header's element; None if it has not so many."""
    text = header.GetMetaData(key) if header.HasMetaDataKey(key) else ""
    try:
        numbers = np.array([float(x) for x in text.split("\\")])
    except ValueError:
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _dicom_window(header: Any) -> tuple[float, float] | None:
    if not (header.HasMetaDataKey(_CENTRE) and header.HasMetaDataKey(_WIDTH)):
        return None
    try:  # of several windows, the first
        centre, width = (
            float(header.GetMetaData(key).split("\\")[0]) for key in (_CENTRE, _WIDTH)
        )
    except ValueError:
        return None
    return (centre - width / 2, centre + width / 2) if width > 0 else None
