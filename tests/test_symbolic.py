"""The SymPy formulas: each gradient is the derivative, and both are what the code computes."""

import numpy as np
import pytest
import sympy as sp
from cases.inputs import parts
from cases.table import CASES

from lossbook import LOSSES
from lossbook.cards import CARDS, BatchAxes, EntryAxis, Symbolic
from lossbook.cards.symbolic import ArgMaxOther, MaxOther, Ordered, Rank
from lossbook.derivation import Derivation
from lossbook.gradcheck import example_inputs
from lossbook.spaces import CLASS_ID_OR_ROW, LABEL_ROW, ClassId

SYMBOLIC = {name: card.symbolic for name, card in CARDS.items()}
ENTRY_AXIS = [name for name, loss in SYMBOLIC.items() if isinstance(loss, EntryAxis)]
CLASS_AXIS = [
    name
    for name in ENTRY_AXIS
    if SYMBOLIC[name].size == sp.Symbol("K", integer=True, positive=True)
]
OTHER_AXIS = [name for name in ENTRY_AXIS if name not in CLASS_AXIS]
ELEMENTWISE = [n for n, loss in SYMBOLIC.items() if not isinstance(loss, (EntryAxis, BatchAxes))]
WITH_IDS = [name for name in CLASS_AXIS if isinstance(LOSSES[name].target, ClassId)]
WITH_ROWS = [n for n in CLASS_AXIS if LOSSES[n].target in (LABEL_ROW, CLASS_ID_OR_ROW)]


def entries(symbols):
    return tuple(parts(symbols))


def assert_gradient_is_derivative(loss, points):
    """Compare at points with 30 digits; every branch of a case distinction must be met."""
    met = {}
    for point in points:
        for symbol, claimed in zip(entries(loss.prediction), entries(loss.gradient), strict=True):
            derivative = sp.diff(loss.value, symbol).subs(point).doit()
            found, claimed_there = derivative.evalf(30), sp.sympify(claimed).subs(point).evalf(30)
            assert abs(found - claimed_there) < sp.Float("1e-20"), (symbol, point)
        for cases in loss.value.atoms(sp.Piecewise, sp.Max):
            if isinstance(cases, sp.Max):
                branch = max(cases.args, key=lambda branch: branch.subs(point))
            else:
                branch = next(b for b, condition in cases.args if condition.subs(point) == True)  # noqa: E712
            met.setdefault(cases, set()).add(branch)
    for cases, branches in met.items():
        assert len(branches) == len(cases.args), f"of {cases} only {branches} met"


def exact(number):
    return sp.Rational(float(number))


def substitutions(loss, name, *example):
    """A row's symbols and exact numbers, with the moderate hyperparameters of its case."""
    options = CASES[name].moderate
    numbers = {loss.hyperparameters[key]: exact(x) for key, x in options.items()}
    symbols = entries(loss.prediction) + (() if loss.target is None else entries(loss.target))
    given = [x for array in example if array is not None for x in np.ravel(array)]
    return numbers | dict(zip(symbols, map(exact, given), strict=True))


def test_every_loss_has_a_formula():
    assert SYMBOLIC.keys() == LOSSES.keys()
    for name, row in LOSSES.items():
        assert row.card is CARDS[name]
        assert row.symbolic is SYMBOLIC[name]
        assert list(row.hyperparameters) == list(row.symbolic.hyperparameters)
        assert row.card.formula == row.symbolic.value_latex
        assert row.card.gradient_formula == row.symbolic.gradient_latex


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradient_of_an_elementwise_loss_is_its_derivative(name):
    loss = SYMBOLIC[name]
    # Two boxes have more ways to lie than a few numbers.
    rows = zip(*example_inputs(name, size=40 if name == "giou" else 12), strict=True)
    assert_gradient_is_derivative(loss, [substitutions(loss, name, *row) for row in rows])


@pytest.mark.parametrize("name", OTHER_AXIS)
def test_gradient_of_a_loss_of_points_pixels_or_parameters_is_its_derivative(name):
    loss = SYMBOLIC[name].at(3)
    rows = zip(*example_inputs(name, size=12, classes=3), strict=True)
    assert_gradient_is_derivative(loss, [substitutions(loss, name, *row) for row in rows])


def test_gradient_of_a_loss_of_batches_is_its_derivative():
    loss = SYMBOLIC["info_nce"].at(2, 2)
    inputs = example_inputs("info_nce", size=(2, 2), classes=2)
    points = [substitutions(loss, "info_nce", *batches) for batches in zip(*inputs, strict=True)]
    assert_gradient_is_derivative(loss, points)


