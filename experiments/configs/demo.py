"""A schedule of minutes on two CPU cores: small patches, few steps.

    make demo
    python experiments/ablate.py --workdir=runs/ablation

A run takes 4 minutes on two CPU cores; held-out L_r falls below half its initial value.
"""

from refusion_jax.runs.ablation import SCALE

# The weights of the package that suit the demo's kinds of pairs.
SHIPPED = {"focus": "mfif", "exposure": "meif"}
# Most of the pairs differ in focus. The edge term does not know the sign of an edge: at
# full weight, F may invert edges on so few pairs.
SETTINGS = {**SCALE, "rule": "sharper", "alpha_fusion": 0.3}
