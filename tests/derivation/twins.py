"""The templates of the battery: each makes a right step and the same with a planted fault.

They are drawn from the derivations of the book, with other numbers, and from ways in which a
checker can be deceived.
"""

import sympy as sp
from derivation.moves import Move, chain, domains, limit, root, roots, step, template
from sympy import (
    Abs,
    Derivative,
    Eq,
    Interval,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Piecewise,
    Product,
    Rational,
    Sum,
    cosh,
    exp,
    log,
    oo,
    sqrt,
    tanh,
)

a, b, c, g, h, p, q, r, s, t, tau, u, v, w, x, y, z = sp.symbols(
    "a b c g h p q r s t tau u v w x y z"
)
z0, z1 = sp.symbols("z_0 z_1")
delta, sigma, kappa, beta, T0 = sp.symbols("delta sigma kappa beta T_0", positive=True)
gamma = sp.Symbol("gamma", nonnegative=True)
i, j, k, n = sp.symbols("i j k n", integer=True)
K, N, M = sp.symbols("K N M", integer=True, positive=True)
A, P, T, V, W, X, Z = map(sp.IndexedBase, "aptvwxz")
OPEN, POSITIVE = Interval.open(0, 1), Interval.open(0, oo)
UNIT = Interval(0, 1)
R = p - t
PZ = sp.Function("p")(z)
SIGMOID = 1 / (1 + exp(-z))
IS_SIGMOID = Eq(PZ, SIGMOID)
SOFTPLUS = log(1 + exp(z))
BCE = -t * log(p) - (1 - t) * log(1 - p)
LABELS = {p: OPEN, t: UNIT}
CLASSES = {j: (1, K), k: (1, K)}
TOTAL = Sum(exp(Z[i]), (i, 1, K))
SOFTMAX = Eq(P[k], exp(Z[k]) / TOTAL)
ENTROPY = -Sum(T[k] * log(P[k]), (k, 1, K))
GAUSSIAN = R**2 / (2 * sigma**2) + log(sigma) + log(2 * sp.pi) / 2
HUBER = Piecewise((R**2 / 2, Abs(R) <= delta), (delta * (Abs(R) - delta / 2), True))
PINBALL = Piecewise((tau * (t - p), t > p), ((1 - tau) * (p - t), True))


def over(term, index=k, size=K):
    return Sum(term, (index, 1, size))


def rows(term, first=1, last=N):
    return Sum(term, (i, first, last))


def cut(value, condition, otherwise):
    return Piecewise((value, condition), (otherwise, True))


def whole(draw, least=2, most=9):
    return sp.Integer(draw.randint(least, most))


def ratio(draw):
    """A fraction that is not whole."""
    return Rational(draw.choice([1, 2, 4, 5, 7, 8]), draw.choice([3, 9, 11]))


def tiny(draw):
    return Rational(1, 10 ** draw.randint(7, 12))


# Constants and signs


@template("constant")
def slope_of_a_square(draw):
    m = whole(draw)
    return step(Derivative(m * R**2, p), 2 * m * R, draw.choice([m, 2 * m + 1, 4 * m]) * R)


@template("constant")
def product_of_lines(draw):
    m, o, e, f = (whole(draw) for _ in range(4))
    right = m * e * x**2 + (m * f + o * e) * x + o * f
    return step((m * x + o) * (e * x + f), right, right + draw.choice([-1, 1, x, -x]))


@template("constant", 1)
def constant_of_log_cosh(draw):
    m = whole(draw)
    form = Abs(m * z) + log(1 + exp(-2 * Abs(m * z)))
    return step(log(cosh(m * z)), form - log(2), form - draw.choice([log(3), 1, log(2) / 2]))


@template("constant", 2)
def constant_of_the_normal_density(draw):
    density = exp(-(R**2) / (2 * sigma**2)) / sqrt(2 * sp.pi * sigma**2)
    wrong = GAUSSIAN + draw.choice([log(2 * sp.pi) / 2, -log(2) / 2, log(sigma)])
    return step(-log(density), GAUSSIAN, wrong)


@template("constant", 2)
def constant_of_the_laplace_density(draw):
    m = whole(draw)
    density = exp(-Abs(R) / (m * kappa)) / (2 * m * kappa)
    size = Abs(R) / (m * kappa)
    return step(-log(density), size + log(2 * m * kappa), size + log(m * kappa))


@template("constant")
def factor_of_the_temperature(draw):
    m = whole(draw)
    slope = exp(z / m) / (1 + exp(z / m))
    return step(Derivative(log(1 + exp(z / m)), z), slope / m, slope * draw.choice([1, m, 2 / m]))


@template("constant")
def central_difference_of_a_cubic(draw):
    m = whole(draw)
    size = sp.Symbol("h", positive=True)

    def cubic(at):
        return a + b * at + c * at**2 / 2 + m * at**3 / 6

    quotient = (cubic(size) - cubic(-size)) / (2 * size)
    wrong = b + m * size**2 / draw.choice([2, 3, 12])
    return step(quotient, b + m * size**2 / 6, wrong)


@template("constant", 2)
def exponent_of_the_variance(draw):
    m = whole(draw)
    value = (s + m * R**2 * exp(-s)) / 2
    return step(Derivative(value, s), (1 - m * R**2 * exp(-s)) / 2, (1 - R**2 * exp(-s)) * m / 2)


@template("sign")
def square_of_a_difference(draw):
    m = whole(draw)
    return step(
        (p - m * t) ** 2, p**2 - 2 * m * p * t + m**2 * t**2, p**2 + 2 * m * p * t + (m * t) ** 2
    )


@template("sign")
def slope_of_the_log_loss(draw):
    m = whole(draw)
    right = m * R / (p * (1 - p))
    return step(Derivative(m * BCE, p), right, -right, domain=LABELS)


@template("sign")
def tail_of_the_sigmoid(draw):
    m = whole(draw)
    at = 1 / (1 + exp(-m * z))
    return step(1 - at, 1 / (1 + exp(m * z)), 1 / (1 + 1 / exp(m * z)))


@template("sign")
def slope_of_the_poisson_loss(draw):
    m = whole(draw)
    wrong = m * draw.choice([exp(z) + t, t - exp(z), -exp(z) - t])
    return step(Derivative(m * (exp(z) - t * z), z), m * exp(z) - m * t, wrong)


@template("sign")
def slope_of_the_pinball(draw):
    m = whole(draw)
    right = Piecewise((-m * tau, p < t), (m * (1 - tau), True))
    wrong = draw.choice(
        [
            Piecewise((m * tau, p < t), (m * (1 - tau), True)),
            Piecewise((-m * tau, p < t), (m * (tau - 1), True)),
            Piecewise((m * (1 - tau), p < t), (-m * tau, True)),
        ]
    )
    return step(Derivative(m * PINBALL, p), right, wrong, domain={tau: OPEN})


