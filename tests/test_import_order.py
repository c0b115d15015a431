"""Imports inside the package run one way, and importing it stays light."""

import ast
import json
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lossbook"

# From the ground up. A module imports from the layers below its own, or from its own layer as long
# as no circle arises.
LAYERS = [
    {"checks", "declaration", "extras", "spaces"},
    {"blocks", "derivation", "numerics", "reduction"},
    {"cards", "losses", "names"},
    {"layers", "loss", "optim"},
    {"data", "display", "gradcheck", "intervals", "metrics", "torch"},
    {"experiments", "train"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
# The formulas are stated twice, independently: neither statement may come from the other.
INDEPENDENT = {("losses", "cards"), ("cards", "losses")}
# Importing the package loads none of these.
HEAVY = {"IPython", "matplotlib", "scipy", "sklearn", "sympy", "torch"}


def part(module: str) -> str:
    """The part of the package a module belongs to: "losses" for lossbook.losses.binary."""
    return module.split(".")[1] if "." in module else ""


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """The modules of this package that `source`, the text of `module`, imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                origin = ".".join([*above, *filter(None, [origin])])
            for alias in node.names:
                # "from lossbook import optim" imports a module, "from lossbook import huber" not.
                is_module = origin == "lossbook" and alias.name in HEIGHT
                found.add(f"lossbook.{alias.name}" if is_module else origin)
    return {name for name in found if name.split(".")[0] == "lossbook"}


def package_modules() -> dict[str, Path]:
    """The modules of the package and their files."""
    return {
        ".".join(("lossbook", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


MODULES = package_modules()


def wrong_imports(module: str, imports: set[str]) -> list[str]:
    """The imports of `module` that point up, at the root or at an independent statement."""
    own = part(module)
    return sorted(
        name
        for name in imports
        if part(name) != own
        and (
            part(name) not in HEIGHT
            or HEIGHT[part(name)] > HEIGHT[own]
            or (own, part(name)) in INDEPENDENT
        )
    )


@pytest.mark.parametrize("module", [name for name in MODULES if name != "lossbook"])
def test_a_module_imports_only_from_below(module):
    assert part(module) in HEIGHT, f"{module} has no layer yet"
    path = MODULES[module]
    imports = imported_modules(path.read_text(), module, path.name == "__init__.py")
    assert wrong_imports(module, imports) == []


def import_graph() -> dict[str, set[str]]:
    """Each part of the package, and the other parts that it imports."""
    graph = {}
    for module, path in MODULES.items():
        if module != "lossbook":
            imports = imported_modules(path.read_text(), module, path.name == "__init__.py")
            graph.setdefault(part(module), set()).update(map(part, imports))
    return {name: targets - {name} for name, targets in graph.items()}


def drawn(graph: dict[str, set[str]]) -> str:
    """A graph of imports as text, a layer a paragraph, the highest first."""
    layers = (sorted(layer & graph.keys()) for layer in reversed(LAYERS))
    return "\n\n".join(
        "\n".join(f"{name:12} -> {', '.join(sorted(graph[name])) or '(nothing)'}" for name in layer)
        for layer in layers
    )


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The parts of a circle in a graph, empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_circle_inside_a_layer():
    graph = import_graph()
    found = circle(graph)
    assert found == [], f"{' <- '.join(found)}\n\n{drawn(graph)}"


def test_a_circle_is_found_and_drawn():
    graph = {"checks": {"spaces"}, "spaces": {"declaration"}, "declaration": {"checks"}}
    assert set(circle(graph)) == graph.keys()
    assert drawn(graph).splitlines() == [
        *[""] * (2 * len(LAYERS) - 2),
        "checks       -> spaces",
        "declaration  -> checks",
        "spaces       -> declaration",
    ]


def test_a_layer_is_no_wish():
    parts = {part(module) for module in MODULES if module != "lossbook"}
    assert HEIGHT.keys() <= parts


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from lossbook import optim", "lossbook.reduction"),
        ("from lossbook import huber", "lossbook.train"),
        ("def f():\n    import lossbook.loss", "lossbook.losses.binary"),
        ("from ..cards import CARDS", "lossbook.losses.binary"),
        ("from .train import main", "lossbook.display"),
        ("from lossbook.losses.regression import huber", "lossbook.cards.regression"),
        ("from lossbook import losses", "lossbook.cards.regression"),
        ("from lossbook.numerics import softmax", "lossbook.spaces"),
    ],
)
def test_the_check_refuses_a_wrong_import(source, module):
    assert wrong_imports(module, imported_modules(source, module, is_package=False)) != []


def test_importing_the_package_is_light():
    program = f"import json, sys, lossbook; print(json.dumps(sorted(sys.modules.keys() & {HEAVY})))"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(finished.stdout) == []
