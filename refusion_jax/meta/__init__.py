"""Meta-learning of the fusion loss: state, objectives, meta-gradients, updates."""
