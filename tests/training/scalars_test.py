import json

import pytest

from refusion_jax.training.scalars import ScalarLog, read_scalars

STEPS = (0, 10, 20, 30)


def open_log(path, resume_step):
    return ScalarLog(path, resume_step=resume_step)


@pytest.fixture
def path(tmp_path):
    """A log of four lines."""
    path = tmp_path / "scalars.jsonl"
    with open_log(path, 0) as log:
        for step in STEPS:
            log.scalars(step, "fusion", {"loss": 0.1 * step})
    return path


def steps(path):
    return [line["step"] for line in read_scalars(path)]


def test_each_write_is_one_json_object_a_line(path):
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": step, "stage": "fusion", "loss": 0.1 * step} for step in STEPS
    ]
    assert read_scalars(path) == [json.loads(line) for line in lines]


def test_a_line_is_in_the_file_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "scalars.jsonl"
    with open_log(path, 0) as log:
        for count in (1, 2):
            log.scalars(count, "meta", {"loss": 1.0})
            assert len(read_scalars(path)) == count


def test_a_resumed_log_drops_the_steps_that_will_be_repeated(path):
    with open_log(path, 20) as log:
        log.scalars(30, "fusion", {"loss": 7.0})
    assert steps(path) == [0, 10, 20, 30]
    assert read_scalars(path)[-1]["loss"] == 7.0


def test_a_log_that_starts_at_zero_is_empty(path):
    with open_log(path, 0):
        pass
    assert steps(path) == []


@pytest.mark.parametrize("kept", [1, 5, -2, -1])
def test_a_last_line_that_was_cut_off_is_dropped(path, kept):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:kept])
    assert steps(path) == [0, 10, 20]
    with open_log(path, 30) as log:
        log.scalars(40, "fusion", {})
    assert steps(path) == [0, 10, 20, 40]


def test_a_log_that_does_not_exist_has_no_lines(tmp_path):
    assert read_scalars(tmp_path / "none.jsonl") == []
