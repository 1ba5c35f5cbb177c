"""What `benchmark.py` is made of: contenders in processes of their own, parts."""
