"""Intervals: how sure one can be of a mean over seeds, of a difference, of a fraction.

A single training run is a single draw. These functions say what several draws allow one to claim.

Draws are NumPy arrays, lists, or torch tensors on the CPU that carry no gradient. Masked arrays
are refused with a ``TypeError``: a mask would be lost, so drop the masked entries first. All is
computed in float64. A NaN among the draws makes the whole result NaN. Where a draw is infinite, the
mean is infinite or NaN, and the ends of its interval are NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbook import checks
from lossbook.extras import extra


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval; an f-string formats all three.

    >>> f"{Interval(99.04, 98.8, 99.28):.1f}"
    '99.0 (98.8 to 99.3)'
    """

    estimate: float
    low: float
    high: float

    def __format__(self, spec):
        return _formatted(self, spec)


class PairedDifference(NamedTuple):
    """A mean difference, the ends of its confidence interval, a two-sided p-value against 0.

    >>> f"{PairedDifference(0.21, -0.04, 0.46, 0.07):+.1f}"
    '+0.2 (-0.0 to +0.5)'
    """

    estimate: float
    low: float
    high: float
    p_value: float

    def __format__(self, spec):
        return _formatted(self, spec)


@checks.silent
def mean_interval(values, /, level=0.95):
    r"""Student's confidence interval for the mean of a normal population.

    .. math:: \bar x \pm t_{n-1,\,(1+\mathrm{level})/2}\; s / \sqrt n

    Parameters
    ----------
    values : array of shape (n,), n >= 2
        Independent draws: final accuracies over seeds, say. Two draws give a wide interval and one
        gives none, since it says nothing about the spread.
    level : float in (0, 1)

    Raises
    ------
    TypeError, ValueError
        If `values` are not two or more real numbers in one dimension.

    Source: Student (1908), The probable error of a mean, Biometrika 6(1), 1-25.

    Examples
    --------
    >>> interval = mean_interval([98.9, 99.1, 99.0, 99.2, 98.8])
    >>> tuple(round(number, 3) for number in interval)
    (99.0, 98.804, 99.196)
    """
    return Interval(*_student(_draws("values", values), _level(level))[:3])


@checks.silent
def paired_difference(a, b, /, level=0.95):
    r"""The mean of a - b over matched runs, with Student's interval and test.

    Pairing takes out what both runs of a pair share, the seed and so the batches, the initial
    weights; what is left varies less than `a` and `b` do. With differences d, the p-value is that
    of :math:`t = \bar d / (s_d / \sqrt n)` on n - 1 degrees of freedom. Where all differences are
    equal, the interval is a point and the p-value 0, or undefined and NaN if they are all 0. Where
    they are equal but for rounding, SciPy warns that their spread says nothing.

    Parameters
    ----------
    a, b : arrays of shape (n,), n >= 2
        Entry i of both comes from the same seed.
    level : float in (0, 1)

    Raises
    ------
    TypeError, ValueError
        If `a` and `b` differ in length, or are not two or more real numbers in one dimension.

    Examples
    --------
    >>> result = paired_difference([98.9, 99.1, 99.0], [98.7, 98.8, 98.9])
    >>> tuple(round(number, 3) for number in result)
    (0.2, -0.048, 0.448, 0.074)
    """
    a, b = _draws("a", a), _draws("b", b)
    return _student(a - checks.same_shape("b", b, "a", a), _level(level))


def wilson_interval(successes, n, /, level=0.95):
    r"""Wilson's score interval for a probability, from `successes` in `n` independent trials.

    .. math::
        \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n},
        \qquad \hat p = \mathrm{successes}/n

    It stays within [0, 1] and has a width even at 0 or n successes, where the textbook's
    :math:`\hat p \pm z \sqrt{\hat p (1 - \hat p)/n}` collapses to a point. It counts the chance in
    which examples were drawn, not the chance in training.

    Parameters
    ----------
    successes : int in [0, n]
    n : int, at least 1
    level : float in (0, 1)

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical
    inference, Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> tuple(round(number, 4) for number in wilson_interval(9900, 10_000))
    (0.99, 0.9879, 0.9918)
    """
    with extra("stats"):
        from scipy import stats

    n = checks.count("n", n)
    successes = checks.count("successes", successes, 0, n)
    ends = stats.binomtest(successes, n).proportion_ci(_level(level), method="wilson")
    return Interval(successes / n, float(ends.low), float(ends.high))


