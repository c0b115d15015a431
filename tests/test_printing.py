"""What is printed reads as in a textbook, and means what it meant before it was put in order."""

import itertools

import pytest
import sympy as sp
from sympy import Abs, Derivative, KroneckerDelta, Max, Piecewise, Sum, exp, log, sqrt

from lossbook.cards import CARDS
from lossbook.derivation.printing import ordered_factors, ordered_terms, print_latex

a, b, c, h, p, q, r, s, t, w, x, y, z = sp.symbols("a b c h p q r s t w x y z")
beta, eta, mu, rho, tau = sp.symbols("beta eta mu rho tau")
delta, sigma = sp.symbols("delta sigma", positive=True)
i, j, k = sp.symbols("i j k", integer=True)
K, L, N = sp.symbols("K L N")
P, T, X, Z, ELL = map(sp.IndexedBase, ("p", "t", "x", "z", r"\ell"))
SOFT = sp.IndexedBase(r"\tilde{t}")
pz = sp.Function("p")(z)
TOTAL = Sum(exp(Z[i]), (i, 0, K - 1))

GOLDEN = {
    # Residuals: the prediction comes first.
    p - t: "p - t",
    mu - t: r"\mu - t",
    pz - y: r"p{\left(z \right)} - y",
    exp(z) - t: "e^{z} - t",
    P[j] - SOFT[j]: r"p_{j} - \tilde{t}_{j}",
    w * x - t: "w x - t",
    (w * X[i] - T[i]) ** 2: r"\left(w x_{i} - t_{i}\right)^{2}",
    tau * (t - p): r"\tau \left(t - p\right)",
    # Sums: a positive term first, then in the order in which terms of one kind come.
    -q + tau: r"\tau - q",
    -t * w + 1: "1 - t w",
    1 + s: "1 + s",
    exp(z) + 1: "1 + e^{z}",
    z - 1: "z - 1",
    x + h: "x + h",
    -L + ELL[i] / 2 + ELL[j] / 2: r"\frac{\ell_{i}}{2} + \frac{\ell_{j}}{2} - L",
    -x + exp(z) - 1: "e^{z} - x - 1",
    -t * z + log(exp(z) + 1): r"\log\left(1 + e^{z}\right) - t z",
    -y * log(p) - (1 - y) * log(1 - p): r"- y \log p - \left(1 - y\right) \log\left(1 - p\right)",
    p**2 - 2 * p * t + t**2: "p^{2} - 2 p t + t^{2}",
    c + log(TOTAL): r"c + \log\left(\sum_{i=0}^{K - 1} e^{z_{i}}\right)",
    r**2 / (2 * sigma**2) + log(sigma) + log(2 * sp.pi) / 2: (
        r"\frac{r^{2}}{2 \sigma^{2}} + \log \sigma + \frac{\log\left(2 \pi\right)}{2}"
    ),
    # A common whole number and a common minus stand in front.
    2 * (p - t): r"2 \left(p - t\right)",
    (2 * ELL[i] - 2 * L) * (ELL[j] - L): (r"2 \left(\ell_{i} - L\right) \left(\ell_{j} - L\right)"),
    (-a - b) * exp(x): r"- \left(a + b\right) e^{x}",
    10 * c - 600: "10 c - 600",
    p / (2 * q * w - 2 * q + 2): r"\frac{p}{2 \left(q w - q + 1\right)}",
    # Products: numbers, Greek and Latin letters, brackets, functions, sums.
    T[k] * log(P[k]): r"t_{k} \log p_{k}",
    -Sum(T[k] * log(P[k]), (k, 1, K)): r"- \sum_{k=1}^{K} t_{k} \log p_{k}",
    y * s: "y s",
    w * eta: r"\eta w",
    (1 - q) * x: r"\left(1 - q\right) x",
    pz * (1 - pz): r"p{\left(z \right)} \left(1 - p{\left(z \right)}\right)",
    P[k] * (KroneckerDelta(j, k) - P[j]): r"p_{k} \left(\delta_{j k} - p_{j}\right)",
    KroneckerDelta(j, k) * P[k]: r"\delta_{j k} p_{k}",
    log(TOTAL) * Sum(T[k], (k, 1, K)): (
        r"\log\left(\sum_{i=0}^{K - 1} e^{z_{i}}\right) \sum_{k=1}^{K} t_{k}"
    ),
    log(p) * Sum(T[k], (k, 1, K)): r"\left(\log p\right) \sum_{k=1}^{K} t_{k}",
    # Fractions and roots.
    Sum(T[i], (i, 1, N)) / N: r"\frac{1}{N} \sum_{i=1}^{N} t_{i}",
    exp(Z[k]) / TOTAL: r"\frac{e^{z_{k}}}{\sum_{i=0}^{K - 1} e^{z_{i}}}",
    Derivative((p - t) ** 2, p) / 2: (
        r"\frac{1}{2} \frac{\partial}{\partial p} \left(p - t\right)^{2}"
    ),
    (1 - y) / (1 - p) - y / p: r"\frac{1 - y}{1 - p} - \frac{y}{p}",
    sqrt(2) * sqrt(sp.pi) * sigma: r"\sqrt{2 \pi} \sigma",
    (K - 1) / sp.E: r"\frac{K - 1}{e}",
    sp.Mul(x - h, 1 / (2 * h), evaluate=False): r"\frac{x - h}{2 h}",
    # A minus before a sum.
    sp.Mul(-1, x - h, evaluate=False): r"- \left(x - h\right)",
    Max(0, sp.Mul(-1, x - h, evaluate=False)): r"\max\left(0, - \left(x - h\right)\right)",
    # Operators.
    Derivative(exp(z) - t * z, z): r"\frac{\partial}{\partial z} \left(e^{z} - t z\right)",
    Derivative(w * x, w): r"\frac{\partial}{\partial w} \left(w x\right)",
    Derivative(x**3, (x, 2)): r"\frac{d^{2}}{d x^{2}} x^{3}",
    Sum(-log(P[k]), (k, 1, K)): r"\sum_{k=1}^{K} \left(- \log p_{k}\right)",
    Sum(X[i] * Z[j], (i, 1, N), (j, 1, K)): r"\sum_{j=1}^{K} \sum_{i=1}^{N} x_{i} z_{j}",
    sp.Product(P[k] ** T[k], (k, 1, K)): r"\prod_{k=1}^{K} p_{k}^{t_{k}}",
    log(p) ** 2: r"\left(\log p\right)^{2}",
    Piecewise((p - t, Abs(p - t) <= delta), (delta, True)): (
        r"\begin{cases} p - t & \text{for}\: \lvert p - t \rvert \leq \delta \\"
        r"\delta & \text{otherwise} \end{cases}"
    ),
    Max(0, 1 - y * s): r"\max\left(0, 1 - y s\right)",
    Abs(r) ** 3: r"\lvert r \rvert^{3}",
}


