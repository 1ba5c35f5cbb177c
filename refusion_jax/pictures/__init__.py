"""Pictures: files, bit depth, colour, transparency, size, black and white."""
