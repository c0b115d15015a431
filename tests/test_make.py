"""What `make book` does before there is an environment: a Python is chosen, and a try can fail.

A shell script stands for Python and pip, so that nothing is installed.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A Python which notes what it is asked for. `$UNUSABLE` names those that the book is not for;
# `$AT_VENV` and `$AT_PIP` are what becomes of a new environment and of an installation.
PYTHON = """#!/bin/sh
name=$(cat "$0.name" 2>/dev/null || basename "$0")
echo "$name $*" >> calls
case "$1 $2" in
    -c*) case " $UNUSABLE " in *" $name "*) exit 1 ;; esac; echo "$0" ;;
    "-m venv")
        mkdir -p "$3/bin"
        $AT_VENV
        cp "$0" "$3/bin/python"
        echo "$name" > "$3/bin/python.name" ;;
    "-m pip") [ "$3" = --version ] || $AT_PIP ;;
esac
"""
NAMES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python")
# As if the power had failed: of the process group that make was started in, nothing goes on.
CUT_OFF = "kill -KILL 0"


@pytest.fixture
def folder(tmp_path):
    """A folder with the Makefile and what it depends on, and stand-ins for every Python."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for name in NAMES:
        stand_in = tmp_path / "bin" / name
        stand_in.write_text(PYTHON)
        stand_in.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, unusable=(), venv=":", pip=":"):
    """Run `make book`; returns how it ended, and what the Pythons were asked for."""
    (folder / "calls").write_text("")
    finished = subprocess.run(
        ["make", "book", *arguments],
        cwd=folder,
        env={
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "UNUSABLE": " ".join(unusable),
            "AT_VENV": venv,
            "AT_PIP": pip,
        },
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    return finished, (folder / "calls").read_text().splitlines()


def made_with(calls: list[str]) -> list[str]:
    """The Pythons that made an environment."""
    return [call.split()[0] for call in calls if " -m venv " in call]


def installations(calls: list[str]) -> int:
    return sum("-m pip install" in call for call in calls)


@pytest.mark.parametrize(
    ("unusable", "chosen"),
    [
        ([], "python3"),
        (["python3"], "python3.14"),
        (["python3", "python3.14"], "python3.13"),
        (["python3", "python3.14", "python3.13", "python3.12"], "python3.11"),
        (NAMES[:-1], "python"),
    ],
)
def test_python3_is_taken_if_it_can_be_and_else_the_newest(folder, unusable, chosen):
    finished, calls = make(folder, unusable=unusable)
    assert finished.returncode == 0, finished.stderr
    assert made_with(calls) == [chosen]
    assert calls[-1] == f"{chosen} book/_tools/build.py"


@pytest.mark.parametrize(
    ("arguments", "unusable"), [([], NAMES), (["PYTHON=bin/python3.12"], ["python3.12"])]
)
def test_without_a_python_it_says_so_in_a_line_and_leaves_nothing(folder, arguments, unusable):
    finished, calls = make(folder, *arguments, unusable=unusable)
    assert finished.returncode == 2
    said, by_make = finished.stderr.splitlines()
    assert said.startswith("This book needs Python 3.11, 3.12, 3.13 or 3.14")
    assert by_make.startswith("make: ***")
    assert not (folder / ".venv").exists()
    finished, calls = make(folder)
    assert (finished.returncode, installations(calls)) == (0, 2)


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 11), (3, 14), (3, 15), (4, 0)])
def test_which_versions_the_book_is_for(version):
    program = (ROOT / "Makefile").read_text().split("USABLE := ")[1].split("\n# ")[0]
    program = " ".join(program.replace("\\\n", " ").split())
    assert program.startswith("import ensurepip, sys; ")

    class FakeSystem:
        version_info = (*version, 0)
        _base_executable = "here"
        exit = staticmethod(lambda code: (_ for _ in ()).throw(SystemExit(code)))

    for_it = (3, 11) <= version <= (3, 14)
    try:
        exec(program.partition("; ")[2], {"sys": FakeSystem})
    except SystemExit:
        assert not for_it
    else:
        assert for_it


def test_what_is_installed_is_not_installed_again_until_the_pins_change(folder):
    assert installations(make(folder)[1]) == 2
    assert make(folder)[1] == ["python3 book/_tools/build.py"]
    later = (folder / ".venv" / "installed").stat().st_mtime + 1
    os.utime(folder / "requirements.txt", (later, later))
    _, calls = make(folder)
    assert (made_with(calls), installations(calls)) == ([], 2)


@pytest.mark.parametrize("part", ["venv", "pip"])
@pytest.mark.parametrize("cut", [CUT_OFF, "exit 1"])
def test_after_a_try_that_failed_the_next_one_works(folder, part, cut):
    finished, calls = make(folder, **{part: cut})
    if cut == CUT_OFF:
        assert finished.returncode == -signal.SIGKILL
    else:
        said, _ = finished.stderr.splitlines()
        assert said.endswith("The next try starts afresh.")
        assert "see above" in said
    assert not (folder / ".venv" / "installed").exists()
    (folder / ".venv" / "half-made").touch()
    finished, calls = make(folder)
    assert finished.returncode == 0, finished.stderr
    assert (made_with(calls), installations(calls)) == (["python3"], 2)
    assert not (folder / ".venv" / "half-made").exists()
    assert make(folder)[1] == ["python3 book/_tools/build.py"]


def test_a_full_disk_is_named(folder):
    df = folder / "bin" / "df"
    df.write_text("#!/bin/sh\necho Filesystem Blocks Used Free\necho disk 9000000 8900000 100000\n")
    df.chmod(0o755)
    finished, _ = make(folder, pip="exit 1")
    said, _ = finished.stderr.splitlines()
    assert "the disk is full, with 97 MB left" in said


def test_an_upgrade_that_was_cut_off_is_not_taken_for_whole(folder):
    make(folder)
    later = (folder / ".venv" / "installed").stat().st_mtime + 1
    os.utime(folder / "requirements.txt", (later, later))
    make(folder, pip=CUT_OFF)
    _, calls = make(folder)
    assert (made_with(calls), installations(calls)) == (["python3"], 2)


def test_an_environment_whose_python_is_gone_is_made_anew(folder):
    make(folder)
    (folder / ".venv" / "bin" / "python").unlink()
    (folder / ".venv" / "installed").unlink()
    _, calls = make(folder)
    assert (made_with(calls), installations(calls)) == (["python3"], 2)