@pytest.mark.parametrize(("expr", "latex"), GOLDEN.items(), ids=map(str, GOLDEN))
def test_lines_read_as_in_a_textbook(expr, latex):
    assert print_latex(expr) == latex


def test_an_order_other_than_that_of_sympy_is_kept():
    assert print_latex(sp.Add(t, -p, evaluate=False)) == "t - p"
    assert print_latex(sp.Add(-y, x, z, evaluate=False)) == "- y + x + z"
    assert print_latex(sp.Mul(z, a, evaluate=False)) == "z a"
    assert print_latex(sp.Mul(2, 3, x, evaluate=False)) == r"2 \cdot 3 x"


def test_vertical_bars_and_minus_signs_never_meet():
    for expr in GOLDEN:
        assert "|" not in print_latex(expr)
        assert not any(pair in print_latex(-expr) for pair in ("- -", "+ -", "- +"))


def _sums_and_products():
    values = [card.symbolic.value for card in CARDS.values()]
    gradients = [card.symbolic.gradient for card in CARDS.values()]
    exprs = [*GOLDEN, *values, *map(sp.sympify, gradients)]
    exprs += [-expr for expr in GOLDEN] + [expr * (a - b) for expr in GOLDEN]
    parts = itertools.chain.from_iterable(map(sp.preorder_traversal, exprs))
    return [part for part in parts if isinstance(part, (sp.Add, sp.Mul))]


def _carried_out(expr):
    return expr.func(*map(_carried_out, expr.args)) if expr.args else expr


def test_what_is_put_in_order_keeps_its_value():
    parts = _sums_and_products()
    assert len(parts) > 300
    for part in parts:
        if part.is_Add:
            assert sorted(ordered_terms(part), key=str) == sorted(part.args, key=str), part
        number, factors = ordered_factors(part)
        difference = sp.Mul(number, *factors) - part
        assert sp.expand(_carried_out(difference)) == 0, part