@pytest.mark.parametrize("label", [1, 2, 3])
@pytest.mark.parametrize("name", WITH_IDS)
def test_gradient_of_a_loss_of_class_ids_is_its_derivative(name, label):
    loss = SYMBOLIC[name].at(3, label=label)
    predictions, _ = example_inputs(name, size=12, classes=3)
    points = [substitutions(loss, name, row, None) for row in predictions]
    assert_gradient_is_derivative(loss, points)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_gradient_of_a_loss_of_label_rows_is_its_derivative(name):
    loss = SYMBOLIC[name].at(3)
    predictions, _ = example_inputs(name, size=4, classes=3)
    labels = [[0, 0, 1], [0.5, 0.25, 0.25], [1, 0, 0], [0.125, 0.125, 0.75]]  # sum to 1 exactly
    rows = zip(predictions, labels, strict=True)
    assert_gradient_is_derivative(loss, [substitutions(loss, name, *row) for row in rows])


@pytest.mark.parametrize("form", ["value", "gradient"])
@pytest.mark.parametrize("options", ["defaults", "others"])
@pytest.mark.parametrize("name", SYMBOLIC)
def test_formula_and_code_agree(name, options, form):
    row, inputs = LOSSES[name], example_inputs(name, size=9)
    options = row.hyperparameters | (CASES[name].moderate if options == "others" else {})
    function = row.function if form == "value" else row.gradient
    result = SYMBOLIC[name].lambdify(form, **options)(*inputs)
    # Inputs of size 1 cost the plain formula a few digits at most.
    for theirs, ours in zip(parts(result), parts(function(*inputs, **options)), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_formula_and_code_agree_on_label_rows(name):
    row, (prediction, _) = LOSSES[name], example_inputs(name, size=9)
    target = np.random.default_rng(1).dirichlet(np.ones(4), 9)
    for form, function in [("value", row.function), ("gradient", row.gradient)]:
        result = SYMBOLIC[name].lambdify(form, **row.hyperparameters)(prediction, target)
        np.testing.assert_allclose(result, function(prediction, target), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SYMBOLIC)
def test_the_value_takes_complex_predictions_and_follows_the_gradient(name):
    row, (first, *others) = LOSSES[name], example_inputs(name)
    value = SYMBOLIC[name].lambdify(**row.hyperparameters)
    tiny = 1e-30
    result = value(first + tiny * 1j, *others)
    # The complex exponential and the real one differ in the last digit: of a number near 1, whose
    # logarithm is taken, by up to 1e-15.
    np.testing.assert_allclose(result.real, value(first, *others), rtol=1e-14, atol=1e-15)
    # Moving every entry of a row alike gives the sum of its gradient, up to rounding.
    slopes, moved = parts(row.gradient(first, *others))[0].reshape(5, -1), result.imag / tiny
    if row.function.indivisible:
        slopes, moved = slopes.reshape(1, -1), moved.sum()
    np.testing.assert_allclose(moved, slopes.sum(axis=-1).squeeze(), rtol=1e-12, atol=1e-13)


# Of boxes a derivation goes edge by edge, by what is common and what is around.
@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "giou"])
def test_a_derivation_leads_from_value_to_gradient(name):
    loss = SYMBOLIC[name]
    for symbol, gradient in zip(entries(loss.prediction), entries(loss.gradient), strict=True):
        derivation = Derivation(
            sp.Derivative(loss.value, symbol), "definition", domain=dict(loss.domain)
        )
        derivation.step(gradient, "rules of differentiation")
        assert derivation.counts["argued"] == 0


DERIVED = [*CLASS_AXIS, "l1", "l2", "dice", "jaccard", "tversky"]


# Which rival is the largest is no matter for algebra of indexed sums.
@pytest.mark.parametrize(
    "name", [n for n in ENTRY_AXIS if n in DERIVED and not SYMBOLIC[n].value.has(MaxOther)]
)
def test_a_derivation_leads_from_an_indexed_value_to_its_gradient(name):
    loss, j = SYMBOLIC[name], sp.Symbol("j", integer=True)
    start = sp.Derivative(loss.value, loss.prediction[j])
    derivation = Derivation(start, "definition", domain=dict(loss.domain))
    derivation.step(loss.gradient, "rules of differentiation")
    assert derivation.counts["argued"] == 0