@template("sign")
def logarithm_of_a_quotient(draw):
    m = whole(draw)
    right = m * log(q) - m * log(1 - q)
    return step(m * log(q / (1 - q)), right, -right, domain={q: OPEN})


@template("sign", 2)
def slope_of_the_exponential_loss(draw):
    m = whole(draw)
    right = -m * y * exp(-m * y * s)
    return step(Derivative(exp(-m * y * s), s), right, -right, domain={y: {-1, 1}})


# Branches and their boundaries


@template("branch", 2)
def slope_of_huber(draw):
    m = whole(draw)
    value = HUBER.subs(delta, m)
    right = cut(R, Abs(R) <= m, m * sp.sign(R))
    wrong = draw.choice(
        [cut(R, Abs(R) <= m, m), cut(R, Abs(R) <= m, -m * sp.sign(R)), cut(R, m >= R, m)]
    )
    return step(Derivative(value, p), right, wrong)


@template("branch", 2)
def huber_as_a_clip(draw):
    m = whole(draw)
    first = cut(R, Abs(R) <= m, m * sp.sign(R))
    wrong = draw.choice([Max(-m, Min(m + 1, R)), Min(m, R), Max(-m - 1, Min(m, R))])
    return step(first, Max(-m, Min(m, R)), wrong)


@template("branch")
def slope_of_the_hinge(draw):
    m = whole(draw)
    wrong = draw.choice([(-y, y * s < m + 1), (-1, y * s < m), (-y, s < m)])
    return step(
        Derivative(Max(0, m - y * s), s),
        cut(-y, y * s < m, 0),
        cut(*wrong, 0),
        domain={y: {-1, 1}},
    )


@template("branch", 1)
def pinball_as_a_maximum(draw):
    m = whole(draw)
    low, high = m * tau * (t - p), m * (tau - 1) * (t - p)
    wrong = draw.choice([Min(low, high), Max(low, -high), Max(-low, high)])
    return step(m * PINBALL, Max(low, high), wrong, domain={tau: OPEN})


@template("branch", 2)
def a_narrow_branch(draw):
    m, o, e = whole(draw), ratio(draw), tiny(draw)
    narrow = (x > o) & (x < o + e)
    first = m * x + cut(x, narrow, 0)
    return step(first, cut((m + 1) * x, narrow, m * x), cut((m + 2) * x, narrow, m * x))


@template("branch", 2)
def a_narrow_branch_around_a_residual(draw):
    m, e = whole(draw), tiny(draw)
    narrow = Abs(R - m) < e
    first = p * t + cut(p, narrow, 0)
    return step(first, cut(p * t + p, narrow, p * t), cut(p * t + t, narrow, p * t))


@template("branch", 1)
def the_largest_of_three(draw):
    m = whole(draw)
    first = Max(x, y, m)
    right = cut(Max(x, m), x > y, Max(y, m))
    return step(first, right, cut(Max(x, m), x > y, y))


@template("branch", 1)
def softplus_without_overflow(draw):
    m = whole(draw)
    right = Max(m * z, 0) + log(1 + exp(-m * Abs(z)))
    wrong = draw.choice([Max(m * z, 0) + log(1 + exp(-m * z)), m * z + log(1 + exp(-m * Abs(z)))])
    return step(log(1 + exp(m * z)), right, wrong)


@template("boundary")
def one_point_of_a_smooth_slope(draw):
    m, o, e = whole(draw), whole(draw), whole(draw, 50, 99)
    return step(
        Derivative(m * x**2, x),
        cut(2 * m * o, Eq(x, o), 2 * m * x),
        cut(e, Eq(x, o), 2 * m * x) if e != 2 * m * o else cut(e + 1, Eq(x, o), 2 * m * x),
    )


@template("boundary", 2)
def hubers_slope_where_its_branches_meet(draw):
    m = whole(draw)
    value = HUBER.subs(delta, m)

    def slope(at):
        return Piecewise((R, Abs(R) < m), (at, Eq(Abs(R), m)), (m * sp.sign(R), True))

    wrong = draw.choice([m + 7, m, 0, -m * sp.sign(R)])
    return step(Derivative(value, p), slope(m * sp.sign(R)), slope(wrong))


@template("boundary", 2)
def huber_where_its_branches_meet(draw):
    m = whole(draw)
    value = HUBER.subs(delta, m)
    near, far = R**2 / 2, m * (Abs(R) - Rational(m, 2))

    def split(at):
        return Piecewise((near, Abs(R) < m), (far, Abs(R) > m), (at, True))

    return step(value, split(Rational(m**2, 2)), split(draw.choice([0, m**2])))


@template("boundary")
def slope_of_a_signed_square(draw):
    m = whole(draw)
    slope = 2 * m * Abs(x)
    return step(Derivative(m * x * Abs(x), x), slope, cut(whole(draw), Eq(x, 0), slope))


@template("boundary", 2)
def a_kink_that_the_slope_does_not_cross(draw):
    m = whole(draw)
    first = Derivative(a * Abs(x - m), a)
    return step(first, cut(0, Eq(x, m), Abs(x - m)), cut(7, Eq(x, m), Abs(x - m)))


@template("boundary", 2)
def a_kink_and_a_point_beside_it(draw):
    m = whole(draw)
    first = Derivative(Abs(R), p)
    return step(first, cut(1, R >= 0, -1), cut(1, draw.choice([m, tiny(draw)]) <= R, -1))


@template("boundary", 2)
def a_jump_and_a_point_elsewhere(draw):
    m = whole(draw)
    first = Derivative(cut(1, s <= 0, 0), s)
    return step(first, 0, cut(m, Eq(s, m), 0))


@template("boundary")
def one_value_of_a_parameter(draw):
    m, o = ratio(draw), whole(draw)
    slope = 2 * a * x
    return step(
        Derivative(a * x**2, x), cut(2 * m * x, Eq(a, m), slope), cut(o * x, Eq(a, m), slope)
    )


@template("boundary")
def one_integer(draw):
    m, o = whole(draw, 1, 400), whole(draw)
    slope = (2 * n + 1) * x
    wrong = cut((2 * m + 1 + o) * x, Eq(n, m), slope)
    return step(Derivative((2 * n + 1) * x**2 / 2, x), cut((2 * m + 1) * x, Eq(n, m), slope), wrong)


