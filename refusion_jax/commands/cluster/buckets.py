"""Pictures in buckets and other stores that fsspec knows by an address.

A bucket is planned by the names of its files: empty files of these names in a temporary
folder stand for them. Workers fetch what they fuse and send what they made; an object
of a store appears whole or not at all.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from refusion_jax.extras import require

WHY = "to read and write buckets"


class Shadow(NamedTuple):
    """Local stand-ins for folders of buckets.

    Attributes:
      sources: of the command; those of buckets are folders of empty files.
      output: of the command.
      roots: address by stand-in.
      places: what all addresses of one folder have in common, by stand-in.
    """

    sources: list[str]
    output: str
    roots: Mapping[Path, str]
    places: Mapping[Path, PurePath]

    def address(self, path: Path) -> str:
        """Returns where a planned file is: an address, or an absolute path."""
        for root, address in self.roots.items():
            if path.is_relative_to(root):
                inner = path.relative_to(root).as_posix()
                return address if inner == "." else f"{address}/{inner}"
        return str(path.absolute())

    def place(self, path: Path) -> PurePath:
        """Returns where a planned file is, the same for all addresses of one place."""
        for root, place in self.places.items():
            if path.is_relative_to(root):
                return place / path.relative_to(root)
        return path.resolve()


def is_bucket(place: str) -> bool:
    """Returns whether a place is an address for fsspec, such as s3://bucket/folder.

    Args:
      place: as it was given.
    """
    scheme, found, _ = place.partition("://")
    return bool(found) and scheme.lower() not in ("http", "https")


@contextmanager
def shadowed(sources: Sequence[str], output: str) -> Iterator[Shadow]:
    """Lists buckets, and makes stand-ins while the context lasts.

    Args:
      sources: folders of buckets or of this machine.
      output: a folder of either.

    Raises:
      ImportError: if fsspec, or what it needs for this store, is not installed.
      OSError: if a bucket cannot be listed.
    """
    with tempfile.TemporaryDirectory(prefix="refusion-") as folder:
        roots: dict[Path, str] = {}

        def stand_in(place: str, number: int) -> Path:
            root = Path(folder) / str(number) / place.rstrip("/").rsplit("/")[-1]
            root.mkdir(parents=True)
            roots[root] = place.rstrip("/")
            return root

        planned = [
            str(stand_in(source, number)) if is_bucket(source) else source
            for number, source in enumerate(sources)
        ]
        if is_bucket(output):
            output = f"{stand_in(output, len(sources))}/"
        for root, address in roots.items():
            names = names_in(address)
            if not names and str(root) in planned:
                raise FileNotFoundError(
                    f"expected pictures in {address}, got none; check the address."
                )
            for name in names:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
        places = {root: _place(address) for root, address in roots.items()}
        yield Shadow(planned, output, roots, places)


def names_in(address: str) -> list[str]:
    """Returns the files below a folder of a bucket, as relative names.

    Args:
      address: of the folder.

    Raises:
      ImportError, OSError: see `shadowed`.
    """
    with _speaking_of(address):
        system, root = _open(address)
        found = system.find(root) if system.exists(root) else []
    start = len(root.rstrip("/")) + 1
    return [name[start:] for name in found]


def fetch(address: str, path: Path) -> bool:
    """Copies an object to a file.

    Args:
      address: of the object.
      path: the file, in a folder that exists.

    Returns:
      Whether there is such an object.
    """
    with _speaking_of(address):
        system, place = _open(address)
        if not system.exists(place):
            return False
        system.get_file(place, str(path))
    return True


def send(path: Path, address: str) -> None:
    """Copies a file to an object.

    Args:
      path: the file.
      address: of the object.
    """
    with _speaking_of(address):
        system, place = _open(address)
        _write(system, place, path.read_bytes())


def changed_at(address: str) -> float | None:
    """Returns when an object was written, by the clock of its store; None if never.

    Args:
      address: of the object.
    """
    with _speaking_of(address):
        system, place = _open(address)
        if not system.exists(place):
            return None
        return float(system.modified(place).timestamp())


def time_at(address: str) -> float:
    """Returns the time by the clock of a store, to which a probe is written.

    Args:
      address: of a folder.

    Raises:
      OSError: if it cannot be written to.
    """
    probe = f"{address}/.refusion-probe"
    with _speaking_of(address):
        system, place = _open(probe)
        _write(system, place, b"")
        now = float(system.modified(place).timestamp())
        system.rm_file(place)
    return now


def _write(system: Any, place: str, content: bytes) -> None:
    # In a store of objects there are no folders, and this does nothing.
    system.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
    system.pipe_file(place, content)


def _open(address: str) -> tuple[Any, str]:
    fsspec = require("fsspec", extra="cluster", why=WHY)
    system, place = fsspec.core.url_to_fs(address)
    return system, str(place)


def _place(address: str) -> PurePath:
    """Returns what all addresses of one folder have in common, as s3:// and s3a://."""
    with _speaking_of(address):
        system, place = _open(address)
    names = [system.protocol] if isinstance(system.protocol, str) else system.protocol
    if "file" in names:
        return Path(place).resolve()
    return PurePosixPath(f"{names[0]}:", place.strip("/"))


@contextmanager
def _speaking_of(address: str) -> Iterator[None]:
    """Turns what stores raise, each its own errors, into OSErrors of one sentence."""
    try:
        yield
    except (OSError, ImportError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise OSError(
            f"expected to read or write {address}, got {reason}; check the address and "
            "your permissions there."
        ) from error
