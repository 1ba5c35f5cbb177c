"""Names of the rules that users choose from; apart, since jax is slow to import."""

RANGES = ("stretch", "none", "source")  # see `pictures.ranges`
ALIGNMENTS = ("none", "crop", "resize")  # see `pictures.alignment`
