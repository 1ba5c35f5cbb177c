"""Makes the pictures of the documents, by the weights that come with the package.

    python docs/make_images.py

Photographs are those of scikit-image that anyone may show: astronaut (NASA, public
domain), chelsea (CC0, Stefan van der Walt) and coffee (CC0, Rachel Michetti). What no
such photograph exists of is drawn: people seen by their heat, and the Shepp-Logan
phantom (public domain) as an MRI with a drawing of activity as a PET.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from refusion_jax import Fuser
from refusion_jax.data.demo_pairs import exposure_pair, focus_pair, slanted_plane
from refusion_jax.pictures.palettes import coloured_by
from refusion_jax.reporting.color_map import color_map
from refusion_jax.reporting.panel import to_bytes

IMAGES = Path(__file__).parent / "images"
GAP = 6  # pixels between the pictures of a strip


def small(photograph: np.ndarray, width: int) -> np.ndarray:
    """Scales a photograph; uint8, height x width (x 3)."""
    image = Image.fromarray(photograph)
    height = round(image.height * width / image.width)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def focus() -> tuple[np.ndarray, np.ndarray]:
    """A cup, near and far, as a lens focused on one of them sees it."""
    photograph = small(data.coffee(), 320)
    depth = slanted_plane(*photograph.shape[:2], angle=0.0)
    return focus_pair(photograph, depth)


def exposure() -> tuple[np.ndarray, np.ndarray]:
    """A cat, with a quarter and four times the light."""
    return exposure_pair(small(data.chelsea(), 320))


def infrared() -> tuple[np.ndarray, np.ndarray]:
    """A drawing of two warm people in the dark part of a photograph."""
    visible = small(data.astronaut()[:340], 320)
    height, width = visible.shape[:2]
    y, x = np.mgrid[:height, :width]
    heat = np.full((height, width), 0.22) + 0.1 * y / height
    shade = np.ones((height, width))
    for middle in (0.12, 0.9):
        head = ((x - middle * width) / 11) ** 2 + ((y - 0.46 * height) / 13) ** 2
        body = ((x - middle * width) / 20) ** 4 + ((y - 0.8 * height) / 52) ** 4
        heat = np.maximum(heat, 0.95 / (1 + np.minimum(head, body) ** 4))
        shade = np.minimum(shade, 0.04 + 0.5 * ((x / width - middle) / 0.28) ** 2)
    dark = visible * np.clip(shade, 0, 1)[..., None] / 255
    return to_bytes(heat), to_bytes(dark)


def medical() -> tuple[np.ndarray, np.ndarray]:
    """The Shepp-Logan phantom, and a drawing of activity within it."""
    phantom = small(to_bytes(data.shepp_logan_phantom()), 256)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    spots = ((-0.28, -0.1, 0.16, 0.9), (0.25, 0.15, 0.12, 0.7), (0.0, 0.5, 0.1, 0.5))
    activity = sum(
        strength * np.exp(-((x - across) ** 2 + (y - down) ** 2) / size**2)
        for across, down, size, strength in spots
    )
    inside = (x / 0.66) ** 2 + (y / 0.88) ** 2 < 1
    activity = np.clip((activity + 0.15) * inside, 0, 1)
    return to_bytes(coloured_by(activity, "hot")), phantom


def strip(*pictures: np.ndarray) -> Image.Image:
    """Puts pictures of one height beside each other."""
    images = [Image.fromarray(picture).convert("RGB") for picture in pictures]
    width = sum(image.width + GAP for image in images) - GAP
    sheet = Image.new("RGB", (width, images[0].height), "white")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    return sheet


def main() -> None:
    """Fuses each pair and writes a strip: source a, source b, fused (, map)."""
    IMAGES.mkdir(exist_ok=True)
    pairs = {"ivif": infrared, "mif": medical, "mfif": focus, "meif": exposure}
    for task, make in pairs.items():
        fuser = Fuser.from_pretrained(task)
        pair = make()
        fused = fuser.fuse(*pair)
        strip(*pair, fused).save(IMAGES / f"{task}.webp", quality=88, method=6)
        if task == "mfif":
            maps = fuser.loss_maps(*pair)
            pictures = [color_map(np.asarray(maps[key])) for key in ("w_a", "v_a")]
            strip(*pictures).save(IMAGES / "maps.webp", quality=88, method=6)


if __name__ == "__main__":
    main()
