"""The data sets of the field: who publishes them, and in which folders we expect them.

Nothing is downloaded: most sets are behind forms, cloud drives or licences. Put the
pictures into DIR/{train,test}/FIRST and DIR/{train,test}/SECOND, or into
DIR/FIRST/{train,test} and DIR/SECOND/{train,test}, where FIRST and SECOND are folder
names that the entry lists; either split may be missing. Pictures are paired by stem.

Counts are those of the publishers; `paper` is what ReFusion used (its section 4). The
paper lists no files, so the content of its splits is unknown.
"""

from typing import NamedTuple


class Facts(NamedTuple):
    """The facts about one data set.

    Attributes:
      title: the name that its authors use.
      sources_a, sources_b: folder names of source a and b, ours first; a and b are in
        the order of the authors' weights.
      third: names of an optional third folder: masks or ground truth.
      published: what its authors publish.
      url: where they publish it.
      paper: the split that ReFusion states.
      citation: of the data set.
      scene: a regular expression whose first group is the scene in a stem; empty if
        stems do not name scenes.
      arrange: how to bring the download into the layout.
    """

    title: str
    sources_a: tuple[str, ...]
    sources_b: tuple[str, ...]
    third: tuple[str, ...] = ()
    published: str = ""
    url: str = ""
    paper: str = "not used"
    citation: str = ""
    scene: str = ""
    arrange: str = ""


_INFRARED = ("infrared", "ir", "IR", "Ir")
_VISIBLE = ("visible", "vi", "vis", "VIS", "Vis")
_MASK = ("mask", "Segmentation_labels", "labels")
_GROUND_TRUTH = ("gt", "GT", "ground_truth")
_ATLAS = "http://www.med.harvard.edu/AANLIB/home.html"
_ATLAS_CITATION = "K. A. Johnson, J. A. Becker: The Whole Brain Atlas, Harvard."
_ATLAS_ARRANGE = (
    "The atlas shows slices one by one; collections of registered pairs circulate."
)
_ATLAS_PAPER = "train 158, test 50; not said how many of CT, PET and SPECT"
_PAIRS_AB = "Rename the two pictures of a scene to one stem in near/ and far/."

