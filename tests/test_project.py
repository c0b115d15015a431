"""The project around the package: pinned requirements, names of files, commands that can fail."""

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = (ROOT / "requirements.txt").read_text()


def project_files() -> list[Path]:
    """The files of the project: those git tracks, and new ones it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Requirements


def requirement_lines() -> list[str]:
    return [line for line in REQUIREMENTS.splitlines() if line and not line.startswith("#")]


def problems_of_requirements(lines: list[str]) -> list[str]:
    """The lines that are not a plain pin, with or without an environment marker."""
    plain = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+( ; [^/@+]+)?")
    return [line for line in lines if not plain.fullmatch(line)]


def test_requirements_are_plain_pins():
    assert problems_of_requirements(requirement_lines()) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch==2.13.0+cpu",
        "torch @ file:///wheels/torch.whl",
        "--index-url https://example.org/simple",
        "-e .",
        "numpy>=2",
        "numpy",
    ],
)
def test_the_check_refuses_what_is_no_plain_pin(line):
    assert problems_of_requirements([line]) == [line]


def test_requirements_leave_torch_gpu_packages_to_pip():
    assert not re.search(r"^(nvidia|triton|cuda)", REQUIREMENTS, re.MULTILINE)


def environments() -> dict[str, dict[str, str]]:
    """Each Python and system that the book is for, as environment markers see it."""
    systems = {
        "Linux": ("linux", "posix", "x86_64"),
        "Darwin": ("darwin", "posix", "arm64"),
        "Windows": ("win32", "nt", "AMD64"),
    }
    names = ("sys_platform", "os_name", "platform_machine")
    return {
        f"{python} on {system}": {
            "python_version": ".".join(python.split(".")[:2]),
            "python_full_version": python,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_system": system,
            **dict(zip(names, values, strict=True)),
        }
        # Twice 3.11, whose fifth release is the first that the newer of two pins is for.
        for python in ("3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0")
        for system, values in systems.items()
    }


ENVIRONMENTS = environments()
in_each_environment = pytest.mark.parametrize(
    "environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS
)


def applies(requirement: Requirement, environment: dict[str, str], extras: set[str] = frozenset()):
    """Whether a requirement holds in an environment, for a package taken with these extras."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate(environment | {"extra": extra}) for extra in extras or {""}
    )


def pinned(lines: list[str], environment: dict[str, str]) -> dict[str, str]:
    """The version that each package has in an environment; two of them are an error."""
    versions = {}
    for requirement in map(Requirement, lines):
        if applies(requirement, environment):
            (pin,) = requirement.specifier
            assert requirement.name not in versions, f"{requirement.name} is pinned twice"
            versions[requirement.name] = pin.version
    return versions


def required(project: dict) -> list[Requirement]:
    """What a pyproject.toml asks for: the package, all of its extras, and what builds it."""
    extras = project["project"]["optional-dependencies"].values()
    groups = [project["project"]["dependencies"], *extras, project["build-system"]["requires"]]
    every = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in every if requirement.name != "lossbook"]


def unmet(requirements: list[Requirement], versions: dict[str, str]) -> list[str]:
    """The requirements whose package is not pinned, or not to a version that they allow."""
    return [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0.dev0"), prereleases=True
        )
        or canonicalize_name(requirement.name) not in versions
    ]


@in_each_environment
def test_the_pins_are_what_the_project_asks_for(environment):
    assert unmet(required(PROJECT), pinned(requirement_lines(), environment)) == []


def test_a_pin_outside_its_range_and_a_missing_one_are_found():
    asked = [Requirement("numpy>=2.1,<3"), Requirement("Scikit_Learn>=1.9")]
    assert unmet(asked, {"numpy": "2.4.6", "scikit-learn": "1.9.1"}) == []
    assert len(unmet(asked, {"numpy": "3.0", "scikit-learn": "1.8"})) == 2
    assert len(unmet(asked, {})) == 2


def test_a_package_pinned_twice_in_one_environment_is_found():
    lines = ["numpy==2.4.6", "numpy==2.5.5 ; python_version >= '3.12'"]
    assert pinned(lines, ENVIRONMENTS["3.11.9 on Linux"]) == {"numpy": "2.4.6"}
    with pytest.raises(AssertionError, match="numpy is pinned twice"):
        pinned(lines, ENVIRONMENTS["3.12.0 on Linux"])


@dataclass(frozen=True)
class Copy:
    """What the installed copy of a package says of itself."""

    version: str
    pythons: SpecifierSet
    requirements: tuple[Requirement, ...]


