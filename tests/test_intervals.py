import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lossbook.intervals import (
    Interval,
    PairedDifference,
    holm,
    mean_interval,
    paired_difference,
    runs_needed,
    two_way_interval,
    wilson_interval,
)

levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])

# SciPy takes another road to the same float64 result: its quantiles are good to about 1e-14, and
# the mean of a few draws of size 1 is rounded at 1e-16.
CLOSE = {"rel": 1e-11, "abs": 1e-13}


@given(st.integers(2, 30), st.integers(0, 2**32 - 1), levels)
def test_mean_interval_matches_scipy(n, seed, level):
    values = np.random.default_rng(seed).normal(1.0, 0.3, n)
    low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert tuple(mean_interval(values, level)) == pytest.approx((values.mean(), low, high), **CLOSE)


@given(st.integers(2, 30), st.integers(0, 2**32 - 1), levels)
def test_paired_difference_matches_scipy(n, seed, level):
    a, b = np.random.default_rng(seed).normal(1.0, 0.3, (2, n))
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(level)
    assert tuple(paired_difference(a, b, level)) == pytest.approx(
        (np.mean(a - b), interval.low, interval.high, expected.pvalue), **CLOSE
    )


@given(st.integers(1, 10_000), st.data(), levels)
def test_wilson_interval_matches_scipy(n, data, level):
    successes = data.draw(st.integers(0, n))
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    result = wilson_interval(successes, n, level)
    assert tuple(result) == pytest.approx((successes / n, expected.low, expected.high), **CLOSE)
    assert 0 <= result.low <= result.estimate <= result.high <= 1


@given(st.floats(1e-3, 2.0), levels)
def test_runs_needed_are_the_fewest_that_reach(spread, level):
    n = runs_needed(spread, 0.1, level)

    def reach(count):
        return stats.t.interval(level, count - 1, scale=spread / math.sqrt(count))[1]

    # The two ways round the quantile differently, by 1e-14 of it.
    assert n >= 2
    assert reach(n) <= 0.1 * (1 + 1e-12)
    assert n == 2 or reach(n - 1) > 0.1 * (1 - 1e-12)
    assert runs_needed(1000 * spread, 100.0, level) == pytest.approx(n, abs=1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1.0, 0.1), ValueError, "spread"),
        ((math.nan, 0.1), ValueError, "spread"),
        ((0.1, 0.0), ValueError, "half_width"),
        ((1.0, 1e-9), ValueError, "half_width"),
        (("wide", 0.1), TypeError, "spread"),
        ((0.1, 0.1, 1.0), ValueError, "level"),
    ],
)
def test_runs_needed_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        runs_needed(*arguments)


def test_wilson_interval_is_exact_at_the_ends():
    for n in range(1, 200):
        assert wilson_interval(0, n).low == 0.0
        assert wilson_interval(n, n).high == 1.0
        assert wilson_interval(0, n).high > 0.0


def test_counts_may_be_of_any_integer_type():
    # 300 * 300 overflows int16, and 9 * 30 overflows uint8.
    assert wilson_interval(np.int16(150), np.int16(300)) == wilson_interval(150, 300)
    assert wilson_interval(np.uint8(9), np.uint8(30)) == wilson_interval(9, 30)
    table = np.eye(3)
    assert two_way_interval(table, resamples=np.int64(200)) == two_way_interval(
        table, resamples=200
    )


def test_two_way_interval_is_the_bootstrap_written_out():
    rng = np.random.default_rng(3)
    table = rng.normal(size=(4, 6)) + rng.normal(size=(4, 1)) + rng.normal(size=6)
    means = []
    for _ in range(20_000):
        rows, columns = rng.integers(0, 4, 4), rng.integers(0, 6, 6)
        means.append(table[np.ix_(rows, columns)].mean())
    for level in (0.5, 0.9):
        result = two_way_interval(table, level, resamples=20_000)
        assert result.estimate == table.mean()
        expected = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        # A quantile of 20,000 draws has a standard error of sqrt(p (1 - p) / 20,000) over the
        # density there, at most 0.015 of the spread for these levels: four of them on both sides.
        assert result[1:] == pytest.approx(expected, abs=0.09 * np.std(means))


