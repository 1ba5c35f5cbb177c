"""Devices: CPU cores, meshes, data parallelism, huge pages, the compilation cache."""
