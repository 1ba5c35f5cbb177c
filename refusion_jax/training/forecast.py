"""How long a run will take, from the speed of its first steps."""

from collections.abc import Iterable

from refusion_jax.training.schedule import Dispatch


class Forecast:
    """Knows the speed of each stage, and adds up what remains."""

    def __init__(self) -> None:
        """Starts without a measurement."""
        self._seen: set[str] = set()
        self._seconds: dict[str, float] = {}  # per step, by stage

    def is_first(self, dispatch: Dispatch) -> bool:
        """Returns whether a stage has not run yet, so that it is compiled first."""
        return dispatch.stage.name not in self._seen

    def add(self, dispatch: Dispatch, seconds: float) -> None:
        """Takes the measurement of a dispatch; the first of a stage includes compiling.

        Args:
          dispatch: that has run.
          seconds: that it took.
        """
        if not self.is_first(dispatch):
            self._seconds[dispatch.stage.name] = seconds / dispatch.length
        self._seen.add(dispatch.stage.name)

    def remaining(self, dispatches: Iterable[Dispatch]) -> tuple[float, bool]:
        """Returns the seconds that dispatches will take without compiling.

        Args:
          dispatches: those that remain.

        Returns:
          The seconds, and whether the speed of all their stages is known; where it is
          not, the slowest that is known counts.
        """
        slowest = max(self._seconds.values(), default=0.0)
        total, is_known = 0.0, True
        for dispatch in dispatches:
            name = dispatch.stage.name
            is_known = is_known and name in self._seconds
            total += self._seconds.get(name, slowest) * dispatch.length
        return total, is_known


def in_words(seconds: float) -> str:
    """Returns a duration in words.

    >>> in_words(20), in_words(100), in_words(7300)
    ('less than a minute', 'about 2 minutes', 'about 2 hours 2 minutes')

    Args:
      seconds: the duration.
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{count} {unit}{'s' if count > 1 else ''}"
        for count, unit in ((hours, "hour"), (minutes, "minute"))
        if count
    ]
    return f"about {' '.join(parts)}"
