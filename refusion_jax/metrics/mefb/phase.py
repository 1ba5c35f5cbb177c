"""Q_P (Zhao, Laganiere & Liu 2007): features by phase congruency (Kovesi 1999).

A feature is where the waves of all scales are in phase, whatever its contrast. Log
Gabor filters of four scales s and six orientations o give complex responses z_so.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from refusion_jax.array_types import Scalar
from refusion_jax.metrics.levels import Levels, as_levels, ratio
from refusion_jax.metrics.ssim import GAUSSIAN
from refusion_jax.metrics.windows import Map, Pictures, local_moments, sums_over_windows

# Kovesi's filters.
SCALES, ORIENTATIONS = 4, 6
WAVELENGTHS = tuple(3 * 2.1**s for s in range(SCALES))  # pixels
BANDWIDTH = 0.55  # deviation of the radial Gaussian over its centre frequency
ANGULAR_DEVIATION = np.pi / ORIENTATIONS / 1.2
LOWPASS_CUTOFF, LOWPASS_ORDER = 0.45, 15
# His energy: noise threshold in deviations, its correction, spread of frequencies.
NOISE_DEVIATIONS, NOISE_CORRECTION = 2.0, 1.7
SPREAD_CUTOFF, SPREAD_GAIN = 0.5, 10.0
EPSILON = 1e-4
BISECTIONS = 45  # by which the largest value of a map is halved
# Zhao's comparison of features.
FEATURE_THRESHOLD, STABILISER = 0.1, 1e-4


class Features(NamedTuple):
    """Maps of a picture's features.

    Attributes:
      congruency: phase congruency over all orientations, in [0, 1].
      edges, corners: the larger and the smaller moment of its covariance.
    """

    congruency: Map
    edges: Map
    corners: Map


def qp(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns Q_P (Zhao, Laganiere & Liu 2007) with Kovesi's moments.

    Of each picture, phase congruency and the larger and the smaller moment of its
    covariance. M takes at each pixel the features of the source of the larger
    congruency. Each map of A, B and M, set to 0 where its congruency is at most 0.1, is
    correlated with F's: per pixel, under an 11 x 11 Gaussian of sigma 1.5 and zeros
    beyond the border,
      K_X = (s_XF + 1e-4) / (sqrt|s_X^2 s_F^2| + 1e-4) where X's congruency is above
      0.1, else 0.
    P is the sum of max(K_A, K_B, K_M) over all pixels, divided by the number of
    features of M. Q_P is the product of the P of the three maps.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      At most about 1, higher is better; NaN if the sources have no feature. Needs
      float64.

    Note:
      imageFusionMetrics and MEFB take a quarter of the moments' mixed term: `qp_mefb`.

    Examples:
      >>> block = jnp.zeros((32, 32)).at[8:24, 8:24].set(200)
      >>> f"{qp(block, block, block):.2f}", f"{qp(block, block, block.T[::-1] / 9):.2f}"
      ('0.92', '0.92')
    """
    return _qp(source_a, source_b, fused, mixed_share=1.0)


def qp_mefb(source_a: Levels, source_b: Levels, fused: Levels) -> Scalar:
    """Returns "Q_P" as imageFusionMetrics and MEFB compute it, see `qp`.

    Args:
      source_a, source_b, fused: 0..255.

    Returns:
      At most about 1; the same NaN.
    """
    return _qp(source_a, source_b, fused, mixed_share=0.25)


def _qp(
    source_a: Levels, source_b: Levels, fused: Levels, *, mixed_share: float
) -> Scalar:
    images = jnp.stack(as_levels(source_a, source_b, fused))
    # One picture at a time, because its 24 complex responses are large.
    of_a, of_b, of_fused = _split(
        jax.lax.map(lambda image: features(image, mixed_share=mixed_share), images)
    )
    is_a = of_a.congruency > of_b.congruency
    of_best = Features(
        *(jnp.where(is_a, a, b) for a, b in zip(of_a, of_b, strict=True))
    )
    sources = (of_a, of_b, of_best)
    masks = [x.congruency > FEATURE_THRESHOLD for x in sources]
    count = masks[2].sum().astype(images.dtype)
    product = jnp.ones((), images.dtype)
    for k, map_of_fused in enumerate(of_fused):
        maps = [
            jnp.where(mask, x[k], 0) for mask, x in zip(masks, sources, strict=True)
        ]
        product = product * ratio(_correlation(maps, masks, map_of_fused), count)
    return product


