"""ReFusion (IJCV 2024): networks, losses, the meta-gradient, the three updates."""
