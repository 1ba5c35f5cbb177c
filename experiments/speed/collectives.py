"""What devices exchange in a compiled program, read from its HLO.

An exchange counts as often as the loops around it run. Bytes are those of the ring
algorithms, which send the least: among N devices each sends (N - 1) / N of what it
gathers or swaps, and twice that of what is summed.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

# By kind: how often a device sends (N - 1) / N of the array that it ends up with.
SENDS = {"all-reduce": 2, "all-gather": 1, "all-to-all": 1}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\) -> .* \{$", re.MULTILINE)
_EXCHANGE = re.compile(
    r"= (?P<shape>\(.*?\)|\S+) (?P<kind>(?:all-|reduce-scatter|collective-|ragged-)"
    r"[a-z-]*)\(.*?replica_groups=(?P<groups>.*)"
)
_CALLED = re.compile(
    r"(?:to_apply|calls|body|condition|(?:true|false)_computation)=%?([\w.-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r"[a-z]+(\d+)\[([\d,]*)\]")
# Devices of a group: written out, as rows and columns, or as axes of a mesh.
_LISTED = re.compile(r"\{\{([\d,]+)\}")
_TABLE = re.compile(r"\[\d+,(\d+)\]<=")
_MESH = re.compile(r"mesh\[(.*?)\] ?\{(.*?)\}")


class Exchange(NamedTuple):
    """An operation that exchanges arrays.

    Attributes:
      kind: as HLO names it, such as all-reduce.
      size: bytes of the arrays that a device ends up with.
      devices: that take part together.
      times: how often it runs.
    """

    kind: str
    size: int
    devices: int
    times: int

    @property
    def sent(self) -> float:
        """Bytes that each device sends, in all runs."""
        share = (self.devices - 1) / self.devices
        return SENDS[self.kind] * share * self.size * self.times


def exchanges(hlo: str) -> list[Exchange]:
    """Returns the exchanges of a compiled program.

    Args:
      hlo: `compiled.as_text()`.

    Raises:
      ValueError: for an exchange of a kind that `SENDS` lacks, or in a loop of unknown
        length.
    """
    heads = [*_COMPUTATION.finditer(hlo)]
    ends = [*(head.start() for head in heads[1:]), len(hlo)]
    bodies = {
        head[2]: hlo[head.end() : end].splitlines()
        for head, end in zip(heads, ends, strict=True)
    }
    (entry,) = (head[2] for head in heads if head[1])
    return [*_exchanges_of(entry, bodies, 1)]


def _exchanges_of(
    name: str, bodies: dict[str, list[str]], times: int
) -> Iterator[Exchange]:
    for line in bodies[name]:
        if match := _EXCHANGE.search(line):
            if match["kind"] not in SENDS:
                raise ValueError(f"expected one of {', '.join(SENDS)}, got: {line}")
            size, devices = _size_of(match["shape"]), _devices_of(match["groups"])
            yield Exchange(match["kind"], size, devices, times)
            continue
        called = _CALLED.findall(line)
        for branches in _BRANCHES.findall(line):
            called += re.findall(r"[\w.-]+", branches)
        inner = [x for other in called for x in _exchanges_of(other, bodies, times)]
        if inner and " while(" in line:
            if not (trips := _TRIPS.search(line)):
                raise ValueError(f"expected a loop of known length, got: {line}")
            inner = [x._replace(times=x.times * int(trips[1])) for x in inner]
        yield from inner


def _size_of(shape: str) -> int:
    return sum(
        int(bits) // 8 * math.prod(int(x) for x in sides.split(",") if x)
        for bits, sides in _ARRAY.findall(shape)
    )


def _devices_of(groups: str) -> int:
    if match := _LISTED.match(groups):
        return len(match[1].split(","))
    if match := _TABLE.match(groups):
        return int(match[1])
    if match := _MESH.match(groups):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", match[2]))
    raise ValueError(f"expected groups of devices, got: {groups}")
