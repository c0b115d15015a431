"""The bridge to torch: a criterion's backward is the hand-derived gradient, and nothing else."""

import copy
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases.inputs import parts
from cases.table import CASES
from torch.func import grad, jacrev, vmap

from lossbook import LOSSES
from lossbook.gradcheck import example_inputs
from lossbook.reduction import REDUCTIONS
from lossbook.spaces import Mask
from lossbook.torch import CNN, as_torch

SHAPE = (3, 2)

#: The losses of a prediction and a target, whose values have any shape; and all others.
PAIRS = [
    name
    for name, row in LOSSES.items()
    if len(row.arrays) == 2 and row.gradients == 1 and not isinstance(row.prediction, Mask)
]
OTHERS = [name for name in LOSSES if name not in PAIRS]

# The same formulas in torch, which may round each of a dozen operations differently.
CLOSE = {"rtol": 1e-13, "atol": 1e-15}


def inputs(name):
    """A prediction that wants a gradient, a target, and weights, as float64 tensors."""
    prediction, target = example_inputs(name, size=SHAPE)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, SHAPE)
    return (
        torch.from_numpy(prediction).requires_grad_(),
        torch.from_numpy(target),
        torch.from_numpy(weights),
    )


def arrays(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_backward_are_the_books(name, reduction, weighted):
    prediction, target, weights = inputs(name)
    options = CASES[name].moderate
    weights = weights if weighted else None
    value = as_torch(name, reduction=reduction, **options)(prediction, target, weights)
    value.sum().backward()
    options = {"reduction": reduction, "weights": weights, **options}
    loss = LOSSES[name]
    both = loss.value_and_grad(prediction.detach(), target, **options)
    assert torch.equal(value.detach(), both[0])
    assert torch.equal(prediction.grad, both[1])
    # Apart, and through NumPy: exp and log of the two libraries differ in the last bits.
    options["weights"] = weights.numpy() if weighted else None
    found = arrays(value, prediction.grad)
    for method, ours in zip((loss.value, loss.grad), found, strict=True):
        np.testing.assert_allclose(ours, method(*arrays(prediction, target), **options), **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_backward_multiplies_by_what_comes_from_above(name, reduction):
    prediction, target, _ = inputs(name)
    value = as_torch(name, reduction=reduction)(prediction, target)
    upstream = torch.from_numpy(np.random.default_rng(2).normal(size=value.shape))
    value.backward(upstream)
    # What autograd makes of the sum over values, each times its number from above.
    expected = LOSSES[name].grad(
        prediction.detach(), target, reduction=reduction if reduction == "mean" else "sum"
    )
    expected *= upstream.reshape(upstream.shape + (1,) * (expected.ndim - upstream.ndim))
    np.testing.assert_allclose(prediction.grad, expected, **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_a_wrong_gradient_reaches_the_training(name, monkeypatch):
    right = LOSSES[name]
    wrong = dataclasses.replace(
        right, gradient=lambda *a, **k: -3 * right.gradient(*a, **k), joint=None
    )
    found = []
    for row in (right, wrong):
        monkeypatch.setitem(LOSSES, name, row)
        prediction, target, _ = inputs(name)
        as_torch(name)(prediction, target).backward()
        found.append(prediction.grad)
    assert found[0].abs().max() > 0
    np.testing.assert_allclose(found[1], -3 * found[0], **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_the_chain_rule_goes_on_below(name):
    leaf = inputs(name)[0]
    prediction, target = leaf.detach() * 1.0, inputs(name)[1]
    through = leaf.clone() * 1.0
    as_torch(name)(through, target).backward()
    _, expected = LOSSES[name].value_and_grad(prediction, target)
    assert torch.equal(leaf.grad, expected)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_value_and_gradient_equal_torchs_own(name, reduction):
    prediction, target, _ = inputs(name)
    ours = prediction.detach().clone().requires_grad_()
    theirs = prediction.detach().clone().requires_grad_()
    options = LOSSES[name].hyperparameters | CASES[name].moderate
    value = as_torch(name, reduction=reduction, **options)(ours, target)
    # torch looks for the classes on axis 1.
    flat = (tensor.flatten(0, 1) for tensor in (theirs, target))
    expected = CASES[name].torch(*flat, reduction=reduction, **options)
    np.testing.assert_allclose(*(array.ravel() for array in arrays(value, expected)), **CLOSE)
    value.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad, **CLOSE)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_second_derivative_is_refused_and_not_wrong(reduction):
    prediction, target, _ = inputs("squared_error")
    criterion = as_torch("squared_error", reduction=reduction)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.functional.hessian(lambda p: criterion(p * p, target).sum(), prediction)
    value = criterion(prediction * prediction, target).sum()
    (gradient,) = torch.autograd.grad(value, prediction, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()


@pytest.mark.parametrize("argument", ["target", "weights"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_target_or_weights_that_require_a_gradient_are_refused(argument, reduction):
    prediction, target, weights = inputs("squared_error")
    criterion = as_torch("squared_error", reduction=reduction)
    given = {"target": target, "weights": weights}
    given[argument].requires_grad_()
    message = rf"{argument} must not require a gradient, .* pass {argument}.detach\(\)"
    for wanted in (prediction, prediction.detach()):
        with pytest.raises(ValueError, match=message):
            criterion(wanted, **given)
    position = 1 + list(given).index(argument)
    arrays = prediction.detach(), target.detach(), weights.detach()
    for function in (criterion, vmap(criterion)):
        with pytest.raises(ValueError, match=message):
            grad(lambda *given, f=function: f(*given).sum(), position)(*arrays)
    # Where no gradient is kept, none is lost.
    with torch.no_grad():
        found = criterion(prediction, **given)
    assert torch.equal(found, criterion(*arrays))


# torch.func ---------------------------------------------------------------------------------------


EVERY_WAY = [
    pytest.param(name, reduction, weighted, id=f"{name}-{reduction}-{weighted}")
    for name in PAIRS
    for reduction in REDUCTIONS
    for weighted in (False, True)
]


def function_of(name, reduction, weighted):
    """A criterion, its arguments, and what LOSSES takes in the place of the weights."""
    criterion = as_torch(name, reduction=reduction, **CASES[name].moderate)
    arguments = [tensor.detach() for tensor in inputs(name)][: 2 + weighted]
    return criterion, arguments


def book(name, arguments, reduction):
    """Value and gradient by the front door."""
    prediction, target, *weights = arguments
    options = {"reduction": reduction, "weights": weights[0] if weights else None}
    return LOSSES[name].value_and_grad(prediction, target, **options, **CASES[name].moderate)


@pytest.mark.parametrize(("name", "reduction", "weighted"), EVERY_WAY)
def test_torch_func_takes_the_books_gradient(name, reduction, weighted):
    criterion, arguments = function_of(name, reduction, weighted)
    value, gradient = book(name, arguments, reduction)

    def total(*given):
        return criterion(*given).sum()

    assert torch.equal(grad(total)(*arguments), gradient)
    with torch.no_grad():
        assert torch.equal(grad(total)(*arguments), gradient)
    both = torch.func.grad_and_value(total)(*arguments)
    assert torch.equal(both[0], gradient)
    assert torch.equal(both[1], value.sum())
    again, pull = torch.func.vjp(lambda p: criterion(p, *arguments[1:]), arguments[0])
    assert torch.equal(again, value)
    assert torch.equal(*pull(torch.ones_like(value)), gradient)
    jacobian = jacrev(criterion)(*arguments)
    assert jacobian.shape == (*value.shape, *gradient.shape)
    # Each value depends on its own prediction only, so that other entries are 0.
    np.testing.assert_allclose(
        jacobian.flatten(0, value.ndim - 1).sum(0) if value.ndim else jacobian, gradient, **CLOSE
    )


@pytest.mark.parametrize(("name", "reduction", "weighted"), EVERY_WAY)
def test_gradients_of_each_example(name, reduction, weighted):
    criterion, arguments = function_of(name, reduction, weighted)

    def total(*given):
        return criterion(*given).sum()

    rows = [book(name, [a[i] for a in arguments], reduction) for i in range(SHAPE[0])]
    values, gradients = (torch.stack(parts) for parts in zip(*rows, strict=True))
    assert torch.equal(vmap(grad(total))(*arguments), gradients)
    found = vmap(criterion)(*arguments)
    np.testing.assert_allclose(found, values, **CLOSE)
    of_sum = grad(lambda *given: vmap(criterion)(*given).sum())
    assert torch.equal(of_sum(*arguments), gradients)
    leaf = arguments[0].clone().requires_grad_()
    vmap(criterion)(leaf, *arguments[1:]).sum().backward()
    assert torch.equal(leaf.grad, gradients)
    # The examples along another axis, and one argument that all of them share.
    turned = [a.movedim(0, 1) for a in arguments]
    assert torch.equal(vmap(grad(total), 1)(*turned), gradients)
    shared = vmap(grad(total), (None, *[0] * (len(arguments) - 1)))(arguments[0][0], *arguments[1:])
    for i in range(SHAPE[0]):
        _, expected = book(name, [arguments[0][0], *(a[i] for a in arguments[1:])], reduction)
        assert torch.equal(shared[i], expected)
    # Twice over: each single value.
    single = vmap(vmap(grad(total)))(*arguments)
    assert single.shape == arguments[0].shape
    if reduction != "mean":
        np.testing.assert_allclose(single, gradients, **CLOSE)


def linear(rng):
    """A layer from 5 features to 4 outputs, its weights drawn from ``rng``."""
    layer = torch.nn.Linear(5, 4)
    for parameter in layer.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=parameter.shape).astype(np.float32))
    return layer


def test_gradients_of_each_example_of_a_network():
    rng = np.random.default_rng(0)
    network = linear(rng).double()
    parameters = {key: w.detach() for key, w in network.named_parameters()}
    x, ids = torch.from_numpy(rng.normal(size=(6, 5))), torch.from_numpy(rng.integers(0, 4, 6))

    def loss_of(criterion):
        def loss(parameters, x, ids):
            outputs = torch.func.functional_call(network, parameters, (x[None],))
            return criterion(outputs, ids[None])

        return vmap(grad(loss), (None, 0, 0))(parameters, x, ids)

    ours = loss_of(as_torch("softmax_cross_entropy"))
    theirs = loss_of(torch.nn.functional.cross_entropy)
    for key, w in parameters.items():
        assert ours[key].shape == (6, *w.shape)
        np.testing.assert_allclose(ours[key], theirs[key], **CLOSE)


def test_a_bad_value_is_named_under_vmap():
    criterion = as_torch("softmax_cross_entropy")
    with pytest.raises(ValueError, match=r"labels must be class ids in \[0, 2\], got 3"):
        vmap(grad(criterion))(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="prediction must hold at least one example under vmap"):
        vmap(grad(criterion))(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


# torch itself warns, of a function of its own, where it first differentiates forward.
forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@forward_mode
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_forward_mode_is_refused_by_name(reduction):
    prediction, target, weights = (tensor.detach() for tensor in inputs("squared_error"))
    criterion = as_torch("squared_error", reduction=reduction)
    ways = (
        lambda: torch.func.jvp(lambda p: criterion(p, target), (prediction,), (prediction,)),
        lambda: torch.func.jvp(lambda w: criterion(prediction, target, w), (weights,), (weights,)),
        lambda: torch.func.jacfwd(criterion)(prediction, target, weights),
        lambda: vmap(torch.func.jacfwd(criterion))(prediction, target, weights),
        lambda: torch.func.jacfwd(vmap(criterion))(prediction, target, weights),
        lambda: torch.func.hessian(criterion)(prediction, target, weights),
    )
    for way in ways:
        with pytest.raises(RuntimeError, match="no derivative in forward mode"):
            way()
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(prediction, prediction)
        with pytest.raises(RuntimeError, match="no derivative in forward mode"):
            criterion(dual, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_second_derivative_is_refused_under_torch_func(reduction):
    arguments = [tensor.detach() for tensor in inputs("squared_error")]
    criterion = as_torch("squared_error", reduction=reduction)

    def total(p, *others):
        return criterion(p * p, *others).sum()

    def slope(*given):
        return grad(total)(*given).sum()

    for second in (grad(slope), vmap(grad(slope)), jacrev(jacrev(total))):
        with pytest.raises(RuntimeError, match="first derivatives only"):
            second(*arguments)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        grad(lambda *given: vmap(grad(total))(*given).sum())(*arguments)


# Several gradients, masks, batches, parameters ----------------------------------------------------


def tensors(name):
    """What one of OTHERS takes, and weights, or None where it takes none."""
    row = LOSSES[name]
    arrays = [torch.from_numpy(array) for array in example_inputs(name, size=3)]
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 3)
    return arrays, None if row.function.indivisible else torch.from_numpy(weights)


def leaves(name, arrays):
    """The arrays, of which those with a gradient want it."""
    count = LOSSES[name].gradients
    return [a.clone().requires_grad_() for a in arrays[:count]], arrays[count:]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", OTHERS)
def test_backward_hands_back_every_gradient_of_the_book(name, reduction):
    arrays, weights = tensors(name)
    for given in ({}, {} if weights is None else {"weights": weights}):
        options = CASES[name].moderate
        wanted, others = leaves(name, arrays)
        value = as_torch(name, reduction=reduction, **options)(*wanted, *others, **given)
        (3 * value).backward()
        expected = LOSSES[name].value_and_grad(*arrays, reduction=reduction, **given, **options)
        assert torch.equal(value.detach(), expected[0])
        for leaf, gradient in zip(wanted, parts(expected[1]), strict=True):
            assert torch.equal(leaf.grad, 3 * gradient)


@pytest.mark.parametrize("name", OTHERS)
def test_wrong_gradients_reach_the_training(name, monkeypatch):
    right, (arrays, _) = LOSSES[name], tensors(name)

    def wrong(*given, **options):
        gradients = parts(right.gradient(*given, **options))
        turned = tuple((-3 - place) * gradient for place, gradient in enumerate(gradients))
        return turned if len(turned) > 1 else turned[0]

    expected = parts(right.grad(*arrays))
    monkeypatch.setitem(LOSSES, name, dataclasses.replace(right, gradient=wrong, joint=None))
    wanted, others = leaves(name, arrays)
    as_torch(name)(*wanted, *others).backward()
    for place, (leaf, gradient) in enumerate(zip(wanted, expected, strict=True)):
        assert gradient.abs().max() > 0
        np.testing.assert_allclose(leaf.grad, (-3 - place) * gradient, **CLOSE)


@pytest.mark.parametrize("name", OTHERS)
def test_of_several_gradients_one_may_be_wanted(name):
    arrays, _ = tensors(name)
    expected = parts(LOSSES[name].grad(*arrays))
    for place, gradient in enumerate(expected):
        given = [a.clone().requires_grad_(n == place) for n, a in enumerate(arrays)]
        as_torch(name)(*given).backward()
        assert torch.equal(given[place].grad, gradient)
        assert torch.equal(grad(as_torch(name), place)(*arrays), gradient)
    all_at_once = grad(as_torch(name), tuple(range(len(expected))))(*arrays)
    for ours, gradient in zip(all_at_once, expected, strict=True):
        assert torch.equal(ours, gradient)


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_of_each_example_of_several_arrays(name):
    row = LOSSES[name]
    stacked = [torch.from_numpy(a) for a in example_inputs(name, size=(2, 3))]
    places = tuple(range(row.gradients))
    ours = vmap(grad(as_torch(name), places))(*stacked)
    for n in range(2):
        expected = parts(row.grad(*(a[n] for a in stacked)))
        for gradients, gradient in zip(ours, expected, strict=True):
            assert torch.equal(gradients[n], gradient)


@pytest.mark.parametrize("name", [n for n in OTHERS if not LOSSES[n].function.indivisible])
def test_each_unreduced_value_has_its_number_from_above(name):
    arrays, _ = tensors(name)
    wanted, others = leaves(name, arrays)
    upstream = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    as_torch(name, reduction="none")(*wanted, *others).backward(upstream)
    for leaf, gradient in zip(wanted, parts(LOSSES[name].gradient(*arrays)), strict=True):
        assert torch.equal(leaf.grad, upstream.reshape(3, *(1,) * (leaf.ndim - 1)) * gradient)


def test_unreduced_values_of_a_batch_are_values_only():
    arrays, _ = tensors("info_nce")
    criterion = as_torch("info_nce", reduction="none")
    assert torch.equal(criterion(*arrays), LOSSES["info_nce"].function(*arrays))
    wanted, _ = leaves("info_nce", arrays)
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum' where info_nce is"):
        criterion(*wanted)


@pytest.mark.parametrize("name", [n for n in OTHERS if LOSSES[n].function.indivisible])
def test_weights_are_refused_where_values_belong_together(name):
    arrays, _ = tensors(name)
    for call in (
        as_torch(name),
        LOSSES[name].value,
        LOSSES[name].grad,
        LOSSES[name].value_and_grad,
    ):
        with pytest.raises(TypeError, match=f"{name} takes no weights: "):
            call(*arrays, weights=torch.ones(3))


@pytest.mark.parametrize("name", OTHERS)
def test_a_second_derivative_of_several_arrays_is_refused(name):
    arrays, _ = tensors(name)
    wanted, others = leaves(name, arrays)
    value = as_torch(name)(*(w * w for w in wanted), *others)
    (gradient, *_) = torch.autograd.grad(value, wanted, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()


@pytest.mark.parametrize("name", OTHERS)
def test_several_arrays_under_autocast_are_computed_in_float32(name):
    arrays, _ = tensors(name)
    halves = [a.to(torch.bfloat16) for a in arrays]
    wanted, others = leaves(name, halves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = as_torch(name)(*wanted, *others)
    value.backward()
    expected = LOSSES[name].value_and_grad(*(h.float() for h in halves))
    assert value.dtype == torch.float32
    assert torch.equal(value.detach(), expected[0])
    for leaf, gradient in zip(wanted, parts(expected[1]), strict=True):
        assert torch.equal(leaf.grad, gradient.to(torch.bfloat16))


def test_what_has_no_gradient_is_named():
    (a, b, same), _ = tensors("contrastive")
    with pytest.raises(ValueError, match=r"same must not require a gradient, .* the a and b only"):
        as_torch("contrastive")(a, b, same.requires_grad_())
    with pytest.raises(TypeError, match="b must be a torch tensor, got ndarray"):
        as_torch("contrastive")(a, b.numpy(), same.detach())


# Types, modes and forms of tensors ----------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_computes_in_float32(name, reduction, dtype):
    leaf, target, weights = inputs(name)
    leaf = leaf.detach().to(dtype).requires_grad_()
    criterion = as_torch(name, reduction=reduction, **CASES[name].moderate)
    with torch.autocast("cpu", dtype=dtype):
        value = criterion(leaf, target, weights)
    exact = leaf.detach().float()
    expected = book(name, [exact, target, weights], reduction)
    assert value.dtype == torch.float32
    assert torch.equal(value.detach(), expected[0])
    value.sum().backward()
    assert torch.equal(leaf.grad, expected[1].to(dtype))
    with torch.autocast("cpu", dtype=dtype), torch.no_grad():
        assert criterion(leaf, target, weights).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_training_under_autocast_is_as_with_torchs_own(dtype):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(8, 5)).astype(np.float32))
    ids = torch.from_numpy(rng.integers(0, 4, 8))
    for layer in (linear(rng), linear(rng).to(dtype)):
        found = []
        for criterion in (as_torch("softmax_cross_entropy"), torch.nn.functional.cross_entropy):
            layer.zero_grad()
            with torch.autocast("cpu", dtype=dtype):
                value = criterion(layer(x.to(layer.weight.dtype)), ids)
            value.backward()
            assert layer.weight.grad.dtype == layer.weight.dtype
            found.append((value.detach(), layer.weight.grad.float()))
        assert found[0][0].dtype == found[1][0].dtype == torch.float32
        # The outputs and their gradient are rounded to the half type on both sides, after sums of
        # float32 in another order: a last digit of the half type may differ.
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(found[0], found[1], rtol=2 * eps, atol=eps / 10)


def test_float64_stays_float64_under_autocast():
    prediction, target, _ = inputs("huber")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = as_torch("huber")(prediction, target)
    assert value.dtype == torch.float64
    assert torch.equal(value, as_torch("huber")(prediction, target))


@pytest.mark.parametrize("name", PAIRS)
def test_inference_tensors(name):
    prediction, target, weights = inputs(name)
    criterion = as_torch(name, **CASES[name].moderate)
    with torch.inference_mode():
        frozen = [tensor.detach().clone() for tensor in (prediction, target, weights)]
        inside = criterion(*frozen)
    expected = book(name, [prediction.detach(), target, weights], "mean")
    for value in (inside, criterion(*frozen)):
        np.testing.assert_allclose(value, expected[0], **CLOSE)
    criterion(prediction, *frozen[1:]).backward()
    assert torch.equal(prediction.grad, expected[1])


@pytest.mark.parametrize("name", PAIRS)
def test_tensors_that_are_not_contiguous(name):
    prediction, target, weights = (tensor.detach() for tensor in inputs(name))
    expected = book(name, [prediction, target, weights], "mean")

    def strided(tensor):
        wide = tensor.new_zeros(*tensor.shape, 2)
        wide[..., 1] = tensor
        return wide[..., 1]

    leaf = strided(prediction).requires_grad_()
    assert not leaf.is_contiguous()
    value = as_torch(name, **CASES[name].moderate)(leaf, strided(target), strided(weights))
    value.backward()
    np.testing.assert_allclose(value.detach(), expected[0], **CLOSE)
    np.testing.assert_allclose(leaf.grad, expected[1], **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_no_examples(name):
    prediction, target, weights = (tensor.detach()[:0] for tensor in inputs(name))
    for given in ((prediction, target), (prediction, target, weights)):
        leaf = given[0].clone().requires_grad_()
        value = as_torch(name, reduction="sum")(leaf, *given[1:])
        value.backward()
        assert value == 0
        assert leaf.grad.shape == leaf.shape
        value = as_torch(name, reduction="none")(leaf, *given[1:])
        assert value.shape == (0, SHAPE[1])
        value.sum().backward()
        assert torch.equal(grad(as_torch(name, reduction="sum"))(*given), given[0])
        with pytest.raises(ValueError, match="mean of no values is undefined"):
            as_torch(name)(leaf, *given[1:])


def test_a_graph_that_is_kept_may_be_walked_twice():
    prediction, target, _ = inputs("huber")
    value = as_torch("huber")(prediction, target)
    value.backward(retain_graph=True)
    once = prediction.grad.clone()
    value.backward()
    assert torch.equal(prediction.grad, 2 * once)


def test_without_autograd_it_is_just_the_value():
    prediction, target, _ = inputs("huber")
    criterion = as_torch("huber")
    with torch.no_grad():
        value = criterion(prediction, target)
    assert not value.requires_grad
    # Without a gradient there is nothing to share, and the formula may be the plain one.
    with_gradient = criterion.eval()(prediction, target).detach()
    torch.testing.assert_close(value, with_gradient, **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_no_gradient_is_computed_that_nobody_wants(name, monkeypatch):
    def unwanted(*arguments, **options):
        raise AssertionError("a gradient was computed")

    prediction, target, _ = inputs(name)
    row = dataclasses.replace(LOSSES[name], gradient=unwanted, joint=unwanted)
    monkeypatch.setitem(LOSSES, name, row)
    criterion = as_torch(name)
    with torch.no_grad():
        criterion(prediction, target)
    criterion(prediction.detach(), target)
    with pytest.raises(AssertionError, match="a gradient was computed"):
        criterion(prediction, target)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_keep_the_dtype(dtype):
    prediction = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    value = as_torch("softmax_cross_entropy")(prediction, torch.tensor([0, 2], dtype=torch.uint8))
    value.backward()
    assert value.dtype == prediction.grad.dtype == dtype


def test_it_is_a_module_without_parameters():
    criterion = as_torch("huber", reduction="sum", delta=2.0)
    assert isinstance(criterion, torch.nn.Module)
    assert list(criterion.parameters()) == []
    assert criterion.state_dict() == {}
    assert repr(criterion) == "Criterion(huber, reduction='sum', delta=2.0)"
    assert repr(torch.nn.Sequential(criterion)) == (
        "Sequential(\n  (0): Criterion(huber, reduction='sum', delta=2.0)\n)"
    )
    prediction, target, _ = inputs("huber")
    assert torch.equal(copy.deepcopy(criterion)(prediction, target), criterion(prediction, target))


def test_bad_arguments_are_named():
    with pytest.raises(KeyError, match="did you mean 'huber'"):
        as_torch("hubber")
    with pytest.raises(TypeError, match="huber has no hyperparameter 'beta'; it accepts: delta"):
        as_torch("huber", beta=1.0)
    with pytest.raises(ValueError, match="reduction must be one of mean, sum, none, got 'avg'"):
        as_torch("huber", reduction="avg")
    with pytest.raises(TypeError, match="prediction must be a torch tensor, got ndarray"):
        as_torch("huber")(np.zeros(2), np.zeros(2))
    with pytest.raises(TypeError, match="one array library"):
        as_torch("huber")(torch.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="target has shape"):
        as_torch("huber")(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="weights has shape"):
        as_torch("huber")(torch.zeros(2), torch.zeros(2), torch.ones(1))


# Threads ------------------------------------------------------------------------------------------

WAYS_IN = {
    "lossbook": "import lossbook, torch",
    "lossbook.torch": "import lossbook.torch",
    "lossbook.train": "import lossbook.train",
    "lossbook.experiments": "import lossbook.experiments",
    "lossbook.gradcheck": "from lossbook.gradcheck import autograd; autograd(abs, [1.0])",
}
ASKED = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def asked_for(program, **environment):
    """What a fresh process that has loaded torch asks of its threads, and what libgomp heard."""
    inherited = {key: value for key, value in os.environ.items() if key not in ASKED}
    show = f"; import json, os; print(json.dumps([os.environ.get(key) for key in {ASKED}]))"
    finished = subprocess.run(
        [sys.executable, "-c", program + show],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | environment | {"OMP_DISPLAY_ENV": "verbose"},
    )
    return json.loads(finished.stdout), finished.stderr


@pytest.mark.parametrize("program", WAYS_IN.values(), ids=WAYS_IN)
def test_threads_are_asked_to_sleep_before_torch_is_loaded(program):
    asked, heard = asked_for(program)
    assert asked == ["passive", "0"]
    if "GOMP_SPINCOUNT" in heard:  # Other systems' torch brings another library of threads.
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in heard
        assert "GOMP_SPINCOUNT = '0'" in heard


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_WAIT_POLICY": "active"}, ["active", None]),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, ["PASSIVE", "0"]),
        ({"GOMP_SPINCOUNT": "5000"}, ["passive", "5000"]),
        ({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "7"}, ["active", "7"]),
    ],
)
def test_what_was_asked_for_already_stands(environment, expected):
    assert asked_for(WAYS_IN["lossbook"], **environment)[0] == expected


@pytest.mark.parametrize(
    ("folder", "module"),
    [("book/_tools", "build"), ("book/_tools", "notebooks"), ("tests", "conftest")],
)
def test_what_starts_kernels_asks_for_them(folder, module):
    # They inherit it: a chapter may load torch before lossbook.
    folder = Path(__file__).parents[1] / folder
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); import {module}"
    assert asked_for(program)[0] == ["passive", "0"]


# The network --------------------------------------------------------------------------------------


def test_a_network_is_its_seed():
    one, same, other = CNN(seed=3), CNN(seed=3), CNN(seed=4)
    # torch draws nothing: whatever state its generator is in does not matter.
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)


def test_first_weights_have_hes_variance():
    for name, parameter in CNN(seed=0).named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            scaled = parameter.detach().double() * (parameter[0].numel() / 2) ** 0.5
            # Of n normal draws the mean square is off by sqrt(2 / n), six times that is never seen.
            assert abs((scaled**2).mean().item() - 1) < 6 * (2 / parameter.numel()) ** 0.5
            assert abs(scaled.mean().item()) < 6 / parameter.numel() ** 0.5


def test_the_features_shift_with_the_image():
    # By 4 pixels, since two poolings keep every fourth; away from the border nothing else changes.
    network = CNN(seed=0)
    image = torch.zeros(1, 1, 28, 28)
    image[..., 8:16, 8:16] = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = network.features(image)
        shifted = network.features(image.roll((4, 4), (-2, -1)))
    inner = slice(1, 6)
    torch.testing.assert_close(
        shifted[..., inner, inner],
        features.roll((1, 1), (-2, -1))[..., inner, inner],
        # float32 sums of 16 * 9 products, in whatever order each position takes.
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(("name", "count"), [("softmax_cross_entropy", 1), ("triplet", 3)])
def test_gradcheck_of_torch_passes(name, count):
    """It also calls ``backward`` with nothing from above."""
    arrays = [torch.as_tensor(array) for array in example_inputs(name)]
    moved = [array.requires_grad_() for array in arrays[:count]]

    def loss(*moved):
        return as_torch(name)(*moved, *arrays[count:])

    assert torch.autograd.gradcheck(loss, moved)
