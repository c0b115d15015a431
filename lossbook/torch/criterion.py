"""A loss of the book as a torch criterion whose ``backward`` is the hand-derived gradient."""

from __future__ import annotations

import inspect

import torch

from lossbook import checks
from lossbook.loss import LOSSES
from lossbook.reduction import check_reduction


def as_torch(name, *, reduction="mean", **hyperparameters):
    """Return the loss called `name` as a torch module.

    Parameters
    ----------
    name : a key of ``LOSSES``
    reduction : {"mean", "sum", "none"}
    hyperparameters : those of the loss, fixed from here on

    Raises
    ------
    KeyError, TypeError, ValueError
        For an unknown loss, a hyperparameter that it does not have, an unknown reduction.

    Examples
    --------
    >>> criterion = as_torch("softmax_cross_entropy", label_smoothing=0.1)
    >>> criterion
    Criterion(softmax_cross_entropy, reduction='mean', label_smoothing=0.1)
    >>> logits = torch.zeros(2, 3, requires_grad=True)
    >>> criterion(logits, torch.tensor([0, 2])).backward()
    >>> logits.grad.shape
    torch.Size([2, 3])
    """
    return Criterion(LOSSES[name], reduction, hyperparameters)


class Criterion(torch.nn.Module):
    """A loss with its reduction and hyperparameters; call it as ``criterion(prediction, target)``.

    An optional third argument, `weights`, has the shape of the unreduced values. The gradient with
    respect to the prediction is the one derived in the book, not autograd's. It works under
    ``torch.func.grad``, ``value_and_grad``, ``vjp``, ``jacrev`` and ``vmap``, in any order.

    Under ``torch.autocast`` a prediction of a half type is computed with in float32, and the result
    is float32, as with torch's own losses; the gradient arrives in the prediction's own type.

    Raises
    ------
    TypeError
        If the prediction is no torch tensor.
    ValueError
        If the target or the weights require a gradient: the book derives none with respect to them.
    RuntimeError
        If a second derivative is asked for, or one in forward mode (``jvp``, ``jacfwd``).

    Examples
    --------
    >>> criterion, ids = as_torch("softmax_cross_entropy"), torch.tensor([0, 1])
    >>> per_example = torch.func.vmap(torch.func.grad(criterion))
    >>> per_example(torch.zeros(2, 2), ids)
    tensor([[-0.5000,  0.5000],
            [ 0.5000, -0.5000]])
    """

    def __init__(self, loss, reduction, hyperparameters):
        super().__init__()
        loss.check_hyperparameters(hyperparameters)
        check_reduction(reduction)
        self.loss = loss
        self.options = {"reduction": reduction, **hyperparameters}

    def forward(self, prediction, target, weights=None):
        if not isinstance(prediction, torch.Tensor):
            raise TypeError(f"prediction must be a torch tensor, got {type(prediction).__name__}")
        device = prediction.device.type
        if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
            return _apply(prediction, target, weights, self)[0]
        if prediction.dtype in (torch.float16, torch.bfloat16):
            prediction = prediction.float()
        with torch.autocast(device, enabled=False):
            return _apply(prediction, target, weights, self)[0]

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"Criterion({self.loss.name}, {options})"


def _apply(prediction, target, weights, criterion, with_gradient=False):
    """The value, and the gradient where it is asked for or is going to be; else None."""
    if torch.is_grad_enabled():
        for name, given in (("target", target), ("weights", weights)):
            if isinstance(given, torch.Tensor) and given.requires_grad:
                raise ValueError(
                    f"{name} must not require a gradient, got one that does: there is a gradient "
                    f"with respect to the prediction only; pass {name}.detach()"
                )
        with_gradient = with_gradient or prediction.requires_grad
    return _HandDerived.apply(prediction, target, weights, criterion, with_gradient)


class _HandDerived(torch.autograd.Function):
    """Forward computes value and gradient together; backward only multiplies."""

    @staticmethod
    def forward(prediction, target, weights, criterion, with_gradient):
        loss, options = criterion.loss, criterion.options
        if with_gradient:
            return loss.value_and_grad(prediction, target, weights=weights, **options)
        return loss.value(prediction, target, weights=weights, **options), None

    @staticmethod
    def setup_context(ctx, inputs, output):
        prediction, gradient = inputs[0], output[1]
        if gradient is not None:
            # An output, because it is computed with the value; but none that has a gradient.
            ctx.mark_non_differentiable(gradient)
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(prediction, gradient)

    @staticmethod
    def vmap(info, in_dims, prediction, target, weights, criterion, with_gradient):
        count = info.batch_size
        if count == 0:
            raise ValueError("prediction must hold at least one example under vmap, got none")
        examples = zip(
            *(
                count * [None] if array is None else _in_front(array, axis, count)
                for array, axis in zip((prediction, target, weights), in_dims[:3], strict=True)
            ),
            strict=True,
        )
        # A loss looks at the values that it is given: only those of a single example can be seen.
        results = [_apply(*example, criterion, with_gradient) for example in examples]
        values, gradients = zip(*results, strict=True)
        if with_gradient:
            return (torch.stack(values), torch.stack(gradients)), (0, 0)
        return (torch.stack(values), None), (0, None)

    @staticmethod
    def backward(ctx, upstream, _):
        prediction, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            gradient = _NotTwice.apply(gradient, prediction)
        if _is_one(upstream):
            return gradient, None, None, None, None
        # An unreduced loss hands back one number per value; the class axis has still to be matched.
        missing = gradient.ndim - upstream.ndim
        if missing and upstream.ndim:
            upstream = upstream.reshape(upstream.shape + (1,) * missing)
        return upstream * gradient, None, None, None, None

    @staticmethod
    def jvp(ctx, *tangents):
        raise RuntimeError(
            "as_torch gives no derivative in forward mode (jvp, jacfwd); "
            "use backward(), torch.func.grad or torch.func.jacrev"
        )


# torch asks for the signature at each call, and finding it out takes as long as a small loss.
_HandDerived.forward.__signature__ = inspect.signature(_HandDerived.forward)


def _in_front(array, axis, count):
    """The examples of a batch along the first axis; where all share one array, it is repeated."""
    return array.expand(count, *array.shape) if axis is None else array.movedim(axis, 0)


def _is_one(upstream):
    """Whether there is nothing to multiply by; False also where that cannot be looked at."""
    if upstream.ndim or not checks.is_near(upstream):
        return False
    try:
        return upstream.item() == 1
    except RuntimeError:  # under vmap it is one of many
        return False


class _NotTwice(torch.autograd.Function):
    """Ties a gradient to its prediction: else autograd would take it for a constant, and be wrong.

    Only where the graph of the backward pass itself is kept; torch's ``once_differentiable`` does
    not notice where nothing from above wants a gradient.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient, prediction):
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError("as_torch gives first derivatives only, a second one was asked for")

    @staticmethod
    def jvp(ctx, *tangents):
        raise RuntimeError("as_torch gives first derivatives only, a second one was asked for")