CATALOGUE: dict[str, Facts] = {
    "msrs": Facts(
        title="MSRS, Multi-Spectral Road Scenarios",
        sources_a=_INFRARED,
        sources_b=_VISIBLE,
        third=_MASK,
        published="1,444 pairs of 640x480: train 1,083, test 361",
        url="https://github.com/Linfeng-Tang/MSRS",
        paper="train 1,083, test 361",
        citation="L. Tang et al.: PIAFusion, Information Fusion 83-84, 2022.",
        arrange="Use the folders train and test as they are.",
    ),
    "roadscene": Facts(
        title="RoadScene",
        sources_a=_INFRARED,
        sources_b=_VISIBLE,
        published="221 pairs of many sizes, no split",
        url="https://github.com/hanna-xu/RoadScene",
        paper="test 50",
        citation="H. Xu et al.: FusionDN, AAAI 2020.",
        arrange="Put the aligned infrared pictures into test/infrared, the aligned "
        "visible ones into test/visible.",
    ),
    "tno": Facts(
        title="TNO Image Fusion Dataset",
        sources_a=_INFRARED,
        sources_b=_VISIBLE,
        published="multi-band scenes, no split and no fixed list of pairs",
        url="https://figshare.com/articles/dataset/TNO_Image_Fusion_Dataset/1008029",
        citation="A. Toet: The TNO Multiband Image Data Collection, Data in Brief 15, "
        "2017.",
        arrange="The pictures lie scene by scene: choose one infrared and one visible "
        "picture of each and give both one stem.",
    ),
    "llvip": Facts(
        title="LLVIP",
        sources_a=_INFRARED,
        sources_b=_VISIBLE,
        published="15,488 pairs of 1280x1024: train 12,025, test 3,463",
        url="https://bupt-ai-cz.github.io/LLVIP/",
        citation="X. Jia et al.: LLVIP, ICCV Workshops 2021.",
        scene=r"^(\d{2})\d{4}$",
        arrange="Use the folders infrared and visible as they are.",
    ),
    "m3fd": Facts(
        title="M3FD",
        sources_a=_INFRARED,
        sources_b=_VISIBLE,
        published="4,200 pairs for detection, 300 for fusion, no split",
        url="https://github.com/JinyuanLiu-CV/TarDAL",
        citation="J. Liu et al.: Target-aware Dual Adversarial Learning, CVPR 2022.",
        arrange="Put Ir into train/infrared and Vis into train/visible.",
    ),
    "harvard_ct": Facts(
        title="Harvard CT-MRI",
        sources_a=("ct", "CT"),
        sources_b=("mri", "MRI"),
        published="an atlas of 256x256 slices, no split",
        url=_ATLAS,
        paper=_ATLAS_PAPER,
        citation=_ATLAS_CITATION,
        arrange=_ATLAS_ARRANGE,
    ),
    "harvard_pet": Facts(
        title="Harvard PET-MRI",
        sources_a=("pet", "PET"),
        sources_b=("mri", "MRI"),
        published="an atlas of 256x256 slices, no split",
        url=_ATLAS,
        paper=_ATLAS_PAPER,
        citation=_ATLAS_CITATION,
        arrange=_ATLAS_ARRANGE,
    ),
    "harvard_spect": Facts(
        title="Harvard SPECT-MRI",
        sources_a=("spect", "SPECT"),
        sources_b=("mri", "MRI"),
        published="an atlas of 256x256 slices, no split",
        url=_ATLAS,
        paper=_ATLAS_PAPER,
        citation=_ATLAS_CITATION,
        arrange=_ATLAS_ARRANGE,
    ),
    "realmff": Facts(
        title="Real-MFF",
        sources_a=("near",),
        sources_b=("far",),
        third=_GROUND_TRUTH,
        published="710 pairs with all-in-focus ground truth, no split",
        url="https://github.com/Zancelot/Real-MFF",
        paper="train 400, test 200",
        citation="J. Zhang et al.: Real-MFF, Pattern Recognition Letters 138, 2020.",
        arrange=_PAIRS_AB,
    ),
    "mfi_whu": Facts(
        title="MFI-WHU",
        sources_a=("near",),
        sources_b=("far",),
        third=_GROUND_TRUTH,
        published="120 pairs made from sharp photographs, no split",
        url="https://github.com/HaoZhang1018/MFI-WHU",
        citation="H. Zhang et al.: MFF-GAN, Information Fusion 66, 2021.",
        arrange="Put the pictures focused near into test/near, their partners into "
        "test/far.",
    ),
    "lytro": Facts(
        title="Lytro",
        sources_a=("near",),
        sources_b=("far",),
        published="20 pairs of 520x520, and 4 triples",
        url="https://mansournejati.ece.iut.ac.ir/content/lytro-multi-focus-dataset",
        paper="test 20",
        citation="M. Nejati et al.: Multi-focus image fusion using dictionary-based "
        "sparse representation, Information Fusion 25, 2015.",
        arrange=_PAIRS_AB,
    ),
    "mffw": Facts(
        title="MFFW, multi-focus fusion in the wild",
        sources_a=("near",),
        sources_b=("far",),
        published="19 pairs from the Internet",
        url="https://arxiv.org/abs/2002.04780",
        citation="S. Xu et al.: MFFW, arXiv 2002.04780, 2020.",
        arrange=_PAIRS_AB,
    ),
    "sice": Facts(
        title="SICE",
        sources_a=("under",),
        sources_b=("over",),
        third=_GROUND_TRUTH,
        published="589 scenes, 4,413 exposures: part 1 of 360 scenes, part 2 of 229",
        url="https://github.com/csjcai/SICE",
        paper="train 300, test 100, drawn at random; not said which exposures pair",
        citation="J. Cai et al.: Learning a Deep Single Image Contrast Enhancer, IEEE "
        "TIP 27, 2018.",
        scene=r"^(\d+)",
        arrange="A scene is a folder of exposures: choose a dark and a bright one and "
        "name both by the scene's number.",
    ),
    "mefb": Facts(
        title="MEFB",
        sources_a=("under",),
        sources_b=("over",),
        published="100 pairs of many sizes",
        url="https://github.com/xingchenzhang/MEFB",
        paper="test 30",
        citation="X. Zhang: Benchmarking and comparing multi-exposure image fusion "
        "algorithms, Information Fusion 74, 2021.",
        arrange="A scene is a folder of two pictures: name both by the scene.",
    ),
    "folder": Facts(
        title="Your own pictures",
        sources_a=("a", "source_a"),
        sources_b=("b", "source_b"),
        third=("third", "mask", "gt"),
        published="",
        arrange="Name two folders, of first and of second sources, or one with "
        "train/a, train/b, test/a, test/b.",
    ),
    "demo": Facts(
        title="Pairs made from scikit-image's photographs",
        sources_a=("a",),
        sources_b=("b",),
        published="pairs of two focuses and of two exposures",
        url="https://scikit-image.org",
        citation="S. van der Walt et al.: scikit-image, PeerJ 2014.",
        arrange="Nothing: prepare makes them.",
    ),
}


def facts_of(name: str) -> Facts:
    """Returns the facts about one data set.

    Args:
      name: a key of `CATALOGUE`.

    Raises:
      ValueError: listing the names, if there is no such data set.
    """
    if name not in CATALOGUE:
        raise ValueError(
            f"expected a data set of the catalogue ({', '.join(CATALOGUE)}), got "
            f"{name!r}; choose one of these, or folder for your own pictures."
        )
    return CATALOGUE[name]
