"""UAAFusion: the unfolding network, the attribution that guides it, its training."""
