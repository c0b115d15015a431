"""Long arrays: the same results as in one block, whatever the number of threads."""

import math
import os
import subprocess
import sys
import threading
import warnings

import array_api_strict
import numpy as np
import pytest
import torch

from lossbook import LOSSES, blocks
from lossbook.gradcheck import example_inputs
from lossbook.losses import regression

# A row of each kind of loss: elementwise, with probabilities, with parameters, with a class axis.
NAMES = ["huber", "binary_cross_entropy", "gaussian_nll", "softmax_cross_entropy", "brier", "giou"]
METHODS = ["value", "grad", "value_and_grad"]
SHAPE = (2, 37)

# A sum in another order: of 74 numbers of order 1 it rounds differently in the last digits.
ROUNDINGS = {"float64": {"rtol": 1e-14, "atol": 1e-16}, "float32": {"rtol": 4e-6, "atol": 1e-8}}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a dozen float64 numbers, so that small arrays are long ones."""
    monkeypatch.setattr(blocks, "BYTES", 8 * 12)


def with_cores(monkeypatch, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    assert blocks._cores() == cores


def results(name, method, inputs, weights, reduction="mean"):
    found = getattr(LOSSES[name], method)(*inputs, weights=weights, reduction=reduction)
    return [np.asarray(x) for x in (found if isinstance(found, tuple) else (found,))]


def arrays(name, library="numpy", dtype="float64"):
    """Inputs and weights, of which some are 0."""
    prediction, target = example_inputs(name, size=SHAPE)
    weights = np.random.default_rng(1).uniform(0, 2, SHAPE) * (
        target.reshape(*SHAPE, -1)[..., 0] != 1
    )
    cast = [a if a.dtype.kind == "i" else a.astype(dtype) for a in (prediction, target, weights)]
    return [torch.from_numpy(a) for a in cast] if library == "torch" else cast


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("library", "dtype"), [("numpy", "float64"), ("numpy", "float32"), ("torch", "float64")]
)
@pytest.mark.parametrize("name", NAMES)
def test_blocks_give_what_one_block_gives(
    name, library, dtype, reduction, weighted, cores, monkeypatch
):
    prediction, target, weights = arrays(name, library, dtype)
    weights = weights if weighted else None
    whole = {m: results(name, m, (prediction, target), weights, reduction) for m in METHODS}
    monkeypatch.setattr(blocks, "BYTES", 8 * 12)
    with_cores(monkeypatch, cores)
    for method, expected in whole.items():
        parts = results(name, method, (prediction, target), weights, reduction)
        for ours, one in zip(parts, expected, strict=True):
            assert (ours.dtype, ours.shape) == (one.dtype, one.shape)
            np.testing.assert_allclose(ours, one, **ROUNDINGS[dtype])


@pytest.mark.parametrize("name", NAMES)
def test_results_do_not_depend_on_the_number_of_threads(name, small_blocks, monkeypatch):
    found = []
    for cores in (1, 2, 3, 7):
        with_cores(monkeypatch, cores)
        prediction, target, weights = arrays(name)
        found.append(results(name, "value_and_grad", (prediction, target), weights))
    for other in found[1:]:
        for ours, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(ours, first)


def test_a_long_array_gives_the_same_whatever_omp_num_threads_says():
    program = (
        "import numpy as np; from lossbook import LOSSES; "
        "p, t = np.random.default_rng(0).normal(size=(2, 400_001)); "
        "value, gradient = LOSSES['log_cosh'].value_and_grad(p, t); "
        "print(value.hex(), gradient.tobytes().__hash__())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"OMP_NUM_THREADS": cores, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for cores in ("1", "2")
    }
    assert len(said) == 1


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("dice", 50),
        ("contrastive", 50),
        ("triplet", (5, 10)),
        ("info_nce", (5, 10)),
        ("l1", 50),
        ("l2", (5, 10)),
    ],
)
def test_masks_are_cut_between_items_and_what_belongs_together_is_not(
    name, size, library, monkeypatch
):
    inputs = example_inputs(name, size=size)
    if library == "torch":
        inputs = [torch.from_numpy(array) for array in inputs]
    for reduction in ("mean", "sum"):
        whole = LOSSES[name].value_and_grad(*inputs, reduction=reduction)
        monkeypatch.setattr(blocks, "BYTES", 8 * 12)
        parts = LOSSES[name].value_and_grad(*inputs, reduction=reduction)
        monkeypatch.undo()
        np.testing.assert_allclose(parts[0], whole[0], rtol=1e-14)
        pairs = zip(
            *(x if isinstance(x, tuple) else (x,) for x in (parts[1], whole[1])), strict=True
        )
        for ours, one in pairs:
            np.testing.assert_allclose(ours, one, rtol=1e-14)


def test_arrays_that_do_not_lie_in_one_piece(small_blocks):
    prediction, target, weights = (a.T for a in arrays("huber"))
    strided = np.repeat(prediction, 2, axis=0)[::2]
    value, gradient = LOSSES["huber"].value_and_grad(strided, target, weights=weights)
    expected = LOSSES["huber"].value_and_grad(
        prediction.copy(), target.copy(), weights=weights.copy()
    )
    np.testing.assert_array_equal(value, expected[0])
    np.testing.assert_array_equal(gradient, expected[1])


def test_unreduced_values_are_computed_in_one_piece(small_blocks):
    prediction, target, weights = arrays("huber")
    loss = LOSSES["huber"]
    value, gradient = loss.value_and_grad(prediction, target, weights=weights, reduction="none")
    np.testing.assert_allclose(value, weights * loss.function(prediction, target), rtol=1e-15)
    np.testing.assert_allclose(gradient, weights * loss.gradient(prediction, target), rtol=1e-15)


def test_the_work_is_really_cut_and_shared(small_blocks, monkeypatch):
    with_cores(monkeypatch, 2)
    seen, meet = [], threading.Barrier(2, timeout=10)
    whole = LOSSES["huber"].joint

    def joint(prediction, target, **options):
        seen.append((threading.get_ident(), prediction.shape))
        if len(seen) <= 2:
            meet.wait()  # neither of the first two blocks ends before the other has begun
        return whole(prediction, target, **options)

    monkeypatch.setitem(LOSSES, "huber", type(LOSSES["huber"])(*pair("huber"), joint))
    LOSSES["huber"].value_and_grad(*arrays("huber")[:2])
    assert len({thread for thread, _ in seen}) == 2
    lengths = sorted(shape[0] for _, shape in seen)
    # An even number of blocks, alike but for the last one, so that two threads end together.
    assert len(lengths) == 8
    assert lengths[1] == lengths[-1] <= 12
    assert sum(lengths) == math.prod(SHAPE)


def pair(name):
    return LOSSES[name].function, LOSSES[name].gradient


@pytest.mark.parametrize("cores", [1, 2])
def test_no_thread_warns(cores, small_blocks, monkeypatch):
    with_cores(monkeypatch, cores)
    huge = np.full(100, 1e200)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        value, gradient = LOSSES["exponential"].value_and_grad(-huge, np.ones(100))
        assert value == np.inf
        assert np.all(gradient == -np.inf)
        value, _ = LOSSES["squared_error"].value_and_grad(huge, -huge, reduction="sum")
        assert value == np.inf


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("bad", [0, 50, 99])
def test_an_error_inside_a_block_surfaces(cores, bad, small_blocks, monkeypatch):
    with_cores(monkeypatch, cores)

    def joint(prediction, target, **options):
        if bad in target:
            raise ArithmeticError(f"block of {bad}")
        return regression.huber_value_and_grad(prediction, target, **options)

    monkeypatch.setitem(LOSSES, "huber", type(LOSSES["huber"])(*pair("huber"), joint))
    numbers = np.arange(100.0)
    with pytest.raises(ArithmeticError, match=f"block of {bad}"):
        LOSSES["huber"].value_and_grad(numbers, numbers)
    # And the threads are there for the next call.
    monkeypatch.undo()
    assert LOSSES["huber"].value(numbers, numbers) == 0


def test_what_is_refused_is_refused_before_any_block(small_blocks, monkeypatch):
    bad = np.full(100, 0.5)
    bad[99] = 1.5
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got 1.5"):
        LOSSES["binary_cross_entropy"].value_and_grad(bad, np.ones(100))


def test_a_weight_of_zero_leaves_a_value_out_in_every_block(small_blocks):
    numbers, weights = np.arange(100.0), np.ones(100)
    numbers[[3, 60, 99]], weights[[3, 60, 99]] = (np.nan, np.inf, np.nan), 0
    value, gradient = LOSSES["huber"].value_and_grad(numbers, np.zeros(100), weights=weights)
    left = np.isfinite(numbers)
    expected = LOSSES["huber"].value_and_grad(numbers[left], np.zeros(97))
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient[left], expected[1], rtol=1e-14)
    np.testing.assert_array_equal(gradient[~left], 0)


def test_half_types_are_summed_in_float32(small_blocks):
    ones = np.ones(4096, np.float16)
    # In float16 a sum of ones ends at 2048, where 1 is half of the distance to the next number.
    assert LOSSES["absolute_error"].value(ones, 0 * ones, reduction="sum") == 4096
    assert LOSSES["absolute_error"].value_and_grad(ones, 0 * ones)[0].dtype == np.float16


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_arrays_of_another_library_are_one_block(reduction, small_blocks):
    inputs = example_inputs("huber", size=100)
    strict = [array_api_strict.asarray(array) for array in inputs]
    value, gradient = LOSSES["huber"].value_and_grad(*strict, reduction=reduction)
    expected = LOSSES["huber"].value_and_grad(*inputs, reduction=reduction)
    np.testing.assert_allclose(np.asarray(value), expected[0], rtol=1e-14)
    np.testing.assert_allclose(np.asarray(gradient), expected[1], rtol=1e-14)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system starts every process afresh")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    with_cores(monkeypatch, 2)
    program = (
        "import os, numpy as np; from lossbook import LOSSES, blocks\n"
        "p = np.arange(300_000.0); loss = LOSSES['squared_error']\n"
        "before = loss.value(p, p)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(int(loss.value(p, p + 1) != 1))\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)
