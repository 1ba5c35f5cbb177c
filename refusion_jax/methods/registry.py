"""All methods by name; each is imported when it is first used."""

from importlib import import_module
from typing import cast

from refusion_jax.methods.protocol import Method

# The method of weights and runs that name none.
DEFAULT = "refusion"
_MODULES = {
    "refusion": "refusion_jax.methods.refusion.method",
    "uaafusion": "refusion_jax.methods.uaafusion.method",
}
_REGISTERED: dict[str, Method] = {}


def names() -> tuple[str, ...]:
    """Returns the names of all methods."""
    return (*_MODULES, *_REGISTERED)


def find(name: str) -> Method:
    """Returns a method.

    >>> find("refusion").title
    'ReFusion (IJCV 2024)'

    Args:
      name: one of `names()`.

    Raises:
      ValueError: for an unknown name; the message lists the methods.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _MODULES:
        raise ValueError(
            f"expected a method among {', '.join(names())}, got {name!r}; choose one "
            "of these."
        )
    return cast(Method, import_module(_MODULES[name]).METHOD)


def register(method: Method) -> None:
    """Adds a method to the registry of this process.

    Args:
      method: the method; its name must be new.

    Raises:
      ValueError: if the name is taken.
    """
    if method.name in names():
        raise ValueError(
            f"expected the name of a new method, got {method.name!r}, which is taken; "
            "choose another."
        )
    _REGISTERED[method.name] = method


def unregister(name: str) -> None:
    """Removes a method that `register` added.

    Args:
      name: the method's name.
    """
    del _REGISTERED[name]
