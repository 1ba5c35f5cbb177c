"""What Pillow alone reads or writes wrongly: depth, tags of TIFF, thermal pictures."""
