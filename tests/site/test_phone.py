"""The built pages on a telephone: all is seen, or the page says that there is more to the side."""

import io
import itertools
import json
import re
import urllib.parse
from pathlib import Path

import pytest
from PIL import Image

from lossbook.display import NARROW_INCHES, NARROW_PIXELS

BOOK = Path(__file__).resolve().parents[2] / "book"
WINDOWS = {
    "telephone": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 900},
}
# Smaller text is not read on a telephone.
LEAST_TEXT_PIXELS = 9
# The largest figure, of twenty translucent curves, is just below at 42,900.
MOST_IMAGE_BYTES = 44_000

# Everything the tests ask of a page, with all that can be opened open and all images loaded.
SURVEY = """async () => {
    const article = document.querySelector('article');
    article.querySelectorAll('details').forEach(e => { e.open = true; });
    article.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
    const images = [...article.querySelectorAll('img')];
    const attributes = images.map(image => ({
        alt: image.alt,
        loading: image.getAttribute('loading'),
        decoding: image.getAttribute('decoding'),
        sized: image.hasAttribute('width') && image.hasAttribute('height'),
    }));
    images.forEach(image => { image.loading = 'eager'; });
    await Promise.all(images.map(image => image.decode()));
    const sees = e => e.checkVisibility() && e.getBoundingClientRect().width > 0;
    const name = e => `<${e.tagName} class="${e.getAttribute('class')}"> `
        + e.textContent.trim().slice(0, 60);
    const style = e => getComputedStyle(e);
    // The parts of formulas are most of a page; each formula scrolls or is cut as a whole.
    const elements = [...article.querySelectorAll(':not(math *)')];
    const opaque = e => /^rgb\\(|^color\\((?!.*\\/)/.test(style(e).backgroundColor);
    const scrolls = elements.filter(e => sees(e)
        && ['auto', 'scroll'].includes(style(e).overflowX)
        && e.scrollWidth > e.clientWidth + 1);
    return {
        width: document.scrollingElement.scrollWidth,
        images: images.map((image, i) => ({
            ...attributes[i],
            file: image.currentSrc,
            natural: image.naturalWidth,
            shown: image.getBoundingClientRect().width,
        })),
        hintless: scrolls.filter(e => style(e).maskImage === 'none' && (
            (style(e).backgroundAttachment.match(/scroll/g) || []).length < 2
            // What would cover the shadow, which lies behind.
            || [...e.querySelectorAll('tr, td')].some(opaque))).map(name),
        scrolls: scrolls.length,
        cut: elements.filter(e => sees(e)
            && !e.closest('math, .headerlink, .sd-d-none, button, svg')
            && ['hidden', 'clip'].includes(style(e).overflowX)
            && e.scrollWidth > e.clientWidth + 1).map(name),
        derivations: [...article.querySelectorAll('table')]
            .filter(table => table.querySelector('th')?.textContent.trim() === 'Expression')
            .map(table => ({
                names: [...table.querySelectorAll('th')].map(e => e.textContent.trim()),
                sticksOut: table.scrollWidth > table.parentElement.clientWidth + 1,
                rows: [...table.querySelectorAll('tbody tr')].map(row =>
                    [...row.cells].map(cell => cell.innerText.trim())),
            })),
        headings: Object.fromEntries(['h1', 'h2', 'h3'].map(level => {
            const heading = article.querySelector(level);
            return [level, heading && [parseFloat(style(heading).fontSize),
                parseInt(style(heading).fontWeight)]];
        })),
    };
}"""


@pytest.fixture(scope="session")
def surveys(book, browser) -> dict:
    """What each window shows of each page."""
    found = {window: {} for window in WINDOWS}
    for file in sorted((book / "book").rglob("*.html")):
        page = file.relative_to(book / "book").with_suffix("").as_posix()
        tab = browser.new_page()
        tab.goto(file.as_uri(), wait_until="load")
        tab.add_style_tag(content="* { content-visibility: visible !important; }")
        for window, size in WINDOWS.items():
            tab.set_viewport_size(size)
            tab.wait_for_function(f"innerWidth === {size['width']}")
            found[window][page] = tab.evaluate(SURVEY)
        tab.close()
    return found


@pytest.fixture(params=WINDOWS)
def pages(request, surveys) -> dict:
    """The surveys of all pages in one window."""
    return surveys[request.param]


@pytest.fixture
def telephone(surveys) -> dict:
    """The surveys of all pages on a telephone."""
    return surveys["telephone"]


def all_images(pages: dict) -> list:
    """Each image with the page it is on."""
    return [(page, image) for page, survey in pages.items() for image in survey["images"]]