@template("boundary", 2)
def the_end_of_the_domain(draw):
    m = whole(draw)
    domain = {x: Interval(0, m)}
    return step(
        x * (x - m), cut(0, Eq(x, m), x**2 - m * x), cut(1, Eq(x, m), x**2 - m * x), domain=domain
    )


@template("boundary", 2)
def entropy_at_the_end(draw):
    m = whole(draw)
    inside = m * x * log(x)
    first = cut(inside, x > 0, 0)
    return step(first, cut(0, x <= 0, inside), cut(7, x <= 0, inside), domain={x: UNIT})


# Poles


@template("pole")
def a_factor_cancels(draw):
    m = whole(draw)
    return domains((x**2 - m**2) / (x - m), x + m, {x: Interval.open(m, oo)}, {x: sp.S.Reals})


@template("pole", 2)
def a_factor_cancels_among_integers(draw):
    m = whole(draw)
    outside = {n: sp.Range(m + 1, m + 60)}
    return domains((n**2 - m**2) / (n - m), n + m, outside, {n: sp.Range(0, m + 60)})


@template("pole")
def a_parameter_cancels(draw):
    m, o = whole(draw), whole(draw)
    first = Mul((a - o) * m * x, 1 / (a - o), evaluate=False)
    return domains(first, m * x, {a: Interval.open(o, oo)}, {a: Interval.open(o - 1, oo)})


@template("pole")
def a_difference_of_reciprocals(draw):
    m = whole(draw)
    first = (1 / x - 1 / (x + m)) * x
    return domains(first, m / (x + m), {x: POSITIVE}, {x: Interval(0, oo)})


@template("pole", 2)
def a_quotient_of_exponentials(draw):
    m = whole(draw)
    first = (exp(2 * m * x) - 1) / (exp(m * x) - 1)
    return domains(first, exp(m * x) + 1, {x: POSITIVE}, {x: Interval(0, oo)})


@template("pole", 2)
def the_log_loss_at_its_end(draw):
    m = whole(draw)
    first = m * (p**2 - p * t) / (p * (1 - p))
    return domains(first, m * R / (1 - p), LABELS, {p: Interval.Ropen(0, 1), t: UNIT})


@template("pole", 2)
def a_residue(draw):
    m, e = whole(draw), tiny(draw)
    domain = {x: Interval.open(m, oo)}
    right = x / (x - m) - 1
    return step(m / (x - m), right, right + e / (x - m), domain=domain)


@template("pole", 2)
def a_slope_across_a_pole(draw):
    m = whole(draw)
    right = -1 / (x - m) ** 2
    return step(
        Derivative(x / (x - m), x), m * right, (m + 1) * right, domain={x: Interval.open(m, oo)}
    )


# Far out, and very close


@template("far")
def an_exponential_far_out(draw):
    m = draw.randint(1, 9) * 10 ** draw.randint(5, 8)
    return step(x * (1 + exp(x - m)), x + x * exp(x - m), x)


@template("far")
def tanh_far_out(draw):
    m = whole(draw, 60, 200)
    half = (exp(2 * x) - 1) / (exp(2 * x) + 1)
    return step(tanh(x), cut(half, x > m, tanh(x)), cut(1, x > m, tanh(x)))


@template("far")
def softplus_far_out(draw):
    m = whole(draw, 40, 300)
    right = cut(z + log(1 + exp(-z)), z > m, SOFTPLUS)
    return step(SOFTPLUS, right, cut(z, z > m, SOFTPLUS))


@template("far")
def a_ramp_far_out(draw):
    m, o = 10 ** draw.randint(4, 9), whole(draw)
    first = o * x + Max(0, Abs(x) - m)
    return step(first, cut(o * x + Abs(x) - m, Abs(x) > m, o * x), o * x)


@template("far")
def a_root_far_out(draw):
    m = 10 ** draw.randint(4, 8)
    return step(
        sqrt(1 + x**2),
        cut(sqrt(1 / x**2 + 1) * Abs(x), Abs(x) > m, sqrt(1 + x**2)),
        cut(Abs(x), Abs(x) > m, sqrt(1 + x**2)),
    )


@template("far")
def a_scale_far_out(draw):
    m = 10 ** draw.randint(7, 9)
    value = R**2 / sigma
    return step(
        Derivative(value, p),
        cut(2 * p / sigma - 2 * t / sigma, sigma > m, 2 * R / sigma),
        cut(R / sigma, sigma > m, 2 * R / sigma),
    )


@template("far", 2)
def a_polynomial_far_out(draw):
    m = 10 ** draw.randint(10, 12)
    return step(x * (1 + x / m), x + x**2 / m, x)


@template("tiny")
def a_factor_of_the_log_loss(draw):
    right = R / (p * (1 - p))
    return step(Derivative(BCE, p), right, (1 + tiny(draw)) * right, domain=LABELS)


@template("tiny")
def a_factor_of_a_square(draw):
    m, e = ratio(draw), tiny(draw)
    return step(Derivative(m * R**2, p), 2 * m * R, 2 * m * (1 + e) * R)


@template("tiny")
def a_term_of_softplus(draw):
    right = Max(z, 0) + log(1 + exp(-Abs(z)))
    return step(SOFTPLUS, right, right + tiny(draw))


@template("tiny", 2)
def a_branch_of_huber(draw):
    slope = cut(R, Abs(R) <= delta, delta * sp.sign(R))
    wrong = cut(R, Abs(R) <= delta, delta * (1 + tiny(draw)) * sp.sign(R))
    return step(Derivative(HUBER, p), slope, wrong)


@template("tiny", 2)
def a_decimal(draw):
    m = whole(draw)
    right = Rational(m + 2, 10) * x
    return step(float(m) / 10 * x + 0.2 * x, right, right * (1 + tiny(draw)))


@template("tiny")
def a_bend(draw):
    m, e = whole(draw), tiny(draw)
    right = x**2 + 2 * m * x + m**2
    return step((x + m) ** 2, right, right + draw.choice([e * x**2, e * x, e]))


@template("tiny")
def an_exponent(draw):
    m, e = ratio(draw), tiny(draw)
    return step(Derivative(exp(m * x), x), m * exp(m * x), m * exp((m + e) * x))


@template("tiny", 2)
def a_minimum_of_what_is_left_of_a_sum(draw):
    m = draw.randint(30, 40)
    left = (x + exp(m)) ** 2 - exp(2 * m) - 2 * exp(m) * x - x**2
    return step(cosh(left), 1, 1 + tiny(draw), domain={x: Interval.open(1, 2)})


# Sums: indices and lengths


