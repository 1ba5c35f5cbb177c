"""The training binary with networks that compile in a moment: takes its flags.

A program of tests/experiments/train_test.
"""

import runpy
import sys
from pathlib import Path

import light

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

if __name__ == "__main__":
    light.register_tiny()
    sys.path.insert(0, str(EXPERIMENTS))
    runpy.run_path(str(EXPERIMENTS / "train.py"), run_name="__main__")
