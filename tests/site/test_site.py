"""The built book in a browser: every page, opened from a web server and as a file."""

import functools
import gzip
import html.parser
import http.server
import re
import threading
import urllib.parse
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
# WCAG 2.2, success criterion 1.4.3: text of ordinary size.
LEAST_CONTRAST = 4.5
# Bytes that a page loads before the reader scrolls, text compressed: all of it, and all but images.
MOST_TRANSFERRED = 400 * 1024
MOST_WITHOUT_IMAGES = 220 * 1024
SOFTMAX = "book/part3/07-softmax-cross-entropy"


def pages_of_toc() -> list[str]:
    """The pages named in the table of contents, without suffix, the opening page first."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


PAGES = pages_of_toc()


def compressed_size(file: Path) -> int:
    """How many bytes a web host sends for a file: images and fonts are compressed already."""
    text = file.suffix in {".html", ".css", ".js", ".svg"}
    return len(gzip.compress(file.read_bytes())) if text else file.stat().st_size


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="session")
def server(book):
    """The address of a local server that shows the book."""
    handler = functools.partial(QuietHandler, directory=str(book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture(params=["http", "file"])
def site(request) -> str:
    """Where the pages are: a server's address, or a file URL."""
    if request.param == "http":
        return request.getfixturevalue("server")
    return request.getfixturevalue("book").as_uri() + "/"


class Visit:
    """One page open in a tab of its own, with what it asked for and what it complained about."""

    def __init__(self, browser, address: str):
        self.requests, self.complaints = [], []
        self.tab = browser.new_page()
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on(
            "console",
            lambda message: (
                message.type in ("error", "warning")
                and self.complaints.append(f"{message.type}: {message.text}")
            ),
        )
        self.tab.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.tab.on(
            "response",
            lambda response: (
                response.status >= 400
                and self.complaints.append(f"{response.status} for {response.url}")
            ),
        )
        self.tab.goto(address, wait_until="load")

    def elsewhere(self, site: str) -> list[str]:
        """What was asked for that is no part of the book."""
        return [url for url in self.requests if not url.startswith((site, "data:", "blob:"))]

    def __enter__(self):
        return self

    def __exit__(self, *_arguments):
        self.tab.close()


# Text of the article that is neither code nor typeset, and how many formulas wait and are set.
MATH = """async () => {
    const article = document.querySelector('article');
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    let text = '';
    while (texts.nextNode())
        if (!texts.currentNode.parentElement.closest('pre, code, script, style, math'))
            text += texts.currentNode.data;
    const formulas = [...article.querySelectorAll('.math')];
    return {
        text,
        formulas: formulas.length,
        typeset: formulas.filter(f => f.querySelector('math annotation')).length,
        invisible: formulas.filter(f => f.checkVisibility() && !f.getBoundingClientRect().width)
            .map(f => f.textContent),
        scripts: typeof MathJax + typeof katex,
        font: (await document.fonts.load('16px "Book Math"')).length,
    };
}"""

# False for what a browser has skipped because it is far from what is seen.
IS_LAID_OUT = "e => e.checkVisibility({contentVisibilityAuto: true})"

# Whether a box can be reached with the keyboard if it scrolls, and not otherwise.
IS_ASKED = "e => e.getAttribute('tabindex') === (e.scrollWidth > e.clientWidth ? '0' : '-1')"

# What is put in the clipboard when a whole element is selected and copied.
COPY = """element => {
    getSelection().selectAllChildren(element);
    const copying = new ClipboardEvent('copy',
        {clipboardData: new DataTransfer(), bubbles: true, cancelable: true});
    document.dispatchEvent(copying);
    return copying.clipboardData.getData('text/plain');
}"""

# The elements that reach beyond the right edge and are in no box that scrolls: what to look at when
# a page scrolls sideways.
TOO_WIDE = """() => [...document.querySelectorAll('main *')]
    .filter(element => {
        if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
        for (let e = element.parentElement; e !== document.body; e = e.parentElement)
            if (getComputedStyle(e).overflowX !== 'visible') return false;
        return true;
    })
    .slice(0, 5).map(e => `<${e.tagName} class="${e.getAttribute('class')}">`)"""

