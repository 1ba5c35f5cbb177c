"""The networks F, R and P: on strips for training, on tiles for inference."""
