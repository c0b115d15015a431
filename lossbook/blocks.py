"""Long arrays are worked through in blocks that stay in the processor's cache, on all its cores.

A loss takes a dozen array operations. On a long array each of them would read and write main
memory, which takes longer than the arithmetic; block by block, all of them find their input in the
cache. NumPy lets go of Python's lock inside an operation, so that threads share the blocks; torch
has threads of its own.

Results do not depend on the number of threads: a block is the same whoever works on it, and the
sums of the blocks are added in their order.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from array_api_compat import (
    array_namespace,
    device,
    is_numpy_array,
    is_torch_array,
)

from lossbook.checks import is_near, silent

#: How long a block of the prediction is: with what is computed from it, a core's cache is full.
BYTES = 2**19


def reduced_in_blocks(compute, arrays, shape, reduction, *, in_one=False):
    """What a loss computes of `arrays`, reduced: the value and the gradient.

    Parameters
    ----------
    compute : function of the arrays; returns unreduced values and slopes, or None for either
    arrays : the prediction and what goes with it
    shape : of the unreduced values; the arrays have it first, and then the axes of a row
    reduction : Reduction
    in_one : whether the arrays must not be cut, or have more than one gradient
    """
    count = math.prod(shape)
    blocks = 1 if in_one or reduction.is_none else _blocks(arrays[0])
    if blocks == 1:
        values, slopes = compute(*arrays)
        return (
            None if values is None else reduction.value(values),
            None if slopes is None else reduction.gradient(slopes),
        )
    xp = array_namespace(arrays[0])
    lines = [xp.reshape(a, (-1, *a.shape[len(shape) :])) for a in arrays]
    gradient = xp.empty(lines[0].shape, dtype=lines[0].dtype, device=device(lines[0]))
    rows = -(-count // blocks)

    @silent
    def work(first):
        part = slice(first, first + rows)
        values, slopes = compute(*(line[part] for line in lines))
        if slopes is not None:
            slopes = reduction.weighed(slopes, part)
            xp.divide(slopes, reduction.divisor or 1, out=gradient[part])
        portion = None if values is None else reduction.portion(values, part)
        return portion, slopes is not None

    done = _on_all_cores(work, range(0, count, rows), is_numpy_array(lines[0]))
    portions, with_gradient = [portion for portion, _ in done], done[0][1]
    return (
        None if portions[0] is None else reduction.joined(portions),
        xp.reshape(gradient, tuple(arrays[0].shape)) if with_gradient else None,
    )


def _blocks(prediction):
    """Into how many blocks an array falls: an even number, or 1 where blocks would not help.

    They would not on another device, and torch's autograd follows whole arrays.
    """
    entries = math.prod(prediction.shape)
    is_ours = is_numpy_array(prediction) or (
        is_torch_array(prediction) and is_near(prediction) and not prediction.requires_grad
    )
    if entries * 8 <= BYTES or not is_ours:
        return 1
    return 2 * math.ceil(entries * prediction.dtype.itemsize / (2 * BYTES))


def _on_all_cores(work, firsts, threads):
    """The results of `work` for each block, in order."""
    cores = _cores() if threads else 1
    if cores == 1:
        return [work(first) for first in firsts]
    shares = [firsts[core::cores] for core in range(cores)]
    others = [_pool(os.getpid()).submit(_each, work, share) for share in shares[1:]]
    parts = [_each(work, shares[0]), *(other.result() for other in others)]
    return [parts[n % cores][n // cores] for n in range(len(firsts))]


def _each(work, firsts):
    return [work(first) for first in firsts]


@cache
def _pool(process):
    """Threads that wait for work; a forked process has none, and so makes its own."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="lossbook")


def _cores():
    """As many threads as the other libraries are allowed, by default one a core."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(allowed) if allowed.isdigit() and int(allowed) else cores or 1