@cache
def installed(name: str) -> Copy | None:
    """The installed copy of a package, or None."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return Copy(
        Version(distribution.version).public,
        SpecifierSet(distribution.metadata.get("Requires-Python", "")),
        tuple(map(Requirement, distribution.requires or [])),
    )


def needed(environment: dict[str, str], versions: dict[str, str]) -> set[str]:
    """The packages that the project needs in an environment, through all the packages it needs.

    What a package asks for is read from its installed copy; a pin it does not allow is an error.
    """
    left_to_pip = set(PROJECT["tool"]["uv"]["exclude-dependencies"])
    here = pinned(requirement_lines(), default_environment())
    found, waiting = {}, required(PROJECT)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in left_to_pip:
            continue
        assert unmet([requirement], versions) == []
        extras = found.get(name, set()) | requirement.extras
        if name in found and extras == found[name]:
            continue
        found[name] = extras
        copy = installed(name)
        assert copy or name not in here, f"{name} is pinned for this environment: install it"
        if copy and copy.version == versions[name]:
            assert environment["python_full_version"] in copy.pythons, f"{name}: {copy.pythons}"
            waiting += [each for each in copy.requirements if applies(each, environment, extras)]
    return set(found)


def test_the_pins_resolve_everywhere_and_none_is_left_over():
    found = set()
    for environment in ENVIRONMENTS.values():
        found |= needed(environment, pinned(requirement_lines(), environment))
    assert {Requirement(line).name for line in requirement_lines()} - found == set()


def test_the_head_of_the_requirements_says_how_they_are_made():
    lowest = re.match(r">=([\d.]+),", PROJECT["project"]["requires-python"]).group(1)
    command = f"uv pip compile --universal --python-version {lowest} --all-extras --no-annotate"
    assert f"#    {command} pyproject.toml -o requirements.txt\n" in REQUIREMENTS


def test_the_project_is_for_the_pythons_that_the_pins_are_for():
    pythons = SpecifierSet(PROJECT["project"]["requires-python"])
    assert all(each["python_full_version"] in pythons for each in ENVIRONMENTS.values())
    assert not {"3.10.99", "3.15.0"} & set(pythons.filter(["3.10.99", "3.15.0"]))


# Files and names


def test_no_file_names_a_path_of_a_machine():
    machine = re.compile(r"(?<![\w.])/(home|Users|root|work)/\w|[A-Z]:\\\\?Users")
    found = []
    for file in project_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {hit.group()}" for hit in machine.finditer(text)]
    assert found == []


def test_test_files_have_names_of_their_own_and_no_packages():
    files = [file for file in project_files() if file.is_relative_to(ROOT / "tests")]
    names = Counter(file.name for file in files if file.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
    assert [file for file in files if file.name == "__init__.py"] == []
    # A folder tests/torch would shadow the package torch.
    assert not (ROOT / "tests" / "torch").exists()


def toc_entries() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def test_every_page_of_the_book_is_in_the_table_of_contents():
    pages = {
        file.relative_to(ROOT).with_suffix("").as_posix()
        for file in project_files()
        if file.is_relative_to(ROOT / "book") and file.suffix in (".md", ".ipynb")
    }
    assert pages == set(toc_entries())


def test_chapters_are_notebooks_named_by_their_number():
    chapters = [entry for entry in toc_entries() if re.match(r"book/part\d", entry)]
    assert chapters
    numbers = []
    for entry in chapters:
        match = re.fullmatch(r"book/part[1-5]/(\d\d)-[a-z0-9]+(-[a-z0-9]+)*", entry)
        assert match, f"{entry} is not named partN/NN-slug"
        assert (ROOT / f"{entry}.ipynb").exists()
        numbers.append(int(match.group(1)))
    assert numbers == sorted(set(numbers))


# Commands that can fail


def run_notebook(folder: Path, printed: str) -> subprocess.CompletedProcess:
    """Test a notebook whose stored output is `printed`, as `make test` tests those of the book."""
    cell = nbformat.v4.new_code_cell("print(0.1 + 0.2)", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
    path = folder / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    # Loaded before nbval, which starts faster then.
    command += ["-p", "light"]
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(path)]
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "book" / "_tools")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_changed_number_in_a_notebook_fails(tmp_path):
    as_run = run_notebook(tmp_path, "0.30000000000000004\n")
    assert as_run.returncode == 0, as_run.stdout
    changed = run_notebook(tmp_path, "0.30000000000000005\n")
    assert changed.returncode == 1
    assert "1 failed" in changed.stdout
