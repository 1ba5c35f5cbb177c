"""Training from end to end: from folders of pictures to weights that fuse."""
