"""Weights: files of ours and the authors', what they hold, how they are checked."""
