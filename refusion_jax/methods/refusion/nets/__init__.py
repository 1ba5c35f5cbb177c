"""The networks F, R and P, in strips for training and in tiles for inference."""
