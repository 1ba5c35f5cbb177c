"""The rules for reading sources and writing results: chosen once, checked once."""

from dataclasses import dataclass

from refusion_jax.methods.setting import PRECISIONS, check, setting
from refusion_jax.pictures.names import ALIGNMENTS, BORDERS, MOTIONS, RANGES


@dataclass(frozen=True)
class Rules:
    """How sources become numbers, and numbers a picture; checked when it is made.

    >>> Rules(output_range="source", align="crop").levels
    'full'
    >>> Rules(align="stretch")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: expected align to be one of none, ..., got 'stretch'; change it.
    """

    output_range: str = setting(
        "stretch",
        "black and white of the result: its own extremes (stretch, the default for "
        "pictures unless the card of shipped weights has another), as the network "
        "outputs them (none), or the same clipped to the extremes of the sources "
        "(source, the default for videos)",
        choices=RANGES,
    )
    align: str = setting(
        "none",
        "sources of different sizes: reject them (none, the default), cut the central "
        "area of the common size (crop), scale to the first (resize) or to the one "
        "with the most pixels (resize-largest), or find how they lie on the first and "
        "bring them there (register)",
        choices=ALIGNMENTS,
    )
    motion: str = setting(
        "auto",
        "what align=register looks for: shifts (translation), also turns (rigid), also "
        "one scale (similarity), or any affine map; by default rigid for pictures on "
        "black, else similarity",
        choices=MOTIONS,
    )
    border: str = setting(
        "crop",
        "after align=register: cut the result to what all sources show (crop, the "
        "default), or let the first stand in where another shows nothing (fill)",
        choices=BORDERS,
    )
    levels: str = setting(
        "full",
        "black and white of grey sources of more than 8 bits: full (0 and 65535, the "
        "default), min-max, percentile, auto (percentile where full would be nearly "
        "flat), or LOW:HIGH, as in 28000:33000 or -20:45.5",
    )
    precision: str = setting(
        "float32",
        "precision of the network: full (float32, the default), products of 10 bits "
        "on NVIDIA's accelerators (tf32), 8 bits and half the memory (bfloat16)",
        choices=PRECISIONS,
    )

    def __post_init__(self) -> None:
        """Checks every rule.

        Raises:
          ValueError: naming the rule, its choices and the value given.
        """
        # Here, so that the command's help need not wait for NumPy.
        from refusion_jax.pictures.levels import check_rule

        check(self)
        check_rule(self.levels)
