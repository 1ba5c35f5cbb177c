"""What the benchmark MEFB (Zhang 2021) has beside the metrics of the paper's tables.

Where MEFB's code departs from the formula of its source, the key is the formula and a
function named `..._mefb` computes what the code does.
"""
