import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbook.data import split_validation

# A busy machine may pause in the middle of any example.
unhurried = settings(deadline=None)


def rows_and_labels(labels):
    return np.arange(2 * len(labels)).reshape(-1, 2), np.array(labels)


label_lists = st.lists(st.integers(0, 4), min_size=2, max_size=60)


@unhurried
@given(labels=label_lists, data=st.data())
def test_parts_are_a_stratified_partition_in_the_given_order(labels, data):
    size = data.draw(st.integers(1, len(labels) - 1))
    images, labels = rows_and_labels(labels)
    train, validation = split_validation(images, labels, size, seed=3)
    assert len(validation[1]) == size
    for part_images, part_labels in (train, validation):
        np.testing.assert_array_equal(labels[part_images[:, 0] // 2], part_labels)
        assert np.all(np.diff(part_images[:, 0]) > 0)
    together = np.sort(np.concatenate((train[0], validation[0])), axis=0)
    np.testing.assert_array_equal(together, images)
    for class_id in np.unique(labels):
        share = size * np.mean(labels == class_id)
        assert abs(np.sum(validation[1] == class_id) - share) < 1


def test_left_over_rows_go_to_the_largest_remainders():
    # Shares of 4 rows: 2.0, 1.2 and 0.8, so the fourth row is one of class 2.
    images, labels = rows_and_labels([0] * 5 + [1] * 3 + [2] * 2)
    _, (_, chosen) = split_validation(images, labels, 4)
    assert np.bincount(chosen).tolist() == [2, 1, 1]


def test_equal_remainders_go_to_the_lower_class():
    images, labels = rows_and_labels([2, 1, 0] * 2)
    _, (_, chosen) = split_validation(images, labels, 2)
    assert sorted(chosen) == [0, 1]


def test_a_fraction_means_that_share_of_the_rows():
    images, labels = rows_and_labels([0, 1] * 30)
    by_fraction = split_validation(images, labels, 0.1, seed=1)
    by_count = split_validation(images, labels, 6, seed=1)
    for ours, theirs in zip(by_fraction, by_count, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_the_seed_fixes_the_choice():
    images, labels = rows_and_labels([0, 1] * 30)
    first, again, other = (split_validation(images, labels, 10, seed=s)[1][0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_parts_are_copies():
    images, labels = rows_and_labels([0, 1] * 5)
    for part in split_validation(images, labels, 4):
        assert not any(np.shares_memory(part[0], array) for array in (images, labels))


@pytest.mark.parametrize("size", [0, 10, -1, 0.0, 1.0, 0.01, 2.5, float("nan")])
def test_sizes_that_leave_a_part_empty_are_refused(size):
    with pytest.raises(ValueError, match=r"size must be a number of rows in \[1, 9\]"):
        split_validation(*rows_and_labels([0, 1] * 5), size)


@pytest.mark.parametrize("size", ["5", None, True])
def test_sizes_that_are_no_numbers_are_refused(size):
    with pytest.raises(TypeError, match="size must be a number of rows or a fraction"):
        split_validation(*rows_and_labels([0, 1] * 5), size)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"images has shape \(3, 2\) but labels has shape \(2,\)"):
        split_validation(np.zeros((3, 2)), np.array([0, 1]), 1)
    with pytest.raises(TypeError, match="labels must be a one-dimensional array of integers"):
        split_validation(np.zeros((2, 2)), np.array([0.0, 1.0]), 1)
    with pytest.raises(TypeError, match="labels must be a one-dimensional array of integers"):
        split_validation(np.zeros((2, 2)), np.array([[0, 1]]), 1)
