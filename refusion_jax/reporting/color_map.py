"""The colour map of the paper's Figs. 8 to 11: from blue (0) to red (1)."""

import numpy as np

from refusion_jax.reporting.panel import to_bytes

# Red, green, blue at evenly spaced values from 0 to 1.
COLOURS = np.array(
    [
        (0.10, 0.10, 0.45),
        (0.15, 0.35, 0.90),
        (0.10, 0.75, 0.90),
        (0.45, 0.90, 0.50),
        (0.95, 0.85, 0.20),
        (0.95, 0.45, 0.10),
        (0.55, 0.05, 0.05),
    ]
)


def color_map(values: np.ndarray) -> np.ndarray:
    """Colours a map of values: blue is 0, green is 1/2, red is 1.

    Args:
      values: height x width, in [0, 1].

    Returns:
      uint8, height x width x 3.

    Examples:
      >>> color_map(np.array([[0.0, 0.5, 1.0]])).tolist()
      [[[26, 26, 115], [115, 230, 128], [140, 13, 13]]]
    """
    places = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(values, places, channel) for channel in COLOURS.T]
    return to_bytes(np.stack(channels, axis=-1))
