"""Installed packages: this one's version, and imports that only some uses need."""

from importlib import import_module, metadata
from types import ModuleType

DISTRIBUTION = "refusion-jax"


def version_of(distribution: str = DISTRIBUTION) -> str | None:
    """Returns the version of an installed distribution.

    Args:
      distribution: its name as pip knows it; this package's by default.

    Returns:
      The version, or None where it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def require(module: str, *, extra: str, why: str) -> ModuleType:
    """Imports a package that the plain install does not include.

    Args:
      module: its import name, such as "grain" or "skimage.data".
      extra: the extra of this package that installs it.
      why: what needs it, a clause that begins with "to".

    Returns:
      The module.

    Raises:
      ImportError: naming the package, what needs it and how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"expected the package {module.partition('.')[0]} {why}, got an "
            f"environment without it ({error}); install it with "
            f"pip install '{DISTRIBUTION}[{extra}]'."
        ) from error
