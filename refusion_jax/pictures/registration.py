"""Finds how one picture lies on another, and brings it there, by SimpleITK.

The motion is estimated from coarse to fine: by correlation within one kind of picture;
between kinds by Mattes' mutual information, which needs no equal brightness, of how
steep the pictures are, since edges are what a thermal and a visible picture share; of
pictures on black, where the outline is what they share, of the levels. Pictures of two
sizes are taken to show the same field of view. A motion that is not credible is
refused: whoever fuses pictures that do not lie on each other gets ghosts.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refusion_jax.extras import require
from refusion_jax.pictures.names import MOTIONS

FARTHEST = 0.1  # of the longer side, that a corner may move
_LEVELS = ((8, 4.0), (4, 2.0), (2, 1.0), (1, 0.0))  # shrink factor, blur in pixels
_SMALLEST_SIDE = 32  # pixels, at the coarsest level
_FEWEST_PIXELS = 4  # along a side, which ITK's blur needs
_BINS, _SAMPLES, _SEED = 32, 40_000, 7
_STEPS, _FIRST_STEP, _SMALLEST_STEP = 300, 1.0, 1e-4
# Pixels. Of 1, 2 and 3 the one with the smallest median error on 12 training pairs of
# RoadScene (2.2, 1.9 and 3.8 pixels); correlation of edges is worse.
_EDGE_BLUR = 2.0
# Elsewhere the pictures must fit worse: this far away, as a share of the longer side.
_ELSEWHERE = 0.04


class Motion(NamedTuple):
    """Where each pixel of the first picture is found in the other.

    Attributes:
      matrix: (2, 3); x and y of the other are matrix @ (x, y, 1) of the first, in
        pixels of the first, the other scaled to its size.
      size: height and width of the first.
    """

    matrix: np.ndarray
    size: tuple[int, int]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Returns the place in the other picture of a place in the first."""
        place = self.matrix @ (x, y, 1)
        return float(place[0]), float(place[1])

    @property
    def largest_corner_shift(self) -> float:
        """Returns how far the farthest corner moves, in pixels."""
        height, width = self.size
        return max(
            math.dist((x, y), self.at(x, y))
            for x in (0, width - 1)
            for y in (0, height - 1)
        )

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Brings the other picture onto the first.

        Args:
          picture: any type, (height, width) or (height, width, channels).

        Returns:
          The picture in the size of the first; 0 where it shows nothing, see `moved`.

        Raises:
          ImportError: without SimpleITK.
        """
        return moved(picture, self)[0]

    def __str__(self) -> str:
        """Returns shift of the middle, turn and scale in words."""
        height, width = self.size
        middle = (width - 1) / 2, (height - 1) / 2
        x, y = self.at(*middle)
        (a, b), (c, d) = self.matrix[:, :2]
        turn = math.degrees(math.atan2(c - b, a + d))
        scale = math.sqrt(abs(a * d - b * c))
        return (
            f"shifted by {x - middle[0]:.1f} and {y - middle[1]:.1f} pixels, turned by "
            f"{turn:.2f} degrees, scaled by {scale:.4f}"
        )


def find_motion(
    fixed: np.ndarray,
    moving: np.ndarray,
    *,
    motion: str = "similarity",
    by: str = "edges",
    names: tuple[str, str] = ("the first", "the other"),
) -> Motion:
    """Finds how a picture lies on the first one.

    Args:
      fixed, moving: luminances, (height, width), of any range and of any two sizes.
      motion: "translation", "rigid" (with turns), "similarity" (with scale) or
        "affine".
      by: what is compared: "edges" or "levels", by mutual information; or "brightness",
        equal up to gain and offset, by correlation.
      names: of the two, for the error.

    Returns:
      The motion.

    Raises:
      ImportError: without SimpleITK, with the name of the extra.
      ValueError: for an unknown motion; or if none is credible: the pictures are too
        small, do not fit better than before or than elsewhere, or a corner moves by
        more than a tenth of the picture.
    """
    if motion not in MOTIONS[1:]:
        raise ValueError(
            f"expected motion to be one of {', '.join(MOTIONS[1:])}, "
            f"got {motion!r}; choose one of these."
        )
    sitk = _simpleitk()
    if min(*fixed.shape, *moving.shape) < _FEWEST_PIXELS:
        raise _refusal(names, "they are too small")
    height, width = fixed.shape
    fixed_image = _image(sitk, fixed, fixed.shape)
    moving_image = _image(sitk, moving, fixed.shape)
    if by == "edges":
        fixed_image, moving_image = (
            sitk.GradientMagnitudeRecursiveGaussian(image, _EDGE_BLUR)
            for image in (fixed_image, moving_image)
        )
    method = _method(sitk, fixed.shape, by)
    start = _transform(sitk, motion, fixed.shape)
    method.SetInitialTransform(start, inPlace=False)
    try:
        found = method.Execute(fixed_image, moving_image)
    except RuntimeError as error:  # ITK's errors are many lines long
        raise _refusal(names, "they have too little in common") from error
    origin = np.array(found.TransformPoint((0.0, 0.0)))
    columns = [
        np.array(found.TransformPoint(point)) - origin
        for point in ((1.0, 0.0), (0.0, 1.0))
    ]
    made = Motion(np.column_stack([*columns, origin]), (height, width))
    if made.largest_corner_shift > FARTHEST * max(height, width):
        raise _refusal(
            names,
            f"the best fit found moves a corner by {made.largest_corner_shift:.0f} "
            "pixels, more than a tenth of the picture",
        )
    _check_fit(sitk, method, (fixed_image, moving_image), made, names)
    return made


def moved(picture: np.ndarray, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Brings a picture onto the first one.

    Args:
      picture: any type, (height, width) or (height, width, channels).
      motion: as `find_motion` found it.

    Returns:
      The picture in the size of the first, of the same type (by cubic splines, within
      the picture's own range); and where it is known, bool (height, width).

    Raises:
      ImportError: without SimpleITK.
    """
    sitk = _simpleitk()
    transform = sitk.AffineTransform(2)
    transform.SetMatrix(motion.matrix[:, :2].ravel().tolist())
    transform.SetTranslation(motion.matrix[:, 2].tolist())
    height, width = motion.size

    def resampled(plane: np.ndarray, order: int) -> np.ndarray:
        image = _image(sitk, plane, motion.size)
        return np.asarray(
            sitk.GetArrayFromImage(
                sitk.Resample(
                    image, (width, height), transform, order, (0.0, 0.0), (1.0, 1.0)
                )
            )
        )

    planes = np.atleast_3d(picture).astype(np.float64).transpose(2, 0, 1)
    made = np.stack([resampled(plane, sitk.sitkBSpline) for plane in planes], axis=-1)
    made = np.clip(made, planes.min(), planes.max())
    if np.issubdtype(picture.dtype, np.integer):
        made = np.rint(made)
    ones = np.ones(picture.shape[:2])
    is_known = resampled(ones, sitk.sitkLinear) > 1 - 1e-6
    return made.astype(picture.dtype).reshape(
        height, width, *picture.shape[2:]
    ), is_known


