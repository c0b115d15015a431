"""Measure the built pages with Lighthouse: `python book/_tools/lighthouse.py [PAGE …]`.

The pages are served compressed, as web hosts do, and opened as on a phone. Lighthouse is fetched by
npx, which comes with Node.js; Chromium or Chrome must be installed. With --least it is an error
when a page scores less than that in any category.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from compressed import serve
from inputs import ROOT

LIGHTHOUSE = "lighthouse@12.8.2"
HTML = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")


def all_pages() -> list[str]:
    """The pages of the book, as _toc.yml names them."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def measure(address: str, browser: str) -> tuple[list[int], float]:
    """The scores of a page, out of 100, and how many KB it transfers."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *("npx", "--yes", LIGHTHOUSE, address, "--quiet"),
            *("--output=json", f"--output-path={report}"),
            f"--only-categories={','.join(CATEGORIES)}",
            "--chrome-flags=--headless=new --no-sandbox",
        ]
        environment = {**os.environ, "CHROME_PATH": browser}
        finished = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if not report.exists():
            raise SystemExit(f"Lighthouse gave no report for {address}:\n{finished.stderr}")
        found = json.loads(report.read_text(encoding="utf-8"))
    scores = [round(100 * (found["categories"][name]["score"] or 0)) for name in CATEGORIES]
    requests = found["audits"]["network-requests"]["details"]["items"]
    return scores, sum(request.get("transferSize", 0) for request in requests) / 1024


def main() -> int:
    """Parse the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description="Measure the built pages with Lighthouse.")
    parser.add_argument("pages", nargs="*", help="as in _toc.yml; all of them if none is named")
    parser.add_argument("--runs", type=int, default=1, help="the median of so many runs is shown")
    parser.add_argument("--least", type=int, default=0, help="the score every page must reach")
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if shutil.which("npx") is None or browser is None:
        print("Lighthouse needs Node.js (npx) and Chromium: install them first.", file=sys.stderr)
        return 1
    low = []
    print(f"{'performance':>11} {'accessible':>11} {'practices':>11} {'SEO':>11} {'KB':>7}  page")
    with serve(HTML) as site:
        for page in arguments.pages or all_pages():
            runs = [measure(f"{site}{page}.html", browser) for _ in range(arguments.runs)]
            scores, size = sorted(runs)[len(runs) // 2]
            print(*(f"{score:>11}" for score in scores), f"{size:7.0f}", f" {page}", flush=True)
            if min(scores) < arguments.least:
                low.append(page)
    if low:
        print(f"Below {arguments.least}: {', '.join(low)}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