def test_two_way_interval_varies_with_seeds_and_with_examples():
    rng = np.random.default_rng(0)
    by_seed = np.repeat(rng.normal(size=(5, 1)), 400, axis=1)
    by_example = np.repeat(rng.normal(size=(1, 400)), 5, axis=0)
    for table, spread, n in (
        (by_seed, by_seed[:, 0].std(), 5),
        (by_example, by_example[0].std(), 400),
    ):
        interval = two_way_interval(table, resamples=4000)
        # 1.96 standard errors each way, of a bootstrap that is not quite normal for 5 values.
        width = 2 * 1.96 * spread / np.sqrt(n)
        assert interval.high - interval.low == pytest.approx(width, rel=0.15)
    assert two_way_interval(np.full((2, 3), 0.25)) == (0.25, 0.25, 0.25)


def test_two_way_interval_is_its_seed():
    table = np.random.default_rng(1).normal(size=(3, 50))
    assert two_way_interval(table) == two_way_interval(table, seed=0)
    assert two_way_interval(table) != two_way_interval(table, seed=1)
    right = table > 0
    assert two_way_interval(right) == two_way_interval(right.astype(np.int8))


@pytest.mark.parametrize("interval", [Interval(1, 0, 2), PairedDifference(1, 0, 2, 0.5)])
def test_an_interval_formats_all_its_numbers(interval):
    assert f"{interval:+.1f}" == "+1.0 (+0.0 to +2.0)"


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_holm_is_the_closed_bonferroni_test(hundredths):
    p_values = np.array(hundredths) / 100
    indices = range(len(p_values))
    # An adjusted p-value is the largest Bonferroni p-value of any set of tests that holds this one.
    sets = [s for size in range(1, len(p_values) + 1) for s in combinations(indices, size)]
    expected = [
        max(min(1.0, len(s) * min(p_values[list(s)])) for s in sets if i in s) for i in indices
    ]
    # The same products of the same numbers: only 1 rounding each.
    assert holm(p_values) == pytest.approx(expected, rel=1e-15)


def test_holm_keeps_the_order_given_and_the_input():
    p_values = np.array([0.5, 0.001, 0.02])
    assert holm(p_values) == pytest.approx([0.5, 0.003, 0.04], rel=1e-15)
    assert p_values.tolist() == [0.5, 0.001, 0.02]


def test_equal_draws_give_a_point():
    # The mean of three times 0.1 is rounded; no spread may come of that.
    interval = mean_interval([0.1, 0.1, 0.1])
    assert interval.low == interval.high == interval.estimate
    assert paired_difference([2.0, 3.0], [1.0, 2.0]) == (1.0, 1.0, 1.0, 0.0)
    same = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert same[:3] == (0.0, 0.0, 0.0)
    assert math.isnan(same.p_value)


def test_differences_equal_but_for_rounding_are_warned_of():
    with pytest.warns(RuntimeWarning, match="nearly identical"):
        result = paired_difference([0.9, 0.8, 0.7], [0.8, 0.7, 0.6])
    # Units in the last place of numbers below 1.
    assert result[:3] == pytest.approx((0.1, 0.1, 0.1), abs=1e-15)


def test_the_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = mean_interval(generator.normal(size=5), 0.9)
        hits += low <= 0 <= high
    # 2000 draws of probability 0.9 have a standard deviation of 0.0067: four of them.
    assert hits / 2000 == pytest.approx(0.9, abs=0.027)


