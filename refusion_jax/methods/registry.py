"""The methods by name, each loaded on use."""

from importlib import import_module
from typing import cast

from refusion_jax.methods.protocol import Method

# Weights and runs that name no method are of this one.
DEFAULT = "refusion"
_MODULES = {"refusion": "refusion_jax.methods.refusion.method"}
_REGISTERED: dict[str, Method] = {}


def names() -> tuple[str, ...]:
    """Returns the names of all methods."""
    return (*_MODULES, *_REGISTERED)


def find(name: str) -> Method:
    """Returns a method.

    Args:
      name: one of `names()`.

    Raises:
      ValueError: listing the methods, if there is none of that name.
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
    """Adds a method of your own, for this process.

    Args:
      method: its name must not be taken.

    Raises:
      ValueError: if it is.
    """
    if method.name in names():
        raise ValueError(
            f"expected the name of a new method, got {method.name!r}, which is taken; "
            "choose another."
        )
    _REGISTERED[method.name] = method


def unregister(name: str) -> None:
    """Removes a method that `register` has added.

    Args:
      name: of the method.
    """
    del _REGISTERED[name]