def _split(features: Features) -> list[Features]:
    return [Features(*(x[i] for x in features)) for i in range(3)]


def _correlation(maps: list[Map], masks: list[Array], fused: Map) -> Scalar:
    """Returns the sum of the largest K over all pixels."""
    margin = len(GAUSSIAN) // 2
    images = [jnp.pad(x, margin) for x in (*maps, fused)]
    images += [jnp.pad(x.astype(fused.dtype), margin) for x in masks]

    def largest(strip: Pictures) -> tuple[Map]:
        pairs = ((0, 3), (1, 3), (2, 3))
        _, variances, covariances = local_moments(strip[:4], pairs, GAUSSIAN)
        centres = strip[4:, margin:-margin, margin:-margin]
        return (
            jnp.max(
                jnp.stack(
                    [
                        centres[i]
                        * (covariances[i] + STABILISER)
                        / (jnp.sqrt(jnp.abs(variances[i] * variances[3])) + STABILISER)
                        for i in range(3)
                    ]
                ),
                axis=0,
            ),
        )

    return sums_over_windows(largest, jnp.stack(images), len(GAUSSIAN))[0]


def features(image: Map, *, mixed_share: float = 1.0) -> Features:
    """Returns the features of a picture (Kovesi 1999 and 2003).

    Per orientation, z being the sum of z_s over the scales and m = z / |z|:
      energy e = sum_s Re(z_s m*) - |Im(z_s m*)| - T, at least 0, times
      w = 1 / (1 + exp(10 (0.5 - sum|z_s| / max|z_s| / 4))),
    where T is the mean of the noise's energy plus two deviations, divided by 1.7, and
    the noise is estimated by the median of |z_1|^2. Congruency is sum_o w e divided by
    sum_os |z_s|; the moments are those of (w e / sum_s |z_s|) (cos o, sin o).

    Args:
      image: 0..255.
      mixed_share: factor of the mixed moment.
    """
    spectrum = jnp.fft.fft2(image)
    radial, angles = _radial(image.shape, image.dtype), _angle(image.shape, image.dtype)

    def orientation(index: Array) -> tuple[Array, Array]:
        """Returns w e and sum|z_s|."""
        offset = angles - index * (np.pi / ORIENTATIONS)
        distance = jnp.arctan2(jnp.sin(offset), jnp.cos(offset))
        # Behind barriers, because XLA would compute them again for each of their uses.
        filters = jax.lax.optimization_barrier(
            radial * jnp.exp(-(distance**2) / (2 * ANGULAR_DEVIATION**2))[None]
        )
        responses = jnp.fft.ifft2(spectrum[None] * filters)
        even, odd = jax.lax.optimization_barrier((responses.real, responses.imag))
        amplitudes = jax.lax.optimization_barrier(jnp.sqrt(even**2 + odd**2))
        mean_even, mean_odd = even.sum(axis=0), odd.sum(axis=0)
        norm = jnp.sqrt(mean_even**2 + mean_odd**2) + EPSILON
        mean_even, mean_odd = jax.lax.optimization_barrier(
            ((mean_even / norm)[None], (mean_odd / norm)[None])
        )
        in_phase = even * mean_even + odd * mean_odd
        out_of_phase = jnp.abs(even * mean_odd - odd * mean_even)
        energy = jnp.sum(in_phase - out_of_phase, axis=0)
        power = _median(amplitudes[0] ** 2) / np.log(2) / jnp.sum(filters[0] ** 2)
        energy = jnp.maximum(energy - _noise(filters, power), 0)
        spread = amplitudes.sum(axis=0) / (amplitudes.max(axis=0) + EPSILON) / SCALES
        weight = 1 / (1 + jnp.exp(SPREAD_GAIN * (SPREAD_CUTOFF - spread)))
        return weight * energy, amplitudes.sum(axis=0)

    energies, amplitudes = jax.lax.map(orientation, jnp.arange(ORIENTATIONS))
    congruencies = energies / jnp.where(amplitudes > 0, amplitudes, 1)
    turns = np.arange(ORIENTATIONS)[:, None, None] * (np.pi / ORIENTATIONS)
    across, upward = congruencies * np.cos(turns), congruencies * np.sin(turns)
    in_x, in_y = (2 / ORIENTATIONS * jnp.sum(z**2, axis=0) for z in (across, upward))
    mixed = mixed_share * 4 / ORIENTATIONS * jnp.sum(across * upward, axis=0)
    split = jnp.sqrt(mixed**2 + (in_x - in_y) ** 2) + EPSILON
    return Features(
        energies.sum(axis=0) / (amplitudes.sum(axis=0) + EPSILON),
        (in_x + in_y + split) / 2,
        (in_x + in_y - split) / 2,
    )


