"""The declaration above a loss: arguments are checked once, and what is below can be compiled."""

import dataclasses
import inspect
from collections import Counter

import numpy as np
import pytest
import torch
from cases.inputs import parts
from cases.table import CASES
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook import LOSSES, checks
from lossbook.declaration import settle, takes
from lossbook.gradcheck import example_inputs
from lossbook.spaces import CLASS_ID, CLASS_LOGITS, POSITIVE, PROBABILITY, REAL
from lossbook.torch import as_torch

METHODS = ["value", "grad", "value_and_grad"]
CHECKS = ["form", "form_like", "signs"]


def tensors(name):
    return [torch.from_numpy(array) for array in example_inputs(name)]


# Checked once


def counting(space, counter, argument):
    """The same space, of which every check is counted."""

    def counted(check):
        def call(self, *arguments):
            counter[argument, check] += 1
            return getattr(super(kind, self), check)(*arguments)

        return call

    kind = type("Counting", (type(space),), {check: counted(check) for check in CHECKS})
    stated = (field.name for field in dataclasses.fields(space) if field.init)
    return kind(**{name: getattr(space, name) for name in stated})


def counted(loss, counter):
    """The same loss, of which every check of an argument is counted."""
    pairs = zip(loss.function.spaces, loss.arrays, strict=True)
    spaces = [counting(space, counter, name) for space, name in pairs]
    declare = takes(
        *spaces,
        gradients=loss.gradients,
        indivisible=loss.function.indivisible,
        **loss.function.numbers,
    )
    functions = (declare(f.unchecked) for f in (loss.function, loss.gradient))
    return dataclasses.replace(loss, **dict(zip(("function", "gradient"), functions, strict=True)))


def once(loss):
    """Each check of each argument once: of what has a gradient `form`, of what follows the rest."""
    forms = [(name, "form") for name in loss.arrays[: loss.gradients]]
    forms += [(name, "form_like") for name in loss.arrays[1:]]
    return dict.fromkeys(forms + [(name, "signs") for name in loss.arrays], 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_method_checks_each_argument_once(name, method):
    counter = Counter()
    getattr(counted(LOSSES[name], counter), method)(*example_inputs(name))
    assert counter == once(LOSSES[name])


@pytest.mark.parametrize("name", LOSSES)
def test_a_criterion_checks_each_argument_once_forth_and_back(name, monkeypatch):
    counter = Counter()
    monkeypatch.setitem(LOSSES, name, counted(LOSSES[name], counter))
    first, *others = tensors(name)
    as_torch(name)(first.requires_grad_(), *others).backward()
    assert counter == once(LOSSES[name])


# The device is asked once


class Questions(TorchDispatchMode):
    """Counts how often a tensor's number goes to Python, for which a GPU must be waited for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += operation is torch.ops.aten._local_scalar_dense.default
        return operation(*args, **kwargs or {})


def test_questions_are_counted():
    one = torch.ones(1)
    with Questions() as questions:
        assert one.sum() > 0
        assert (one.item(), float(one)) == (1.0, 1.0)
    assert questions.count == 3


@pytest.mark.parametrize(
    ("name", "weighted"),
    [
        (name, weighted)
        for name, row in LOSSES.items()
        for weighted in (False, *([] if row.function.indivisible else [True]))
    ],
)
def test_a_call_asks_the_device_once_at_most(name, weighted, monkeypatch):
    # As if the tensors were on a device: there each question is a wait.
    monkeypatch.setattr(checks, "is_near", lambda array: False)
    first, *others = tensors(name)
    weights = torch.ones(5, dtype=first.dtype) if weighted else None
    row, criterion = LOSSES[name], as_torch(name)
    for call in (row.value, row.grad, row.value_and_grad, criterion):
        with Questions() as questions:
            call(first, *others, weights=weights)
        assert questions.count <= 1
    with Questions() as questions:
        criterion(first.requires_grad_(), *others, weights).backward()
    assert questions.count <= 1


# Compiled

COMPILED = [
    (name, form)
    for name, row in LOSSES.items()
    for form in ("function", "gradient", *(["joint"] if row.joint else []))
]


@pytest.mark.filterwarnings(
    # array_api_compat keeps its answer to "which library is this" in an lru_cache; dynamo says that
    # it looks through it, which is right: the answer is a constant.
    "ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning"
)
@pytest.mark.parametrize(("name", "form"), COMPILED)
def test_what_is_below_a_declaration_can_be_compiled_whole(name, form):
    function = getattr(LOSSES[name], form)
    plain, inputs = getattr(function, "unchecked", function), tensors(name)
    for options in CASES[name].options[:2]:
        # Each as if first: a second value turns a number into a symbol, which clip cannot take.
        torch._dynamo.reset()
        compiled = torch.compile(plain, fullgraph=True, backend="eager")
        expected, got = plain(*inputs, **options), compiled(*inputs, **options)
        for one, other in zip(parts(expected), parts(got), strict=True):
            assert torch.equal(one, other)


# What a declaration promises


@takes(PROBABILITY, REAL, scale=POSITIVE)
def scaled(probabilities, target, /, *, scale=1.0):
    """A made-up function."""
    return (probabilities - target) / scale


P, T = np.array([0.5, 1.0]), np.array([0.0, 1.0])


def test_it_keeps_the_name_the_docstring_and_the_signature():
    assert (scaled.__name__, scaled.__doc__) == ("scaled", "A made-up function.")
    assert str(inspect.signature(scaled)) == "(probabilities, target, /, *, scale=1.0)"
    assert scaled.spaces == (PROBABILITY, REAL)
    assert scaled.numbers == {"scale": POSITIVE}


def test_the_function_as_written_checks_nothing():
    np.testing.assert_array_equal(scaled.unchecked(P + 1, T[:, None]).shape, (2, 2))
    assert scaled.unchecked(P, T, scale=-1.0)[0] == -0.5


def test_the_check_alone_computes_nothing():
    checked = scaled.arguments(P.astype(np.float16), T)
    assert [array.dtype for array in checked.arrays] == [np.float32, np.float32]
    assert (checked.dtype, checked.shape) == (np.float16, (2,))
    doubtful = scaled.arguments(2 * P, T)
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got 2.0"):
        settle(doubtful.doubts)


def test_a_nan_is_no_fault_and_hides_none():
    assert np.isnan(scaled(np.array([np.nan, 0.5]), T)).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got 1.5"):
        scaled(np.array([np.nan, 1.5]), T)


def test_nothing_warns_whatever_the_caller_asked_numpy_for():
    with np.errstate(all="raise"):
        assert np.isinf(scaled(P, T, scale=1e-309)[0])


@pytest.mark.parametrize("arguments", [(), (P,), (P, T, T)])
def test_another_number_of_arguments_is_a_type_error(arguments):
    with pytest.raises(TypeError, match="argument"):
        scaled(*arguments)


def test_a_hyperparameter_that_the_function_does_not_have_is_a_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'slope'"):
        scaled(P, T, slope=1.0)


def test_the_dtype_and_the_axes_are_those_of_the_first_argument():
    @takes(CLASS_LOGITS, CLASS_ID)
    def own(logits, labels, /):
        return logits[..., 0] + labels

    for dtype in (np.float16, np.float32, np.float64):
        logits, ids = np.zeros((2, 3), dtype), np.array([1, 2], np.uint8)
        assert own(logits, ids).dtype == dtype
        assert own.arguments(logits, ids).shape == (2,)
