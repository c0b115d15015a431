"""Comparison: how sure one can be of a mean over seeds, of a difference, of a fraction.

A single training run is a single draw. These functions say what several draws allow one to claim.
"""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy import special

from lossbook import checks


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
    values = _draws("values", values)
    level = _level(level)
    mean = float(np.mean(values))
    half_width = float(special.stdtrit(len(values) - 1, (1 + level) / 2)) * _standard_error(values)
    return Interval(mean, mean - half_width, mean + half_width)


def paired_difference(a, b, /, level=0.95):
    r"""The mean of a - b over matched runs, with Student's interval and test.

    Pairing takes out what both runs of a pair share, the seed and so the batches, the initial
    weights; what is left varies less than `a` and `b` do. With differences d, the p-value is that
    of :math:`t = \bar d / (s_d / \sqrt n)` on n - 1 degrees of freedom. Where all differences are
    equal, the interval is a point and the p-value 0, or undefined and NaN if they are all 0.

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
    differences = a - checks.same_shape("b", b, "a", a)
    interval = mean_interval(differences, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.divide(interval.estimate, _standard_error(differences))
    return PairedDifference(*interval, float(2 * special.stdtr(len(a) - 1, -np.abs(t))))


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
    for name, value in (("successes", successes), ("n", n)):
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, got {value!r}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, {n}], got {successes}")
    n, fraction = int(n), int(successes) / int(n)
    z = float(special.ndtri((1 + _level(level)) / 2))
    centre = fraction + z**2 / (2 * n)
    reach = z * (fraction * (1 - fraction) / n + z**2 / (4 * n**2)) ** 0.5
    # Exact at the ends, where rounding would leave a speck outside [0, 1].
    low = 0.0 if successes == 0 else (centre - reach) / (1 + z**2 / n)
    high = 1.0 if successes == n else (centre + reach) / (1 + z**2 / n)
    return Interval(fraction, low, high)


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


def _draws(name, values, least=2):
    values = np.asarray(values)
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


def _standard_error(values):
    # Equal values have no spread, though their rounded mean may miss them by a bit.
    spread = 0.0 if np.all(values == values[0]) else np.std(values, ddof=1)
    return float(spread / np.sqrt(len(values)))


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
    table = np.asarray(table)
    if table.dtype.kind not in "biuf":
        raise TypeError(f"table must hold booleans or real numbers, got dtype {table.dtype}")
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"table must have shape (seeds, examples), at least 2 of each, got {table.shape}"
        )
    table = table.astype(np.float64)
    level = _level(level)
    checks.number("resamples", resamples, 100)
    rng = np.random.default_rng(seed)
    seeds, examples = table.shape
    # How often each row and each column is drawn is all that the mean needs.
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    columns = rng.multinomial(examples, np.full(examples, 1 / examples), size=resamples)
    means = np.sum((rows @ table) * columns, axis=1) / table.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(table.mean()), float(low), float(high))


def _formatted(interval, spec):
    estimate, low, high = (format(number, spec) for number in interval[:3])
    return f"{estimate} ({low} to {high})"
