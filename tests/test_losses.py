"""Each loss against three oracles: mpmath at 50 digits and more, differences, torch.

What is known of a loss beforehand stands in its case, in ``tests/cases``; here every case goes
through one battery of tests. The error of a result is measured as the case's ``measures`` say.
"""

import functools
import math
import warnings
from dataclasses import fields

import array_api_strict
import mpmath as mp
import numpy as np
import pytest
import torch
from cases.case import Case
from cases.exact import exact
from cases.inputs import (
    OF_NUMBERS,
    batches,
    corners,
    drawn,
    each,
    in_dtype,
    in_rows,
    parts,
    sizes_of,
)
from cases.table import CASES

from lossbook import LOSSES
from lossbook.gradcheck import check_gradient, example_inputs
from lossbook.spaces import ClassId, Row, Space

DIGITS = 130  # so that 50 are left when 1e-30 squared, or 1e-60, has been added to 1

# The requirement: a few dozen roundings at the worst, which are 1e-16 and 6e-8 each.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}

WITH_CASE = [name for name in LOSSES if name in CASES]
TRIED = [(name, options) for name in WITH_CASE for options in CASES[name].options]


def with_options(pairs):
    """A parametrisation by losses and hyperparameters, with ids that say what they are."""
    settings = (",".join(f"{key}={x}" for key, x in options.items()) for _, options in pairs)
    ids = [f"{name}-{said or 'defaults'}" for (name, _), said in zip(pairs, settings, strict=True)]
    return pytest.mark.parametrize(("name", "options"), pairs, ids=ids)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_case(name):
    where = f"tests/cases/{LOSSES[name].family}.py"
    assert name in CASES, f"{name} has no case: what the tests must know of it belongs in {where}"


def test_every_case_is_that_of_a_loss():
    assert [name for name in CASES if name not in LOSSES] == []


def test_a_case_leaves_nothing_out():
    values = {field.name: None for field in fields(Case)}
    for name in values:
        with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
            Case(**{other: None for other in values if other != name})


@pytest.mark.parametrize("name", WITH_CASE)
def test_a_case_tries_another_value_than_the_default_of_every_hyperparameter(name):
    defaults, moderate = LOSSES[name].hyperparameters, CASES[name].moderate
    assert moderate.keys() == defaults.keys()
    assert [option for option in moderate if moderate[option] == defaults[option]] == []


@functools.cache
def judged(name, options, dtype):
    """Batches of inputs of a loss, each with the exact value and gradient of every example."""
    row, case, options = LOSSES[name], CASES[name], dict(options)
    with mp.workdps(DIGITS):
        numbers = {key: exact(x) for key, x in (row.hyperparameters | options).items()}
        found = []
        for batch in batches(row, case, **options):
            arrays = tuple(in_dtype(array, dtype) for array in batch)
            examples = [tuple(map(exact, example)) for example in zip(*arrays, strict=True)]
            values = [case.value(*example, **numbers) for example in examples]
            gradients = [case.gradient(*example, **numbers) for example in examples]
            found.append((arrays, values, gradients))
    return found


def assert_close(results, exact_terms, measure):
    """Compare an array with nested lists of terms that add up to what each entry should be."""
    if results.ndim == 2 or isinstance(exact_terms[0][0], list):
        results = results.reshape(-1)
        exact_terms = [terms for row in exact_terms for terms in row]
    dtype = results.dtype
    limit = float(np.finfo(dtype).max)
    # Below the smallest normal number a float has fewer digits, so there an absolute error counts.
    least = float(np.finfo(dtype).tiny)
    for index, (result, terms) in enumerate(zip(results, exact_terms, strict=True)):
        if terms is None:
            continue
        with mp.workdps(DIGITS):
            truth = mp.fsum(terms)
            scale = abs(truth) if measure == "exact" else mp.fsum(abs(term) for term in terms)
            error = abs(mp.mpf(float(result)) - truth)
            close = error <= TOLERANCES[str(dtype)] * scale + least
        if max(terms) > limit and min(terms) < -limit:
            continue  # infinity less infinity: nothing is promised
        if abs(truth) > limit or (abs(truth) > limit / 4 and np.isinf(result)):
            # Overflow: by a factor of 4 too early is fine, since a square may be halved last.
            close = float(result) == float(mp.sign(truth)) * np.inf
        assert close, f"entry {index} is {result!r}, should be {mp.nstr(truth, 20)}"


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@with_options(TRIED)
def test_agrees_with_mpmath(name, options, dtype, library):
    row, (of_value, of_gradient) = LOSSES[name], CASES[name].measures
    function, slope, both = (each(row, f) for f in (row.function, row.gradient, row.value_and_grad))
    for inputs, values, gradients in judged(name, tuple(options.items()), dtype):
        if library == "torch":
            inputs = tuple(torch.from_numpy(array) for array in inputs)
        # Errors are raised even if the caller asked NumPy for them: no loss ever warns.
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            pair = function(*inputs, **options), slope(*inputs, **options)
            joint = both(*inputs, reduction="none", **options)
        leading = inputs[0].ndim - isinstance(row.prediction, Row)
        shapes = [tuple(array.shape) for array in inputs[: row.gradients]]
        for value, gradient in (pair, joint):
            for result in parts((value, gradient)):
                assert type(result) is type(inputs[0])
                assert result.dtype == inputs[0].dtype
            assert tuple(value.shape) == tuple(inputs[0].shape)[:leading]
            assert [tuple(part.shape) for part in parts(gradient)] == shapes
            assert_close(np.asarray(value), values, of_value)
            assert_close(in_rows(gradient), gradients, of_gradient)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@with_options([(name, options) for name, options in TRIED if LOSSES[name].joint])
