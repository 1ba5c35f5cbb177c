"""IoU against counts by hand, and against sets of pixels."""

import numpy as np
import pytest

from refusion_jax.evaluation.segmentation import confusion, constant_guess, ious, total


def test_ious_equal_those_by_hand():
    labels = np.array([[1, 1, 1, 2], [2, 0, 0, 3]])
    said = np.array([[1, 1, 2, 2], [1, 3, 1, 3]])
    # 1: hits 2, true 3, said 3; 2: hits 1, true 2, said 2; 3: hits 1, true 1, said 1
    found = ious(confusion(said, labels, 4))
    assert np.isnan(found.classes[0])
    np.testing.assert_allclose(found.classes[1:], [2 / 4, 1 / 3, 1])
    assert found.mean == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    assert found.absent == ()


def test_ious_equal_the_jaccard_index_of_sets():
    """As scikit-learn's jaccard_score defines it, on the labelled pixels."""
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 6, (2, 40, 30)), rng.integers(1, 6, (2, 40, 30))
    found = ious(total([confusion(s, x, 6) for s, x in zip(said, labels, strict=True)]))
    for c in range(1, 6):
        true = set(np.flatnonzero(labels == c))
        predicted = set(np.flatnonzero((said == c) & (labels > 0)))
        assert found.classes[c] == len(true & predicted) / len(true | predicted)


def test_an_absent_class_counts_only_where_it_is_predicted():
    labels = np.array([1, 1, 2, 2])
    ignored = ious(confusion(labels, labels, 4))
    assert np.isnan(ignored.classes[3])
    assert (ignored.mean, ignored.absent) == (1, (3,))
    wrong = ious(confusion(np.array([1, 3, 2, 2]), labels, 4))
    assert (wrong.classes[3], wrong.absent) == (0, (3,))
    assert wrong.mean == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_a_constant_guess_has_the_share_of_the_class():
    labels = np.array([1, 1, 1, 2, 0])
    counts = confusion(labels, labels, 3)
    for c in (1, 2):
        guess = ious(confusion(np.full(5, c), labels, 3)).classes[c]
        assert constant_guess(counts)[c] == guess


def test_nothing_labelled_has_no_mean():
    found = ious(confusion(np.array([1, 2]), np.array([0, 0]), 3))
    assert np.isnan(found.mean) and found.absent == (1, 2)


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match=r"the labels' shape \(2,\), got \(3,\)"):
        confusion(np.zeros(3, int), np.zeros(2, int), 3)
    with pytest.raises(ValueError, match="true labels from 0 to 2, got 1 to 255"):
        confusion(np.array([1, 1]), np.array([1, 255]), 3)
