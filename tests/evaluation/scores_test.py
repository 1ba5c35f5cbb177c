import math
import sys

import numpy as np
import pytest

from refusion_jax.evaluation.scores import Scores

VALUES = np.array([[6.0, 30.0], [math.nan, 10.0], [5.0, 20.0]])
SCORES = Scores(("1", "<2>", "3"), ("en", "mse"), VALUES)


def test_scores_are_asked_by_key():
    np.testing.assert_array_equal(SCORES["mse"], [30, 10, 20])
    assert SCORES.mean() == {"en": 5.5, "mse": 20.0} and SCORES.mean("en") == 5.5
    assert SCORES[0] == SCORES.stems and len(tuple(SCORES)) == 3  # still a tuple
    with pytest.raises(ValueError, match="among en, mse, got 'sd'"):
        SCORES["sd"]


def test_worst_follows_the_direction_of_the_metric():
    assert SCORES.worst("en") == ["3", "1"]  # higher is better; undefined is left out
    assert SCORES.worst("mse", 2) == ["1", "3"]


def test_scores_are_shown_short_and_as_a_table():
    assert repr(SCORES) == "Scores(3 pairs; means en=5.5, mse=20)"
    shown = SCORES._repr_html_()
    assert "<th>&lt;2&gt;</th><td>nan</td><td>10</td>" in shown
    assert "<th>mean</th><td>5.5</td><td>20</td>" in shown


def test_a_frame_needs_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        SCORES.to_dataframe()
