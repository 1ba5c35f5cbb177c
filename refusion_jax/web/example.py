"""A pair to try the page with: a street at night, drawn, not photographed."""

import io

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 360, 480


def example() -> dict[str, bytes]:
    """Returns the pair as PNG files by name: each shows what the other does not."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    return {
        "infrared.png": _png(_infrared(rows, columns) + 2 * grain),
        "visible.png": _png(_visible(rows, columns) + 2 * grain[::-1, :, None]),
    }


def _infrared(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Draws warmth: two people, an engine, walls that keep the heat of the day."""
    sky = rows < 140
    warmth = np.where(sky, 15, 55 + rows / 12)
    warmth[60:240, 20:150] = 85
    for x, y, size in ((215, 235, 1.0), (262, 225, 0.8)):
        head = np.hypot(columns - x, rows - y + 52 * size) < 12 * size
        body = np.hypot((columns - x) / 17, (rows - y) / 42) < size
        legs = (abs(abs(columns - x) - 8 * size) < 5 * size) & (
            abs(rows - y - 55 * size) < 28 * size
        )
        warmth[body | legs] = 215
        warmth[head] = 240
    warmth[255:300, 350:450] = 110
    warmth += 110 * np.exp(-(np.hypot(columns - 365, rows - 275) ** 2) / 300)
    return warmth


def _visible(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Draws light: windows, a lamp and its cone, bricks, a sign, a striped road."""
    night = np.where(rows < 140, 22, 34)
    light = night[..., None] * np.array([0.8, 0.9, 1.25])
    wall = (slice(60, 240), slice(20, 150))
    joints = (rows % 12 < 2) | ((columns + rows // 12 % 2 * 10) % 20 < 2)
    light[wall] = np.where(joints[wall][..., None], 40, 70) * np.array([1.2, 0.8, 0.7])
    for top in (80, 130, 180):
        for left in (35, 75, 115):
            light[top : top + 30, left : left + 22] = (235, 200, 120)
    lamp = np.hypot(columns - 400, rows - 90)
    cone = (rows > 90) & (abs(columns - 400) < (rows - 90) * 0.55)
    glow = 160 * np.exp(-(lamp**2) / 800) + 60 * cone * np.exp(-(rows - 90) / 160)
    light += glow[..., None] * np.array([1, 0.85, 0.55])
    light[90:300, 398:402] = 60
    sign = (slice(150, 190), slice(180, 300))
    light[sign] = (30, 120, 70)
    stripes = (columns[sign] // 6 % 2 == 0) & (abs(rows[sign] - 170) < 11)
    light[sign][stripes] = 220
    road = (abs(rows - 325) < 5) & (columns % 60 < 34)
    light[road] = 170
    return light


def _png(levels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    picture = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    Image.fromarray(picture).save(encoded, format="PNG")
    return encoded.getvalue()
