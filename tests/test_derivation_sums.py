"""Sums of any length: what is true is proved for every one, and nothing else is."""

import pytest
import sympy as sp
from sympy import Eq, KroneckerDelta, Piecewise, Sum, exp, log

from lossbook.derivation import Derivation
from lossbook.derivation.sums import GeneralReader, proves_for_every_size

K = sp.Symbol("K", integer=True, positive=True)
i, j, k, m, y = sp.symbols("i j k m y", integer=True)
c, w = sp.symbols("c w", real=True)
z, t, u, p, A = (sp.IndexedBase(name, real=True) for name in "ztupA")
x = sp.IndexedBase("x", positive=True)

IN_RANGE = dict.fromkeys((j, k, m), (1, K))
SOFTMAX = Eq(p[k], exp(z[k]) / Sum(exp(z[i]), (i, 1, K)))


def over(term, index=k):
    return Sum(term, (index, 1, K))


def slope(expr, variable):
    return sp.Derivative(expr, variable)


def proved(left, right, relation="=", domain=None, given=()):
    def pair(reader, values):
        return reader.read(left, values), reader.read(right, values)

    reader = GeneralReader(given, domain or {})
    return proves_for_every_size(reader, (left, right), pair, relation)


ONE_HOT, SIMPLEX = {t: "one-hot"}, {t: "simplex"}
TRUE = {
    "linearity": (over(c * z[k] + t[k]), c * over(z[k]) + over(t[k])),
    "a constant is counted": (over(c), K * c),
    "a shorter sum": (Sum(c, (k, 2, K)), (K - 1) * c),
    "the index has any name": (over(z[k] * t[k]), over(t[m] * z[m], m)),
    "a delta picks a term": (over(z[k] * KroneckerDelta(j, k)), z[j]),
    "a delta picks a sum": (
        over(over(KroneckerDelta(k, m) * z[k] * t[m], m)),
        over(z[k] * t[k]),
    ),
    "a delta moves an index": (z[j] * KroneckerDelta(j, k), z[k] * KroneckerDelta(j, k)),
    "deltas of three indices": (
        KroneckerDelta(j, k) * KroneckerDelta(k, m),
        KroneckerDelta(j, k) * KroneckerDelta(j, m),
    ),
    "a choice by index": (over(z[k] * Piecewise((1, Eq(k, j)), (0, True))), z[j]),
    "a product of sums": (over(over(z[k] * t[m], m)), over(z[k]) * over(t[k])),
    "the first term apart": (Sum(z[k], (k, 0, K - 1)), z[0] + Sum(z[k], (k, 1, K - 1))),
    "spread about the mean": (
        over((z[k] - over(z[m], m) / K) ** 2),
        over(z[k] ** 2) - over(z[k]) ** 2 / K,
    ),
    "an exponential's factor": (over(exp(z[k] + c)), exp(c) * over(exp(z[k]))),
    "log of a product": (log(sp.Product(x[k], (k, 1, K))), over(log(x[k]))),
    "slope of a square": (slope(over(t[k] * z[k] ** 2), z[j]), 2 * t[j] * z[j]),
    "slope of a product of sums": (
        slope(over(over(u[k] * u[m] * z[k] * z[m], m)), z[j]),
        2 * u[j] * over(u[k] * z[k]),
    ),
    "slope by a number": (slope(over((c - z[k]) ** 2), c), 2 * K * c - 2 * over(z[k])),
    "softmax sums to one": (over(p[k]), sp.S.One, {}, [SOFTMAX]),
    "softmax Jacobian": (
        slope(p[k], z[j]),
        p[k] * (KroneckerDelta(j, k) - p[j]),
        {},
        [SOFTMAX],
    ),
    "softmax of shifted logits": (
        exp(c + z[k]) / over(exp(c + z[i]), i),
        p[k],
        {},
        [SOFTMAX],
    ),
    "cross-entropy gradient": (
        slope(-over(t[k] * log(p[k])), z[j]),
        p[j] - t[j],
        SIMPLEX,
        [SOFTMAX],
    ),
    "one-hot entries add up": (over(t[k]), sp.S.One, ONE_HOT),
    "one-hot entries are their squares": (over(t[k] ** 2), sp.S.One, ONE_HOT),
    "simplex entries add up": (over(c * t[k]), c, SIMPLEX),
}
FALSE = {
    "a constant miscounted": (over(c), (K + 1) * c),
    "a shorter sum miscounted": (Sum(c, (k, 2, K)), K * c),
    "a vanishing factor of the size": (over(c), K * c + c * (K - 2) * (K - 3) * (K - 5)),
    "a delta picks another term": (over(z[k] * KroneckerDelta(j, k)), z[m]),
    "a delta out of range": (over(z[k] * KroneckerDelta(j, k)), z[j], {j: (1, K + 1)}),
    "a delta of a number": (over(z[k] * KroneckerDelta(k, 2)), z[2]),
    "a delta of a symbol with values": (
        over(z[k] * KroneckerDelta(k, y)),
        z[y],
        {y: sp.FiniteSet(0, 1)},
    ),
    "a delta forgotten": (z[j] * KroneckerDelta(j, k), z[k]),
    "two of three indices": (KroneckerDelta(j, k) * KroneckerDelta(k, m), KroneckerDelta(j, k)),
    "a choice by value": (over(Piecewise((1, Eq(t[k], 0)), (0, True))), sp.S.Zero),
    "a sum of products": (over(t[k] * z[k]), over(t[k]) * over(z[k])),
    "an index left outside": (over(z[k] * t[k]), over(z[k] * t[m])),
    "another range": (over(z[k]), Sum(z[k], (k, 2, K))),
    "a term taken twice": (Sum(z[k], (k, 0, K - 1)), z[0] + Sum(z[k], (k, 0, K - 1))),
    "a square of a sum": (over(z[k]) ** 2, over(z[k] ** 2)),
    "a sum of absolute values": (over(sp.Abs(z[k])), over(z[k])),
    "spread about the mean": (
        over((z[k] - over(z[m], m) / K) ** 2),
        over(z[k] ** 2) - over(z[k]) ** 2,
    ),
    "log of a sum": (log(over(exp(z[k]))), over(z[k])),
    "log of a product of any numbers": (log(sp.Product(z[k], (k, 1, K))), over(log(z[k]))),
    "slope of another entry": (slope(over(z[k] ** 2), z[j]), 2 * z[k]),
    "softmax Jacobian, off the diagonal": (slope(p[k], z[j]), -p[k] * p[j], {}, [SOFTMAX]),
    "softmax Jacobian, indices swapped": (
        slope(p[k], z[j]),
        p[k] * (KroneckerDelta(j, k) - p[k]),
        {},
        [SOFTMAX],
    ),
    "cross-entropy of any numbers": (
        slope(-over(t[k] * log(p[k])), z[j]),
        p[j] - t[j],
        {},
        [SOFTMAX],
    ),
    "any entries add up": (over(t[k]), sp.S.One),
    "squares of the simplex": (over(t[k] ** 2), sp.S.One, SIMPLEX),
    "the diagonal of one-hot rows": (over(A[k, k]), sp.S.One, {A: "one-hot"}),
}