def test_a_joint_form_gives_what_the_plain_pair_gives(name, options, dtype, library):
    row, case = LOSSES[name], CASES[name]
    make = np.asarray if library == "numpy" else torch.from_numpy
    # The same formula with its shared parts computed once: a few roundings lie between the two.
    roundings = 16 * np.finfo(dtype).eps
    for batch in (*batches(row, case, **options), *corners(case)):
        arrays = [make(in_dtype(array, dtype)) for array in batch]
        arrays = row.function.arguments(*arrays).arrays
        options = row.hyperparameters | options
        with np.errstate(all="ignore"):
            joint = row.joint(*arrays, **options)
            pair = [f.unchecked(*arrays, **options) for f in (row.function, row.gradient)]
        for ours, plain in zip(parts(tuple(joint)), parts(tuple(pair)), strict=True):
            assert ours.dtype == plain.dtype
            np.testing.assert_allclose(np.asarray(ours), np.asarray(plain), rtol=roundings)


@with_options(TRIED)
def test_reference_gradient_is_the_derivative_of_the_reference_value(name, options):
    row, case = LOSSES[name], CASES[name]
    with mp.workdps(50):
        numbers = {key: exact(x) for key, x in (row.hyperparameters | options).items()}
        for example in zip(*drawn(row, np.random.default_rng(0), 5), strict=True):
            example = tuple(map(exact, example))
            gradient = list(map(mp.fsum, case.gradient(*example, **numbers)))
            assert len(gradient) == len(all_entries(list(example[: row.gradients])))
            for k, slope in enumerate(gradient):

                def along(step, example=example, k=k):
                    moved = with_step(list(example), iter(range(k + 1)), k, step)
                    return mp.fsum(all_entries(case.value(*moved, **numbers)))

                # mp.diff evaluates with extra digits; 1e-20 is far below any formula's error.
                assert abs(mp.diff(along, 0) - slope) < mp.mpf("1e-20")


def all_entries(nested):
    """The numbers of lists in lists."""
    if not isinstance(nested, list):
        return [nested]
    return [entry for part in nested for entry in all_entries(part)]


def with_step(nested, places, k, step):
    """The same lists with a step added to the k-th number; `places` counts as far as that."""
    if isinstance(nested, list):
        return [with_step(part, places, k, step) for part in nested]
    return nested + step if next(places, None) == k else nested


@with_options(TRIED)
def test_gradient_agrees_with_differences_and_autograd(name, options):
    check = check_gradient(name, *example_inputs(name, size=12), **options)
    assert check.passed, check


@with_options(TRIED)
def test_agrees_with_torch(name, options):
    row = LOSSES[name]
    inputs = [torch.from_numpy(a) for a in example_inputs(name, size=50)]
    leaves = [tensor.requires_grad_() for tensor in inputs[: row.gradients]]
    hyperparameters = row.hyperparameters | options
    expected = CASES[name].torch(*inputs, reduction="none", **hyperparameters)
    expected_gradients = torch.autograd.grad(expected.sum(), leaves)
    inputs = [tensor.detach() for tensor in inputs]
    # Inputs are of size 1, so that 1e-12 is some thousand roundings of torch's own, less careful,
    # formulas: it takes 1 - q by subtraction.
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(row.function(*inputs, **options), expected.detach(), **close)
    for ours, theirs in zip(
        parts(row.gradient(*inputs, **options)), expected_gradients, strict=True
    ):
        torch.testing.assert_close(ours, theirs, **close)


