"""Pairs for the demo, made from photographs that scikit-image ships.

Multi-focus: a lens that is focused near or far blurs each pixel in proportion to its
distance from the plane in focus. The motorcycle comes with a measured disparity map;
the other photographs are given a slanted plane as depth. Multi-exposure: a quarter and
four times the scene's light (the photograph with its gamma of 2.2 undone), clipped as a
sensor clips.
"""

from pathlib import Path

import numpy as np

from refusion_jax.extras import require
from refusion_jax.pictures.codecs import write_picture
from refusion_jax.reporting.panel import to_bytes

TRAIN_PHOTOGRAPHS = ("astronaut", "camera", "coffee", "rocket")
TEST_EXPOSURE_PHOTOGRAPH = "chelsea"
MAX_BLUR = 2.0  # pixels, standard deviation at the far end of the depth range
GAMMA = 2.2
EXPOSURE_FACTOR = 4.0


def write_demo_pairs(folder: Path) -> None:
    """Makes the pairs and writes them as PNG.

    Test scenes come from other photographs than the training pairs.

    Args:
      folder: receives train/a, train/b, test/a, test/b, and in test/truth the
        photographs from which the test pairs were made. In a multi-focus pair a is
        focused near; in a multi-exposure pair a is the darker one.

    Raises:
      ImportError: if scikit-image is not installed.
    """
    data = require("skimage.data", extra="demo", why="to make the demo pairs")
    for i, name in enumerate(TRAIN_PHOTOGRAPHS):
        photograph = getattr(data, name)()
        for j in range(2):
            depth = slanted_plane(
                *photograph.shape[:2], angle=np.pi * (i + j + 0.5) / 2
            )
            _write(folder / "train", f"{name}_focus{j}", focus_pair(photograph, depth))
        _write(folder / "train", f"{name}_exposure", exposure_pair(photograph))
    photograph = getattr(data, TEST_EXPOSURE_PHOTOGRAPH)()
    motorcycle, _, disparity = data.stereo_motorcycle()
    # Test scenes have one size, since the network is compiled for each size.
    shown = slice(100, 100 + photograph.shape[0]), slice(150, 150 + photograph.shape[1])
    depth = normalised_depth(disparity)[shown]
    scenes = {
        "motorcycle_focus": (motorcycle[shown], focus_pair(motorcycle[shown], depth)),
        f"{TEST_EXPOSURE_PHOTOGRAPH}_exposure": (photograph, exposure_pair(photograph)),
    }
    (folder / "test" / "truth").mkdir(parents=True, exist_ok=True)
    for name, (truth, pair) in scenes.items():
        _write(folder / "test", name, pair)
        write_picture(folder / "test" / "truth" / f"{name}.png", truth)


def focus_pair(
    photograph: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Makes two pictures of one scene, focused near and far.

    Args:
      photograph: uint8, sharp everywhere, height x width (x 3).
      depth: height x width in [0, 1], 0 near.

    Returns:
      near, far: uint8, shape of the photograph.
    """
    return blur_by_depth(photograph, depth), blur_by_depth(photograph, 1 - depth)


def exposure_pair(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Makes two exposures of one scene.

    Args:
      photograph: uint8, height x width (x 3).

    Returns:
      under, over: uint8, a quarter and four times the light, clipped.
    """
    light = (photograph / 255) ** GAMMA
    under, over = (
        np.clip(light * factor, 0, 1) ** (1 / GAMMA)
        for factor in (1 / EXPOSURE_FACTOR, EXPOSURE_FACTOR)
    )
    return to_bytes(under), to_bytes(over)


def blur_by_depth(photograph: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Blurs each pixel in proportion to its distance from the plane in focus.

    Each pixel is interpolated linearly within a stack of Gaussian blurs; what a lens
    does at the edges of near objects is not modelled.

    Args:
      photograph: uint8, height x width (x 3).
      distance: height x width in [0, 1]; 1 blurs by `MAX_BLUR` pixels.

    Returns:
      uint8, shape of the photograph.
    """
    from skimage.filters import gaussian

    levels = np.linspace(0, MAX_BLUR, 7)
    channel_axis = -1 if photograph.ndim == 3 else None
    stack = np.stack(
        [
            gaussian(photograph / 255, sigma, channel_axis=channel_axis)
            for sigma in levels
        ]
    )
    position = distance * (len(levels) - 1)
    below = np.minimum(position.astype(int), len(levels) - 2)
    fraction = position - below
    if photograph.ndim == 3:
        below, fraction = below[..., None], fraction[..., None]
    lower = np.take_along_axis(stack, below[None], axis=0)[0]
    upper = np.take_along_axis(stack, below[None] + 1, axis=0)[0]
    return to_bytes((1 - fraction) * lower + fraction * upper)


def slanted_plane(height: int, width: int, *, angle: float) -> np.ndarray:
    """Returns a depth that grows linearly across the picture.

    Args:
      height, width: pixels.
      angle: direction of growth in radians, 0 to the right.

    Returns:
      height x width, from 0 to 1.
    """
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = columns * np.cos(angle) + rows * np.sin(angle)
    return (ramp - ramp.min()) / (ramp.max() - ramp.min())


def normalised_depth(disparity: np.ndarray) -> np.ndarray:
    """Returns depth from a disparity map: 0 at the nearest pixel, 1 at the farthest.

    Args:
      disparity: height x width in pixels; pixels without a match are not finite and
        take the value of the nearest pixel that has one.

    Returns:
      height x width in [0, 1].
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    missing = ~np.isfinite(disparity)
    nearest = distance_transform_edt(
        missing, return_distances=False, return_indices=True
    )
    # Smoothed slightly: outliers of the stereo matcher would blur single pixels.
    filled = gaussian_filter(disparity[tuple(nearest)], 2.0)
    return (filled.max() - filled) / (filled.max() - filled.min())


def _write(folder: Path, name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    for side, picture in zip("ab", pair, strict=True):
        (folder / side).mkdir(parents=True, exist_ok=True)
        write_picture(folder / side / f"{name}.png", picture)
