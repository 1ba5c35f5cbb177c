"""The parts of `benchmark.py`, and contenders in processes of their own."""
