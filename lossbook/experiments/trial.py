"""The trial of a study: a few short seeded runs, which tell whether its numbers would change.

A study takes hours, its trial seconds. Whoever changes the code without changing what it computes
gets the same trial, to rounding; whoever changes what it computes, however little, does not.

A trial is made in float64 and on one thread. In float32 the rounding of another processor is enough
to send a pixel through the other side of a ReLU, and within twenty steps the weights may differ by
a hundredth, more than many a fault would make them. In float64 they differ by 1e-14 at most. The
price is that a change of rounding alone, say of a dtype, is not noticed.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from numbers import Real

import numpy as np
import torch

#: The largest relative difference of two trials that compute the same. Two threads in the place of
#: one, processors with other instructions, and sums in another order were seen to make 1e-14. Of
#: the faults that the tests plant, the smallest is a wrong last rate, which makes 4e-4.
TOLERANCE = 1e-9


@contextmanager
def trial_conditions():
    """Let torch compute in float64 and on one thread."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def footprint(network):
    """Of each weight tensor its norm and two seeded random projections.

    A change of any entry changes the projections, and so does an exchange of any two.

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.constant_(layer.weight, 1.0)
    >>> [round(number, 4) for number in footprint(layer)["weight"]]
    [1.4142, -0.0064, 0.7453]
    """
    rng = np.random.default_rng(0)
    summary = {}
    for name, weight in network.named_parameters():
        flat = weight.detach().to(torch.float64).numpy().ravel()
        projections = rng.normal(size=(2, flat.size)) @ flat
        summary[name] = [float(np.linalg.norm(flat)), *projections.tolist()]
    return summary


def difference(one, other):
    """The largest relative difference of two trials; infinite where they are not of one form.

    A trial is made of dicts, lists and numbers, as JSON has them.

    Examples
    --------
    >>> difference({"losses": [2.0, 1.0]}, {"losses": [2.0, 0.75]})
    0.25
    >>> difference({"losses": [2.0, 1.0]}, {"losses": [2.0]})
    inf
    """
    if one == other:
        return 0.0
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max(difference(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max(map(difference, one, other))
    if isinstance(one, Real) and isinstance(other, Real):
        relative = abs(one - other) / max(abs(one), abs(other))
        return math.inf if math.isnan(relative) else relative
    return math.inf