# Contrast (WCAG) between each piece of text of the article and what lies behind it.
CONTRAST = """least => {
    const channels = text => {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        return [...numbers.slice(0, 3), numbers[3] ?? 1];
    };
    const over = ([r, g, b, a], under) =>
        [r, g, b].map((value, i) => value * a + under[i] * (1 - a));
    const backgrounds = new Map([[null, [255, 255, 255]]]);
    const background = element => {
        if (!backgrounds.has(element))
            backgrounds.set(element, over(
                channels(getComputedStyle(element).backgroundColor),
                background(element.parentElement)));
        return backgrounds.get(element);
    };
    const luminance = colour => {
        const [r, g, b] = colour.map(value => {
            const c = value / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const low = [];
    const seen = new Set();
    const texts = document.createTreeWalker(
        document.querySelector('article'), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || seen.has(element)) continue;
        seen.add(element);
        if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        if (element.closest('script, style, annotation, a.headerlink')) continue;
        const behind = background(element);
        const ink = luminance(over(channels(getComputedStyle(element).color), behind));
        const paper = luminance(behind);
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < least)
            low.push(`${ratio.toFixed(2)} <${element.tagName} class="${element.className}"> `
                + texts.currentNode.data.trim().slice(0, 40));
    }
    return {low, paper: luminance(background(document.querySelector('article')))};
}"""


@pytest.mark.parametrize("page", PAGES)
def test_page_in_a_browser(browser, book, page):
    """As a file, without a server: what a reader has who took the book along."""
    with Visit(browser, f"{book.as_uri()}/{page}.html") as visit:
        assert visit.elsewhere(f"{book.as_uri()}/") == []

        math = visit.tab.evaluate(MATH)
        assert math["typeset"] == math["formulas"]
        assert math["invisible"] == []
        assert math["scripts"] == "undefinedundefined"
        assert math["font"] or not math["formulas"]
        assert re.findall(r"\$[^$\n]*\\[a-zA-Z]+[^$\n]*|\\[a-z]+\{[^}]*\}", math["text"]) == []

        without_alt = visit.tab.eval_on_selector_all(
            "article img", "images => images.filter(i => !i.alt.trim()).map(i => i.src)"
        )
        assert without_alt == []

        for theme in ("light", "dark"):
            visit.tab.emulate_media(color_scheme=theme)
            visit.tab.wait_for_selector(f"html[data-theme={theme}]")
            contrast = visit.tab.evaluate(CONTRAST, LEAST_CONTRAST)
            assert (contrast["paper"] < 0.5) == (theme == "dark")
            assert contrast["low"] == []

        visit.tab.set_viewport_size(PHONE)
        width = visit.tab.evaluate("document.scrollingElement.scrollWidth")
        assert width <= PHONE["width"], visit.tab.evaluate(TOO_WIDE)
        assert visit.complaints == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_a_server_transfers_little(browser, server, page):
    with Visit(browser, f"{server}{page}.html") as visit:
        assert visit.elsewhere(server) == []
        assert visit.complaints == []
        files = {HTML / urllib.parse.urlparse(url).path.lstrip("/") for url in visit.requests}
        sizes = {file.relative_to(HTML).as_posix(): compressed_size(file) for file in files}
        assert sum(sizes.values()) <= MOST_TRANSFERRED, sizes
        others = {name: size for name, size in sizes.items() if not name.startswith("_images/")}
        assert sum(others.values()) <= MOST_WITHOUT_IMAGES, others
        assert not any("mathjax" in name or "fontawesome.js" in name for name in sizes)


def test_a_copied_formula_is_its_latex(browser, site):
    with Visit(browser, f"{site}{SOFTMAX}.html") as visit:
        paragraph = visit.tab.locator("article p:has(span.math)").first
        written = paragraph.locator("annotation").all_text_contents()
        copied = paragraph.evaluate(COPY)
        assert [f"${tex}$" for tex in written] == re.findall(r"\$[^$]+\$", copied)
        formula = visit.tab.locator("div.math").first
        tex = formula.locator("annotation").first.text_content()
        assert formula.evaluate(COPY).strip() == f"$${tex}$$"


def test_a_long_formula_breaks_on_a_phone(browser, server):
    with Visit(browser, f"{server}book/part2/04-squared-error.html") as visit:
        formula = visit.tab.locator("div.math", has_text="Var").first
        heights = []
        for size in (DESKTOP, PHONE):
            visit.tab.set_viewport_size(size)
            formula.scroll_into_view_if_needed()
            visit.tab.wait_for_function(
                IS_LAID_OUT, arg=formula.locator("math").first.element_handle()
            )
            heights.append(formula.bounding_box()["height"])
        assert heights[1] > 1.8 * heights[0]


def test_a_page_waits_for_one_style_sheet(browser, server):
    with Visit(browser, f"{server}{SOFTMAX}.html") as visit:
        sheets = [url for url in visit.requests if urllib.parse.urlparse(url).path.endswith(".css")]
        assert len(sheets) == 1
        missing = visit.tab.evaluate(
            "[...document.fonts].filter(f => f.status === 'error').map(f => f.family)"
        )
        assert missing == []


