"""The test sets of compare.py: where their pictures lie, and what is known of them."""

from typing import NamedTuple


class TestSet(NamedTuple):
    """A set of pairs that nothing was trained or chosen on.

    Attributes:
      folder: below the data, with a folder per source in it.
      title: of its table.
      task: whose weights fuse it, and whose columns its table has.
      sources: names of the folders of source a and b.
      truth: name of the folder of true pictures; empty if there are none.
      published: the paper's name of the set; empty if the paper does not have it.
    """

    folder: str
    title: str
    task: str
    sources: tuple[str, str]
    truth: str = ""
    published: str = ""


TEST_SETS = {
    "roadscene": TestSet(
        "ivif/roadscene/test",
        "RoadScene",
        "ivif",
        ("infrared", "visible"),
        published="RoadScene",
    ),
    "msrs": TestSet(
        "ivif/msrs/test", "MSRS", "ivif", ("infrared", "visible"), published="MSRS"
    ),
    # The paper has one table for all of Harvard's modalities.
    "harvard_ct": TestSet(
        "mif/harvard_ct/test", "Harvard CT", "mif", ("ct", "mri"), published="Harvard"
    ),
    "harvard_pet": TestSet(
        "mif/harvard_pet/test",
        "Harvard PET",
        "mif",
        ("pet", "mri"),
        published="Harvard",
    ),
    "harvard_spect": TestSet(
        "mif/harvard_spect/test",
        "Harvard SPECT",
        "mif",
        ("spect", "mri"),
        published="Harvard",
    ),
    "lytro": TestSet(
        "mfif/lytro/test", "Lytro", "mfif", ("near", "far"), published="Lytro"
    ),
    # Pairs blurred by the measured depth of indoor scenes; the photograph is the truth.
    "nyud": TestSet(
        "mfif/nyud/test", "NYU depth, blurred", "mfif", ("near", "far"), truth="gt"
    ),
    "mefb": TestSet(
        "meif/mefb/test", "MEFB", "meif", ("under", "over"), published="MEFB"
    ),
}
# The authors' released weights, below --official.
AUTHORS = {"ivif": "ivif/ReFusion_IVIF.pth", "mif": "mif/ReFusion_MIF.pth"}
BASELINES = ("average", "maximum", "laplacian", "mertens", "guided")
