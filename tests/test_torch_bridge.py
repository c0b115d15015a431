"""The bridge to torch: a criterion's backward is the hand-derived gradient, and nothing else."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from cases.table import CASES

from lossbook import LOSSES
from lossbook.gradcheck import example_inputs
from lossbook.reduction import REDUCTIONS
from lossbook.torch import CNN, as_torch

SHAPE = (3, 2)

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


@pytest.mark.parametrize("name", LOSSES)
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


@pytest.mark.parametrize("name", LOSSES)
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


@pytest.mark.parametrize("name", LOSSES)
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


@pytest.mark.parametrize("name", LOSSES)
def test_the_chain_rule_goes_on_below(name):
    leaf = inputs(name)[0]
    prediction, target = leaf.detach() * 1.0, inputs(name)[1]
    through = leaf.clone() * 1.0
    as_torch(name)(through, target).backward()
    _, expected = LOSSES[name].value_and_grad(prediction, target)
    assert torch.equal(leaf.grad, expected)


@pytest.mark.parametrize("name", LOSSES)
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


def test_target_and_weights_get_no_gradient():
    prediction, target, weights = inputs("squared_error")
    target.requires_grad_()
    weights.requires_grad_()
    as_torch("squared_error")(prediction, target, weights).backward()
    assert prediction.grad is not None
    assert target.grad is None
    assert weights.grad is None


def test_without_autograd_it_is_just_the_value():
    prediction, target, _ = inputs("huber")
    criterion = as_torch("huber")
    with torch.no_grad():
        value = criterion(prediction, target)
    assert not value.requires_grad
    # Without a gradient there is nothing to share, and the formula may be the plain one.
    with_gradient = criterion.eval()(prediction, target).detach()
    torch.testing.assert_close(value, with_gradient, **CLOSE)


@pytest.mark.parametrize("name", LOSSES)
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
