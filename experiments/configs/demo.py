"""A schedule for minutes on two CPU cores: small patches, few steps, large step sizes.

    make demo
    python experiments/ablate.py --workdir=runs/ablation

Two CPU cores, 4 minutes a run. Held-out L_r falls below half of its start.
"""

# What the size of the run asks for, whatever the preset.
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
    # |Sobel| does not know the sign of an edge: weighed too early, it lets F invert.
    "alpha_ramp": True,
    # The last epoch settles what the ones before have found.
    "decay_every": 4,
    "decay_factor": 0.3,
}
