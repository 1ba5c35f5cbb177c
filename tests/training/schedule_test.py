"""Which steps run in which epoch, and where an epoch ends."""

from refusion_jax.methods.protocol import Stage
from refusion_jax.training.schedule import schedule, step_count

FIRST_ONLY = Stage("pre-training", 3, (), end_epoch=1)
LATER = Stage("meta", 4, (), start_epoch=1)
ALWAYS = Stage("fusion", 5, ())


def dispatches(*stages, epochs=3, limit=3):
    return list(schedule(stages, epochs=epochs, steps_per_dispatch=limit))


def test_a_stage_runs_in_its_epochs_only():
    steps = {}
    for dispatch in dispatches(FIRST_ONLY, LATER, ALWAYS):
        key = dispatch.epoch, dispatch.stage.name
        steps[key] = steps.get(key, 0) + dispatch.length
    expected = {(0, "pre-training"): 3, (0, "fusion"): 5}
    expected |= {(epoch, "meta"): 4 for epoch in (1, 2)}
    expected |= {(epoch, "fusion"): 5 for epoch in (1, 2)}
    assert steps == expected


def test_each_epoch_ends_once_at_its_last_step():
    run = dispatches(FIRST_ONLY, LATER, ALWAYS)
    assert [x.end_step for x in run if x.ends_epoch] == [8, 17, 26]
    assert run[-1].end_step == step_count((FIRST_ONLY, LATER, ALWAYS), 3) == 26


def test_the_epoch_ends_with_its_last_stage_even_if_others_are_over():
    over = Stage("over", 2, (), end_epoch=1)
    assert [x.ends_epoch for x in dispatches(ALWAYS, over, epochs=2, limit=5)] == [
        False,
        True,
        True,
    ]
