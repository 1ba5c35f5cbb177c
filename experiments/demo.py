"""Makes demo pairs, trains ReFusion on them by Algorithm 1, and reports what it learned.

    python experiments/demo.py --workdir=runs/demo

A few minutes on two CPU cores. The networks are the real ones; only patches, batches
and the schedule are small. The same command again goes on where it was stopped.
"""

import sys
from pathlib import Path

import numpy as np
from absl import app, flags, logging

from refusion_jax import fuse
from refusion_jax.config import preset, with_fields
from refusion_jax.data.demo_pairs import write_demo_pairs
from refusion_jax.data.pairs import find_pairs, read_pairs
from refusion_jax.data.pictures import read_picture, write_picture
from refusion_jax.nets import propose, reconstruct
from refusion_jax.report import Section, color_map, plot_curves, write_report
from refusion_jax.scalars import read_scalars
from refusion_jax.trainer import Interrupted, train

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder of the demo.")

SETTINGS = {
    "crop_size": 64,
    "epochs": 4,
    "meta_steps": 8,
    "fusion_steps": 60,
    "steps_per_dispatch": 4,
    "learning_rate": 2e-3,
    "proposal_learning_rate": 1e-3,
    "inner_learning_rate": 1e-2,
}