@pytest.mark.parametrize("name", SYMBOLIC)
def test_latex_fits_a_markdown_table_and_is_well_formed(name):
    loss = SYMBOLIC[name]
    for latex in (loss.value_latex, loss.gradient_latex, loss.prediction_latex):
        assert "|" not in latex
        assert "\n" not in latex
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
        assert latex.count(r"\begin") == latex.count(r"\end")
        assert "Other" not in latex  # the name of a class instead of its notation


def test_latex_is_printed_from_the_expression():
    p, t = sp.symbols("p t", real=True)
    loss = Symbolic(p, t, 3 * sp.Abs(p - t), 3 * sp.sign(p - t))
    assert loss.value_latex == r"3 \lvert p - t \rvert"
    assert loss.gradient_latex == r"3 \operatorname{sign}{\left(p - t \right)}"


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("binary_cross_entropy", r"- y \log p - \left(1 - y\right) \log\left(1 - p\right)"),
        ("hinge", r"\max\left(0, 1 - y s\right)"),
        ("log_cosh", r"\log \cosh{\left(p - t \right)}"),
        ("categorical_cross_entropy", r"- \sum_{k} t_{k} \log p_{k}"),
        ("brier", r"\sum_{k} \left(p_{k} - t_{k}\right)^{2}"),
        ("multiclass_hinge", r"\max\left(0, m + \max_{k \ne y} z_{k} - z_{y}\right)"),
    ],
)
def test_latex_reads_as_in_a_textbook(name, latex):
    assert SYMBOLIC[name].value_latex == latex


@pytest.mark.parametrize("name", SYMBOLIC)
def test_every_symbol_has_a_domain(name):
    loss = SYMBOLIC[name]
    used = set().union(*(sp.sympify(entry).free_symbols for entry in entries(loss.gradient)))
    used |= loss.value.free_symbols
    used = {symbol for symbol in used if not isinstance(symbol, sp.Indexed)}
    bases = {base.label for base in loss.domain if isinstance(base, sp.IndexedBase)}
    sizes = {getattr(loss, name) for name in ("size", "dimension") if hasattr(loss, name)}
    assert used - set(loss.domain) - bases - sizes == set()


def test_the_largest_of_the_others():
    z, y, K = sp.IndexedBase("z", real=True), sp.Symbol("y"), sp.Symbol("K")
    assert MaxOther(z, y, K).subs({y: 1, K: 3}) == sp.Max(z[2], z[3])
    position = ArgMaxOther(z, y, K).subs({y: 2, K: 4})
    for numbers, first in [("2910", 1), ("0911", 3), ("0912", 4), ("3933", 1)]:
        entries = {z[n]: int(number) for n, number in enumerate(numbers, start=1)}
        assert position.subs(entries) == first


def test_the_entries_in_order_and_their_ranks():
    a, n = sp.IndexedBase("a", real=True), sp.Symbol("n")
    for numbers in ("2910", "3333", "0210", "9871"):
        entries = {a[m]: int(number) for m, number in enumerate(numbers, start=1)}
        for rank, number in enumerate(sorted(numbers), start=1):
            assert Ordered(a, rank, n).subs(n, 4).subs(entries) == int(number)
        places = sorted(range(1, 5), key=lambda place: (entries[a[place]], place))
        ranks = [Rank(a, place, n).subs(n, 4).subs(entries) for place in range(1, 5)]
        assert [ranks.index(rank) + 1 for rank in range(1, 5)] == places


@pytest.mark.parametrize("label", [-1, 0, 4, 0.5, "1"])
def test_a_label_that_is_no_class_id_is_refused(label):
    with pytest.raises(ValueError, match="label must be a class from 1 to 3, got"):
        SYMBOLIC["softmax_cross_entropy"].at(3, label=label)


def test_a_loss_of_class_ids_needs_a_label():
    with pytest.raises(ValueError, match="label must be a class: this loss"):
        SYMBOLIC["softmax_focal"].at(3)


@pytest.mark.parametrize("hyperparameters", [{}, {"beta": 1.0}, {"delta": 1.0, "beta": 1.0}])
def test_a_function_needs_a_number_for_each_hyperparameter(hyperparameters):
    with pytest.raises(TypeError, match="hyperparameters must be delta, got"):
        SYMBOLIC["huber"].lambdify(**hyperparameters)


def test_there_is_no_other_form_than_value_and_gradient():
    with pytest.raises(ValueError, match="form must be 'value' or 'gradient', got 'hessian'"):
        SYMBOLIC["huber"].lambdify("hessian", delta=1.0)