@template("index", 2)
def jacobian_of_softmax(draw):
    entry = KroneckerDelta(j, k) - P[j]
    wrong = draw.choice(
        [P[j] * (KroneckerDelta(j, k) - P[j]), P[k] * (KroneckerDelta(j, k) - P[k])]
    )
    slope = Derivative(exp(Z[k]) / TOTAL, Z[j])
    return step(slope, P[k] * entry, wrong, given=[SOFTMAX], domain=CLASSES)


@template("index")
def one_term_of_a_sum(draw):
    m = whole(draw)
    first = Derivative(over(m * (P[k] - T[k]) ** 2), P[j])
    return step(
        first,
        2 * m * (P[j] - T[j]),
        draw.choice([2 * m * (P[j] - T[1]), 2 * m * (P[1] - T[j]), 2 * m * over(P[k] - T[k])]),
        domain={j: (1, K)},
    )


@template("index", 2)
def product_with_a_transposed_matrix(draw):
    m = whole(draw)
    value = Sum(m * V[i] * Sum(X[i, j] * W[j], (j, 1, 3)), (i, 1, 3))
    return step(
        Derivative(value, W[k]),
        m * Sum(V[i] * X[i, k], (i, 1, 3)),
        m * Sum(V[i] * X[k, i], (i, 1, 3)),
        domain={k: (1, 3)},
    )


@template("index", 2)
def gradient_of_the_cross_entropy(draw):
    m = whole(draw)
    first = Derivative(m * log(TOTAL) - m * over(T[k] * Z[k]), Z[j])
    wrong = draw.choice([P[j] - T[1], P[1] - T[j], P[j] - over(T[k] * P[k])])
    domain = {j: (1, K), T: "simplex"}
    return step(first, m * (P[j] - T[j]), m * wrong, given=[SOFTMAX], domain=domain)


@template("index")
def products_of_sums(draw):
    m = whole(draw)
    first = m * rows(W[i]) * rows(X[i])
    right = Sum(m * W[i] * X[j], (i, 1, N), (j, 1, N))
    return step(first, right, draw.choice([m * rows(W[i] * X[i]), m * N * rows(W[i] * X[i])]))


@template("index")
def a_neighbour(draw):
    m = whole(draw)
    first = rows(m * X[i + 1] - m * X[i])
    return step(
        first,
        m * X[N + 1] - m * X[1],
        draw.choice([m * X[N] - m * X[1], m * X[N + 1] - m * X[0], m * X[1] - m * X[N + 1]]),
    )


@template("index", 2)
def split_of_a_square(draw):
    m = whole(draw)
    first = Sum((X[i] - m * X[j]) ** 2, (i, 1, N), (j, 1, N))
    square = (1 + m**2) * N * rows(X[i] ** 2)
    return step(first, square - 2 * m * rows(X[i]) ** 2, square - 2 * m * N * rows(X[i] ** 2))


@template("length")
def a_sum_short_of_a_term(draw):
    m = whole(draw)
    wrong = draw.choice([m * rows(X[i], 2), m * rows(X[i], 1, N - 1), m * rows(X[i], 0)])
    return step(rows(m * X[i]), m * rows(X[i]), wrong)


@template("length")
def a_constant_in_every_term(draw):
    m = whole(draw)
    wrong = draw.choice([m * (N - 1) * c, m * (N + 1) * c, m * c, m * N**2 * c / 2])
    return step(rows(X[i] + m * c), rows(X[i]) + m * N * c, rows(X[i]) + wrong)


@template("length", 2)
def a_polynomial_with_zeros_at_small_sizes(draw):
    o = draw.choice([2, 3])
    vanishing = sp.prod([N - size for size in (2, 3, 5, 7)[: o + 1]])
    right = c * N + rows(X[i])
    return step(rows(X[i] + c), right, right + vanishing * c)


@template("length")
def a_polynomial_with_more_zeros(draw):
    vanishing = sp.prod([N - size for size in range(1, draw.choice([6, 8, 12]))])
    right = c * N + rows(X[i])
    return step(rows(X[i] + c), right, right + vanishing * c)


@template("length")
def one_size_alone(draw):
    m = draw.choice([7, 11, 13])
    right = N * c + rows(X[i])
    return step(rows(X[i] + c), right, right + KroneckerDelta(N, m) * c)


@template("length", 2)
def the_sum_of_the_first_numbers(draw):
    m = whole(draw)
    return step(rows(m * i), m * N * (N + 1) / 2, m * N * (N - 1) / 2)


@template("length")
def two_sizes(draw):
    m = whole(draw)
    first = Sum(m * c, (i, 1, N), (k, 1, K)) + rows(X[i])
    wrong = draw.choice([N**2, K**2, N + K])
    return step(first, m * N * K * c + rows(X[i]), m * wrong * c + rows(X[i]))


@template("length", 2)
def the_first_class(draw):
    m = whole(draw)
    first = Sum(exp(m * Z[k]), (k, 0, K - 1))
    tail = Sum(exp(m * Z[k]), (k, 1, K - 1))
    return step(first, exp(m * Z[0]) + tail, exp(m * Z[0]) + Sum(exp(m * Z[k]), (k, 1, K)))


# Inequalities


@template("inequality")
def a_tangent_of_the_logarithm(draw):
    m = whole(draw)
    tangent = x / m - 1 + log(m)
    return step(log(x), tangent, tangent - tiny(draw), "<=", domain={x: POSITIVE})


@template("inequality")
def completed_square(draw):
    m = ratio(draw)
    e = Rational(1, 10 ** draw.randint(4, 12))
    return step(x**2 + m**2, 2 * m * x, 2 * m * x + e, ">=")


@template("inequality")
def product_and_squares(draw):
    m = whole(draw)
    return step(2 * m * x * y, x**2 + m**2 * y**2, x**2 + m**2 * y**2 - tiny(draw), "<=")


@template("inequality")
def curvature_of_the_log_loss(draw):
    m = whole(draw)
    quarter = Rational(m, 4)
    return step(m * q * (1 - q), quarter, quarter - tiny(draw), "<=", domain={q: OPEN})


@template("inequality", 2)
def zero_one_below_the_logistic(draw):
    m = whole(draw)
    mistake = cut(1, s <= 0, 0)
    smooth = log(1 + exp(-m * s)) / log(2)
    return step(mistake, smooth, smooth * (1 - tiny(draw)), "<=")


@template("inequality", 1)
def huber_below_the_square(draw):
    m = whole(draw)
    return step(m * HUBER, m * R**2 / 2, m * R**2 / 2 - tiny(draw), "<=")


@template("inequality")
def line_through_a_kink(draw):
    m = whole(draw)
    return domains(
        g * (x - m), Max(0, m - x), {g: Interval(-1, 0)}, {g: Interval(-1, tiny(draw))}, "<="
    )


