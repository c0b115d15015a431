"""Build the book: `python book/_tools/build.py [--if-stale]`.

The chapters whose outputs are out of date are run first, side by side; those that were run stay,
should the build be stopped or another one fail. Any warning fails the build, broken references
included. After a good build a digest of the inputs is stored beside the pages, so that `--if-stale`
can tell whether they are still current.
"""

import argparse
import os
import subprocess
import sys

from execution import alone, book_notebooks, bring_up_to_date
from inputs import PAGES, ROOT, digest

OPENING_PAGE = ROOT / "_build" / "html" / "index.html"
STAMP = ROOT / "_build" / "inputs.sha256"


def made_from() -> str:
    """What the pages are made from as it is now: files, and the address that buttons lead to."""
    return f"{digest(PAGES)} {os.environ.get('REPOSITORY_URL', '')}".strip()


def is_current() -> bool:
    """Whether the built pages were made from the inputs as they are now."""
    return OPENING_PAGE.exists() and STAMP.exists() and STAMP.read_text() == made_from()


def build() -> int:
    """Run the chapters that are out of date, then make the pages; an exit code is returned."""
    STAMP.unlink(missing_ok=True)
    inputs = made_from()
    if not bring_up_to_date(book_notebooks()):
        return 1
    pages = [sys.executable, str(ROOT / "book" / "_tools" / "pages.py")]
    finished = subprocess.run(pages, check=False)
    if finished.returncode == 0:
        STAMP.write_text(inputs)
    return finished.returncode


def main() -> int:
    """Parse the command line, build where needed, say what to open."""
    parser = argparse.ArgumentParser(description="Build the book into _build/html.")
    parser.add_argument("--if-stale", action="store_true", help="do nothing when it is current")
    arguments = parser.parse_args()
    with alone():
        code = 0 if arguments.if_stale and is_current() else build()
        if code != 0:
            print("The book was not built: see the first warning or error above.", file=sys.stderr)
            return code
    print(f"\nThe book is built. Open this file in a browser:\n    {OPENING_PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
