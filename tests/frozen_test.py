"""What runs, files and scripts of users rely on: names and numbers that must not move.

A failure here is no mistake in the test: old runs would no longer resume, old weight
files no longer load, or old scripts read other keys.
"""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from refusion_jax import metrics
from refusion_jax.data.crops import ORDER as ORDER_STREAM
from refusion_jax.data.crops import VALIDATION, draw_crops, epoch_order
from refusion_jax.export.artefact import FORMAT
from refusion_jax.methods.refusion.learner import ALL, INNER, OUTER
from refusion_jax.methods.refusion.nets import (
    convolution,
    depthwise,
    networks,
    primitives,
)
from refusion_jax.methods.refusion.optimizers import make_optimizers
from refusion_jax.methods.refusion.state import init_state
from refusion_jax.training.checkpoint import Checkpointer
from refusion_jax.training.config import preset, to_flat

TENSORS = {  # tree -> leaves, SHA-256 (its start) of the sorted lines "path shape"
    "fusion": (34, "6f0e3ad990c7117413bd"),
    "reconstruction": (
        13,
        "e23ea1135a723b1dae08",
    ),
    "proposal": (
        26,
        "81c4d42bf7b86ef2738c",
    ),
}
SETTINGS = (
    "dataset data_dir source_a source_b align levels patches crop_size memory_budget "
    "reader_count batch_size augment swap holdout_pairs interaction gating "
    "reconstruction_width reconstruction_blocks alpha_fusion alpha_ramp "
    "alpha_reconstruction weight_power reduction meta_gradient "
    "inner_steps inner_learning_rate accumulate learning_rate proposal_learning_rate "
    "proposal_optimizer decay_every decay_factor epochs meta_steps fusion_steps seed "
    "fusion_precision steps_per_dispatch save_every keep_checkpoints"
).split()
METRICS = (
    "en sd sf ag scd cc mi nmi mse psnr ssim_refusion ssim_wang ms_ssim vifp_sum viff "
    "qabf nabf qcb qncie qy fmi"
).split()
PRIMITIVES = (
    "refusion_depthwise refusion_depthwise_transposed refusion_tap_products "
    "refusion_pad refusion_trim refusion_keep refusion_spread "
    "refusion_spread_transposed refusion_gather refusion_gather_transposed"
).split()
ORDER = [[1, 2], [4, 0, 3], [3, 4, 1, 2, 0]]
CROPS = [[0, 3], [18, 38], [63, 18], [True, False], [False, True], [False, False]]


def test_tensors_keep_their_paths_and_shapes():
    trees = jax.eval_shape(networks.init_params, jax.random.key(0))._asdict()
    for name, (count, digest) in TENSORS.items():
        leaves = flatten_dict(trees[name], sep="/")
        lines = "".join(f"{path} {leaves[path].shape}\n" for path in sorted(leaves))
        assert len(leaves) == count
        assert hashlib.sha256(lines.encode()).hexdigest().startswith(digest), name
    assert list(trees) == list(TENSORS)


def test_checkpoints_keep_their_items(tmp_path):
    params = networks.NetsParams(
        {"f": np.ones(1)}, {"r": np.ones(1)}, {"p": np.ones(1)}
    )
    optimizers = make_optimizers(proposal_optimizer="adam", accumulate=1)
    state = init_state(params, optimizers, jax.random.key(0))
    with Checkpointer(tmp_path / "checkpoints", 1) as saver:
        saver.save(state, record={"config": {}}, validation=0.5)
    items = {path.name for path in (tmp_path / "checkpoints" / "0").iterdir()}
    assert items >= {
        *(f"{part}_{tree}" for part in ("params", "optimizer") for tree in TENSORS),
        *("progress", "record"),
    }
    record = json.loads((tmp_path / "checkpoints/0/record/metadata").read_text())
    assert set(record) == {"config", "sha256"}


def test_settings_of_old_runs_are_still_settings():
    """New ones may follow; `config.json` of an old run lacks them."""
    assert set(to_flat(preset("default"))) >= set(SETTINGS)


def test_metrics_keep_their_keys():
    assert [key for key in metrics.METRICS if key in METRICS] == METRICS


def test_primitives_keep_their_names():
    names = {
        value.name
        for module in (convolution, depthwise, primitives)
        for value in vars(module).values()
        if isinstance(value, jax.extend.core.Primitive)
    }
    assert names == set(PRIMITIVES)


def test_exports_keep_their_format():
    assert FORMAT == "refusion-jax export, 1"


def test_random_streams_keep_their_numbers():
    draws = {draw.name: draw.stream for draw in (INNER, OUTER, ALL)}
    assert draws == {"inner": 1, "outer": 2, "batch": 3}
    assert (ORDER_STREAM, VALIDATION) == (0, 4)
    order = epoch_order(jax.random.key(7), 3, [1] * 5)
    assert [x.tolist() for x in order] == ORDER
    crops = draw_crops(
        jnp.array([40, 50, 60, 70, 80]),
        jnp.array([90, 80, 70, 60, 50]),
        jax.random.key(7),
        stream=ALL.stream,
        epoch=3,
        step=2,
        order=order.all,
        count=2,
        crop_size=16,
        augment=True,
    )
    assert [x.tolist() for x in crops] == CROPS