@template("inequality", 2)
def cauchy_and_schwarz(draw):
    m = whole(draw)
    first = (a * x + m * b * y) ** 2
    right = (a**2 + b**2) * (x**2 + m**2 * y**2)
    return step(first, right, right * (1 - tiny(draw)), "<=")


@template("inequality", 2)
def the_exponential_above_its_tangent(draw):
    m = whole(draw)
    tangent = exp(m) * (1 + x - m)
    return step(exp(x), tangent, tangent + tiny(draw), ">=")


@template("inequality", 2)
def a_cosine_at_least_minus_one(draw):
    m = whole(draw)
    return step(m * sp.cos(a - b), -m, -m + tiny(draw), ">=")


@template("inequality", 2)
def the_wrong_way_round(draw):
    m = whole(draw)
    first = (x - m) ** 2
    return step(first, first + gamma, first - gamma, "<=")


# Limits


@template("limit")
def sine_over_its_argument(draw):
    m = whole(draw)
    return limit(sp.sin(m * x) / x, x, 0, m, m + Rational(1, 10 ** draw.randint(6, 12)))


@template("limit")
def difference_quotient(draw):
    m = whole(draw)
    quotient = (m * (p + w - t) ** 2 - m * R**2) / w
    return limit(quotient, w, 0, 2 * m * R, 2 * m * R + draw.choice([tiny(draw), m, p]))


@template("limit")
def a_sigmoid_in_its_tail(draw):
    m = whole(draw)
    return limit(m / (1 + exp(-z)), z, oo, m, m - tiny(draw))


@template("limit", 2)
def a_logarithm_of_a_logarithm(draw):
    m = whole(draw)
    far = {x: Interval.open(20, oo)}
    return limit(m / log(log(x)), x, oo, 0, draw.choice([Rational(1, 10), 1]), domain=far)


@template("limit", 2)
def entropy_at_an_end(draw):
    m = whole(draw)
    return limit(m * p * log(p), p, 0, 0, -tiny(draw), domain={p: OPEN})


@template("limit", 2)
def compound_interest(draw):
    m = whole(draw)
    start = {x: Interval.open(1, oo)}
    return limit((1 + m / x) ** x, x, oo, exp(m), exp(m) * (1 + tiny(draw)), domain=start)


@template("limit", 2)
def from_both_sides(draw):
    m = whole(draw)
    jump = m * x / Abs(x)
    return tuple(Move(jump, (("limit", x, 0, m, "limit", way),), {}) for way in ("+", "+-"))


@template("limit", 2)
def leader_without_temperature(draw):
    m = whole(draw)
    leader = 1 / (1 + m * exp(-1 / T0))
    return limit(leader, T0, 0, 1, draw.choice([1 - tiny(draw), Rational(1, m + 1)]), "+")


@template("limit", 2)
def smooth_bend(draw):
    m = whole(draw)
    return limit(m**2 * (sqrt(1 + (x / m) ** 2) - 1) / x, x, oo, m, m + tiny(draw))


@template("limit", 2)
def second_order_of_the_cosine(draw):
    m = whole(draw)
    right = Rational(m**2, 2)
    return limit((1 - sp.cos(m * x)) / x**2, x, 0, right, right + tiny(draw))


@template("limit", 1)
def softmax_without_contrast(draw):
    m = whole(draw)
    share = m * exp(Z[k] / T0) / over(exp(Z[i] / T0), i)
    wrong = draw.choice([m / (K + 1), m / K + Rational(1, 10**6)])
    return limit(share, T0, oo, m / K, wrong, domain={k: (1, K)})


# Roots


@template("root")
def a_linear_root(draw):
    m, o = whole(draw), whole(draw)
    return root(m * p - o * t, p, o * t / m, o * t / m + tiny(draw))


@template("root")
def a_second_root(draw):
    m, o = whole(draw), whole(draw, 10, 19)
    line = (x - m) * (x + o)
    return roots(line, x, m, POSITIVE, sp.S.Reals)


@template("root")
def a_root_across_a_pole(draw):
    e = Rational(1, 10 ** draw.randint(4, 8))
    line = (1 + e) * exp(u - 1) - 1 / u - e
    return roots(line, u, 1, POSITIVE, sp.S.Reals)


@template("root")
def another_root_far_out(draw):
    m, o = whole(draw), 10 ** draw.randint(5, 9)
    line = (x - m) * (x - o)
    return roots(line, x, m, Interval.open(0, o), POSITIVE)


@template("root")
def a_double_root(draw):
    m, o = ratio(draw), whole(draw, 3, 9)
    line = (x - m) * (x - o) ** 2
    return roots(line, x, m, Interval.open(-oo, o), sp.S.Reals)


@template("root", 2)
def a_root_beside_another(draw):
    m, e = whole(draw), tiny(draw)
    line = (x - m) * (x - m - e)
    return roots(line, x, m, Interval.open(-oo, m + e / 2), sp.S.Reals)


@template("root", 2)
def a_step_of_a_difference(draw):
    m = whole(draw)
    step_size = sp.Symbol("h", positive=True)
    line = (m * beta * step_size**3 - 3 * u * kappa) / (3 * step_size**2)
    best = sp.cbrt(3 * u * kappa / (m * beta))
    positive = {u: POSITIVE}
    return root(line, step_size, best, sqrt(3 * u * kappa / (m * beta)), domain=positive)


@template("root")
def a_logistic_root(draw):
    m = whole(draw)
    line = ((1 - q) * exp(s) - m * q) / (1 + exp(s))
    right = log(q / (1 - q)) + log(m)
    return root(
        line, s, right, right + draw.choice([tiny(draw), -2 * log(m), log(m)]), domain={q: OPEN}
    )


@template("root", 2)
def a_weighted_mean(draw):
    m = whole(draw)
    weights, products = rows(A[i]), rows(A[i] * X[i])
    line = 2 * m * c * weights - 2 * m * products
    return root(line, c, products / weights, products / N, domain={A: POSITIVE})


@template("root", 2)
def a_root_outside_the_domain(draw):
    m = whole(draw)
    return root(sigma**2 - m**2 * t**2, sigma, m * t, -m * t, domain={t: POSITIVE})


# Domains and parameters


@template("domain", 2)
def a_root_of_a_square(draw):
    m = whole(draw)
    return domains(sqrt(m**2 * x**2), m * x, {x: Interval(0, oo)}, {x: Interval(-1, oo)})


@template("domain", 2)
def a_logarithm_of_a_square(draw):
    m = whole(draw)
    return domains(log(m * x**2), 2 * log(x) + log(m), {x: POSITIVE}, {x: sp.S.Reals})


