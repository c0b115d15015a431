"""Building the book: which chapters are run again, side by side, and what a failure leaves."""

import copy
import os
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "book" / "_tools"
SOUND = "(here)=\n# A page\n\nSee {ref}`here`.\n"


# The tools are no package, and import each other by their names.
sys.path.insert(0, str(TOOLS))
execution, inputs, notebooks, reach = map(
    import_module, ("execution", "inputs", "notebooks", "reach")
)


# Which chapters are stale

MODULES = {
    "__init__": "from lossbook.losses import *\nfrom lossbook.loss import LOSSES",
    "losses/__init__": "from .binary import focal",
    "losses/binary": "from lossbook import numerics",
    "numerics": "",
    "loss": "def card():\n    import lossbook.cards",
    "cards/__init__": "",
    "display": "",
    "optim": "from lossbook.numerics import clip",
    "train/__init__": "from lossbook.train.step import step",
    "train/step": "from .. import optim",
    "train/__main__": "",
    "experiments": "",
}
CHAPTERS = {
    "sums": "print(1 + 1)",
    "display": "%matplotlib inline\nfrom lossbook import display",
    "optim": "import lossbook.optim",
    "train": "try:\n    from lossbook.train import step\nexcept ImportError:\n    raise",
    "study": "from lossbook.experiments import load\nload('cnn')",
}


def chapter(*cells: str, prose: str = "# A chapter") -> nbformat.NotebookNode:
    """A notebook of these cells."""
    new = nbformat.v4
    return new.new_notebook(
        cells=[new.new_markdown_cell(prose), *(new.new_code_cell(cell) for cell in cells)],
        metadata=notebooks.NOTEBOOK_METADATA,
    )


def keys(folder: Path) -> dict[str, str]:
    """The key of each chapter in the small project in `folder`."""

    reach.imports_of.cache_clear()
    return {
        name: reach.key(chapter("import json", cell), folder) for name, cell in CHAPTERS.items()
    }


@pytest.fixture
def project(tmp_path) -> Path:
    """A package and stored results in a folder of their own."""
    for name, text in MODULES.items():
        file = (tmp_path / "lossbook" / name).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    results = tmp_path / "book" / "results"
    results.mkdir(parents=True)
    for study in ("cnn", "cnn_wide"):
        (results / f"{study}.json").write_text("{}")
    (tmp_path / "requirements.txt").write_text("numpy==1.0\n")
    return tmp_path


USE_PACKAGE = CHAPTERS.keys() - {"sums"}


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("lossbook/__init__.py", USE_PACKAGE),
        ("lossbook/losses/__init__.py", USE_PACKAGE),
        ("lossbook/losses/binary.py", USE_PACKAGE),
        ("lossbook/numerics.py", USE_PACKAGE),
        ("lossbook/loss.py", USE_PACKAGE),
        ("lossbook/cards/__init__.py", USE_PACKAGE),
        ("lossbook/display.py", {"display"}),
        ("lossbook/optim.py", {"optim", "train"}),
        ("lossbook/train/step.py", {"train"}),
        ("lossbook/train/__init__.py", {"train"}),
        ("lossbook/train/__main__.py", set()),
        ("lossbook/experiments.py", {"study"}),
        ("book/results/cnn.json", {"study"}),
        ("book/results/cnn_wide.json", set()),
        ("requirements.txt", set()),
    ],
)
def test_an_edit_makes_the_chapters_stale_that_reach_it(project, edited, stale):
    before = keys(project)
    with (project / edited).open("a") as file:
        file.write("# edited\n")
    after = keys(project)
    assert {name for name in CHAPTERS if after[name] != before[name]} == stale


def test_cells_and_their_tags_count_and_prose_does_not(project):

    plain = reach.key(chapter("1 / 1"), project)
    tagged = chapter("1 / 1")
    tagged.cells[1].metadata["tags"] = ["raises-exception"]
    assert reach.key(chapter("1 / 1", prose="Other prose."), project) == plain
    assert len({plain, reach.key(tagged, project), reach.key(chapter("1 / 2"), project)}) == 3


def test_an_installed_version_makes_every_chapter_stale(project, monkeypatch):

    before = keys(project)
    found = reach.environment(project)
    monkeypatch.setattr(reach, "environment", lambda root: (*found, "torch==9"))
    after = keys(project)
    assert all(after[name] != before[name] for name in CHAPTERS)


def test_the_environment_is_what_is_installed_of_the_requirements(project):
    import numpy

    python, *packages = reach.environment(project)
    assert python == ".".join(map(str, sys.version_info[:3]))
    assert packages == [f"numpy=={numpy.__version__}"]


def test_which_mnist_there_is_counts_for_chapters_that_may_load_it(project, monkeypatch):

    mnist = project / reach.MNIST
    mnist.parent.mkdir()
    mnist.write_text("")
    (mnist.parent / "__init__.py").write_text("from lossbook.data.mnist import load_mnist\n")
    loads, other = chapter("from lossbook.data import load_mnist"), chapter("import lossbook")
    found = []
    for source in ("full", "sample"):
        monkeypatch.setattr(reach, "mnist_source", lambda source=source: source)
        found.append((reach.key(loads, project), reach.key(other, project)))
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]


