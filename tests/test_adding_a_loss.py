"""A loss is added by its functions, its card and its case, each in one file, and by nothing else.

A made-up loss is written into a copy of the project. It must then be found wherever losses are, and
the tests of the copy must pass it; and they must say what is missing where one part is left out.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BATTERY = [
    "test_losses.py",
    "test_losses_input.py",
    "test_loss.py",
    "test_cards.py",
    "test_conventions.py",
]

FUNCTIONS = '''

__all__ += ["quartic_error", "quartic_error_grad"]


@takes(REAL, REAL, scale=POSITIVE)
def quartic_error(prediction, target, /, *, scale=1.0):
    r"""Quartic error, :math:`(p - t)^4 / (4 c)`.

    Parameters
    ----------
    scale : float > 0, the divisor :math:`c`
    """
    return (prediction - target) ** 4 / 4 / scale


@takes(REAL, REAL, scale=POSITIVE)
def quartic_error_grad(prediction, target, /, *, scale=1.0):
    r"""Gradient of :func:`quartic_error`, :math:`(p - t)^3 / c`."""
    return (prediction - target) ** 3 / scale


def quartic_error_value_and_grad(prediction, target, /, *, scale=1.0):
    residual = prediction - target
    return residual**4 / 4 / scale, residual**3 / scale
'''

CARD = """

c = sp.Symbol("c", positive=True)
CARDS["quartic_error"] = Card(
    title="Quartic error",
    chapter=4,
    symbolic=Symbolic(
        p,
        t,
        _r**4 / (4 * c),
        _r**3 / c,
        hyperparameters={"scale": c},
        domain=_REAL | {c: _POSITIVE},
    ),
    minimiser="The $p$ at which cubed residuals sum to 0.",
    noise_model="Density proportional to $e^{-r^4 / (4 c)}$.",
    convexity="Strictly convex in the prediction.",
    lipschitz="Not Lipschitz, and neither is the gradient.",
    kinks="None.",
    stable_form="The residual is taken first.",
    failure="One far outlier decides everything.",
    conventions=(
        formula("PyTorch", "(p - t) ** 4 / (4 * scale)"),
        formula("Keras", "(p - t) ** 4 / (4 * scale)"),
        formula("scikit-learn", "-", note="No metric or estimator offers it."),
        formula("optax", "(p - t) ** 4 / (4 * scale)"),
    ),
)
"""

CASE = """

CASES["quartic_error"] = Case(
    value=lambda p, t, scale: [(p - t) ** 4 / (4 * scale)],
    gradient=lambda p, t, scale: [[(p - t) ** 3 / scale]],
    measures=("exact", "exact"),
    torch=built(lambda p, t, scale: (p - t) ** 4 / (4 * scale)),
    moderate={"scale": 2.0},
    further=(),
    special=lambda scale: (residuals(),),
    at_infinity=((INF, 0.0, INF, INF), (-INF, 0.0, INF, -INF)),
    kinks=(),
    ends=(),
    convex=True,
    minimum=Minimum(root_of_mean(lambda r: r**3), SEEN, ALIKE, {}),
    lipschitz=Lipschitz({}, None, None),
    density=lambda: (P, T, -((P - T) ** 4) / 4),
    by_lead=None,
)

from cases.claims import STABLE, both, failure_of

STABLE["quartic_error"] = (lambda p, t: (p**2 - 2 * p * t + t**2) ** 2 / 4, [(1e9 + 1, 1e9)])


@failure_of("quartic_error")
def one_outlier_decides():
    _, pulls = both("quartic_error", np.zeros(100), np.append(np.ones(99), -1000.0))
    assert abs(pulls[-1]) > 1000 * abs(pulls[:-1].sum())
"""

PARTS = {
    "functions": ("lossbook/losses/regression.py", FUNCTIONS),
    "card": ("lossbook/cards/regression.py", CARD),
    "case": ("tests/cases/regression.py", CASE),
}

LOOK = """
import numpy as np
import lossbook, lossbook.display, lossbook.torch
from lossbook import LOSSES, quartic_error, quartic_error_grad
from lossbook.cards import CARDS
from lossbook.gradcheck import check_gradient

print(lossbook.__file__)
assert quartic_error(np.array([2.0]), np.array([0.0])) == 4.0
assert quartic_error_grad(np.array([2.0]), np.array([0.0])) == 8.0
assert {"quartic_error", "quartic_error_grad"} <= set(lossbook.__all__)
assert LOSSES["quartic_error"].joint is not None
assert LOSSES["quartic_error"].card is CARDS["quartic_error"]
atlas = lossbook.display.atlas_markdown({4: "the chapter on squares"})
assert "(loss-quartic-error)=" in atlas
assert "quartic_error(prediction, target, /, *, scale=1.0)`, derived in the chapter on s" in atlas
assert "**Quartic error**, in this book" in lossbook.display.rosetta("regression").text
assert "**Quartic error**" in lossbook.display.loss_card("quartic_error").text
assert check_gradient("quartic_error").passed
assert repr(lossbook.torch.as_torch("quartic_error", scale=3.0)).startswith("Criterion(quartic")
"""


@pytest.fixture
def copied(tmp_path):
    """Copies the project, with these parts of the made-up loss written into it."""

    def copy(*parts):
        generated = shutil.ignore_patterns("__pycache__")
        for folder in ("lossbook", "tests"):
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=generated)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        for part in parts:
            name, text = PARTS[part]
            with (tmp_path / name).open("a") as file:
                file.write(text)
        return tmp_path

    return copy


def run(root, *arguments):
    """Run Python on the copy: whether it succeeded, and what it said."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return finished.returncode == 0, finished.stdout


def run_battery(root, *files):
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "quartic_error"]
    return run(root, "-m", "pytest", *options, *(f"tests/{file}" for file in files))


def test_functions_a_card_and_a_case_are_all_it_takes(copied):
    root = copied("functions", "card", "case")
    found, said = run(root, "-c", LOOK)
    assert found, said
    assert said.strip() == str(root / "lossbook" / "__init__.py")
    passed, said = run_battery(root, *BATTERY)
    assert passed, said


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            ("functions", "card"),
            "quartic_error has no case: what the tests must know of it belongs in "
            "tests/cases/regression.py",
        ),
        (
            ("functions", "case"),
            "quartic_error has no card: what is said of it belongs in lossbook/cards/regression.py",
        ),
    ],
)
def test_what_is_left_out_is_said(copied, parts, says):
    passed, said = run_battery(copied(*parts), "test_losses.py", "test_cards.py")
    assert not passed
    assert says in said, said


def test_a_card_or_a_case_of_no_loss_is_refused(copied):
    tests = [
        "tests/test_cards.py::test_every_card_is_that_of_a_loss",
        "tests/test_losses.py::test_every_case_is_that_of_a_loss",
    ]
    options = ["-q", "-p", "no:cacheprovider"]
    passed, said = run(copied("card", "case"), "-m", "pytest", *options, *tests)
    assert not passed
    assert "2 failed" in said
    # Once for each; where the whole report is shown, as in CI, once more in its summary.
    assert said.count("assert ['quartic_error'] == []") >= 2, said
