"""Names of the rules that users choose from, in a file without slow imports."""

RANGES = ("stretch", "none", "source")  # see `pictures.ranges`
ALIGNMENTS = ("none", "crop", "resize")  # see `pictures.alignment`
