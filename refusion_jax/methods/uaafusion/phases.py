"""The phases of a run: S alone, F alone without guidance, both; their step sizes.

S alone ends with frozen statistics. A batch of few crops has other moments than a whole
picture, so S as it was trained is not S as it is used; steps that normalise by the
running statistics let the weights settle on them.
"""

from refusion_jax.methods.protocol import Draw, Stage
from refusion_jax.methods.step_sizes import half_cosine
from refusion_jax.methods.uaafusion.settings import Settings

PRETRAINING, FROZEN = "pretraining", "frozen"
UNGUIDED, JOINT = "unguided", "joint"
_DRAWS = {
    PRETRAINING: Draw("batch", stream=1, part="all"),
    UNGUIDED: Draw("batch", stream=2, part="all"),
    JOINT: Draw("batch", stream=3, part="all"),
}


def stages_of_fusion(settings: Settings, start: int) -> tuple[Stage, Stage]:
    """Returns the stages in which F learns.

    Args:
      settings: of the method.
      start: the epoch of the first one.
    """
    joint = start + settings.unguided_epochs
    return (
        Stage(
            UNGUIDED,
            settings.unguided_steps,
            (_DRAWS[UNGUIDED],),
            start_epoch=start,
            end_epoch=joint,
        ),
        Stage(JOINT, settings.joint_steps, (_DRAWS[JOINT],), start_epoch=joint),
    )


def stages_of(settings: Settings) -> tuple[Stage, ...]:
    """Returns all stages of a run.

    Args:
      settings: of the method.
    """
    start = settings.pretraining_epochs
    frozen = max(0, start - settings.frozen_epochs)

    def alone(name: str, first: int, end: int) -> Stage:
        draws = (_DRAWS[PRETRAINING],)
        return Stage(name, settings.pretraining_steps, draws, first, end)

    return (
        alone(PRETRAINING, 0, frozen),
        alone(FROZEN, frozen, start),
        *stages_of_fusion(settings, start),
    )


def rate_of_fusion(settings: Settings, epoch: int) -> float:
    """Returns F's step size.

    Args:
      settings: of the method.
      epoch: from 0, counted from the first in which F learns.
    """
    joint = epoch - settings.unguided_epochs
    if joint < 0:
        share = half_cosine(max(0, epoch), settings.unguided_epochs)
        return settings.unguided_learning_rate * share
    return settings.learning_rate * decay(settings, joint)


def decay(settings: Settings, epoch: int) -> float:
    """Returns the share of the step sizes that is left in a joint epoch.

    Args:
      settings: of the method.
      epoch: from 0, counted from the first joint one; those before have all of it.
    """
    every = settings.decay_every
    return settings.decay_factor ** (max(0, epoch) // every if every else 0)
