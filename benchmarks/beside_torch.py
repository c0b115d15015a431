"""How long this book's losses take beside torch's own: `make bench`.

Each comparison is a ratio, measured in one run: the two sides take turns, and the quickest of each
side's rounds count, since whatever else the machine does can only make a round longer. Forward and
backward together, from NumPy arrays to NumPy arrays for `value_and_grad`, with a leaf tensor for
`as_torch`.
"""

import argparse
import time

import numpy as np

# First, because it asks for threads that sleep when they have nothing to do: torch's would else
# take the core from the side whose turn it is.
from lossbook import LOSSES  # isort: split

import torch
from torch.nn import functional as F

from lossbook.torch import as_torch

ELEMENTWISE = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "quantile": lambda p, t: torch.maximum(0.5 * (t - p), 0.5 * (p - t)).mean(),
    "hinge": lambda s, y: F.relu(1 - y * s).mean(),
    "squared_hinge": lambda s, y: (F.relu(1 - y * s) ** 2).mean(),
    "perceptron": lambda s, y: F.relu(-y * s).mean(),
    "sigmoid_binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "logistic": F.soft_margin_loss,
}


def _dice(p, t):
    return (1 - 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1))).mean()


def _triplet(anchor, positive, negative):
    near, far = ((anchor - x).square().sum(-1) for x in (positive, negative))
    return F.relu(near - far + 0.2).mean()


def _info_nce(queries, keys):
    return F.cross_entropy(queries @ keys.T / 0.1, torch.arange(len(queries)))


#: Losses of rows: torch's, how many of them, and of how many entries each.
OF_ROWS = {
    "dice": (_dice, 16, 65_536),
    "kl_divergence": (lambda p, t: F.kl_div(p, t, reduction="batchmean"), 4096, 100),
    "triplet": (_triplet, 4096, 128),
    "info_nce": (_info_nce, 512, 128),
    "l2": (lambda w: w.square().sum() / 2, 1000, 1000),
}


def ratio(ours, theirs, rounds):
    """The quickest of our rounds over the quickest of theirs, and both in milliseconds."""
    times = {ours: [], theirs: []}
    for _ in range(rounds + 2):
        for side, seconds in times.items():
            start = time.perf_counter()
            side()
            seconds.append(time.perf_counter() - start)
    # The first two rounds warm up caches and threads.
    best_ours, best_theirs = (1e3 * min(seconds[2:]) for seconds in times.values())
    return best_ours / best_theirs, best_ours, best_theirs


def from_numpy(name, loss, inputs, rounds):
    """`LOSSES[name].value_and_grad` beside torch's `loss` and its backward pass."""
    count = LOSSES[name].gradients

    def ours():
        return LOSSES[name].value_and_grad(*inputs)

    def theirs():
        tensors = [torch.from_numpy(array) for array in inputs]
        leaves = [tensor.requires_grad_() for tensor in tensors[:count]]
        loss(*tensors).backward()
        return [leaf.grad.numpy() for leaf in leaves]

    return ratio(ours, theirs, rounds)


def as_criterion(name, loss, inputs, rounds):
    """`as_torch(name)` beside a criterion of torch's, on the same leaf."""
    leaf, target = torch.from_numpy(inputs[0]).requires_grad_(), torch.from_numpy(inputs[1])

    def step(criterion):
        def run():
            leaf.grad = None
            criterion(leaf, target).backward()

        return run

    return ratio(step(as_torch(name)), step(loss), rounds)


def drawn(name, shape, dtype, classes=4):
    """Seeded inputs from the spaces that the loss declares."""
    rng = np.random.default_rng(0)
    arrays = [space.draw(rng, shape, classes) for space in LOSSES[name].function.spaces]
    return [array if array.dtype == np.int64 else array.astype(dtype) for array in arrays]


def main():
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of each side (2)")
    parser.add_argument("--rounds", type=int, default=15, help="of each comparison (15)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'':46}{'ours':>11}{'torch':>11}{'ratio':>7}")

    def show(label, result):
        times, ours, theirs = result
        print(f"{label:46}{ours:8.3f} ms{theirs:8.3f} ms{times:7.2f}", flush=True)

    for dtype in ("float64", "float32"):
        for count in (100_000, 150_000, 1_000_000):
            for name, loss in ELEMENTWISE.items():
                label, inputs = f"{name}, {count:,} x {dtype}", drawn(name, (count,), dtype)
                show(label, from_numpy(name, loss, inputs, options.rounds))
        name = "softmax_cross_entropy"
        inputs = drawn(name, (4096,), dtype, 1000)
        label = f"softmax_cross_entropy, 4096 x 1000 x {dtype}"
        show(label, from_numpy(name, F.cross_entropy, inputs, options.rounds))
        for name, (loss, rows, entries) in OF_ROWS.items():
            inputs = drawn(name, (rows,), dtype, entries)
            label = f"{name}, {rows} x {entries} x {dtype}"
            show(label, from_numpy(name, loss, inputs, options.rounds))
    torch.set_num_threads(1)
    for rows, classes, rounds in ((64, 10, 2000), (4096, 1000, options.rounds)):
        inputs = drawn("softmax_cross_entropy", (rows,), "float32", classes)
        label = f"as_torch, softmax, {rows} x {classes}, one thread"
        show(label, as_criterion("softmax_cross_entropy", F.cross_entropy, inputs, rounds))


if __name__ == "__main__":
    main()
