"""A schedule of minutes on two CPU cores: small patches, few steps, large step sizes.

    make demo
    python experiments/ablate.py --workdir=runs/ablation

A run takes 4 minutes on two CPU cores; held-out L_r falls below half its initial value.
"""

# The weights of the package that suit the demo's kinds of pairs.
SHIPPED = {"focus": "mfif", "exposure": "meif"}
# What a run of this size needs, with any preset.
SCALE = {
    "crop_size": 64,
    "epochs": 5,
    "meta_steps": 10,
    "fusion_steps": 80,
    "learning_rate": 2e-3,
    "inner_learning_rate": 1e-2,
    "proposal_learning_rate": 4e-4,
}
SETTINGS = {
    **SCALE,
    # |Sobel| ignores the sign of an edge: at full weight from the start F may invert.
    "alpha_ramp": True,
    # Smaller steps in the last epoch.
    "decay_every": 4,
    "decay_factor": 0.3,
}