def test_nan_in_gives_nan_out():
    assert all(math.isnan(value) for value in mean_interval([1.0, math.nan, 2.0]))
    assert all(math.isnan(value) for value in mean_interval([math.nan, math.nan]))
    assert all(math.isnan(value) for value in paired_difference([1.0, math.nan], [0.0, 1.0]))
    assert np.isnan(holm([0.1, math.nan])).all()


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1e307])
def test_an_interval_has_the_scale_of_its_draws(size):
    # The squares of such draws are 0 or infinite.
    values = np.array([1.0, 2.0, 4.0, 3.0])
    for whole, scaled in (
        (mean_interval(values), mean_interval(size * values)),
        (
            paired_difference(values, np.ones(4)),
            paired_difference(size * values, size * np.ones(4)),
        ),
    ):
        # The draws are rounded when they are scaled.
        assert scaled[:3] == pytest.approx(size * np.array(whole[:3]), rel=1e-14)
        assert scaled[3:] == pytest.approx(whole[3:], rel=1e-14)


def test_the_mean_of_equal_draws_does_not_overflow():
    assert mean_interval([1.5e308] * 3) == (1.5e308,) * 3


def test_an_infinite_draw_has_no_interval_and_no_warning():
    inf = math.inf
    for values, mean in (([inf, 1.0], inf), ([-inf, -inf], -inf), ([inf, -inf], math.nan)):
        for result in (mean_interval(values), paired_difference(values, [0.0, 0.0])):
            assert result[:1] == pytest.approx((mean,), nan_ok=True)
            assert all(math.isnan(number) for number in result[1:])
    result = two_way_interval([[inf, 1.0], [1.0, 2.0]])
    assert result.estimate == inf
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_half_precision_draws_are_averaged_in_full():
    # Their sum is 140,000; float16 ends at 65,504.
    values = np.tile(np.array([1.5, 2.5], np.float16), 35_000)
    assert mean_interval(values).estimate == 2.0
    assert two_way_interval(values.reshape(2, -1)).estimate == 2.0


@pytest.mark.parametrize("seed", [None, -1, 1.0, True])
def test_a_seed_that_is_no_count_is_refused(seed):
    with pytest.raises((TypeError, ValueError), match="seed must be an integer of at least 0, got"):
        two_way_interval(np.eye(3), seed=seed)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mean_interval([1.0]), ValueError, "values must have .* at least 2 values"),
        (lambda: mean_interval([[1.0, 2.0]]), ValueError, r"got shape \(1, 2\)"),
        (lambda: mean_interval(["a", "b"]), TypeError, "values must hold real numbers"),
        (lambda: mean_interval([1.0, 2.0], 95), ValueError, r"level must be a number in \(0, 1\)"),
        (lambda: mean_interval([1.0, 2.0], 1.0), ValueError, "level must be .* got 1.0"),
        (lambda: paired_difference([1.0, 2.0], [1.0]), ValueError, "^b must have"),
        (lambda: paired_difference([1.0, 2.0], [1.0, 2.0, 3.0]), ValueError, "b has shape"),
        (lambda: wilson_interval(3, 2), ValueError, r"successes must be .* in \[0, 2\], got 3"),
        (lambda: wilson_interval(-1, 2), ValueError, r"successes must be .* in \[0, 2\], got -1"),
        (lambda: wilson_interval(0, 0), ValueError, "n must be an integer of at least 1, got 0"),
        (lambda: wilson_interval(0.99, 10), TypeError, "successes must be an integer .* got 0.99"),
        (lambda: wilson_interval(1, 2, 0.0), ValueError, "level must be"),
        (
            lambda: two_way_interval([1.0, 2.0]),
            ValueError,
            r"shape \(seeds, examples\).* got \(2,\)",
        ),
        (lambda: two_way_interval([[1.0, 2.0]]), ValueError, r"2 of each, got \(1, 2\)"),
        (lambda: two_way_interval([["a", "b"]] * 2), TypeError, "table must hold booleans or real"),
        (lambda: two_way_interval(np.eye(2), 1.0), ValueError, "level must be .* got 1.0"),
        (lambda: two_way_interval(np.eye(2), resamples=99), ValueError, "at least 100, got 99"),
        (lambda: two_way_interval(np.eye(2), resamples=1e3), TypeError, "resamples .* got 1000.0"),
        (lambda: holm([]), ValueError, "p_values must have .* at least 1 value,"),
        (lambda: holm([0.5, 1.5]), ValueError, r"p_values must lie in \[0, 1\], got 1.5"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
