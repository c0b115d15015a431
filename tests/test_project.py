"""The project around the package: pinned requirements, names of files, commands that can fail."""

import importlib.util
import re
import shutil
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


def load_tool(name: str):
    """A module of book/_tools, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notebooks = load_tool("notebooks")


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


def build_small_book(folder: Path, page: str) -> subprocess.CompletedProcess:
    """Build a book of one page with the settings and extensions of this one."""
    for name in ("_extra", "_static", "_templates", "_tools"):
        shutil.copytree(
            ROOT / "book" / name,
            folder / "book" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (folder / "book" / "references.bib").touch()
    shutil.copy(ROOT / "_config.yml", folder)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (folder / "book" / "index.md").write_text(page)
    command = [sys.executable, str(folder / "book" / "_tools" / "build.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_sound_page_builds(tmp_path):
    built = build_small_book(tmp_path, "(here)=\n# A page\n\nSee {ref}`here`.\n")
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "_build" / "html" / "index.html").exists()


def test_broken_references_fail_the_build(tmp_path):
    built = build_small_book(
        tmp_path,
        "# A page\n\n{ref}`no-label`, {cite:t}`no-source`, {numref}`fig-none`, [no](no-page.md).\n",
    )
    assert built.returncode != 0
    for name in ("no-label", "no-source", "fig-none", "no-page"):
        assert name in built.stderr


def test_a_formula_that_does_not_parse_fails_the_build(tmp_path):
    built = build_small_book(tmp_path, "# A page\n\nHere $\\frac{a$ is.\n")
    assert built.returncode != 0
    assert "index.md" in built.stderr
    assert "frac{a" in built.stderr


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


def test_the_digest_of_inputs_notices_contents_and_names(tmp_path):
    digest = load_tool("inputs").digest
    source = tmp_path / "lossbook" / "losses.py"
    source.parent.mkdir()
    source.write_text("delta = 1.0\n")
    before = digest(["lossbook"], tmp_path)
    (source.parent / "__pycache__").mkdir()
    (source.parent / "__pycache__" / "losses.pyc").write_text("compiled")
    assert digest(["lossbook"], tmp_path) == before
    source.write_text("delta = 2.0\n")
    changed = digest(["lossbook"], tmp_path)
    source.rename(source.with_name("loss.py"))
    assert len({before, changed, digest(["lossbook"], tmp_path)}) == 3


# The committed form of notebooks


@pytest.mark.parametrize("path", notebooks.book_notebooks(), ids=lambda path: path.stem)
def test_notebooks_are_stored_in_the_committed_form(path):
    stored = nbformat.read(path, as_version=4)
    text = nbformat.writes(notebooks.normalised(stored)) + "\n"
    assert path.read_text(encoding="utf-8") == text, "run `make notebooks`"


def raw_notebook() -> nbformat.NotebookNode:
    """A notebook as a run in JupyterLab might leave it."""
    new = nbformat.v4
    figure = new.new_output(
        "display_data",
        data={"image/png": "aGk=", "text/plain": "<Figure size 640x480 with 1 Axes>"},
        metadata={"image/png": {"width": 320}},
    )
    bare_image = new.new_output("display_data", data={"image/png": "aGk="})
    halves = [new.new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    cells = [
        new.new_code_cell("plot()", execution_count=7, outputs=[figure, bare_image, *halves]),
        new.new_code_cell(
            "time()",
            execution_count=8,
            outputs=[new.new_output("stream", name="stdout", text="3 s\n")],
            metadata={"tags": ["nbval-ignore-output"], "execution": {"iopub.execute_input": "now"}},
        ),
        new.new_code_cell(
            "1 / 0",
            execution_count=9,
            outputs=[
                new.new_output(
                    "error",
                    ename="ZeroDivisionError",
                    evalue="division by zero",
                    traceback=["File somewhere/on/this/machine.py"],
                )
            ],
            metadata={"tags": ["raises-exception"]},
        ),
    ]
    return new.new_notebook(
        cells=cells, metadata={"language_info": {"name": "python", "version": "3.11.7"}}
    )


def test_the_committed_form_keeps_text_and_drops_what_differs_between_runs():
    plot, timing, failing = notebooks.normalised(raw_notebook()).cells
    assert [output.get("data") or output["text"] for output in plot.outputs] == [
        {"text/plain": "<Figure size 640x480 with 1 Axes>"},
        "a\nb\n",
    ]
    assert plot.outputs[0].metadata == {}
    assert timing.outputs == []
    assert timing.metadata == {"tags": ["nbval-ignore-output"]}
    assert failing.outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert [cell.execution_count for cell in (plot, timing, failing)] == [1, 2, 3]


def test_the_committed_form_of_the_committed_form_is_itself():
    once = notebooks.normalised(raw_notebook())
    assert nbformat.writes(notebooks.normalised(once)) == nbformat.writes(once)
    assert "version" not in once.metadata.language_info


def test_running_a_notebook_again_changes_nothing(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in ("import sys\nprint(1)", "2 + 2")]
    notebook = notebooks.normalised(
        notebooks.executed(nbformat.v4.new_notebook(cells=cells), tmp_path)
    )
    again = notebooks.normalised(notebooks.executed(notebook, tmp_path))
    assert nbformat.writes(again) == nbformat.writes(notebook)
    assert notebook.cells[1].outputs[0].data["text/plain"] == "4"
