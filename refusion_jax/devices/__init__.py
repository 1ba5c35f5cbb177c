"""Devices: CPU cores, meshes, data parallelism, memory pages, compiled programs."""
