"""Cuts epochs into dispatches: steps that run on the device as one program."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from refusion_jax.methods.protocol import Stage


class Dispatch(NamedTuple):
    """Steps that run on the device as one program.

    Attributes:
      epoch: number of the epoch, from 0.
      stage: the stage that the steps belong to.
      start: the first step, counted within epoch and stage.
      length: number of steps.
      end_step: number of steps of the whole run up to the end of the dispatch.
      ends_epoch: whether it is the epoch's last one.
    """

    epoch: int
    stage: Stage
    start: int
    length: int
    end_step: int
    ends_epoch: bool


def schedule(
    stages: Sequence[Stage], *, epochs: int, steps_per_dispatch: int
) -> Iterator[Dispatch]:
    """Cuts a run into dispatches: a pure function of its settings.

    Checkpoints are written between dispatches, so that a resumed run executes the very
    same programs. Each stage is cut into equal parts of at most `steps_per_dispatch`
    steps, because each length is a program to compile.

    >>> stages = Stage("meta", 4, ()), Stage("fusion", 3, ())
    >>> for dispatch in schedule(stages, epochs=1, steps_per_dispatch=3):
    ...     print(dispatch.stage.name, dispatch.start, dispatch.length)
    meta 0 2
    meta 2 2
    fusion 0 3

    Args:
      stages: the stages of an epoch, in order.
      epochs: length of the run.
      steps_per_dispatch: the most steps in one dispatch.

    Yields:
      Dispatches in order.
    """
    end_step = 0
    for epoch in range(epochs):
        parts = [
            (stage, start, length)
            for stage in stages
            if stage.is_in(epoch)
            for length in [_length(stage.steps, steps_per_dispatch)]
            for start in range(0, stage.steps, length)
        ]
        for number, (stage, start, length) in enumerate(parts, 1):
            end_step += length
            yield Dispatch(epoch, stage, start, length, end_step, number == len(parts))


def step_count(stages: Sequence[Stage], epochs: int) -> int:
    """Returns the number of steps of a whole run.

    Args:
      stages: the stages of an epoch.
      epochs: length of the run.
    """
    return sum(
        stage.steps for epoch in range(epochs) for stage in stages if stage.is_in(epoch)
    )


def _length(steps: int, limit: int) -> int:
    """Returns the largest divisor of `steps` up to a limit."""
    return next((n for n in range(min(limit, steps), 0, -1) if steps % n == 0), 1)