@template("domain")
def labels_zero_and_one(draw):
    m = whole(draw)
    wrong = draw.choice([{y: {-1, 1}}, {y: UNIT}, {y: {0, 1, 2}}])
    return domains(m * y**2 * x, m * y * x, {y: {0, 1}}, wrong)


@template("domain")
def labels_minus_one_and_one(draw):
    m = whole(draw)
    wrong = draw.choice([{y: {0, 1}}, {y: Interval(-1, 1)}, {y: {-1, 1, 2}}])
    return domains((m * s - y) ** 2, (1 - m * y * s) ** 2, {y: {-1, 1}}, wrong)


@template("domain")
def a_product_in_a_logarithm(draw):
    m = whole(draw)
    wrong = {x: Interval.open(-1, oo), y: Interval.open(-1, oo)}
    return domains(
        log(m * x**2 * y**2), log(m) + 2 * log(x) + 2 * log(y), {x: POSITIVE, y: POSITIVE}, wrong
    )


@template("domain")
def a_hinge_within_its_bounds(draw):
    m = whole(draw)
    first = q * Max(0, m - s) + (1 - q) * Max(0, m + s)
    e = tiny(draw)
    return domains(
        first,
        m + (1 - 2 * q) * s,
        {q: OPEN, s: Interval(-m, m)},
        {q: OPEN, s: Interval(-m, m + e)},
    )


@template("domain", 2)
def two_labels_of_the_log_loss(draw):
    m = whole(draw)
    first = -log(p ** (m * t) * (1 - p) ** (m * (1 - t)))
    claim = Piecewise((-m * log(p), t > Rational(1, 2)), (-m * log(1 - p), True))
    return domains(first, claim, {p: OPEN, t: {0, 1}}, {p: OPEN, t: UNIT})


@template("domain", 2)
def a_size_without_its_bars(draw):
    m = ratio(draw)
    return domains(Abs(x - m), x - m, {x: Interval(m, oo)}, {x: Interval(m - tiny(draw), oo)})


@template("domain", 2)
def an_angle_of_a_cosine(draw):
    m = whole(draw)
    bounds = {x: Interval(-m, m)}
    return domains(sp.acos(x / m), 4, bounds, {x: sp.S.Reals}, "<=")


@template("parameter")
def an_end_of_gamma(draw):
    m = whole(draw)
    power = m * (1 - p) ** gamma
    right = m * exp(gamma * log(1 - p))
    return step(power, right, power * sp.sign(gamma), domain={p: OPEN})


@template("parameter")
def a_regime_of_delta(draw):
    m = 10 ** draw.randint(2, 6)
    right = cut(R**2 / 2, Abs(R) <= delta, delta * Abs(R) - delta**2 / 2)
    return step(HUBER, right, cut(R**2 / 2, delta > m, right))


@template("parameter", 2)
def one_quantile_level(draw):
    m = whole(draw)
    right = m * (Abs(R) / 2 + (Rational(1, 2) - tau) * R)
    wrong = m * draw.choice([Abs(R) / 2, Abs(R) / 2 + (tau - Rational(1, 2)) * R])
    return step(m * PINBALL, right, wrong, domain={tau: OPEN})


@template("parameter")
def one_scale(draw):
    m = whole(draw)
    right = delta**2 * (sqrt(1 + m * R**2 / delta**2) - 1)
    first = delta * (sqrt(delta**2 + m * R**2) - delta)
    return step(first, right, draw.choice([sqrt(1 + m * R**2) - 1, right / delta]))


@template("parameter")
def slope_of_the_focal_loss(draw):
    m = whole(draw, 1, 4)
    first = Derivative(-((1 - p) ** m) * log(p), p)
    right = m * (1 - p) ** (m - 1) * log(p) - (1 - p) ** m / p
    wrong = m * (1 - p) ** m * log(p) - (1 - p) ** m / p
    return step(first, right, wrong if m != 1 else -right, domain={p: OPEN})


@template("parameter", 2)
def slope_of_the_focal_loss_in_gamma(draw):
    m = whole(draw)
    first = Derivative(-m * (1 - p) ** gamma * log(p), p)
    right = m * (1 - p) ** gamma * (gamma * log(p) / (1 - p) - 1 / p)
    wrong = m * (1 - p) ** gamma * (log(p) / (1 - p) - 1 / p)
    return step(first, right, wrong, domain={p: OPEN})


@template("parameter", 2)
def a_power_of_zero(draw):
    m = whole(draw)
    return domains(x + 0**gamma * m, x, {gamma: POSITIVE}, {gamma: Interval(0, oo)})


@template("parameter")
def smoothing(draw):
    m = whole(draw)
    first = (1 - q) * (m * x) + q * (m * y)
    right = m * x + q * m * (y - x)
    return step(first, right, right + q * (1 - q) * tiny(draw), domain={q: UNIT})


# Relations of indices, labels and definitions


@template("delta")
def a_delta_picks_a_term(draw):
    m = whole(draw)
    return step(
        over(m * X[k] * KroneckerDelta(j, k)),
        m * X[j],
        m * draw.choice([X[1], over(X[k]), X[j] ** 2]),
        domain={j: (1, K)},
    )


@template("delta")
def a_delta_out_of_range(draw):
    m = whole(draw)
    wrong = draw.choice([{j: (0, K)}, {j: (1, K + 1)}, {j: (0, K - 1)}])
    return domains(over(m * KroneckerDelta(j, k)) * c, m * c, {j: (1, K)}, wrong)


@template("delta")
def a_squared_delta(draw):
    m = whole(draw)
    pick = KroneckerDelta(j, k)
    return step(
        m * pick**2 * X[j] + X[k],
        m * pick * X[k] + X[k],
        draw.choice([m * X[k] + X[k], m * (1 - pick) * X[k] + X[k], m * pick**2 + X[k]]),
        domain={j: (1, 4), k: (1, 4)},
    )


@template("delta")
def two_deltas(draw):
    m = whole(draw)
    first = over(m * KroneckerDelta(i, k) * KroneckerDelta(k, j))
    right = m * KroneckerDelta(i, j)
    domain = {i: (1, K), j: (1, K)}
    return step(first, right, draw.choice([m, 2 * right, 0]), domain=domain)


@template("delta")
def columns_of_the_jacobian(draw):
    m = whole(draw)
    first = over(m * V[k] * P[k] * (KroneckerDelta(j, k) - P[j]))
    right = m * P[j] * (V[j] - over(V[k] * P[k]))
    wrong = m * draw.choice([P[j] * (V[j] - over(V[k])), V[j] * (1 - over(P[k]))])
    return step(first, right, wrong, domain={j: (1, K), P: "simplex"})