def test_code_that_is_not_marked_has_the_colour_that_its_mark_would_give(book):
    sheet = (book / "_static" / "pygments.css").read_text()
    for theme in ("light", "dark"):
        mode = rf'data-theme="{theme}"\] \.highlight'
        (plain,) = re.findall(mode + r" \{[^}]* color: (#\w+) \}", sheet)
        for token in "npw":
            rules = re.findall(mode + rf" \.{token} \{{ ([^}}]*) \}}", sheet)
            assert rules == [f"color: {plain}"]
        assert re.findall(mode + r" \.k \{ ([^}]*) \}", sheet) != [f"color: {plain}"]
    page = (book / f"{SOFTMAX}.html").read_text()
    assert '<span class="k">' in page
    assert '<span class="n">' not in page


def test_what_is_far_down_is_laid_out_when_a_link_leads_there(browser, site):
    with Visit(browser, f"{site}{SOFTMAX}.html") as visit:
        visit.tab.set_viewport_size(PHONE)
        ids = visit.tab.eval_on_selector_all(
            "section.later:has(> h3)", "found => found.map(e => e.id)"
        )
        assert len(ids) > 10
        for anchor in (ids[0], ids[len(ids) // 2], ids[-2]):
            section = visit.tab.locator(f"[id='{anchor}']")
            within = section.locator("> :not(section, h2, h3, span) > *").first.element_handle()
            assert not within.evaluate(IS_LAID_OUT)
            visit.tab.evaluate("anchor => { location.hash = anchor; }", anchor)
            visit.tab.wait_for_function(IS_LAID_OUT, arg=within)
            visit.tab.wait_for_function(
                "e => Math.abs(e.getBoundingClientRect().top) < 100", arg=section.element_handle()
            )


def test_boxes_that_scroll_are_reached_with_the_keyboard(browser, site):
    with Visit(browser, f"{site}{SOFTMAX}.html") as visit:
        boxes = visit.tab.locator("article .cell_input pre").filter(visible=True)
        found = set()
        for size in (PHONE, DESKTOP):
            visit.tab.set_viewport_size(size)
            for i in range(0, boxes.count(), 5):
                box = boxes.nth(i)
                box.scroll_into_view_if_needed()
                visit.tab.wait_for_function(IS_ASKED, arg=box.element_handle())
                found.add(box.evaluate("e => e.scrollWidth > e.clientWidth"))
        assert found == {True, False}


def test_first_page_leads_into_the_book(browser, site):
    with Visit(browser, f"{site}index.html") as visit:
        visit.tab.wait_for_url(f"{site}{PAGES[0]}.html")
        assert visit.complaints == []


def test_search_finds_a_chapter(browser, site):
    with Visit(browser, f"{site}search.html?q=squared+error") as visit:
        visit.tab.wait_for_selector("#search-results li a")
        assert visit.complaints == []


def test_solutions_are_closed_until_the_reader_opens_them(browser, server, book):
    page = next(page for page in PAGES if 'class="solution' in (book / f"{page}.html").read_text())
    with Visit(browser, f"{server}{page}.html") as visit:
        solution = visit.tab.locator("div.solution").first
        content = solution.locator("section").first
        assert not content.is_visible()
        solution.locator("button.toggle-button").first.click()
        assert content.is_visible()


def test_every_page_is_in_the_table_of_contents(book):
    built = {file.relative_to(book).with_suffix("").as_posix() for file in book.rglob("*.html")}
    templates = {page for page in built if page.startswith("_static/")}
    assert built - templates == {*PAGES, "index", "search"}


def test_the_index_names_a_thing_once(book):
    page = BeautifulSoup((book / "book" / "back" / "index.html").read_text(), "html.parser")
    names = [
        item.find("p").get_text().partition(",")[0].casefold()
        for item in page.select("ul.book-index > li")
    ]
    assert len(names) > 80
    assert len(names) == len(set(names))


class Anchors(html.parser.HTMLParser):
    """What a page can be linked at, and where its own links lead."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("id"):
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


def test_internal_links_lead_somewhere(book):
    anchors = {
        (book / f"{page}.html").resolve(): Anchors((book / f"{page}.html").read_text())
        for page in PAGES
    }
    assert sum(len(found.links) for found in anchors.values()) > 3000
    broken = []
    for file, found in anchors.items():
        for link in found.links:
            target, _, anchor = link.partition("#")
            if urllib.parse.urlparse(target).scheme:
                continue
            there = (file.parent / urllib.parse.unquote(target)).resolve() if target else file
            if not there.exists() or (
                anchor and there in anchors and anchor not in anchors[there].ids
            ):
                broken.append(f"{file.relative_to(HTML)}: {link}")
    assert broken == []
