"""The colour map of values, the same for every picture and page, for all eyes.

It goes from blue over a light neutral to brown, which eyes without red or green
receptors tell apart.
"""

import numpy as np

from refusion_jax.reporting.panel import to_bytes

# Red, green, blue at evenly spaced values from 0 to 1.
DIVERGING = np.array(
    [
        (0.02, 0.19, 0.45),
        (0.16, 0.42, 0.71),
        (0.48, 0.68, 0.86),
        (0.80, 0.88, 0.95),
        (0.97, 0.97, 0.97),
        (0.96, 0.86, 0.72),
        (0.88, 0.64, 0.38),
        (0.67, 0.38, 0.10),
        (0.38, 0.19, 0.02),
    ]
)


def color_map(values: np.ndarray) -> np.ndarray:
    """Colours a map of values.

    Args:
      values: of any shape, in [0, 1], with a middle, such as weights of two sources:
        blue is 0, near white 1/2, brown 1.

    Returns:
      uint8, of the values' shape and a last axis of 3.

    Examples:
      >>> color_map(np.array([[0.0, 0.5, 1.0]])).tolist()
      [[[5, 48, 115], [247, 247, 247], [97, 48, 5]]]
    """
    places = np.linspace(0, 1, len(DIVERGING))
    channels = [np.interp(values, places, channel) for channel in DIVERGING.T]
    return to_bytes(np.stack(channels, axis=-1))