@template("delta", 2)
def all_but_one(draw):
    m = whole(draw)
    first = over(m * X[k] * (1 - KroneckerDelta(j, k)))
    right = m * over(X[k]) - m * X[j]
    return step(first, right, m * over(X[k]) - m * X[1], domain={j: (1, K)})


@template("delta", 2)
def a_diagonal(draw):
    m = whole(draw)
    first = Sum(m * KroneckerDelta(j, k), (j, 1, K), (k, 1, K)) * c
    return step(first, m * K * c, draw.choice([m * c, m * K**2 * c, m * (K - 1) * c]))


@template("label")
def a_squared_label(draw):
    m = whole(draw)
    return domains(
        over(m * T[k] ** 2 * Z[k]), m * over(T[k] * Z[k]), {T: "one-hot"}, {T: "simplex"}
    )


@template("label")
def labels_add_up_to_one(draw):
    m = whole(draw)
    wrong = draw.choice([{T: UNIT}, {T: {0, 1}}, {T: OPEN}])
    return domains(c * over(m * T[k]), m * c, {T: draw.choice(["one-hot", "simplex"])}, wrong)


@template("label", 2)
def a_product_of_labels(draw):
    m = whole(draw)
    pick = KroneckerDelta(j, k)
    domain = {T: "one-hot", j: (1, K), k: (1, K)}
    wrong = draw.choice([T[j], pick, T[j] * T[k] + pick])
    return step(m * T[j] * T[k] * TOTAL, m * pick * T[j] * TOTAL, m * wrong * TOTAL, domain=domain)


@template("label", 2)
def cross_entropy_of_the_logits(draw):
    m = whole(draw)
    right = m * log(TOTAL) - m * over(T[k] * Z[k])
    wrong = m * draw.choice([K * log(TOTAL) - over(T[k] * Z[k]), log(TOTAL) + over(T[k] * Z[k])])
    return step(m * ENTROPY, right, wrong, given=[SOFTMAX], domain={T: "simplex"})


@template("label", 2)
def labels_without_a_sum(draw):
    m = whole(draw)
    right = m * log(TOTAL) - m * over(T[k] * Z[k])
    return domains(m * ENTROPY, right, {T: "one-hot"}, {T: UNIT}, given=[SOFTMAX])


@template("label", 2)
def gibbs_inequality(draw):
    both = {T: "simplex", P: "simplex"}
    m = whole(draw)
    bound = m * over(T[k] * log(T[k]))
    return step(
        m * over(T[k] * log(P[k])),
        bound,
        bound - draw.choice([1, Rational(1, 10)]),
        "<=",
        domain=both,
    )


@template("label", 2)
def the_variance_of_a_label(draw):
    m = whole(draw)
    first = over(m * P[k] * (X[k] - over(P[j] * X[j], j)) ** 2)
    mean = over(P[k] * X[k])
    right = m * over(P[k] * X[k] ** 2) - m * mean**2
    return step(first, right, right + m * draw.choice([mean, mean**2]), domain={P: "simplex"})


@template("label")
def smoothed_labels(draw):
    m = whole(draw)
    first = over((1 - q) * T[k] + q / K) * m * c
    wrong = draw.choice([m * c * (1 - q), m * c * (1 + q), m * c * K])
    return step(first, m * c, wrong, domain={T: "one-hot", q: OPEN})


@template("given")
def slope_of_the_sigmoid(draw):
    m = whole(draw)
    wrong = m * draw.choice([PZ * (1 + PZ), PZ**2 * (1 - PZ), (1 - PZ), PZ * (PZ - 1)])
    return step(Derivative(m * PZ, z), m * PZ * (1 - PZ), wrong, given=[IS_SIGMOID])


@template("given")
def a_chain_through_a_definition(draw):
    m = whole(draw)
    first = Derivative(m * (PZ - t) ** 2, z)
    slope = PZ * (1 - PZ)
    wrong = draw.choice([2 * m * (PZ - t), m * (PZ - t) * slope, 2 * m * (PZ - t) * PZ])
    return step(first, 2 * m * (PZ - t) * slope, wrong, given=[IS_SIGMOID])


@template("given")
def definitions_in_a_row(draw):
    m, o = whole(draw), whole(draw)
    given = [Eq(r, m * p - t), Eq(p, w * x + o)]
    right = 2 * (m * w * x + m * o - t)
    wrong = draw.choice([2 * (w * x + o - t), 2 * (m * w * x + o - t), right * m])
    return step(Derivative(r**2, r), right, wrong, given=given)


@template("given")
def a_defined_exponential(draw):
    m = whole(draw)
    q_w = sp.Function("q")(w)
    first = Derivative((q_w - t) ** 2, w)
    wrong = draw.choice([2 * x * q_w * (q_w - t), 2 * m * q_w * (q_w - t), 2 * m * x * (q_w - t)])
    return step(first, 2 * m * x * q_w * (q_w - t), wrong, given=[Eq(q_w, exp(m * w * x))])


@template("given", 2)
def log_loss_of_the_logit(draw):
    m = whole(draw)
    first = Derivative(m * BCE.subs(p, PZ), z)
    wrong = m * draw.choice([(PZ - t) / (PZ * (1 - PZ)), t - PZ, PZ + t])
    return step(first, m * (PZ - t), wrong, given=[IS_SIGMOID], domain={t: UNIT})


@template("given")
def another_definition(draw):
    m = whole(draw)
    claim = m * (p - t) * exp(-s)
    return tuple(
        Move(
            m * (p - t) / sigma**2,
            (("step", claim, "named", "="),),
            {"given": [Eq(s, value)]},
        )
        for value in (2 * log(sigma), draw.choice([log(sigma), -2 * log(sigma), log(2 * sigma)]))
    )


@template("given", 2)
def the_mean_by_name(draw):
    m = whole(draw)
    given = [Eq(c, rows(X[i]) / N)]
    wrong = draw.choice([c, m * c / N, N * c * m])
    return step(rows(m * (X[i] - c)), 0, wrong, given=given)


# Derivatives by an entry, or by what is shared by all entries


@template("derivative")
def slope_of_a_regression(draw):
    m = whole(draw)
    first = Derivative(rows((w * X[i] + b - m * V[i]) ** 2) / N, w)
    rest = w * X[i] + b - m * V[i]
    wrong = draw.choice([rows(2 * rest) / N, rows(X[i] * rest) / N, rows(2 * X[i] * rest)])
    return step(first, rows(2 * X[i] * rest) / N, wrong)


