from refusion_jax.methods.protocol import Stage
from refusion_jax.training.forecast import Forecast
from refusion_jax.training.schedule import schedule

STAGES = (Stage("meta", 4, (), start_epoch=1), Stage("fusion", 4, ()))


def test_compiling_does_not_count_and_unknown_stages_count_as_the_slowest():
    plan = [*schedule(STAGES, epochs=2, steps_per_dispatch=2)]
    forecast = Forecast()
    forecast.add(plan[0], 100.0)  # with compiling
    assert forecast.remaining(plan[1:]) == (0.0, False)
    forecast.add(plan[1], 6.0)  # two steps
    assert forecast.remaining(plan[2:]) == (8 * 3.0, False)
    forecast.add(plan[2], 100.0)
    forecast.add(plan[3], 10.0)
    assert forecast.remaining(plan[4:]) == (4 * 3.0, True)