@with_options(TRIED)
def test_runs_on_the_array_standard_alone(name, options):
    row, inputs = LOSSES[name], example_inputs(name)
    strict = [array_api_strict.asarray(array) for array in inputs]

    def joint(*arrays, **options):
        return row.value_and_grad(*arrays, reduction="none", **options)

    for function in (row.function, row.gradient, joint):
        results, expected = function(*strict, **options), function(*inputs, **options)
        for result, of_numpy in zip(parts(results), parts(expected), strict=True):
            assert type(result) is type(strict[0])
            # The same formula by the same NumPy underneath, up to the order of a sum.
            np.testing.assert_allclose(np.asarray(result), of_numpy, rtol=1e-14)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name, row in LOSSES.items() for size in sizes_of(row)]
)
def test_works_on_any_leading_shape(name, size, library):
    row = LOSSES[name]
    inputs = [np.asarray(array) for array in example_inputs(name, size=size)]
    if library == "torch":
        inputs = [torch.from_numpy(array) for array in inputs]
    value, gradient = row.function(*inputs), row.gradient(*inputs)
    assert tuple(value.shape) == size
    assert [g.shape for g in parts(gradient)] == [a.shape for a in inputs[: row.gradients]]
    if value.ndim == 3:
        alone = [array[0, 0] for array in inputs] if name != "info_nce" else None
        if alone is None:
            np.testing.assert_allclose(
                np.asarray(value[0]), np.asarray(row.function(*(a[0] for a in inputs))), rtol=1e-14
            )
            return
        first = row.function(*alone)
        # Up to rounding: torch uses other instructions for arrays of other lengths.
        np.testing.assert_allclose(np.asarray(value[0, 0]), np.asarray(first), rtol=1e-14)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "point"), [(name, point) for name in WITH_CASE for point in CASES[name].at_infinity]
)
def test_infinite_predictions_give_the_limits(name, point, library):
    make = np.array if library == "numpy" else torch.tensor
    inputs, limits = [make([x]) for x in point[:-2]], point[-2:]
    results = LOSSES[name].function(*inputs), LOSSES[name].gradient(*inputs)
    for result, limit in zip(results, limits, strict=True):
        np.testing.assert_array_equal(np.asarray(result[0]), limit)


def infinite_examples(name):
    """Predictions with one infinite entry, each with every target, as finite ones of a size."""
    row = LOSSES[name]
    if not math.isinf(row.prediction.low):
        return
    targets = row.target.draw(np.random.default_rng(0), (4,), 3)
    if isinstance(row.target, ClassId):
        targets = np.arange(3)
    elif isinstance(row.target, Space) and math.isinf(row.target.high):
        targets = np.array([0.0, 1.0, 2.5])
    width = getattr(row.prediction, "length", 3) if row.prediction.axes_of(targets) else 1
    for target in targets:
        for entry in range(width):
            for sign in (-1.0, 1.0):
                others = np.array([1.0, 0.5, -2.0])[:width]
                yield others, entry, sign, target


def limit(terms, example, entry, sign):
    """What a reference tends to as an entry of an example's prediction goes to infinity."""
    prediction, target, options = example
    with mp.workdps(30):
        row = [mp.mpf(x) for x in prediction]
        row[entry] = mp.mpf(sign * 1e12)
        found = terms(row if len(row) > 1 else row[0], exact(target), **options)
        sums = [mp.fsum(of_entry) for of_entry in found]
    return [float(mp.sign(x)) * np.inf if abs(x) > 1e5 else float(x) for x in sums]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@with_options(
    [
        (name, options)
        for name, options in TRIED
        if math.isinf(LOSSES[name].prediction.low) and LOSSES[name].family in OF_NUMBERS
    ]
)
def test_an_infinite_entry_gives_what_the_reference_tends_to(name, options, dtype, library):
    row, case = LOSSES[name], CASES[name]
    make = np.asarray if library == "numpy" else torch.from_numpy
    numbers = {key: exact(x) for key, x in (row.hyperparameters | options).items()}
    for others, entry, sign, target in infinite_examples(name):
        example = others, target, numbers
        value = limit(lambda *x, **o: [case.value(*x, **o)], example, entry, sign)
        slope = limit(case.gradient, example, entry, sign)
        prediction = others.astype(dtype)
        prediction[entry] = sign * np.inf
        shape = (1, -1) if row.prediction.axes_of(prediction) else (1,)
        inputs = make(prediction.reshape(shape)), make(np.asarray([target]))
        joint = row.value_and_grad(*inputs, reduction="none", **options)
        pair = row.function(*inputs, **options), row.gradient(*inputs, **options)
        # The terms of what is finite are of size 1, so that their rounding is an absolute error.
        close = {"rtol": 4 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
        for of_value, of_slope in (pair, joint):
            np.testing.assert_allclose(np.asarray(of_value), value, **close)
            np.testing.assert_allclose(np.asarray(of_slope).ravel(), slope, **close)


@with_options(TRIED)
def test_no_branch_that_is_not_taken_poisons_autograd(name, options):
    row = LOSSES[name]
    for batch in (*batches(row, CASES[name], **options), *corners(CASES[name])):
        if not np.isfinite(batch[0]).all():
            continue  # torch multiplies infinite slopes by 0 there, whatever the branch
        inputs = [torch.from_numpy(np.asarray(array)) for array in batch]
        claimed = parts(each(row, row.gradient)(*inputs, **options))
        leaves = [tensor.requires_grad_() for tensor in inputs[: row.gradients]]
        each(row, row.function)(*inputs, **options).sum().backward()
        for leaf, ours in zip(leaves, claimed, strict=True):
            assert not torch.isnan(leaf.grad[torch.isfinite(ours)]).any()


TORN = [[np.inf, np.inf], [-np.inf, -np.inf]]


@pytest.mark.parametrize("row", TORN)
@pytest.mark.parametrize("name", [name for name in WITH_CASE if CASES[name].by_lead])
def test_logits_whose_infinities_cancel_have_no_loss(name, row):
    logits, labels = np.array([row]), np.array([0])
    for value, gradient in (
        (LOSSES[name].function(logits, labels), LOSSES[name].gradient(logits, labels)),
        LOSSES[name].value_and_grad(logits, labels, reduction="none"),
    ):
        assert np.isnan(value).all()
        assert np.isnan(gradient).all()


def test_one_class_is_certain_whatever_its_logit():
    loss, labels = LOSSES["softmax_cross_entropy"], np.array([0, 0, 0])
    logits = np.array([[np.inf], [-np.inf], [3.0]])
    np.testing.assert_array_equal(loss.function(logits, labels), 0)
    np.testing.assert_array_equal(loss.gradient(logits, labels), np.zeros((3, 1)))
    value, gradient = loss.value_and_grad(logits, labels, reduction="none")
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, np.zeros((3, 1)))


