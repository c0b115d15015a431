"""The front door: every public name, every loss by name, and what its methods reduce and refuse."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch
from cases.inputs import parts

import lossbook
from lossbook import LOSSES, numerics, spaces
from lossbook.gradcheck import example_inputs
from lossbook.loss import Loss
from lossbook.losses import FAMILIES
from lossbook.spaces import Flag, Number, Space

# Reductions of six values of order 1 to 100 in float64: rounding stays below this.
ROUNDING = 1e-12

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
weighable = pytest.mark.parametrize(
    "loss",
    [loss for loss in LOSSES.values() if not loss.function.indivisible],
    ids=[name for name, loss in LOSSES.items() if not loss.function.indivisible],
)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def six(loss):
    return example_inputs(loss, size=6)


class TestPublicNames:
    def test_they_are_the_table_what_makes_weights_and_the_losses_with_their_gradients(self):
        pairs = [name for loss in LOSSES for name in (loss, f"{loss}_grad")]
        of_weights = ["ignore", "register", "weigh_classes", "weigh_positives"]
        assert lossbook.__all__ == ["LOSSES", *of_weights, *pairs]
        for name in lossbook.__all__:
            assert getattr(lossbook, name) is not None

    @every_family
    def test_every_gradient_of_a_family_is_public_with_its_value(self, family):
        written = [
            name.removesuffix("_grad")
            for name, function in vars(family).items()
            if getattr(function, "__module__", "") == family.__name__
            and name.endswith("_grad")
            and not name.endswith("_value_and_grad")
        ]
        assert [name for loss in written for name in (loss, f"{loss}_grad")] == family.__all__
        assert written == [name for name, loss in LOSSES.items() if loss.family in family.__name__]

    @every_family
    def test_every_joint_form_of_a_family_is_used(self, family):
        joint = {name for name in vars(family) if name.endswith("_value_and_grad")}
        used = {f"{name}_value_and_grad" for name, loss in LOSSES.items() if loss.joint}
        assert joint <= used
        for name in joint:
            assert LOSSES[name.removesuffix("_value_and_grad")].joint is getattr(family, name)


class TestDeclarations:
    @every_loss
    def test_value_and_gradient_are_declared_alike(self, loss):
        value, gradient = loss.function, loss.gradient
        assert LOSSES[loss.name] is loss
        assert gradient.__name__ == f"{loss.name}_grad"
        assert inspect.signature(gradient) == inspect.signature(value)
        assert gradient.spaces == value.spaces
        assert gradient.numbers == value.numbers
        assert gradient.gradients == value.gradients
        assert gradient.indivisible == value.indivisible
        if loss.joint:
            assert inspect.signature(loss.joint) == inspect.signature(value)

    @every_loss
    def test_every_argument_has_a_space_and_every_hyperparameter_a_number(self, loss):
        for function in (loss.function, loss.gradient):
            parameters = inspect.signature(function).parameters.values()
            arrays = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
            numbers = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
            assert len(arrays) + len(numbers) == len(parameters)
            assert [isinstance(space, Space) for space in function.spaces] == [True] * len(arrays)
            assert list(function.numbers) == numbers
            for number in function.numbers.values():
                assert isinstance(number, Flag) or (isinstance(number, Number) and number.refused)

    @every_loss
    def test_a_default_is_accepted(self, loss):
        assert loss.check_hyperparameters(loss.hyperparameters) == loss.hyperparameters

    @every_loss
    def test_kinds_are_in_the_vocabulary(self, loss):
        vocabulary = [value for value in vars(spaces).values() if isinstance(value, Space)]
        for space in loss.function.spaces:
            assert any(space is known for known in vocabulary)

    @every_loss
    def test_family_is_the_module(self, loss):
        assert loss.function.__module__ == f"lossbook.losses.{loss.family}"

    @every_loss
    def test_the_axes_that_a_loss_drops_are_those_of_its_prediction(self, loss):
        arrays = six(loss)
        dropped = arrays[0].ndim - np.ndim(loss.function(*arrays))
        assert dropped == loss.prediction.axes_of(arrays[0])

    @every_loss
    def test_there_is_a_gradient_in_the_shape_of_each_array_that_has_one(self, loss):
        arrays = six(loss)
        gradient = loss.gradient(*arrays)
        assert isinstance(gradient, tuple) == (loss.gradients > 1)
        assert [g.shape for g in parts(gradient)] == [a.shape for a in arrays[: loss.gradients]]
        for method in (loss.grad, lambda *a: loss.value_and_grad(*a)[1]):
            assert [g.shape for g in parts(method(*arrays))] == [g.shape for g in parts(gradient)]

    @pytest.mark.parametrize("function", [numerics.softplus, numerics.softmax, numerics.label_rows])
    def test_building_blocks_are_declared_too(self, function):
        assert function.unchecked is not function
        assert function.spaces


class TestLookUp:
    def test_unknown_loss_names_the_one_that_was_meant(self):
        with pytest.raises(KeyError, match=r"'hubber'; did you mean 'huber'\?"):
            LOSSES["hubber"]

    def test_unknown_loss_unlike_any_lists_all(self):
        with pytest.raises(KeyError, match=r"there are squared_error, .*, logistic, "):
            LOSSES["xyzzy"]

    def test_rows_are_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            LOSSES["huber"].function = LOSSES["hinge"].function
        with pytest.raises(dataclasses.FrozenInstanceError):
            LOSSES["huber"].card.title = "another"
        assert isinstance(LOSSES["huber"], Loss)

    def test_hyperparameters_and_defaults(self):
        assert LOSSES["sigmoid_focal"].hyperparameters == {"gamma": 2.0, "alpha": None}
        assert LOSSES["squared_error"].hyperparameters == {}

    @pytest.mark.parametrize("method", ["value", "grad", "value_and_grad"])
    def test_unknown_hyperparameter(self, method):
        ones = np.ones(2)
        with pytest.raises(TypeError, match="no hyperparameter 'beta'; it accepts: delta"):
            getattr(LOSSES["huber"], method)(ones, ones, beta=1.0)
        with pytest.raises(TypeError, match="no hyperparameter 'margin'; it accepts: none"):
            getattr(LOSSES["hinge"], method)(ones, ones, margin=1.0)


class TestReduced:
    @every_loss
    def test_reductions_of_the_value(self, loss):
        arrays = six(loss)
        values = loss.function(*arrays)
        np.testing.assert_array_equal(loss.value(*arrays, reduction="none"), values)
        assert loss.value(*arrays) == pytest.approx(values.sum() / values.size, rel=ROUNDING)
        assert loss.value(*arrays, reduction="sum") == pytest.approx(values.sum(), rel=ROUNDING)

    @weighable
    def test_a_weighted_mean_divides_by_the_sum_of_the_weights(self, loss, rng):
        arrays = six(loss)
        values, w = loss.function(*arrays), rng.uniform(0.5, 2, 6)
        mean = (w * values).sum() / w.sum()
        assert loss.value(*arrays, weights=w) == pytest.approx(mean, rel=ROUNDING)

    @every_loss
    def test_a_loss_that_is_not_weighed_says_why(self, loss):
        if loss.function.indivisible:
            for method in (loss.value, loss.grad, loss.value_and_grad):
                with pytest.raises(
                    TypeError, match=f"takes no weights: {loss.function.indivisible}"
                ):
                    method(*six(loss), weights=np.ones(6))

    @weighable
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_gradient_weighs_and_divides_as_the_value_does(self, loss, reduction, rng):
        arrays = six(loss)
        w = rng.uniform(0.5, 2, 6)
        by_example = w / w.sum() if reduction == "mean" else w
        found = loss.grad(*arrays, reduction=reduction, weights=w)
        for got, gradient in zip(parts(found), parts(loss.gradient(*arrays)), strict=True):
            expected = gradient * by_example.reshape((6,) + (1,) * (gradient.ndim - 1))
            np.testing.assert_allclose(got, expected, rtol=ROUNDING)

    @every_loss
    def test_value_and_grad_is_both(self, loss):
        arrays = six(loss)
        value, gradient = loss.value_and_grad(*arrays, reduction="sum")
        # Not exactly: a joint form computes shared parts once, and may round them differently.
        assert value == pytest.approx(loss.value(*arrays, reduction="sum"), rel=ROUNDING)
        for one, other in zip(
            parts(gradient), parts(loss.grad(*arrays, reduction="sum")), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=ROUNDING)

    @weighable
    def test_weights_of_another_shape_are_refused(self, loss):
        arrays = six(loss)
        for method in (loss.value, loss.grad, loss.value_and_grad):
            with pytest.raises(ValueError, match="weights has shape"):
                method(*arrays, weights=np.ones((6, 1)))

    @pytest.mark.parametrize("method", ["value", "grad", "value_and_grad"])
    def test_bad_weights_are_refused(self, method):
        call = getattr(LOSSES["huber"], method)
        with pytest.raises(ValueError, match=r"weights must lie in .*, got -1.0"):
            call(np.ones(2), np.ones(2), weights=np.array([1.0, -1.0]))
        with pytest.raises(ValueError, match="weights must not sum to 0 under reduction='mean'"):
            call(np.ones(2), np.ones(2), weights=np.zeros(2))

    @pytest.mark.parametrize("method", ["value", "grad", "value_and_grad"])
    def test_unknown_reduction(self, method):
        with pytest.raises(ValueError, match="reduction must be one of mean, sum, none, got 'avg'"):
            getattr(LOSSES["huber"], method)(np.ones(2), np.ones(2), reduction="avg")

    @every_loss
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_half_types_are_computed_in_float32_and_rounded_once(self, loss, dtype, reduction):
        half = getattr(torch, dtype)
        first, *others = (torch.from_numpy(array) for array in six(loss))
        narrow = first.to(half)
        got = loss.value_and_grad(narrow, *others, reduction=reduction)
        expected = loss.value_and_grad(narrow.float(), *others, reduction=reduction)
        for ours, wide in zip(parts(got), parts(expected), strict=True):
            assert ours.dtype == half
            assert torch.equal(ours, wide.to(half))
