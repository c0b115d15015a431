"""A derivation accepts what is true, says how it knows, and names the line that is false."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp
from sympy import (
    Abs,
    Derivative,
    Eq,
    Interval,
    KroneckerDelta,
    Max,
    Min,
    Piecewise,
    Rational,
    Sum,
    exp,
    log,
)

import lossbook.derivation
from lossbook.cards import CARDS
from lossbook.derivation import Derivation, DerivationError
from lossbook.derivation.wording import legend

a, b, p, q, r, s, t, w, x, y, z = sp.symbols("a b p q r s t w x y z")
delta, sigma = sp.symbols("delta sigma", positive=True)
gamma = sp.Symbol("gamma", nonnegative=True)
i, j, k, n = sp.symbols("i j k n", integer=True)
K, N, D = sp.symbols("K N D", integer=True, positive=True)
X, Y, Z, P, T, W = map(sp.IndexedBase, "xyzptw")
ROWS = sp.IndexedBase("t", shape=(N, K))
OPEN = Interval.open(0, 1)
WITH_LOW_END, WITH_HIGH_END = Interval.Ropen(1, 2), Interval.Lopen(1, 2)
R = p - t
SIGMOID = 1 / (1 + exp(-z))
pz = sp.Function("p")(z)
TOTAL = Sum(exp(Z[i]), (i, 1, K))
SOFTMAX = Eq(P[k], exp(Z[k]) / TOTAL)
HUBER = Piecewise((R**2 / 2, Abs(R) <= delta), (delta * (Abs(R) - delta / 2), True))
PINBALL = Piecewise((q * (t - p), t > p), ((1 - q) * (p - t), True))
BCE = -t * log(p) - (1 - t) * log(1 - p)
NLL = -log(exp(-(R**2) / (2 * sigma**2)) / sp.sqrt(2 * sp.pi * sigma**2))
HUNDREDTH_MILLIONTH = Rational(1, 10**8)
MILLIONTH, BILLIONTH, TINY = (Rational(1, 10**power) for power in (6, 9, 20))


def chain(lines, **options):
    derivation = Derivation(lines[0], "definition", **options)
    for line in lines[1:]:
        derivation.step(line, "next")
    return derivation


def cut(value, condition, otherwise=x):
    return Piecewise((value, condition), (otherwise, True))


def squared_through(size):
    """x**2 as what is left of squares near size**2, which cancel all but its last digits."""
    return (x + size) ** 2 - size**2 - 2 * size * x


# Of fifty digits 17 are left after the point: `TINY` is visible only with more.
COARSE = squared_through(exp(38))
MODERATE = {x: Interval.open(1, 2)}

RIGHT = {
    "squared error": ([R**2, p**2 - 2 * p * t + t**2], {}, "proved"),
    "its gradient": ([Derivative(R**2, p), 2 * R], {}, "proved"),
    "its curvature": ([Derivative(R**2, (p, 2)), 2], {}, "proved"),
    "a decimal": ([0.1 * x + 0.2 * x, Rational(3, 10) * x], {}, "proved"),
    "Huber": (
        [
            Derivative(HUBER, p),
            Piecewise((R, Abs(R) <= delta), (delta * sp.sign(R), True)),
            Max(-delta, Min(delta, R)),
        ],
        {},
        "proved",
    ),
    "pinball": ([PINBALL, Max(q * (t - p), (q - 1) * (t - p))], {"domain": {q: OPEN}}, "proved"),
    "pinball gradient": (
        [Derivative(PINBALL, p), Piecewise((-q, p < t), (1 - q, True))],
        {"domain": {q: OPEN}},
        "proved except at p = t",
    ),
    "sigmoid": (
        [Derivative(pz, z), exp(-z) / (1 + exp(-z)) ** 2, pz * (1 - pz)],
        {"given": [Eq(pz, SIGMOID)]},
        "proved",
    ),
    "far into the tail": ([1 - SIGMOID, exp(-z) / (1 + exp(-z))], {}, "proved"),
    "BCE": (
        [Derivative(BCE, p), (1 - t) / (1 - p) - t / p, R / (p * (1 - p))],
        {"domain": {p: OPEN, t: Interval(0, 1)}},
        "proved",
    ),
    "BCE by the logit": (
        [
            Derivative(BCE.subs(p, pz), z),
            ((1 - t) / (1 - pz) - t / pz) * Derivative(pz, z),
            pz - t,
        ],
        {"given": [Eq(pz, SIGMOID)], "domain": {t: Interval(0, 1)}},
        "proved",
    ),
    "BCE of the logit": (
        [
            BCE.subs(p, SIGMOID),
            log(1 + exp(z)) - t * z,
            Max(z, 0) - t * z + log(1 + exp(-Abs(z))),
        ],
        {"domain": {t: {0, 1}}},
        "proved",
    ),
    "hinge": (
        [Derivative(Max(0, 1 - y * s), s), Piecewise((-y, y * s < 1), (0, True))],
        {"domain": {y: {-1, 1}}},
        "proved except at s = 1/y",
    ),
    "a kink that a square takes away": (
        [Derivative(Max(0, x) ** 2, x), 2 * Max(0, x)],
        {},
        "proved",
    ),
    "a pole on both sides": ([(x**2 - 1) / (x - 1) ** 2, (x + 1) / (x - 1)], {}, "proved"),
    "a pole in a branch that leaves it out": (
        [cut((x**2 - 1) / (x - 1), sp.Ne(x, 1), 2), x + 1],
        {},
        "proved",
    ),
    "log-cosh": ([Derivative(log(sp.cosh(R)), p), sp.tanh(R)], {}, "proved"),
    "Gaussian": ([NLL, R**2 / (2 * sigma**2) + log(sigma) + log(2 * sp.pi) / 2], {}, "proved"),
    "digits beyond the first fifty": (
        [squared_through(exp(80)), x**2],
        {"domain": MODERATE},
        "proved",
    ),
    "a function of what is left of a sum": (
        [sp.tanh(COARSE), sp.tanh(x**2)],
        {"domain": MODERATE},
        "proved",
    ),
    # cosh is above 1 at both ends of an interval around 0: only room for rounding takes in 1.
    "a minimum between rounded arguments": (
        [sp.cosh(squared_through(exp(30)) - x**2), 1],
        {"domain": MODERATE},
        "proved",
    ),
    "a condition that needs more digits": (
        [2 * x, cut(x, (x > Rational(3, 2)) & (COARSE - x**2 > TINY), 2 * x)],
        {"domain": MODERATE},
        "proved",
    ),
    "a branch outside a set without its low end": (
        [x, cut(5, x + y <= 2)],
        {"domain": {x: WITH_HIGH_END, y: WITH_HIGH_END}},
        "proved",
    ),
    "a branch outside a set without its high end": (
        [x, cut(5, x + y >= 4)],
        {"domain": {x: WITH_LOW_END, y: WITH_LOW_END}},
        "proved",
    ),
    "inside the unit interval": (
        [log(p / (1 - p)), log(p) - log(1 - p)],
        {"domain": {p: OPEN}},
        "proved",
    ),
    "an integral": (
        [sp.Integral(exp(-(x**2) / 2), (x, -sp.oo, sp.oo)), sp.sqrt(2 * sp.pi)],
        {},
        "proved",
    ),
    "definitions in a row": (
        [Derivative(r**2, r), 2 * r, 2 * (w * x - t)],
        {"given": [Eq(r, p - t), Eq(p, w * x)]},
        "proved",
    ),
    "a definition as a variable": (
        [Derivative(p**2 * q, p), 3 * p**2],
        {"given": [Eq(q, r), Eq(r, p)]},
        "proved",
    ),
    "softmax": (
        [
            Derivative(exp(Z[k]) / TOTAL, Z[j]),
            exp(Z[k]) * (KroneckerDelta(j, k) * TOTAL - exp(Z[j])) / TOTAL**2,
            P[k] * (KroneckerDelta(j, k) - P[j]),
        ],
        {"given": [SOFTMAX]},
        "proved for every K",
    ),
    "cross-entropy": (
        [-Sum(T[k] * log(P[k]), (k, 1, K)), log(TOTAL) - Sum(T[k] * Z[k], (k, 1, K))],
        {"given": [SOFTMAX], "domain": {T: "simplex"}},
        "proved for every K",
    ),
    "cross-entropy gradient": (
        [Derivative(log(TOTAL) - Sum(T[k] * Z[k], (k, 1, K)), Z[j]), P[j] - T[j]],
        {"given": [SOFTMAX], "domain": {T: "one-hot"}},
        "proved for every K",
    ),
    "rows of labels": (
        [Sum(ROWS[n, k], (k, 1, K), (n, 1, N)), N],
        {"domain": {ROWS: "one-hot"}},
        "proved for every K, N",
    ),
    "rows of the Jacobian": (
        [Sum(P[k] * (KroneckerDelta(j, k) - P[j]), (k, 1, K)), 0],
        {"given": [SOFTMAX]},
        "proved for every K",
    ),
    "index without a sum": (
        [Derivative((P[k] - T[k]) ** 2, P[j]), 2 * KroneckerDelta(j, k) * (P[j] - T[k])],
        {"domain": {j: (1, 3), k: (1, 3)}},
        "proved",
    ),
    "regression": (
        [
            Derivative(Sum((w * X[i] + b - Y[i]) ** 2, (i, 1, N)) / N, w),
            Sum(2 * X[i] * (w * X[i] + b - Y[i]), (i, 1, N)) / N,
        ],
        {},
        "proved for every N",
    ),
    "two sizes": (
        [
            Derivative(Sum((Sum(X[n, i] * W[i], (i, 1, D)) - Y[n]) ** 2, (n, 1, N)), W[j]),
            2 * Sum(X[n, j] * (Sum(X[n, i] * W[i], (i, 1, D)) - Y[n]), (n, 1, N)),
        ],
        {"domain": {j: (1, D)}},
        "proved for every D, N",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_lines_are_accepted(name):
    lines, options, mark = RIGHT[name]
    assert chain(lines, **options).marks == [mark] * (len(lines) - 1)


def test_inequalities():
    derivation = Derivation((a * x + b * y) ** 2, "definition")
    derivation.step((a**2 + b**2) * (x**2 + y**2), "Cauchy and Schwarz", "<=")
    derivation.step(exp((a**2 + b**2) * (x**2 + y**2)), "it exceeds its exponent", "<=")
    assert derivation.marks == ["proved", "sampled: 64 points"]
    below = Derivation(R**2 / 2, "definition").step(HUBER, "tails are cut", ">=")
    below.step(0, "no branch is negative", ">=")
    assert below.marks == ["proved", "proved"]
    left_of_one = cut((1 - x) ** 3 + (1 - x), x <= 1)
    assert Derivation(left_of_one, "definition").step(0, "on both sides", ">=").marks == ["proved"]


def test_normal_equation():
    slope = Derivative(Sum((w * X[i] + b - Y[i]) ** 2, (i, 1, N)), b)
    derivation = Derivation(slope, "definition")
    derivation.step(2 * Sum(w * X[i] + b - Y[i], (i, 1, N)), "chain rule")
    derivation.solve(b, Sum(Y[i] - w * X[i], (i, 1, N)) / N, "linear in b")
    derivation.step(Sum(Y[i], (i, 1, N)) / N - w * Sum(X[i], (i, 1, N)) / N, "two means")
    assert derivation.counts == {"proved": 3, "sampled": 0, "argued": 0}
    assert derivation.first == slope
    assert derivation.last == Sum(Y[i], (i, 1, N)) / N - w * Sum(X[i], (i, 1, N)) / N


@pytest.mark.parametrize(
    ("line", "symbol", "solution", "mark"),
    [
        (2 * R, p, t, "proved"),
        (R / (p * (1 - p)), p, t, "proved"),
        (exp(z) - sigma, z, log(sigma), "proved"),
        (1 / sigma - R**2 / sigma**3, sigma, Abs(R), "sampled: root proved, no other found"),
        (sp.tanh(R) + R, p, t, "sampled: root proved, no other found"),
        (a * R, p, t, "sampled: root proved, no other found"),
        (exp(x) + x - 1, x, 0, "proved"),
        (Max(0, R) + R, p, t, "sampled: root proved, no other found"),
    ],
)
def test_right_solutions_are_accepted(line, symbol, solution, mark):
    domain = {p: OPEN, t: OPEN} if line.has(1 - p) else {}
    derivation = Derivation(line, "definition", domain=domain)
    assert derivation.solve(symbol, solution, "it is the only zero").marks == [mark]


def test_right_limits_are_accepted():
    def mark(line, *arguments, **options):
        return Derivation(line, "definition").limit(*arguments, "limit", **options).marks[0]

    assert mark(sp.tanh(R), p, sp.oo, 1) == "proved"
    assert mark(((p + w - t) ** 2 - R**2) / w, w, 0, 2 * R) == "proved"
    assert mark(1 / x, x, 0, sp.oo, direction="+") == "proved"
    assert mark(1 / log(log(x)), x, sp.oo, 0) == "proved"
    assert mark(sp.Heaviside(x), x, 0, 1, direction="+") == "sampled: near the limit"
    sized = Derivation(Sum(X[i] / (1 + exp(-z)), (i, 1, N)), "definition")
    assert sized.limit(z, sp.oo, Sum(X[i], (i, 1, N)), "limit").marks == ["checked for N = 2, 3, 5"]
    inside = Derivation(p * log(p), "definition", domain={p: OPEN})
    assert inside.limit(p, 0, 0, "from within the domain").marks == ["proved"]


WRONG = {
    "sign": ([R**2, p**2 + 2 * p * t + t**2], {}),
    "factor": ([Derivative(R**2, p), R], {}),
    "a missing chain rule": (
        [Derivative(BCE.subs(p, pz), z), (pz - t) / (pz * (1 - pz))],
        {"given": [Eq(pz, SIGMOID)], "domain": {t: Interval(0, 1)}},
    ),
    "a narrow branch": ([x, cut(2 * x, (x > 1) & (x < 1 + MILLIONTH))], {}),
    "a narrow branch around a residual": ([x, cut(2 * x, Abs(R) < BILLIONTH)], {}),
    "a narrow branch of a curve": ([x, cut(2 * x, (exp(x) - 3) ** 2 < BILLIONTH)], {}),
    "a narrow branch of a quartic": ([x, cut(2 * x, (x**2 - 2) ** 2 < BILLIONTH)], {}),
    "a narrow branch within another": (
        [x, cut(cut(2 * x, Abs(w - 3) < MILLIONTH), (x > 1) & (x < 1 + MILLIONTH))],
        {},
    ),
    "a narrow branch of an integer": ([n, cut(n + 1, Eq(n, 12345), n)], {}),
    "a narrow branch far out": ([x, cut(2 * x, (x > 10**9) & (x < 10**9 + 1))], {}),
    "a narrow branch in a kink": (
        [x, cut(2 * x, Max(Abs(x), w) < BILLIONTH)],
        {"domain": {w: OPEN}},
    ),
    "a single point": ([x, cut(x + 1, Eq(x, 2))], {}),
    "the boundary alone": (
        [
            HUBER,
            Piecewise(
                (R**2 / 2, Abs(R) < delta),
                (delta * (Abs(R) - delta / 2), Abs(R) > delta),
                (0, True),
            ),
        ],
        {},
    ),
    "far out": ([x, cut(2 * x, x > 10**6)], {}),
    "far out, smoothly": ([x, x + exp(-(sp.Integer(10) ** 6) / x**2)], {}),
    "far out, behind a kink": ([x, x + Max(0, Abs(x) - 10**5)], {}),
    "close to one, smoothly": ([x, x + exp(-(10**5) * (1 - x))], {"domain": {x: OPEN}}),
    "close to a boundary, smoothly": (
        [x, cut(x + (x - 1) * exp(-(10**7) * (x - 1)), x >= 1)],
        {},
    ),
    "behind digits that cancel": ([COARSE, (1 + TINY) * x**2], {"domain": MODERATE}),
    "a trace where digits cancel to zero": (
        [COARSE - x**2, COARSE - x**2 + TINY],
        {"domain": MODERATE},
    ),
    "close to zero": ([exp(x), cut(1 + x, Abs(x) < MILLIONTH / 100, exp(x))], {}),
    "a hyperparameter's end": (
        [(1 - p) ** gamma, (1 - p) ** gamma * sp.sign(gamma)],
        {"domain": {p: OPEN}},
    ),
    "a hyperparameter's end, without a kink": ([x + 0**gamma, x], {}),
    "the upper end": ([x, x + 0 ** (1 - x)], {"domain": {x: Interval(0, 1)}}),
    "a hyperparameter's regime": ([HUBER, cut(R**2 / 2, delta > 1000, HUBER)], {}),
    "one label": ([BCE, -log(p)], {"domain": {p: OPEN, t: {0, 1}}}),
    "one branch of Huber": ([Derivative(HUBER, p), cut(R, Abs(R) <= delta, delta)], {}),
    "a subgradient outside its kink": ([Derivative(Abs(R), p), cut(1, R > -MILLIONTH, -1)], {}),
    "a square's slope at one point": ([Derivative(x**2, x), cut(99, Eq(x, 2), 2 * x)], {}),
    "Huber's slope at the join": (
        [
            Derivative(HUBER, p),
            Piecewise((R, Abs(R) < delta), (7, Eq(Abs(R), delta)), (delta * sp.sign(R), True)),
        ],
        {},
    ),
    "a slope at one value of a parameter": (
        [Derivative(w * Abs(x), x), cut(5, Eq(w, 3), w * sp.sign(x))],
        {},
    ),
    "a slope at one integer": ([Derivative(n * x**2, x), cut(5, Eq(n, 3), 2 * n * x)], {}),
    "a removed pole": ([(x**2 - 1) / (x - 1), x + 1], {}),
    "a pole that SymPy cancels": ([sp.Mul(a, x, 1 / a, evaluate=False), x], {}),
    "an irrational pole": ([(x**2 - 2) / (x - sp.sqrt(2)), x + sp.sqrt(2)], {}),
    "a pole of an exponential": ([(exp(2 * x) - 9) / (exp(x) - 3), exp(x) + 3], {}),
    "negative logarithm": ([log(x**2), 2 * log(x)], {}),
    "root of a square": ([sp.sqrt(x**2), x], {}),
    "a decimal": ([0.1 * x, x / sp.Integer(10) + x / sp.Integer(10) ** 18], {}),
    "off the diagonal": (
        [Derivative(exp(Z[k]) / TOTAL, Z[j]), P[k] * (KroneckerDelta(j, k) + P[j])],
        {"given": [SOFTMAX]},
    ),
    "on the diagonal": (
        [Derivative(exp(Z[k]) / TOTAL, Z[j]), P[k] * (2 * KroneckerDelta(j, k) - P[j])],
        {"given": [SOFTMAX]},
    ),
    "swapped indices": (
        [Derivative(log(P[k]), Z[j]), KroneckerDelta(j, k) - P[k]],
        {"given": [SOFTMAX]},
    ),
    "labels that do not sum to one": (
        [Derivative(log(TOTAL) - Sum(T[k] * Z[k], (k, 1, K)), Z[j]) * 1, P[j] * K - T[j]],
        {"given": [SOFTMAX], "domain": {T: "one-hot"}},
    ),
    "soft labels": ([Sum(T[k] ** 2, (k, 1, K)), Sum(T[k], (k, 1, K))], {"domain": {T: "simplex"}}),
    "a sum short of a term": ([Sum(X[i], (i, 1, N)), Sum(X[i], (i, 1, N - 1))], {}),
    "the wrong mean": ([Sum(X[i], (i, 1, N)) / N, Sum(X[i], (i, 1, N)) / (N + 1)], {}),
    "sizes mixed up": (
        [
            Sum(X[i], (i, 1, N)) + Sum(Y[i], (i, 1, D)) * N,
            Sum(X[i], (i, 1, N)) + Sum(Y[i], (i, 1, D)) * D,
        ],
        {},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_lines_are_refused_with_a_counterexample(name):
    lines, options = WRONG[name]
    derivation = Derivation(lines[0], "definition", **options)
    with pytest.raises(DerivationError, match="line 2 is not equal to line 1: at ") as caught:
        derivation.step(lines[1], "next")
    assert caught.value.line == 2
    assert str(lines[1]) in str(caught.value)
    assert len(derivation.marks) == 0
    for symbol, value in caught.value.counterexample.items():
        assert f"{symbol} = " in str(caught.value)
        assert value.is_Rational


def test_counterexample_is_one():
    with pytest.raises(DerivationError) as caught:
        chain([R**2, cut(R**2 + 1, (p > 1) & (p < 1 + MILLIONTH), R**2)])
    assert 1 < caught.value.counterexample["p"] < 1 + MILLIONTH
    with pytest.raises(DerivationError) as caught:
        chain([R**2, sp.expand(R**2), p**2 - t**2])
    values = caught.value.counterexample
    at = {p: values["p"], t: values["t"]}
    found = re.search(
        r"line 2 gives (\S+) but line 3 gives (\S+)\. Line 3 reads", str(caught.value)
    )
    # The message shows six digits.
    assert float(found[1]) == pytest.approx(float((R**2).subs(at)), rel=1e-5)
    assert float(found[2]) == pytest.approx(float((p**2 - t**2).subs(at)), rel=1e-5)


def test_message_has_the_digits_that_show_the_difference():
    with pytest.raises(DerivationError) as caught:
        chain([x, (1 + TINY) * x])
    found = re.search(r"line 1 gives (\S+) but line 2 gives (\S+)\. ", str(caught.value))
    assert found[1] != found[2]


# What is false in these lies where no point is tried or no value is real, or is too small to see.
FALSE = {
    "the corner of two sets with a low end": lambda: chain(
        [x, cut(5, x + y <= 2)], domain={x: WITH_LOW_END, y: WITH_LOW_END}
    ),
    "the corner of two sets with a high end": lambda: chain(
        [x, cut(5, x + y >= 4)], domain={x: WITH_HIGH_END, y: WITH_HIGH_END}
    ),
    "the corner of a smooth function": lambda: chain(
        [x, x + 0 ** (x + y)], domain={x: Interval.Ropen(0, 1), y: Interval.Ropen(0, 1)}
    ),
    "no real value below zero": lambda: Derivation(
        1 + sp.sqrt(x), "definition", domain={x: Interval(-1, 4)}
    ).step(Max(log(x), 1) + sp.sqrt(x), "a larger term", "<="),
    "a limit other than SymPy's": lambda: Derivation(x, "definition").limit(
        x, 0, BILLIONTH, "guess"
    ),
    "a limit from one side only": lambda: Derivation(
        x + BILLIONTH * sp.atan(1 / x), "definition"
    ).limit(x, 0, BILLIONTH * sp.pi / 2, "guess"),
}


@pytest.mark.parametrize("name", FALSE)
def test_what_is_false_is_never_proved(name):
    try:
        marks = FALSE[name]().marks
    except DerivationError:
        marks = ["refused"]
    assert marks != ["proved"]


def test_a_limit_that_sympy_contradicts_is_refused():
    with pytest.raises(DerivationError, match="line 2 is not the limit of line 1"):
        FALSE["a limit other than SymPy's"]()
    with pytest.raises(DerivationError, match="SymPy finds 1"):
        Derivation(sp.sin(x) / x, "definition").limit(x, 0, 1 + BILLIONTH, "guess")


def test_a_minimum_between_coarse_arguments_is_no_counterexample():
    assert chain([sp.cosh(COARSE - x**2), 1], domain=MODERATE).marks == ["proved"]


def test_wrong_inequalities_are_refused():
    wide, narrow = (a**2 + b**2) * (x**2 + y**2), (a * x + b * y) ** 2
    with pytest.raises(DerivationError, match="line 2 is not at least line 1: at a = "):
        Derivation(wide, "definition").step(narrow, "the wrong way round", "<=")
    with pytest.raises(DerivationError, match="line 2 is not at most line 1"):
        Derivation(narrow, "definition").step(wide, "the wrong way round", ">=")
    turned = Derivation(narrow, "definition").step(wide, "Cauchy and Schwarz", "<=")
    with pytest.raises(ValueError, match="turn round"):
        turned.step(0, "squares", ">=")
    turned.step(sp.expand(wide), "expand")
    with pytest.raises(ValueError, match="turn round"):
        turned.step(0, "squares", ">=")
    with pytest.raises(DerivationError, match="line 2 is not at least line 1: at x = "):
        Derivation((1 + TINY) * x**2, "definition", domain=MODERATE).step(COARSE, "no", "<=")


def test_a_function_that_is_complex_has_no_finite_real_value():
    with pytest.raises(DerivationError, match="line 1 gives no finite real value but line 2"):
        Derivation(sp.acos(x), "definition").step(4, "at most pi where it is real", "<=")


def test_a_bound_is_neither_solved_nor_taken_to_a_limit():
    bounded = Derivation(R, "definition").step(R + gamma, "gamma is not negative", "<=")
    with pytest.raises(ValueError, match="solve after '<=': line 2 only bounds the first line"):
        bounded.solve(p, t - gamma, "linear in p")
    with pytest.raises(ValueError, match="limit after '<=': line 2 only bounds the first line"):
        bounded.limit(p, t, gamma, "guess")
    solved = Derivation(R, "definition").solve(p, t, "linear in p")
    assert solved.step(t - gamma, "less", ">=").marks == ["proved"] * 2


def test_a_line_is_held_to_an_expression_of_the_same_names():
    derivation = Derivation(Derivative(sigma * R**2, p), "definition").step(2 * sigma * R, "chain")
    slope = 2 * sp.Symbol("sigma") * (sp.Symbol("p", real=True) - sp.Symbol("t", real=True))
    before = repr(derivation)
    assert derivation.compare("first", slope, "the code's gradient") == "proved"
    assert derivation.compare("last", slope, "the code's gradient") == "proved"
    assert repr(derivation) == before
    with pytest.raises(DerivationError, match="line 2 is not twice: at p = ") as caught:
        derivation.compare("last", 2 * slope, "twice")
    assert caught.value.line == 2
    with pytest.raises(DerivationError, match="line 1 is not twice: at p = "):
        derivation.compare("first", 2 * slope, "twice")
    bound = Derivation(R**2 / 2, "definition").step(R**2, "twice as much", "<=")
    assert bound.compare("first", R**2 / 2, "half") == "proved"
    assert bound.compare("last", R**2, "the square") == "proved"
    with pytest.raises(ValueError, match='which must be "first" or "last", got 2'):
        bound.compare(2, R, "a residual")


def test_a_line_held_to_itself_is_not_tried_at_any_size(monkeypatch):
    from lossbook.derivation import lines

    n, w = sp.Symbol("n", integer=True, positive=True), sp.IndexedBase("w", real=True)
    total = Sum(Abs(w[k]), (k, 1, n))
    derivation = Derivation(1 + total, "definition")
    with monkeypatch.context() as patched:
        patched.delattr(lines.Trial, "run")
        assert derivation.compare("first", total + 1, "itself") == "proved for every n"
    with pytest.raises(DerivationError, match="line 1 is not one less"):
        derivation.compare("first", total, "one less")


@pytest.mark.parametrize(
    ("line", "symbol", "solution", "message"),
    [
        (R, p, 1 - t, "does not make line 1 zero: at t = .* line 1 gives .* but zero gives 0"),
        (x**2 - 1, x, 1, "is not the only zero of line 1: x = -1 is a zero too"),
        ((x - 1) * (exp(x) - 3), x, 1, r"x = 1\.0986122886681\d+ is a zero too"),
        ((x - t) * (x - t - MILLIONTH), x, t, "is a zero too"),
        (sigma**2 - t**2, sigma, t, r"sigma = -\S+ is not in"),
        (
            (1 + HUNDREDTH_MILLIONTH) * exp(x - 1) - 1 / x - HUNDREDTH_MILLIONTH,
            x,
            1,
            "x = -100000000 is a zero too",
        ),
        ((x - 1) * (exp(x * BILLIONTH) - 2), x, 1, r"x = 693147180\.\d+ is a zero too"),
        ((x - 1) * (exp(x - 3) - x + 2), x, 1, "x = 3 is a zero too"),
        ((x - 1) * (x - 10**15) ** 2, x, 1, r"x = 1e\+15 is a zero too"),
    ],
)
def test_wrong_solutions_are_refused(line, symbol, solution, message):
    with pytest.raises(DerivationError, match="line 2 .*" + message) as caught:
        Derivation(line, "definition").solve(symbol, solution, "guess")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("line", "point", "value", "direction"),
    [
        (SIGMOID, sp.oo, 0, "+-"),
        (SIGMOID, sp.oo, 1 - MILLIONTH / 10, "+-"),
        (BILLIONTH * (1 - 10**4 * z), 0, 0, "+-"),
        (sp.sin(z) / z, 0, 0, "+-"),
        (Abs(z) / z, 0, 1, "+-"),
        (sp.sin(z), sp.oo, 0, "+-"),
        (sp.tanh(z), sp.oo, sp.oo, "+-"),
        (z / (1 + z), sp.oo, sp.oo, "+-"),
        (-1 / z, 0, sp.oo, "+"),
    ],
)
def test_wrong_limits_are_refused(line, point, value, direction):
    with pytest.raises(
        DerivationError, match="line 2 is not the limit of line 1: at z = "
    ) as caught:
        Derivation(line, "definition").limit(z, point, value, "guess", direction=direction)
    assert caught.value.line == 2


def test_kinks_of_a_derivative_are_left_open_but_not_those_of_a_function():
    step = sp.Heaviside(x, 1)
    slope = chain([Derivative(Max(0, x), x), step])
    assert slope.marks == ["proved except at x = 0"]
    assert slope.counts == {"proved": 1, "sampled": 0, "argued": 0}
    with pytest.raises(DerivationError, match=r"at x = 0 line 1 gives 0\.5 but line 2 gives 1"):
        chain([sp.Heaviside(x), step])


def test_a_singularity_on_a_boundary_is_left_out_of_a_derivative_alone():
    with pytest.raises(DerivationError, match="line 1 gives no finite real value but line 2 gives"):
        chain([R / Abs(R), sp.sign(R)])
    assert chain([Derivative(sp.sqrt(x**2), x), sp.sign(x)]).marks == ["proved except at x = 0"]


def test_too_few_valid_points_are_an_error():
    lines = [(log(x - 3) + 1) ** 2, log(x - 3) ** 2 + 2 * log(x - 3) + 1]
    with pytest.raises(DerivationError, match="cannot be compared: only 9 of 64 points give"):
        chain(lines)
    assert chain(lines, domain={x: Interval.open(3, sp.oo)}).marks == ["proved"]


def test_a_branch_that_is_never_reached_is_an_error_unless_it_is_empty():
    hidden = Piecewise((exp(x), sp.Ne(x, sp.sqrt(2))), (0, True))
    with pytest.raises(DerivationError, match=r"no point was found in the branch \(0, True\)"):
        Derivation(1 + x, "definition").step(hidden, "convex", "<=")
    empty = Piecewise((exp(x), x < y), (exp(x) + 1, x <= y + 1), (0, x < y + 1), (exp(x) + 2, True))
    assert (
        Derivation(1 + x, "definition").step(empty, "convex", "<=").marks[0].startswith("sampled")
    )


def test_a_repeated_line_is_refused():
    with pytest.raises(DerivationError, match="line 2 repeats line 1"):
        chain([R**2, (p - t) ** 2])
    shown = sp.Mul(2, sp.Mul(3, x, evaluate=False), evaluate=False)
    assert chain([shown, 6 * x]).marks == ["proved"]


def test_argued_lines_are_counted_and_passed_over():
    derivation = Derivation(R**2, "definition").argue("No square is negative.")
    assert derivation.last == R**2
    with pytest.raises(DerivationError, match="line 3 is not equal to line 1"):
        derivation.step(R, "no")
    derivation.step(p**2 - 2 * p * t + t**2, "expand")
    assert derivation.counts == {"proved": 1, "sampled": 0, "argued": 1}


def test_a_refused_line_is_not_added():
    derivation = chain([R**2, sp.expand(R**2)])
    before = repr(derivation)
    with pytest.raises(DerivationError):
        derivation.step(0, "no")
    assert repr(derivation) == before


def test_plain_text():
    line = Derivative(sigma * R**2, p)
    derivation = Derivation(line, "definition", lhs="L'", domain={p: OPEN}, given=[Eq(t, 1 / x)])
    derivation.step(2 * sigma * (p - 1 / x), "chain rule").argue("It grows without bound.")
    assert repr(derivation).splitlines() == [
        "Given Eq(t, 1/x); for p in Interval.open(0, 1), sigma in Interval.open(0, oo).",
        "   L'",
        "1  = Derivative(sigma*(p - t)**2, p)  definition  start",
        "2  = 2*sigma*(p - 1/x)                chain rule  proved",
        "3  It grows without bound.                        argued",
        "1 proved, 1 argued. Proved: SymPy shows it for all values in the domain. "
        "Argued: in words, unchecked.",
    ]


def test_a_mark_that_all_lines_share_is_said_once():
    same = Derivation(sp.Derivative(HUBER, p), "definition", domain={delta: sp.Interval.open(0, 9)})
    same.step(sp.Piecewise((p - t, sp.Abs(p - t) <= delta), (delta * sp.sign(p - t), True)), "rule")
    text = same._repr_markdown_()
    assert "Check" not in text
    assert text.count("proved") == 1
    assert "The line is proved" in text
    differing = same.argue("so be it")._repr_markdown_()
    assert "| Check |" in differing
    assert "| argued |" in differing


def test_markdown_table_survives_bars_and_brackets():
    derivation = Derivation(HUBER, r"by $|r| \le \delta$ | else", lhs=r"L(\|p - t\|)")
    derivation.limit(p, sp.oo, sp.oo, "unbounded").argue("either | or")
    text = derivation._repr_markdown_()
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len(rows) == 6
    assert all(row.count("|") == 4 for row in rows)
    assert "<" not in text
    assert "*1 sampled, 1 argued. Sampled: " in text
    assert text.startswith(r"For $\displaystyle \delta$ in $\displaystyle \left(0, \infty\right)$.")


def test_each_mark_that_occurs_is_explained_once():
    for mark, first_words in {
        "proved": "Proved: ",
        "proved for every K": "Proved for every length: ",
        "proved except at p = t": "Proved except at a point: ",
        "proved for every K except at p = t": "Proved except at a point: ",
        "sampled: root proved, no other found": "Sampled: ",
        "checked for N = 2, 3, 5": "Checked: ",
        "argued": "Argued: ",
    }.items():
        assert legend([mark, mark]).startswith(first_words)
        assert legend([mark, mark]).count(":") == 1
    assert legend(["argued", "sampled: 64 points", "proved"]).count(": ") == 3
    assert repr(Derivation(R, "definition")).endswith("No steps yet.")


def test_latex():
    derivation = Derivation(R**2, "100% clear", lhs="L").step(sp.expand(R**2), "expand")
    assert derivation.latex() == "\n".join(
        [
            r"\begin{aligned}",
            r"& L \\",
            r"& = \left(p - t\right)^{2} && \text{100\% clear} \\",
            r"& = p^{2} - 2 p t + t^{2} && \text{expand}",
            r"\end{aligned}",
        ]
    )


def test_marks_do_not_depend_on_the_hash_seed():
    script = (
        "from sympy import *; from lossbook.derivation import Derivation\n"
        "p, t, d = symbols('p t d', positive=True)\n"
        "h = Piecewise(((p - t)**2/2, Abs(p - t) <= d), (d*(Abs(p - t) - d/2), True))\n"
        "print(Derivation(h, 'a').step((p - t)**2/2, 'b', '<=').step(exp((p - t)**2), 'c', '<='))"
    )
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=True)
    first, second = (
        run([sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    )
    assert first == second
    assert "proved" in first
    assert "sampled" in first


@pytest.mark.parametrize(
    ("error", "message", "build"),
    [
        (
            TypeError,
            "expr must be a scalar SymPy expression, got str",
            lambda: Derivation("x", "r"),
        ),
        (TypeError, "got Equality", lambda: Derivation(Eq(x, 1), "r")),
        (TypeError, "expr must be a scalar", lambda: Derivation(sp.eye(2), "r")),
        (TypeError, "reason must be text, got int", lambda: Derivation(x, 1)),
        (ValueError, "reason must not be empty", lambda: Derivation(x, " ")),
        (ValueError, "text must not be empty", lambda: Derivation(x, "r").argue("")),
        (TypeError, "lhs must be LaTeX text", lambda: Derivation(x, "r", lhs=3)),
        (
            ValueError,
            "relation must be one of =, <=, >=, got '<'",
            lambda: Derivation(x, "r").step(y, "r", "<"),
        ),
        (
            TypeError,
            "symbol must be a SymPy Symbol, got int",
            lambda: Derivation(x, "r").solve(1, 0, "r"),
        ),
        (
            ValueError,
            "solution must not contain x",
            lambda: Derivation(x - y, "r").solve(x, x, "r"),
        ),
        (ValueError, "direction must be", lambda: Derivation(x, "r").limit(x, 0, 0, "r", "left")),
        (
            ValueError,
            "point 2 cannot be approached",
            lambda: Derivation(p, "r", domain={p: OPEN}).limit(p, 2, 2, "r"),
        ),
        (TypeError, "given must hold equations", lambda: Derivation(x, "r", given=[x])),
        (
            ValueError,
            "given: the left side must be a symbol",
            lambda: Derivation(x, "r", given=[Eq(2 * x, y)]),
        ),
        (
            ValueError,
            "circle, x -> y -> x",
            lambda: Derivation(x, "r", given=[Eq(x, y + 1), Eq(y, x - 1)]),
        ),
        (ValueError, "x is defined twice", lambda: Derivation(x, "r", given=[Eq(x, y), Eq(x, z)])),
        (
            ValueError,
            "x is defined twice, or has a domain",
            lambda: Derivation(x, "r", given=[Eq(x, y)], domain={x: OPEN}),
        ),
        (ValueError, "the index j", lambda: Derivation(P[k], "r", given=[Eq(P[k], Z[j])])),
        (
            ValueError,
            "symbol x is defined in given",
            lambda: Derivation(x, "r", given=[Eq(x, y)]).solve(x, 0, "r"),
        ),
        (
            TypeError,
            "domain must be keyed by symbols",
            lambda: Derivation(x, "r", domain={"x": OPEN}),
        ),
        (TypeError, "domain of x must be a set", lambda: Derivation(x, "r", domain={x: 1})),
        (
            ValueError,
            "domain of sigma must be a set of numbers that its assumptions allow",
            lambda: Derivation(sigma, "r", domain={sigma: sp.S.Reals}),
        ),
        (ValueError, "only an IndexedBase", lambda: Derivation(x, "r", domain={x: "one-hot"})),
        (ValueError, "domain must give the index k its range", lambda: Derivation(P[k], "r")),
        (
            ValueError,
            "domain must give the index k its range",
            lambda: Derivation(P[k] + Sum(X[i], (i, 1, N)) + Sum(Y[i], (i, 1, K)), "r"),
        ),
        (
            ValueError,
            "two different symbols are both called x: use the first one, Symbol('x'), not "
            "Symbol('x', positive=True)",
            lambda: Derivation(x, "r").step(sp.Symbol("x", positive=True) + 1, "r"),
        ),
        (TypeError, "cannot carry out p", lambda: Derivation(pz, "r")),
        (ValueError, "must be real", lambda: Derivation(sp.Symbol("c", imaginary=True), "r")),
    ],
)
def test_bad_input_is_named(error, message, build):
    with pytest.raises(error, match=re.escape(message)):
        build()


def test_a_function_of_a_whole_row_is_written_out_for_each_size():
    card = CARDS["multiclass_hinge"].symbolic
    ((slope, gradient),) = card.slopes
    derivation = Derivation(slope, "definition", domain=card.domain).step(gradient, "two cases")
    assert derivation.marks == ["checked for K = 2, 3, 5, except at kinks"]
    with pytest.raises(DerivationError, match="line 2 is not equal to line 1"):
        Derivation(slope, "definition", domain=card.domain).step(-gradient, "two cases")


def test_a_derivative_that_other_factors_follow_stands_in_brackets():
    slope = sp.Derivative(exp(Z[k]), Z[j])
    shown = Derivation(sp.Mul(slope, TOTAL, evaluate=False), "definition").latex()
    assert r"\left(\frac{\partial}{\partial z_{j}} e^{z_{k}}\right) \sum" in shown
    shown = Derivation(sp.Mul(2, R, sp.Derivative(R, p), evaluate=False), "definition").latex()
    assert r"\left(\frac" not in shown


def test_the_room_runs_alone(tmp_path):
    room = tmp_path / "alone"
    shutil.copytree(Path(lossbook.derivation.__file__).parent, room / "lossbook" / "derivation")
    (room / "lossbook" / "__init__.py").touch()
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "import sympy as sp; from lossbook.derivation import Derivation\n"
        "x = sp.Symbol('x'); print(Derivation(x**2 - 1, 'a').step((x - 1) * (x + 1), 'b').marks)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(room)},
        cwd=room,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "['proved']\n"


@pytest.mark.parametrize(
    ("start", "line", "domain", "shown"),
    [
        (R**2, 2 * R, {}, "p = 2, t = 1"),
        (BCE, -log(1 - p), {p: OPEN, t: Interval(0, 1)}, "p = 0.25, t = 1"),
        (Max(0, 1 - y * s), Max(0, 1 - s), {y: {-1, 1}}, "s = 2, y = -1"),
        (Sum(T[k] * Z[k], (k, 1, K)), Sum(Z[k], (k, 1, K)), {T: "simplex"}, "z[1] = 2, z[2] = 1"),
    ],
)
def test_a_counterexample_has_round_numbers(start, line, domain, shown):
    with pytest.raises(DerivationError) as caught:
        Derivation(start, "definition", domain=domain).step(line, "no")
    assert shown in str(caught.value)


def test_a_counterexample_that_only_odd_numbers_show_is_found():
    # At all round numbers both lines are the same.
    vanishing = x * (x - 1) * (x - 2) * (x - 3) * (x - 4) * (x + 1) * (x + 2)
    vanishing *= (2 * x - 1) * (4 * x - 1) * (4 * x - 3)
    with pytest.raises(DerivationError, match="line 2 is not equal to line 1: at x = "):
        Derivation(x, "definition").step(x + vanishing, "no")


# An exercise may ask for the way -----------------------------------------------------------------


def long_way():
    derivation = Derivation(Derivative(R**2, p), "definition")
    derivation.step(2 * R * Derivative(R, p), "chain rule")
    return derivation.step(2 * R, "the inner derivative is 1")


def test_a_way_with_all_its_lines_passes():
    long_way().require(lines=3, through=[2 * R * Derivative(R, p)])
    long_way().require(lines=3, through=[2 * R * Derivative(R, p), 2 * R])


def test_a_jump_is_refused_where_lines_are_asked_for():
    jump = Derivation(Derivative(R**2, p), "definition").step(2 * R, "doit")
    with pytest.raises(DerivationError, match="2 lines of algebra, and 3 are asked for"):
        jump.require(lines=3)
    with pytest.raises(DerivationError, match="a step is missing") as caught:
        jump.require(lines=2, through=[2 * R * Derivative(R, p)])
    assert "Derivative" not in str(caught.value)


def test_lines_out_of_order_are_refused():
    with pytest.raises(DerivationError, match="no line after line 3 is number 2 of the 2"):
        long_way().require(lines=3, through=[2 * R, 2 * R * Derivative(R, p)])


def test_another_way_to_write_a_line_that_is_asked_for_passes():
    a, b = sp.IndexedBase("a"), sp.IndexedBase("b")
    k, K = sp.Symbol("k", integer=True), sp.Symbol("K", integer=True)

    def total(term):
        return sp.Sum(term, (k, 1, K))

    def written(line):
        derivation = Derivation(total(x * (a[k] - b[k])), "given", domain={k: (1, K)})
        return derivation.step(line, "split")

    wanted = [x * total(a[k]) - x * total(b[k])]
    for line in (x * total(a[k]) - total(x * b[k]), x * (total(a[k]) - total(b[k])), *wanted):
        written(line).require(lines=2, through=wanted)


def test_a_derivation_of_something_else_is_refused():
    long_way().require(lines=3, start=sp.Derivative((p - t) ** 2, p))
    with pytest.raises(DerivationError, match="line 1 is not what is to be derived: at "):
        long_way().require(lines=3, start=sp.Derivative((p - t) ** 2 / 2, p))


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (2 / 15 * x, ". Python has rounded 2/15: write sp.Rational(2, 15)"),
        (x ** (1 / 3), ". Python has rounded 1/3: write sp.Rational(1, 3)"),
        (0.1 * x, ""),
        (x / 2, ""),
    ],
)
def test_a_rounded_fraction_is_named(line, hint):
    with pytest.raises(DerivationError) as caught:
        Derivation(x, "given", domain={x: sp.Interval.open(2, 3)}).step(line, "no")
    assert str(caught.value).endswith(f"reads: {sp.sympify(line)}{hint}")


def test_a_last_line_that_is_not_carried_out_is_refused():
    derivation = Derivation(Derivative(R**2, p), "definition")
    derivation.step(2 * R * Derivative(R, p), "chain rule")
    with pytest.raises(DerivationError, match="line 2 still has a Derivative"):
        derivation.require(lines=2)
    # A sum to a symbolic limit is a result.
    x, i, N = sp.IndexedBase("x"), sp.Symbol("i", integer=True), sp.Symbol("N", integer=True)
    total = sp.Sum(x[i], (i, 1, N))
    doubled = Derivation(sp.Sum(2 * x[i], (i, 1, N)), "definition", domain={i: (1, N)})
    doubled.step(2 * total, "collect").require(lines=2)