def arguments(left, right, domain=None, given=()):
    return left, right, "=", IN_RANGE | (domain or {}), given


@pytest.mark.parametrize("case", TRUE)
def test_a_true_line_is_proved_for_every_size(case):
    assert proved(*arguments(*TRUE[case]))


@pytest.mark.parametrize("case", FALSE)
def test_a_false_line_is_not(case):
    assert not proved(*arguments(*FALSE[case]))


@pytest.mark.parametrize(
    ("right", "relation", "holds"),
    [
        (0, ">=", True),
        (0, "<=", False),
        (-over(x[k]), ">=", True),
        (over(x[k] ** 3), ">=", False),
    ],
)
def test_a_sum_of_terms_that_are_not_negative(right, relation, holds):
    assert proved(over(x[k] * (z[k] - c) ** 2), sp.sympify(right), relation) is holds


def test_a_part_of_a_row_does_not_add_up_to_one():
    row = sp.IndexedBase("t", shape=(K,))
    assert proved(Sum(row[k], (k, 1, K)), sp.S.One, domain={row: "simplex"})
    assert not proved(Sum(row[k], (k, 2, K)), sp.S.One, domain={row: "simplex"})


def test_a_function_of_a_whole_row_is_left_to_the_trial():
    from lossbook.cards.symbolic import MaxOther

    largest = MaxOther(z, y, K)
    assert not proved(slope(largest, z[j]), sp.S.Zero, domain={j: (0, K - 1), y: (0, K - 1)})


def test_more_indices_than_can_be_paired_are_left_to_the_trial():
    many = sp.symbols("a:e", integer=True)
    first, second, *others = many
    picked = KroneckerDelta(first, second) * sp.Mul(*(z[index] for index in others))
    ranges = dict.fromkeys(many, (1, K))
    assert not proved(picked * z[first], picked * z[second], domain=ranges)
    few = KroneckerDelta(first, second)
    assert proved(few * z[first], few * z[second], domain=ranges)


def test_a_root_is_the_only_one_for_every_size():
    d = Derivation(slope(over((w * x[k] - t[k]) ** 2), w), "definition")
    d.step(2 * w * over(x[k] ** 2) - 2 * over(x[k] * t[k]), "chain rule")
    d.solve(w, over(x[k] * t[k]) / over(x[k] ** 2), "set to 0")
    assert d.marks == ["proved for every K", "proved for every K"]
    assert d.counts == {"proved": 2, "sampled": 0, "argued": 0}


def test_a_root_that_need_not_be_the_only_one_is_checked_for_some_sizes():
    d = Derivation(over(z[k]) * w, "given", domain={z: sp.Interval.open(1, 2)})
    assert d.solve(w, sp.S.Zero, "a product is 0").marks == ["proved for every K"]
    free = Derivation(over(x[k] - 1) * w + 0 * c, "given", domain={x: sp.Interval.open(2, 3)})
    assert free.solve(w, sp.S.Zero, "a product is 0").marks == ["checked for K = 2, 3, 5"]
