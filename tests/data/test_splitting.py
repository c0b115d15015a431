from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbook.data import split_validation


def rows_and_labels(labels):
    return np.arange(2 * len(labels)).reshape(-1, 2), np.array(labels)


label_lists = st.lists(st.integers(0, 4), min_size=2, max_size=60)


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


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.data())
def test_quotas_are_those_of_exact_fractions(members, data):
    total = sum(members)
    size = data.draw(st.integers(1, total - 1))
    shares = [Fraction(size * n, total) for n in members]
    quotas = [share.numerator // share.denominator for share in shares]
    # sorted() keeps the order of equals, so that the lower class comes first.
    order = sorted(range(len(members)), key=lambda c: quotas[c] - shares[c])
    for class_id in order[: size - sum(quotas)]:
        quotas[class_id] += 1
    images, labels = rows_and_labels(np.repeat(range(len(members)), members))
    _, (_, chosen) = split_validation(images, labels, size)
    assert np.bincount(chosen, minlength=len(members)).tolist() == quotas


def test_remainders_that_rounding_tells_apart_are_equal():
    # Shares of 3 rows: 1/3, 1/3 and 7/3, whose remainder is the largest of the three in float64.
    _, (_, chosen) = split_validation(*rows_and_labels([0] + [1] + [2] * 7), 3)
    assert np.bincount(chosen).tolist() == [1, 0, 2]


def test_sizes_of_narrow_types_are_not_rounded_and_do_not_wrap():
    images, labels = rows_and_labels([0, 1] * 300)
    expected = split_validation(images, labels, 200)[1][0]
    for size in (np.uint8(200), np.int16(200), np.uint64(200), np.float32(1 / 3)):
        np.testing.assert_array_equal(split_validation(images, labels, size)[1][0], expected)
    # In float16 a quarter of 300,000 is infinite.
    many = np.zeros(300_000, np.uint8)
    assert len(split_validation(many, many, np.float16(0.25))[1][0]) == 75_000


@pytest.mark.parametrize("seed", [None, -1, 1.0, True])
def test_a_seed_that_is_no_count_is_refused(seed):
    # None would draw other rows each time.
    with pytest.raises((TypeError, ValueError), match="seed must be an integer of at least 0, got"):
        split_validation(*rows_and_labels([0, 1] * 5), 4, seed=seed)


def test_a_single_row_cannot_be_split():
    for count in (0, 1):
        with pytest.raises(ValueError, match=f"labels must have at least 2 rows .* got {count}"):
            split_validation(np.zeros((count, 2)), np.zeros(count, int), 1)


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
