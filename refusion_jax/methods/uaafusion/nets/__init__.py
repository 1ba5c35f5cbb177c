"""The networks of UAAFusion: the unfolding network and the segmentation network."""
