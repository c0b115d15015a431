"""The built book and a browser, which all tests of the site share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built pages; built here when they are missing or stale."""
    command = [sys.executable, str(ROOT / "book" / "_tools" / "build.py"), "--if-stale"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"the book does not build:\n{built.stderr}"
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window. Without one the tests are skipped, but never where CI=true."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = "no Chromium: install chromium, or Google Chrome, to run the tests of the site"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        # One context for all tabs: what every page loads is loaded once.
        yield chromium.new_context(viewport=DESKTOP, color_scheme="light")
        chromium.close()