def largest_rectangle(is_known: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and columns of the largest rectangle without unknown pixels.

    Args:
      is_known: bool, (height, width).

    Returns:
      Slices of rows and of columns; empty ones if nothing is known.

    Examples:
      >>> largest_rectangle(np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1]], bool))
      (slice(1, 3, None), slice(0, 2, None))
    """
    best, area = (slice(0, 0), slice(0, 0)), 0
    heights = np.zeros(is_known.shape[1] + 1, int)  # ends in 0, which closes all
    for row, known in enumerate(is_known):
        heights[:-1] = np.where(known, heights[:-1] + 1, 0)
        open_from: list[tuple[int, int]] = []  # left edge and height, rising
        for column, height in enumerate(heights.tolist()):
            left = column
            while open_from and open_from[-1][1] >= height:
                left, tall = open_from.pop()
                if tall * (column - left) > area:
                    area = tall * (column - left)
                    best = slice(row - tall + 1, row + 1), slice(left, column)
            open_from.append((left, height))
    return best


def _simpleitk() -> Any:
    return require("SimpleITK", extra="register", why="to register pictures")


def _image(sitk: Any, picture: np.ndarray, size: Sequence[int]) -> Any:
    """Returns a picture as an image that covers a field of this height and width."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(picture, np.float32))
    steps = [size[1] / picture.shape[1], size[0] / picture.shape[0]]
    image.SetSpacing(steps)
    image.SetOrigin([(step - 1) / 2 for step in steps])
    return image


def _transform(sitk: Any, motion: str, size: Sequence[int]) -> Any:
    if motion == "translation":
        return sitk.TranslationTransform(2)
    kinds = {
        "rigid": sitk.Euler2DTransform,
        "similarity": sitk.Similarity2DTransform,
        "affine": lambda: sitk.AffineTransform(2),
    }
    transform = kinds[motion]()
    transform.SetCenter([(size[1] - 1) / 2, (size[0] - 1) / 2])
    return transform


def _method(sitk: Any, size: Sequence[int], by: str) -> Any:
    method = sitk.ImageRegistrationMethod()
    if by == "brightness":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(_BINS)
    share = min(1.0, _SAMPLES / (size[0] * size[1]))
    if share < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=_FIRST_STEP,
        minStep=_SMALLEST_STEP,
        numberOfIterations=_STEPS,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    levels = [x for x in _LEVELS if min(size) / x[0] >= _SMALLEST_SIDE] or [(1, 0.0)]
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([blur for _, blur in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def _check_fit(
    sitk: Any,
    method: Any,
    images: tuple[Any, Any],
    motion: Motion,
    names: tuple[str, str],
) -> None:
    """Raises unless the pictures fit better than unmoved, and than farther away."""

    def misfit(x: float, y: float, matrix: np.ndarray) -> float:
        transform = sitk.AffineTransform(2)
        transform.SetMatrix(matrix[:, :2].ravel().tolist())
        transform.SetTranslation((matrix[:, 2] + (x, y)).tolist())
        method.SetInitialTransform(transform, inPlace=False)
        try:
            return float(method.MetricEvaluate(*images))
        except RuntimeError as error:  # hardly a pixel of both in one place
            raise _refusal(names, "they have too little in common") from error

    best = misfit(0, 0, motion.matrix)
    if best > misfit(0, 0, np.eye(2, 3)) + 1e-6:
        raise _refusal(names, "they fit no better than before")
    away = _ELSEWHERE * max(motion.size)
    around = [(i * away, j * away) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    if best >= min(misfit(x, y, motion.matrix) for x, y in around):
        raise _refusal(names, "they fit as well elsewhere")


def _refusal(names: tuple[str, str], reason: str) -> ValueError:
    return ValueError(
        f"expected {names[1]} to be found on {names[0]}, got no credible motion "
        f"({reason}); register the pictures by hand, or choose another align."
    )
