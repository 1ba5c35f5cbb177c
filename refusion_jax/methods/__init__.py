"""Fusion methods: what one is, the registry of all, and a subpackage for each."""