def test_a_cell_that_is_no_python_is_passed_over(project):

    found = reach.files_reached(chapter("1 +", "!ls\nfrom lossbook import display"), project)
    assert "lossbook/display.py" in found


def test_chapters_of_the_book_reach_what_they_import():
    """The reach found in the text covers what a run of the imports loads."""

    notebook = nbformat.read(execution.BOOK / "part5" / "19-cnn-mnist.ipynb", as_version=4)
    names = set().union(*(reach.imported_names(cell.source) for cell in reach.code_cells(notebook)))

    modules = sorted(name for name in names if reach.module_file(name, ROOT))
    program = (
        f"import sys\nfor name in {modules}:\n    __import__(name)\n"
        "for name, module in sys.modules.items():\n"
        "    if name.split('.')[0] == 'lossbook':\n        print(module.__file__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    loaded = {Path(line).relative_to(ROOT).as_posix() for line in ran.stdout.split()}
    assert {"lossbook/experiments/cnn_mnist.py", "lossbook/losses/binary.py"} <= loaded
    assert loaded <= set(reach.files_reached(notebook))


# Small books, built


def small_book(folder: Path, chapters: dict[str, nbformat.NotebookNode], page: str = SOUND) -> Path:
    """A book of one page and these chapters, with the settings and extensions of this one."""
    for name in ("_extra", "_static", "_templates", "_tools"):
        shutil.copytree(
            ROOT / "book" / name,
            folder / "book" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (folder / "book" / "references.bib").touch()
    for name in ("_config.yml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    toc = "format: jb-book\nroot: book/index\n"
    if chapters:
        toc += "chapters:\n" + "".join(f"  - file: book/{name}\n" for name in chapters)
    (folder / "_toc.yml").write_text(toc)
    (folder / "book" / "index.md").write_text(page)
    for name, notebook in chapters.items():
        nbformat.write(notebook, folder / "book" / f"{name}.ipynb")
    return folder


def command(folder: Path, tool: str) -> list[str]:
    return [sys.executable, str(folder / "book" / "_tools" / tool)]


def start(folder: Path, tool: str = "build.py") -> subprocess.CompletedProcess:
    """Build the book, or with notebooks.py run its chapters alone, which takes less time."""
    return subprocess.run(command(folder, tool), capture_output=True, text=True, check=False)


def chapters_run(built: subprocess.CompletedProcess) -> set[str]:
    """The chapters that a build ran to their end or not."""
    lines = built.stdout.splitlines()
    return {line.removesuffix(": runs") for line in lines if line.endswith(": runs")}


def test_broken_references_fail_the_build(tmp_path):
    page = (
        "# A page\n\n{ref}`no-label`, {cite:t}`no-source`, {numref}`fig-none`, [no](no-page.md).\n"
    )
    built = start(small_book(tmp_path, {}, page))
    assert built.returncode != 0
    for name in ("no-label", "no-source", "fig-none", "no-page"):
        assert name in built.stderr


def test_a_formula_that_does_not_parse_fails_the_build(tmp_path):
    built = start(small_book(tmp_path, {}, "# A page\n\nHere $\\frac{a$ is.\n"))
    assert built.returncode != 0
    assert "index.md" in built.stderr
    assert "frac{a" in built.stderr


def test_edits_run_and_show_what_they_concern(tmp_path):
    """Prose runs nothing, a cell its own chapter; both appear on their pages."""
    book = small_book(tmp_path, {"one": chapter("print(6 * 7)"), "two": chapter("print(2 * 3)")})
    built = start(book)
    assert built.returncode == 0, built.stderr
    assert chapters_run(built) == {"one", "two"}
    # The sound page, which the tests above spoil in one way each.
    assert (book / "_build" / "html" / "index.html").exists()

    nbformat.write(chapter("print(6 * 7)", prose="# Other prose"), book / "book" / "one.ipynb")
    nbformat.write(chapter("print(20 * 30)"), book / "book" / "two.ipynb")
    built = start(book)
    assert built.returncode == 0, built.stderr
    assert chapters_run(built) == {"two"}
    pages = (book / "_build" / "html" / "book" / f"{name}.html" for name in ("one", "two"))
    one, two = (page.read_text() for page in pages)
    assert "Other prose" in one
    assert ">42\n<" in one
    assert ">600\n<" in two


def test_a_failure_names_the_chapter_and_the_cell_and_keeps_the_others(tmp_path):
    failing = chapter("total = 0", "1 / total")
    book = small_book(tmp_path, {"bad": failing, "good": chapter("print('good')")})
    built = start(book)
    assert built.returncode == 1
    assert "book/bad.ipynb, cell 3 of 3" in built.stderr
    assert "1 / total" in built.stderr
    assert "ZeroDivisionError" in built.stderr
    assert not (book / "_build" / "html").exists()

    nbformat.write(chapter("total = 1", "1 / total"), book / "book" / "bad.ipynb")
    again = start(book, "notebooks.py")
    assert again.returncode == 0, again.stderr
    assert chapters_run(again) == {"bad"}


@pytest.fixture
def heeds_ctrl_c():
    """Ctrl-C interrupts; processes in the background ignore it, and so do their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that ends a group of processes")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, how, heeds_ctrl_c):
    waits = "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.1)"
    book = small_book(tmp_path, {"slow": chapter(waits), "swift": chapter("print('done')")})
    kept = book / "_build" / "executed" / "book" / "swift.ipynb"
    with subprocess.Popen(
        command(book, "notebooks.py"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as running:
        for line in running.stdout:
            if line.startswith("swift: ") and "runs" not in line:
                break
        os.killpg(running.pid, getattr(signal, how))
        assert running.wait() != 0
    assert kept.exists()
    assert not kept.with_stem("slow").exists()

    (book / "book" / "go").touch()
    again = start(book, "notebooks.py")
    assert again.returncode == 0, again.stderr
    assert chapters_run(again) == {"slow"}


def test_side_by_side_and_one_by_one_give_the_same_outputs(tmp_path, monkeypatch):

    cells = (
        "import os\nimport numpy as np\nprint(os.environ['OMP_NUM_THREADS'])",
        ("np.random.default_rng({}).normal(size=9) @ np.ones(9)"),
    )
    monkeypatch.setattr(execution, "BOOK", tmp_path)
    monkeypatch.setattr(execution, "ROOT", tmp_path)
    paths = [tmp_path / f"{seed}.ipynb" for seed in range(3)]
    for seed, path in enumerate(paths):
        nbformat.write(chapter(cells[0], cells[1].format(seed)), path)
    outputs = []
    for kernels in (1, 3):
        monkeypatch.setattr(execution, "KERNELS", kernels)
        monkeypatch.setattr(execution, "EXECUTED", tmp_path / f"at-once-{kernels}")
        assert execution.bring_up_to_date(paths)
        ran = [reach.code_cells(execution.stored(path)) for path in paths]
        outputs.append([[cell.outputs for cell in chapter] for chapter in ran])
    assert outputs[0] == outputs[1]
    assert outputs[0][0] != outputs[0][1]
    assert outputs[0][0][0][0]["text"] == "1\n"


def test_pages_are_made_from_the_runs_that_were_tested(tmp_path):
    """A notebook of which each cell has passed is not run again; any other one is."""
    shown = (
        "import os, sys\nprint('out')",
        "print('err', file=sys.stderr)",
        "os.environ['LOSSBOOK_NARROW_TOO'], os.environ['OMP_NUM_THREADS']",
        "from IPython.display import Markdown, display\ndisplay(Markdown('*a*'))",
    )
    sound, wrong = chapter(*shown), chapter("print(1 + 1)")
    execution.execute(sound, tmp_path)
    wrong.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="3\n")]
    chapters = {"sound": sound, "partly": sound, "wrong": wrong}
    book = small_book(tmp_path, chapters)
    shutil.copy(ROOT / "book" / "conftest.py", book / "book")
    # Loaded before nbval, which starts faster then.
    settings = ("-p", "light", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider")
    files = ("book/sound.ipynb", "book/wrong.ipynb", "book/partly.ipynb::Cell 0")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *files],
        cwd=book,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(TOOLS)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 5 passed" in tested.stdout, tested.stdout

    ran = start(book, "notebooks.py")
    assert ran.returncode == 0, ran.stderr
    assert chapters_run(ran) == {"wrong", "partly"}
    sound, partly = (
        nbformat.read(book / "_build" / "executed" / "book" / f"{name}.ipynb", as_version=4)
        for name in ("sound", "partly")
    )
    assert [cell.outputs for cell in sound.cells[1:]] == [cell.outputs for cell in partly.cells[1:]]
    assert [cell.execution_count for cell in sound.cells[1:]] == [1, 2, 3, 4]


def test_the_digest_of_inputs_notices_contents_and_names(tmp_path):

    source = tmp_path / "lossbook" / "losses.py"
    source.parent.mkdir()
    source.write_text("delta = 1.0\n")
    before = inputs.digest(["lossbook"], tmp_path)
    (source.parent / "__pycache__").mkdir()
    (source.parent / "__pycache__" / "losses.pyc").write_text("compiled")
    assert inputs.digest(["lossbook"], tmp_path) == before
    source.write_text("delta = 2.0\n")
    changed = inputs.digest(["lossbook"], tmp_path)
    source.rename(source.with_name("loss.py"))
    assert len({before, changed, inputs.digest(["lossbook"], tmp_path)}) == 3


# The committed form of notebooks


@pytest.mark.parametrize("path", execution.book_notebooks(), ids=lambda path: path.stem)
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
    notebook = nbformat.v4.new_notebook(cells=cells)
    execution.execute(notebook, tmp_path)
    notebook = notebooks.normalised(notebook)
    again = copy.deepcopy(notebook)
    execution.execute(again, tmp_path)
    again = notebooks.normalised(again)
    assert nbformat.writes(again) == nbformat.writes(notebook)
    assert notebook.cells[1].outputs[0].data["text/plain"] == "4"
