"""A schedule of minutes on two CPU cores: small patches, few steps.

    make demo
    python experiments/ablate.py --workdir=runs/ablation

A run takes 4 minutes on two CPU cores; held-out L_r falls below half its initial value.
"""

# The weights of the package that suit the demo's kinds of pairs.
SHIPPED = {"focus": "mfif", "exposure": "meif"}
# What a run of this size needs, with any preset.
SCALE = {
    "crop_size": 48,
    "epochs": 6,
    "meta_steps": 10,
    "fusion_steps": 60,
    "learning_rate": 1e-3,
    "inner_learning_rate": 1e-3,
    "proposal_learning_rate": 2e-4,
}
# Most of the pairs differ in focus. The edge term does not know the sign of an edge: at
# full weight, F may invert edges on so few pairs.
SETTINGS = {**SCALE, "rule": "sharper", "alpha_fusion": 0.3}