def test_a_count_of_zero_at_a_rate_of_zero_costs_nothing():
    loss, rate = LOSSES["poisson_nll"], np.array([-np.inf])
    assert loss.function(rate, np.array([0.0])) == 0
    assert loss.gradient(rate, np.array([0.0])) == 0
    # Both terms overflow, and the larger decides.
    assert loss.function(np.array([800.0]), np.array([1e308])) == np.inf
    assert loss.function(np.array([709.8]), np.array([1.7e308])) == -np.inf


def test_a_gaussian_whose_variance_vanishes_is_sure_of_its_mean():
    loss, sure = LOSSES["gaussian_nll"], np.array([[2.0, -np.inf]])
    assert loss.function(sure, np.array([2.0])) == -np.inf
    np.testing.assert_array_equal(loss.gradient(sure, np.array([2.0])), [[0.0, 0.5]])
    assert loss.function(sure, np.array([1.0])) == np.inf
    np.testing.assert_array_equal(loss.gradient(sure, np.array([1.0])), [[np.inf, -np.inf]])


def test_a_label_that_weighs_nothing_costs_nothing_even_where_it_is_infinitely_wrong():
    loss, wrong = LOSSES["sigmoid_focal"], (np.array([-np.inf, np.inf]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(loss.function(*wrong, alpha=0.0), [0.0, np.inf])
    np.testing.assert_array_equal(loss.function(*wrong, alpha=1.0), [np.inf, 0.0])


@pytest.mark.parametrize("name", [name for name in WITH_CASE if CASES[name].by_lead])
def test_a_class_whose_every_rival_is_masked_costs_nothing(name):
    logits, labels = np.array([[2.0, -np.inf, -np.inf]]), np.array([0])
    assert LOSSES[name].function(logits, labels) == 0
    np.testing.assert_array_equal(LOSSES[name].gradient(logits, labels), [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "point"),
    [(name, point) for name in WITH_CASE for point in (*CASES[name].kinks, *CASES[name].ends)],
)
def test_the_documented_subgradient_is_taken_at_a_kink_or_an_end(name, point):
    *arrays, subgradient = point
    row = LOSSES[name]
    gradient = each(row, row.gradient)(*(np.array([array]) for array in arrays))
    np.testing.assert_array_equal(in_rows(gradient).ravel(), np.ravel(subgradient))


def test_the_margin_of_the_multiclass_hinge_is_not_lost_in_large_logits():
    # At 1e17 the numbers next to each other are 16 apart: 1 added to one of them would be lost.
    large, ids = np.array([[1e17, 1e17, 0.0]]), np.array([0])
    loss = LOSSES["multiclass_hinge"]
    np.testing.assert_array_equal(loss.function(large, ids), [1.0])
    np.testing.assert_array_equal(loss.gradient(large, ids), [[-1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(loss.value(large, ids), 1.0)
    value, gradient = loss.value_and_grad(large, ids)
    assert value == 1.0
    np.testing.assert_array_equal(gradient, [[-1.0, 1.0, 0.0]])
