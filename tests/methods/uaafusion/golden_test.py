"""The outputs of the released networks, in every variant.

Cases c (an odd size) and d (a batch of two) in float64, to the rounding of the file;
a and b in float32, where a few pixels move when a ReLU6 changes side.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from refusion_jax.methods.uaafusion.attribution import (
    attribute,
    by_deviation,
    mask_of_labels,
    pathway,
    plain,
    regions_of,
)
from refusion_jax.methods.uaafusion.nets.fusion import Memory, remember, unfold
from refusion_jax.methods.uaafusion.nets.segmentation import low_logits, segment

CLASSES = 15
EXACT = 2e-7  # of an array's largest value: float32 rounding of the file, and more
# variant: data step, joint attribution, attention scale
VARIANTS = {
    "official": (False, True, "mean"),
    "step": (True, True, "mean"),
    "sum": (False, True, "sum"),
    "paper_mean": (True, False, "mean"),
    "paper_sum": (True, False, "sum"),
    "paper_norm": (True, False, "deviation"),
}
# What the file holds: all six variants of a, fewer of the others.
FEW = ("official", "paper_norm")
WANTED = [
    *(
        ("a", mode, variant)
        for mode in ("label", "test")
        for variant in VARIANTS
        if variant != "paper_mean"
    ),
    *((case, mode, v) for case in "bc" for mode in ("label", "test") for v in FEW),
    *(("d", "label", v) for v in (*FEW, "paper_mean")),
    ("d", "test", "official"),
]
DTYPES = {"a": np.float32, "b": np.float32, "c": np.float64, "d": np.float64}


class Runs:
    """Runs of each case, computed once; one program per size serves all variants."""

    def __init__(self, released):
        self.released, self._results, self._trees = released, {}, {}

    def trees(self, case):
        dtype = DTYPES[case]
        if dtype not in self._trees:
            fusion = self.released.fusion(dtype)
            self._trees[dtype] = (fusion, *self.released.segmentation(dtype))
        return self._trees[dtype]

    def mask(self, case, mode):
        if mode == "label":
            return mask_of_labels(jnp.asarray(self.released.labels(case)), CLASSES)
        _, *segmentation = self.trees(case)
        mean = np.mean(self.released.sources(case, DTYPES[case]), axis=0)
        return jax.nn.sigmoid(_segment(segmentation, mean))

    def attribution(self, case, mode, is_joint):
        # One picture is a batch by itself: one program less.
        is_joint = is_joint and len(self.mask(case, mode)) > 1
        key = (case, mode, is_joint)
        if key not in self._results:
            _, *segmentation = self.trees(case)
            sources = self.released.sources(case, DTYPES[case])
            self._results[key] = _attribute(
                segmentation, *sources, self.mask(case, mode), is_joint
            )
        return self._results[key]

    def unfolding(self, case, mode, variant):
        has_step, is_joint, kind = VARIANTS[variant]
        fusion, *segmentation = self.trees(case)
        sources = self.released.sources(case, DTYPES[case])
        weights = self.attribution(case, mode, is_joint).weights
        mask = self.mask(case, mode)
        # Without a data step f does not move: the same as a step of size 0.
        fusion = {**fusion, "step_sizes": fusion["step_sizes"] * has_step}
        per_mean = mask.size if is_joint else mask[0].size
        scale = 1 / per_mean if kind == "mean" else 1.0
        return _unfold(
            fusion, segmentation, *sources, weights, mask, scale, kind == "deviation"
        )


@jax.jit
def _segment(segmentation, image):
    return segment(*segmentation, image)


@jax.jit
def _low(segmentation, image):
    return low_logits(*segmentation, image)[0]


@partial(jax.jit, static_argnums=4)
def _attribute(segmentation, source_a, source_b, mask, is_joint):
    network = plain(lambda image: segment(*segmentation, image))
    options = {"points": 5, "is_joint": is_joint, "at_once": 2}
    return attribute(network, source_a, source_b, regions_of(mask), **options)


@jax.jit
def _unfold(fusion, segmentation, a, b, weights, mask, scale, by_own):
    network = plain(lambda image: segment(*segmentation, image))
    return unfold(
        fusion,
        a,
        b,
        target=weights[..., :1] * a + weights[..., 1:] * b,
        guide=pathway(network, mask),
        scale=lambda x: jnp.where(by_own, by_deviation(x), x * scale),
        is_traced=True,
    )


@pytest.fixture(scope="module")
def runs(released):
    return Runs(released)


@pytest.fixture(params=WANTED, ids="-".join)
def wanted(request):
    case, *_ = request.param
    with jax.enable_x64(DTYPES[case] == np.float64):
        yield request.param


def compare(ours, theirs, case, *, float32, quantile=1.0):
    """Exactly in float64; in float32 within a bound that the list recommends."""
    error = np.abs(np.asarray(ours) - theirs)
    if DTYPES[case] == np.float64:
        assert error.max() <= EXACT * max(np.abs(theirs).max(), 1e-30)
    else:
        assert np.quantile(error, quantile) <= float32


def test_pictures_attention_and_data_steps_equal_the_released_ones(runs, wanted):
    case, mode, variant = wanted
    made, prefix = runs.unfolding(case, mode, variant), f"{case}.{mode}.{variant}"
    output = runs.released.output
    # A ReLU6 at its kink moves single pixels in float32.
    quantile = 0.95 if variant in ("paper_norm", "step", "paper_mean") else 1.0
    compare(
        made.stages.fused, output(f"{prefix}.f"), case, float32=1e-3, quantile=quantile
    )
    assert np.abs(made.stages.fused - output(f"{prefix}.f")).max() < 0.05
    attention = output(f"{prefix}.att")
    bound = 1e-3 * np.abs(attention).max()
    compare(made.stages.attention, attention, case, float32=bound, quantile=quantile)
    assert not made.stages.attention[0].any()
    if f"{prefix}.prox_input" in runs.released.outputs:
        inputs = output(f"{prefix}.prox_input")
        compare(made.stages.prox_input, inputs, case, float32=5e-4, quantile=quantile)


@pytest.mark.parametrize("mode", ["label", "test"])
@pytest.mark.parametrize("case", "abcd")
def test_weights_and_signed_attributions_equal_the_released_ones(runs, case, mode):
    with jax.enable_x64(DTYPES[case] == np.float64):
        for variant in FEW:
            if (case, mode, variant) not in WANTED:
                continue
            made = runs.attribution(case, mode, VARIANTS[variant][1])
            for k, name in enumerate(("w_i", "w_v")):
                theirs = runs.released.output(f"{case}.{mode}.{variant}.{name}")
                compare(made.weights[..., k : k + 1], theirs, case, float32=5e-5)
        joint = runs.attribution(case, mode, True).classes[:, 0]
        for k, name in enumerate(("attr_i", "attr_v")):
            theirs = np.nan_to_num(runs.released.outputs[f"{case}.{mode}.{name}"])
            compare(joint[k], theirs, case, float32=1e-4 * np.abs(theirs).max())


def test_attributions_of_each_picture_equal_the_released_ones_of_it_alone(runs, x64):
    made = runs.attribution("d", "label", False).classes
    for k, name in enumerate(("attr_i", "attr_v")):
        for picture in (0, 1):
            theirs = runs.released.outputs[f"d.label.{name}.image{picture}"]
            compare(made[k, picture], np.nan_to_num(theirs), "d", float32=0)


@pytest.mark.parametrize("variant", FEW)
def test_memories_equal_the_released_ones(runs, variant):
    made = runs.unfolding("a", "label", variant)
    # The last memory is not computed, because no stage reads it.
    last = remember(
        jax.tree.map(lambda x: x[4], runs.trees("a")[0]["stages"]),
        made.stages.features[4],
        Memory(*(x[3] for x in made.memories)),
        is_first=False,
    )
    for ours, theirs in zip(Memory._fields, ("lm", "sm", "h", "c"), strict=True):
        stages = getattr(made.memories, ours), np.asarray(getattr(last, ours))[None]
        whole, prefix = np.concatenate(stages), f"a.label.{variant}.{theirs}"
        grid = runs.released.output(f"{prefix}_grid8")
        assert np.abs(whole[:, :, ::8, ::8] - grid).max() < 5e-4
        moments = np.stack([whole.mean((1, 2, 3)), whole.std((1, 2, 3))], axis=1)
        expected = runs.released.output(f"{prefix}_mean_std")
        assert np.abs(moments - expected).max() < 1e-5


@pytest.mark.parametrize("case", "abc")
def test_logits_equal_the_released_ones(runs, case):
    with jax.enable_x64(DTYPES[case] == np.float64):
        _, *segmentation = runs.trees(case)
        sources = runs.released.sources(case, DTYPES[case])
        pictures = dict(zip("iv", sources, strict=True)) | {
            "f0": np.mean(sources, axis=0)
        }
        for name, picture in pictures.items():
            low = _low(segmentation, picture)
            theirs = runs.released.output(f"{case}.seg.{name}.logits_low")
            compare(low, theirs, case, float32=1e-4)
        logits = _segment(segmentation, pictures["f0"])
        theirs = runs.released.output(f"{case}.seg.f0.logits")
        compare(logits, theirs, case, float32=1e-4)
        probabilities = jax.nn.sigmoid(logits)
        theirs = runs.released.output(f"{case}.seg.f0.prob")
        compare(probabilities, theirs, case, float32=1e-5)
        best = runs.released.outputs[f"{case}.pseudo_argmax"]
        assert (probabilities.argmax(axis=-1) == best).all()
