"""A loss of the book as a torch criterion whose ``backward`` is the hand-derived gradient."""

from __future__ import annotations

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
    respect to the prediction is the one derived in the book, not autograd's; target and weights
    get none. Second derivatives are refused.
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
        if not (torch.is_grad_enabled() and prediction.requires_grad):
            return self.loss.value(prediction, target, weights=weights, **self.options)
        return _HandDerived.apply(prediction, target, weights, self.loss, self.options)

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"Criterion({self.loss.name}, {options})"


class _HandDerived(torch.autograd.Function):
    """Forward computes value and gradient together; backward only multiplies."""

    @staticmethod
    def forward(ctx, prediction, target, weights, loss, options):
        value, gradient = loss.value_and_grad(prediction, target, weights=weights, **options)
        ctx.save_for_backward(prediction, gradient)
        return value

    @staticmethod
    def backward(ctx, upstream):
        prediction, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            gradient = _NotTwice.apply(gradient, prediction)
        if upstream.ndim == 0 and checks.is_near(upstream) and upstream.item() == 1:
            return gradient, None, None, None, None
        # An unreduced loss hands back one number per value; the class axis has still to be matched.
        missing = gradient.ndim - upstream.ndim
        if missing and upstream.ndim:
            upstream = upstream.reshape(upstream.shape + (1,) * missing)
        return upstream * gradient, None, None, None, None


class _NotTwice(torch.autograd.Function):
    """Ties a gradient to its prediction: else autograd would take it for a constant, and be wrong.

    Only where the graph of the backward pass itself is kept; torch's ``once_differentiable`` does
    not notice where nothing from above wants a gradient.
    """

    @staticmethod
    def forward(ctx, gradient, prediction):
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError("as_torch gives first derivatives only, a second one was asked for")