def test_images_say_what_they_are_before_they_are_loaded(telephone):
    images = all_images(telephone)
    assert len(images) > 60
    assert [page for page, image in images if not (image["alt"].strip() and image["sized"])] == []
    assert {image["decoding"] for _, image in images} == {"async"}
    for survey in telephone.values():
        # The first one may be in view.
        assert [
            image["loading"] for image in survey["images"][1:] if image["loading"] != "lazy"
        ] == []


def test_images_are_small_files(pages):
    large = {}
    for page, image in all_images(pages):
        file = Path(urllib.parse.unquote(urllib.parse.urlparse(image["file"]).path))
        if file.stat().st_size > MOST_IMAGE_BYTES:
            large[page, file.name] = file.stat().st_size
    assert large == {}


def test_images_are_not_finer_than_a_fine_screen_shows(pages):
    # Half a pixel of CSS is lost to rounding.
    too_fine = [
        (page, image["natural"], image["shown"])
        for page, image in all_images(pages)
        if image["natural"] > 2 * (image["shown"] + 0.5)
    ]
    assert too_fine == []


def test_text_in_figures_is_read_on_a_telephone(telephone):
    # No figure is shown smaller than it was drawn, so that a point has as many pixels everywhere.
    assert max(image["natural"] / image["shown"] for _, image in all_images(telephone)) < 2.01
    least_points = min(
        float(size)
        for notebook in BOOK.rglob("[!.]*.ipynb")
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        for size in re.findall(r"fontsize=([\d.]+)", "".join(cell["source"]))
    )
    assert least_points * NARROW_PIXELS / (72 * NARROW_INCHES) >= LEAST_TEXT_PIXELS


def test_pages_do_not_scroll_sideways(telephone):
    wide = WINDOWS["telephone"]["width"]
    assert {page: s["width"] for page, s in telephone.items() if s["width"] > wide} == {}


def test_what_scrolls_shows_that_there_is_more(pages):
    assert sum(survey["scrolls"] for survey in pages.values()) > 0
    assert {page: s["hintless"] for page, s in pages.items() if s["hintless"]} == {}


def test_nothing_is_cut(pages):
    assert {page: survey["cut"] for page, survey in pages.items() if survey["cut"]} == {}


def test_lines_of_a_derivation_keep_the_names_of_their_parts(telephone):
    derivations = [
        (page, derivation) for page, s in telephone.items() for derivation in s["derivations"]
    ]
    assert len(derivations) > 100
    for page, derivation in derivations:
        assert not derivation["sticksOut"], page
        for row in derivation["rows"]:
            for name, text in zip(derivation["names"][1:], row[1:], strict=True):
                assert not text or re.match(rf"{name}\s+\S", text), (page, text)


def test_names_of_parts_are_said_once_on_a_wide_screen(surveys):
    rows = [
        row
        for survey in surveys["desktop"].values()
        for derivation in survey["derivations"]
        for row in derivation["rows"]
    ]
    assert rows
    assert [row for row in rows if row[1].startswith("Because")] == []


def test_headings_grow_lighter_with_their_level(pages):
    for page, survey in pages.items():
        shown = [heading for heading in survey["headings"].values() if heading]
        for (size, weight), (next_size, next_weight) in itertools.pairwise(shown):
            assert size > next_size, page
            assert weight >= next_weight, page
        if survey["headings"]["h3"]:
            assert survey["headings"]["h2"][1] > survey["headings"]["h3"][1], page


def test_the_shadow_is_seen_until_the_end_is_reached(browser, book):
    """Where code scrolls, its right edge is darker before than after it is scrolled to the end."""
    tab = browser.new_page()
    tab.set_viewport_size(WINDOWS["telephone"])
    tab.goto((book / "book" / "part2" / "04-squared-error.html").as_uri(), wait_until="load")
    code = tab.locator("article .cell_input pre").filter(visible=True)
    scrolling = next(
        code.nth(i)
        for i in range(code.count())
        if code.nth(i).evaluate("e => e.scrollWidth > e.clientWidth + 50")
    )
    scrolling.scroll_into_view_if_needed()
    assert darkness_at_the_right(scrolling) > 10
    scrolling.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    assert darkness_at_the_right(scrolling) < 5
    tab.close()


def darkness_at_the_right(element) -> float:
    """How much darker the last pixels of the lowest line, which are blank, are than the paper."""
    shot = Image.open(io.BytesIO(element.screenshot())).convert("L")
    middle, right = shot.width // 2, shot.width - 3
    y = shot.height - 5
    return shot.getpixel((middle, y)) - shot.getpixel((right, y))