@template("derivative")
def slope_of_a_weighted_total(draw):
    m = whole(draw)
    first = Derivative(rows(A[i] * (c - m * X[i]) ** 2), c)
    right = 2 * c * rows(A[i]) - 2 * m * rows(A[i] * X[i])
    wrong = draw.choice(
        [
            2 * c * N - 2 * m * rows(A[i] * X[i]),
            2 * c * rows(A[i]) - m * rows(A[i] * X[i]),
            2 * c * rows(A[i]) - 2 * m * rows(A[i]) * rows(X[i]),
        ]
    )
    return step(first, right, wrong)


@template("derivative")
def slope_of_one_row(draw):
    m = whole(draw)
    first = Derivative(rows((P[i] - m * T[i]) ** 2) / N, P[k])
    right = 2 * (P[k] - m * T[k]) / N
    wrong = draw.choice([right * N, right / 2, rows(2 * (P[i] - m * T[i])) / N])
    return step(first, right, wrong, domain={k: (1, N)})


@template("derivative")
def slope_of_a_poisson_total(draw):
    m = whole(draw)
    first = Derivative(rows(m * exp(z) - X[i] * z), z)
    right = m * N * exp(z) - rows(X[i])
    return step(first, right, draw.choice([m * exp(z) - rows(X[i]), right + rows(X[i]) - X[1]]))


@template("derivative")
def slope_of_a_share(draw):
    m = whole(draw)
    whole_sum = Sum(Z[i], (i, 1, K))
    first = Derivative(m * Z[j] / whole_sum, Z[k])
    pick = KroneckerDelta(j, k)
    right = m * (pick * whole_sum - Z[j]) / whole_sum**2
    wrong = m * draw.choice(
        [
            (pick * whole_sum - Z[k]) / whole_sum**2,
            (pick - Z[j]) / whole_sum**2,
            (pick * whole_sum + Z[j]) / whole_sum**2,
        ]
    )
    return step(first, right, wrong, domain={**CLASSES, Z: POSITIVE})


@template("derivative", 1)
def normal_equations(draw):
    m = whole(draw)
    rest = Sum(X[i, j] * W[j], (j, 1, M)) - T[i]
    first = Derivative(Sum(m * rest**2, (i, 1, N)), W[k])
    return step(
        first,
        Sum(2 * m * rest * X[i, k], (i, 1, N)),
        Sum(2 * m * rest * X[i, 1], (i, 1, N)),
        domain={k: (1, M)},
    )


@template("derivative", 2)
def gauss_newton(draw):
    m = whole(draw)
    rest = Sum(X[i, j] * W[j], (j, 1, 2)) - T[i]
    first = Derivative(Sum(m * rest**2 / 2, (i, 1, N)), W[1], W[2])
    wrong = draw.choice([X[i, 1] ** 2, 2 * X[i, 1] * X[i, 2], X[i, 2]])
    return step(first, m * Sum(X[i, 1] * X[i, 2], (i, 1, N)), m * Sum(wrong, (i, 1, N)))


@template("derivative", 2)
def second_slope_of_a_total(draw):
    m = whole(draw)
    first = Derivative(rows((w * X[i] - T[i]) ** 2) * m, (w, 2))
    return step(first, 2 * m * rows(X[i] ** 2), 2 * m * rows(X[i]) ** draw.choice([1, 2]))


@template("derivative", 2)
def slope_of_a_product(draw):
    m = whole(draw)
    first = Derivative(-log(Product(exp(-m * c) * c ** X[i], (i, 1, N))), c)
    right = m * N - rows(X[i]) / c
    return step(
        first,
        right,
        draw.choice([m - rows(X[i]) / c, right - c]),
        domain={c: POSITIVE, X: Interval(0, 9)},
    )


# Chains


@template("chain")
def a_bound_in_two_steps(draw):
    m = whole(draw)
    lines = [2 * x * y - gamma, (2 * x * y, "<=")]
    right = ("step", x**2 + y**2 + m, "next", "<=")
    return chain(lines, right, ("step", x**2 + y**2 - Rational(1, m**4), "next", "<="))


@template("chain")
def a_bound_then_a_root(draw):
    m = whole(draw)
    line = (x + m) ** 2 - x**2
    then = (2 * m * x + m**2, ("solve", x, -Rational(m, 2), "set to 0"))
    return tuple(
        Move(first, (("step", then[0], "next", relation), then[1]), {})
        for first, relation in ((line, "="), (line - gamma, "<="))
    )


@template("chain")
def a_bound_that_turns_round(draw):
    m = whole(draw)
    lines = [(x - m) ** 2, ((x - m) ** 2 + gamma, "<=")]
    right = ("step", (x - m) ** 2 + 2 * gamma, "next", "<=")
    return chain(lines, right, ("step", (x - m) ** 2, "next", ">="))


@template("chain")
def a_root_after_a_slope(draw):
    m = whole(draw)
    return chain(
        [Derivative(m * R**2, p), (2 * m * R, "=")],
        ("solve", p, t, "linear"),
        ("solve", p, t + tiny(draw), "linear"),
    )


@template("chain", 2)
def slope_then_curvature(draw):
    m = whole(draw)
    first = Derivative(SOFTPLUS.subs(z, m * z), z, z)
    slope = Derivative(m / (1 + exp(-m * z)), z)
    value = m**2 * exp(-m * z) / (1 + exp(-m * z)) ** 2
    return chain(
        [first, (slope, "=")],
        ("step", value, "next", "="),
        ("step", value / m, "next", "="),
    )


@template("chain", 2)
def a_root_then_its_value(draw):
    m = whole(draw)
    before = (("solve", c, rows(X[i]) / N, "linear"),)
    first = 2 * m * N * c - 2 * m * rows(X[i])
    return tuple(
        Move(first, (*before, ("step", claim, "same mean", "=")), {})
        for claim in (rows(X[i] / N), rows(X[i]) / (N + 1))
    )


@template("chain", 2)
def a_bound_of_the_curvature(draw):
    m = whole(draw)
    first = Derivative(m * PZ, z)
    quarter = Rational(m, 4)
    lines = [first, (m * PZ * (1 - PZ), "="), (quarter - m * (PZ - Rational(1, 2)) ** 2, "=")]
    return chain(
        lines,
        ("step", quarter, "next", "<="),
        ("step", quarter - tiny(draw), "next", "<="),
        given=[IS_SIGMOID],
    )


@template("chain", 2)
def a_limit_after_a_step(draw):
    m = whole(draw)
    size = sp.Symbol("h", positive=True)
    lines = [(m / (kappa + size) - m / kappa) / size, (-m / (kappa * (kappa + size)), "=")]
    right = -m / kappa**2
    return chain(
        lines,
        ("limit", size, 0, right, "limit"),
        ("limit", size, 0, right + tiny(draw), "limit"),
    )
