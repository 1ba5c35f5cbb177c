"""`python -m refusion_jax`: the command, where no script of it is on the path."""

import sys

from refusion_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