def _median(values: Map) -> Scalar:
    """Returns the median of values of at least 0, by bisection.

    XLA:CPU sorts slowly: half of the time of Q_P would be spent on it.
    """
    count = values.size
    ranks = jnp.array([(count + 1) // 2, count // 2 + 1])

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        is_enough = jnp.stack([jnp.sum(values <= x) for x in middle]) >= ranks
        return jnp.where(is_enough, low, middle), jnp.where(is_enough, middle, high)

    ends = (jnp.zeros(2, values.dtype), jnp.full(2, values.max()))
    return jax.lax.fori_loop(0, BISECTIONS, halve, ends)[1].mean()


def _noise(filters: Array, power: Scalar) -> Scalar:
    """Returns T, from the energy that white noise of this power would have.

    Its square is twice the power of the sum of the even filters: by Parseval's theorem
    their products need no transform.
    """
    total = filters.sum(axis=0)
    opposite = jnp.roll(total[::-1, ::-1], (1, 1), axis=(0, 1))
    deviation = jnp.sqrt(power * jnp.sum(((total + opposite) / 2) ** 2))  # Rayleigh's
    mean = deviation * np.sqrt(np.pi / 2)
    above = NOISE_DEVIATIONS * deviation * np.sqrt(2 - np.pi / 2)
    return (mean + above) / NOISE_CORRECTION


def _frequencies(shape: tuple[int, ...], dtype: np.dtype) -> tuple[Array, Array]:
    """Returns cycles per pixel, downward and across; odd sides reach 1/2 as even do."""
    # Behind a barrier, because XLA would compute all filters while it compiles.
    down, across = jax.lax.optimization_barrier(
        tuple(
            jnp.asarray(np.fft.fftfreq(size, 1 / size) / (size - size % 2), dtype)
            for size in shape
        )
    )
    return down[:, None], across[None]


def _radial(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Returns the radial part of the filter of each scale."""
    down, across = _frequencies(shape, dtype)
    radius = jnp.sqrt(down**2 + across**2).at[0, 0].set(1)
    # As the codes shift it, which for odd sides is off by one.
    rows, columns = jax.lax.optimization_barrier(
        tuple(jnp.asarray(np.fft.fftshift(np.arange(n) - n // 2) / n) for n in shape)
    )
    cut = jnp.sqrt(rows[:, None] ** 2 + columns[None] ** 2) / LOWPASS_CUTOFF
    lowpass = 1 / (1 + cut ** (2 * LOWPASS_ORDER))
    width = 2 * np.log(BANDWIDTH) ** 2
    filters = [
        jnp.exp(-(jnp.log(radius * wavelength) ** 2) / width) * lowpass
        for wavelength in WAVELENGTHS
    ]
    return jnp.stack(filters).at[:, 0, 0].set(0).astype(dtype)


def _angle(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    down, across = _frequencies(shape, dtype)
    return jnp.arctan2(-down, across)
