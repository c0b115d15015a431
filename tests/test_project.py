"""The project around the package: pinned requirements, names of files, commands that can fail."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = (ROOT / "requirements.txt").read_text()


def project_files() -> list[Path]:
    """The files of the project: those git tracks, and new ones it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Requirements


def pins(lines: list[str]) -> set[str]:
    """The `name==version` parts, in the spelling that package indexes use."""
    found = set()
    for line in lines:
        name, version = line.split(";")[0].strip().split("==")
        found.add(f"{re.sub('[-_.]+', '-', name.split('[')[0]).lower()}=={version}")
    return found


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


def test_pins_of_the_project_are_those_of_the_environment():
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    build = PROJECT["build-system"]["requires"]
    assert pins([line for group in [*groups, build] for line in group]) <= pins(requirement_lines())


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
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(path)]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_changed_number_in_a_notebook_fails(tmp_path):
    as_run = run_notebook(tmp_path, "0.30000000000000004\n")
    assert as_run.returncode == 0, as_run.stdout
    changed = run_notebook(tmp_path, "0.30000000000000005\n")
    assert changed.returncode == 1
    assert "1 failed" in changed.stdout
