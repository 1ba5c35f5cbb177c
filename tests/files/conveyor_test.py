import threading
import time

import pytest

from refusion_jax.files.conveyor import convey


def run(items, *, load=lambda x: x, work=lambda x: x, store=lambda x, y: y, jobs=2):
    return convey(items, load=load, work=work, store=store, jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_the_stages_follow_each_other_and_the_order_stays(jobs):
    outcomes = run(
        range(20),
        load=lambda x: x + 1,
        work=lambda x: 10 * x,
        store=lambda item, x: f"{item}:{x}",
        jobs=jobs,
    )
    assert [x.result for x in outcomes] == [f"{i}:{10 * (i + 1)}" for i in range(20)]


@pytest.mark.parametrize("stage", ["load", "work", "store"])
@pytest.mark.parametrize("kind", [OSError, ValueError, RuntimeError, MemoryError])
def test_one_failure_is_an_outcome_and_the_rest_goes_on(stage, kind):
    def fail_at_3(*arguments):
        if arguments[0] == 3:
            raise kind("three")
        return arguments[-1]

    outcomes = list(run(range(6), **{stage: fail_at_3}))
    assert [x.item for x in outcomes] == list(range(6))
    assert [x.result for x in outcomes] == [0, 1, 2, None, 4, 5]
    assert str(outcomes[3].error) == "three" and type(outcomes[3].error) is kind
    assert all(x.error is None for x in outcomes if x.item != 3)


def test_other_errors_are_bugs_and_come_out():
    def fail(x):
        raise TypeError("a bug")

    for stage in ("load", "work"):
        with pytest.raises(TypeError, match="a bug"):
            list(run(range(3), **{stage: fail}))


def test_reading_runs_ahead_of_the_work_but_not_without_bound():
    """Work on the first item waits until the second is read, which needs a thread."""
    second_is_read = threading.Event()
    read = []

    def load(x):
        read.append(x)
        if x == 1:
            second_is_read.set()
        return x

    def work(x):
        assert second_is_read.wait(10)
        assert len(read) <= x + 3
        return x

    assert len(list(run(range(30), load=load, work=work, jobs=2))) == 30


def test_work_stays_in_the_callers_thread():
    threads = set()
    list(run(range(5), work=lambda x: threads.add(threading.get_ident())))
    assert threads == {threading.get_ident()}


def test_leaving_early_stops_the_rest():
    read = []
    outcomes = run(range(1000), load=read.append)
    next(outcomes)
    outcomes.close()
    count = len(read)
    time.sleep(0.05)
    assert len(read) == count < 10


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="at least 1 job, got 0"):
        list(run([1], jobs=0))