def holm(p_values, /):
    r"""Holm's adjusted p-values: report what stays below 5 %, and the chance that any of it is
    a false alarm is at most 5 %, however the tests depend on each other.

    With :math:`p_{(1)} \le \dots \le p_{(m)}` the i-th becomes the largest of
    :math:`\min(1, (m - j + 1)\, p_{(j)})` over :math:`j \le i`.

    Parameters
    ----------
    p_values : array of shape (m,), values in [0, 1], not empty

    Returns
    -------
    float64 array of shape (m,)
        In the order given. A NaN among them makes all NaN, as its rank is unknown.

    Source: S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p_values = _draws("p_values", p_values, least=1)
    checks.within("p_values", p_values, 0, 1)
    if np.isnan(p_values).any():
        return np.full_like(p_values, np.nan)
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return adjusted


def runs_needed(spread, half_width, /, level=0.95):
    r"""The least number of runs, or of pairs of runs, whose interval is as narrow as is asked for.

    .. math:: \min \{\, n \ge 2 : t_{n-1,\,(1+\mathrm{level})/2}\; s / \sqrt n \le h \,\}

    For a plan: `spread` is what a pilot has seen, and a few runs of a pilot know it badly.

    Parameters
    ----------
    spread : float >= 0
        s, the standard deviation of the runs, or of the differences of their pairs.
    half_width : float > 0
        h, how far the interval may reach on each side, in the units of `spread`.
    level : float in (0, 1)

    Raises
    ------
    TypeError, ValueError
        For an argument that is no such number, or where more than a million runs would be needed.

    Source: the interval of :func:`mean_interval`, solved for n.

    Examples
    --------
    >>> runs_needed(0.1, 0.1), runs_needed(0.1, 0.05)
    (7, 18)
    """
    with extra("stats"):
        from scipy import stats

    spread = checks.number("spread", spread, 0)
    half_width = checks.number("half_width", half_width, 0, open_low=True)
    level = _level(level)

    def reach(n):
        return stats.t.ppf((1 + level) / 2, n - 1) * spread / np.sqrt(n)

    # The reach falls as n grows, so the least n is between a power of 2 and the next.
    most = 2
    while reach(most) > half_width:
        most *= 2
        if most > 2**20:
            raise ValueError(
                f"half_width must be large enough for a million runs at spread {spread}, "
                f"got {half_width}"
            )
    least = max(2, most // 2)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if reach(middle) <= half_width else (middle + 1, most)
    return least


@checks.silent
def two_way_interval(table, /, level=0.95, *, resamples=1000, seed=0):
    r"""Bootstrap interval for the mean of a table that counts both the seeds and the test examples.

    An accuracy averaged over seeds varies for two reasons: another seed would train another
    network, and another test set would ask other questions. Resampling the rows and the columns of
    the table at once, each with replacement, lets both vary. With few rows or columns the interval
    is approximate: no bootstrap of a crossed table is exact.

    Parameters
    ----------
    table : array of booleans or numbers, of shape (seeds, examples), at least 2 of each
        Whether the network of a seed is right on an example; or the difference of two such tables.
    level : float in (0, 1)
    resamples : int >= 100, how many tables are drawn
    seed : int, of the draws

    Raises
    ------
    TypeError, ValueError
        If `table` is not a two-dimensional array of booleans or real numbers, or too small.

    Source: A. B. Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 386-411.

    Examples
    --------
    >>> correct = np.random.default_rng(0).random((5, 1000)) < 0.9
    >>> f"{two_way_interval(correct):.2f}"
    '0.90 (0.89 to 0.92)'
    """
    table = checks.plain("table", table)
    if table.dtype.kind not in "biuf":
        raise TypeError(f"table must hold booleans or real numbers, got dtype {table.dtype}")
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"table must have shape (seeds, examples), at least 2 of each, got {table.shape}"
        )
    table = table.astype(np.float64)
    level = _level(level)
    resamples = checks.count("resamples", resamples, 100)
    rng = np.random.default_rng(checks.count("seed", seed, 0))
    seeds, examples = table.shape
    # How often each row and each column is drawn is all that the mean needs.
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    columns = rng.multinomial(examples, np.full(examples, 1 / examples), size=resamples)
    means = np.sum((rows @ table) * columns, axis=1) / table.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(table.mean()), float(low), float(high))


def _draws(name, values, least=2):
    values = checks.plain(name, values)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}")
    if values.ndim != 1 or len(values) < least:
        raise ValueError(
            f"{name} must have one dimension and at least {least} "
            f"value{'s' if least > 1 else ''}, got shape {values.shape}"
        )
    return values.astype(np.float64)


def _level(level):
    return checks.number("level", level, 0, 1, open_low=True, open_high=True)


def _student(values, level):
    """Student's interval and test for the mean of a normal population."""
    with extra("stats"):
        from scipy import stats

    # Squares of very large or small draws would leave float64's range; near 1 they do not, and a
    # power of 2 takes no digit.
    largest = np.max(np.abs(values))
    power = int(np.frexp(largest)[1]) if np.isfinite(largest) else 0
    near_one = np.ldexp(values, -power)
    mean = np.mean(near_one)
    if np.isfinite(mean) and np.all(values == values[0]):
        # No spread, though the rounded mean may miss the values by a bit: SciPy would make one of
        # that, and divide 0 by 0 where there is none.
        ends, p_value = (mean, mean), 0.0 if mean else float("nan")
    else:
        test = stats.ttest_1samp(near_one, 0.0)
        ends, p_value = test.confidence_interval(level), float(test.pvalue)
    return PairedDifference(*(float(np.ldexp(x, power)) for x in (mean, *ends)), p_value)


def _formatted(interval, spec):
    estimate, low, high = (format(number, spec) for number in interval[:3])
    return f"{estimate} ({low} to {high})"
