"""An epoch cut into dispatches: steps that run on the device as one program."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from refusion_jax.methods.protocol import Stage


class Dispatch(NamedTuple):
    """Steps that run on the device as one program.

    Attributes:
      epoch: from 0.
      stage: whose steps they are.
      start: first step, within epoch and stage.
      length: number of steps.
      end_step: steps of the whole run after it.
    """

    epoch: int
    stage: Stage
    start: int
    length: int
    end_step: int


def schedule(
    stages: Sequence[Stage], *, epochs: int, steps_per_dispatch: int
) -> Iterator[Dispatch]:
    """Cuts a run into dispatches: a pure function of its settings.

    Checkpoints lie between dispatches, so that a resumed run executes the very same
    programs. Each stage is cut into equal parts of at most `steps_per_dispatch` steps,
    since each length is a program to compile.

    Args:
      stages: of an epoch, in order.
      epochs: length of the run.
      steps_per_dispatch: the most steps of a dispatch.

    Yields:
      Dispatches in order.
    """
    end_step = 0
    for epoch in range(epochs):
        for stage in stages:
            limit = min(steps_per_dispatch, stage.steps)
            length = next((n for n in range(limit, 0, -1) if stage.steps % n == 0), 1)
            for start in range(0, stage.steps, length):
                end_step += length
                yield Dispatch(epoch, stage, start, length, end_step)
