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

    A loss of other arrays is called with those, as ``criterion(anchor, positive, negative)``. The
    optional last argument, `weights`, has the shape of the unreduced values. The gradient with
    respect to the prediction, or to each of several, is the one derived in the book, and not
    autograd's. It works under ``torch.func.grad``, ``value_and_grad``, ``vjp``, ``jacrev`` and
    ``vmap``, in any order.

    Under ``torch.autocast`` a prediction of a half type is computed with in float32, and the result
    is float32, as with torch's own losses. A gradient arrives in the type of its own array.

    Raises
    ------
    TypeError
        If the prediction is no torch tensor, or if there are weights for a loss that takes none.
    ValueError
        If the target or the weights require a gradient: the book derives none with respect to them.
        If a gradient is asked for and ``reduction="none"`` leaves several values, each of which
        depends on the whole batch: the gradient that is derived is that of their sum.
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
        is_pair = len(loss.arrays) == 2 and loss.gradients == 1
        self.names = ("prediction", "target") if is_pair else loss.arrays

    def forward(self, *arrays, **named):
        count = len(self.names)
        if named or len(arrays) not in (count, count + 1):
            arrays = self._bound(arrays, named)
        weights = arrays[count] if len(arrays) > count else None
        arrays = arrays[:count]
        for name, array in zip(self.names, arrays[: self.loss.gradients], strict=False):
            if not isinstance(array, torch.Tensor):
                raise TypeError(f"{name} must be a torch tensor, got {type(array).__name__}")
        device = arrays[0].device.type
        if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
            return _apply(self, weights, arrays)[0]
        arrays = [
            a.float() if place < self.loss.gradients and a.dtype in _HALF else a
            for place, a in enumerate(arrays)
        ]
        with torch.autocast(device, enabled=False):
            return _apply(self, weights, arrays)[0]

    def _bound(self, arrays, named):
        """The arrays and the weights of a call by name; an error for one that does not fit."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        places = [inspect.Parameter(name, kind) for name in self.names]
        places.append(inspect.Parameter("weights", kind, default=None))
        bound = inspect.Signature(places).bind(*arrays, **named)
        bound.apply_defaults()
        return bound.args

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"Criterion({self.loss.name}, {options})"


_HALF = (torch.float16, torch.bfloat16)


def _apply(criterion, weights, arrays, with_gradient=False):
    """The value, and the gradients where they are asked for or are going to be."""
    if torch.is_grad_enabled():
        count = criterion.loss.gradients
        of_data = zip(
            (*criterion.names[count:], "weights"), (*arrays[count:], weights), strict=True
        )
        for name, given in of_data:
            if isinstance(given, torch.Tensor) and given.requires_grad:
                derived = " and ".join(criterion.names[:count])
                raise ValueError(
                    f"{name} must not require a gradient, got one that does: there is a gradient "
                    f"with respect to the {derived} only; pass {name}.detach()"
                )
        with_gradient = with_gradient or any(array.requires_grad for array in arrays[:count])
    return _HandDerived.apply(criterion, with_gradient, weights, *arrays)


class _HandDerived(torch.autograd.Function):
    """Forward computes value and gradients together; backward only multiplies."""

    @staticmethod
    def forward(criterion, with_gradient, weights, *arrays):
        loss, options = criterion.loss, criterion.options
        if not with_gradient:
            return (loss.value(*arrays, weights=weights, **options),)
        value, gradient = loss.value_and_grad(*arrays, weights=weights, **options)
        if value.ndim and loss.function.indivisible:
            raise ValueError(
                f"reduction must be 'mean' or 'sum' where {loss.name} is differentiated, got "
                "'none': each value depends on the whole batch, and the derived gradient is that "
                "of their sum"
            )
        return value, *(gradient if isinstance(gradient, tuple) else (gradient,))

    @staticmethod
    def setup_context(ctx, inputs, output):
        arrays, gradients = inputs[3:], output[1:]
        ctx.others = len(arrays) - len(gradients)
        if gradients:
            # Outputs, because they are computed with the value; but none that has a gradient.
            ctx.mark_non_differentiable(*gradients)
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(*arrays[: len(gradients)], *gradients)

    @staticmethod
    def vmap(info, in_dims, criterion, with_gradient, weights, *arrays):
        count = info.batch_size
        if count == 0:
            name = criterion.names[0]
            raise ValueError(f"{name} must hold at least one example under vmap, got none")
        weights, *examples = (
            count * [None] if array is None else _in_front(array, axis, count)
            for array, axis in zip((weights, *arrays), in_dims[2:], strict=True)
        )
        # A loss looks at the values that it is given: only those of a single example can be seen.
        results = [
            _apply(criterion, *example, with_gradient)
            for example in zip(weights, zip(*examples, strict=True), strict=True)
        ]
        stacked = tuple(map(torch.stack, zip(*results, strict=True)))
        return stacked, (0,) * len(stacked)

    @staticmethod
    def backward(ctx, upstream, *_):
        half = len(ctx.saved_tensors) // 2
        arrays, gradients = ctx.saved_tensors[:half], ctx.saved_tensors[half:]
        if upstream is None:  # nothing comes from above, as gradcheck tries on purpose
            return (3 + half + ctx.others) * (None,)
        if torch.is_grad_enabled():
            gradients = map(_NotTwice.apply, gradients, arrays)
        if not _is_one(upstream):
            gradients = (_each_times(upstream, gradient) for gradient in gradients)
        return None, None, None, *gradients, *(ctx.others * [None])

    @staticmethod
    def jvp(ctx, *tangents):
        raise RuntimeError(
            "as_torch gives no derivative in forward mode (jvp, jacfwd); "
            "use backward(), torch.func.grad or torch.func.jacrev"
        )


def _each_times(upstream, gradient):
    """A gradient times what comes from above: one number, or one for each unreduced value."""
    missing = gradient.ndim - upstream.ndim
    if missing and upstream.ndim:
        # The axes of a row, of which the values have none, have still to be matched.
        upstream = upstream.reshape(upstream.shape + (1,) * missing)
    return upstream * gradient


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
