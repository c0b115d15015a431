"""Sphinx extension: a page loads what it uses.

Extensions and the theme add their scripts and styles to every page. Here a page keeps those whose
mark it carries, the font of icons keeps the icons of the book, and the style sheets keep the rules
that speak of a class or an id that some page or script names. What is left of a page's style sheets
is one file: a browser shows nothing before it has them all.
"""

import hashlib
import html
import os
import re
import textwrap
from pathlib import Path

import tinycss2
from docutils import nodes
from sphinx.application import Sphinx
from subsets import save_subset

# What a page must contain for a script or a style sheet to be of use there.
MARKS = {
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "copybutton.css": 'class="highlight',
    "togglebutton.js": 'class="[^"]*(toggle|dropdown admonition)',
    "togglebutton.css": 'class="[^"]*(toggle|dropdown admonition)',
    "exercise.css": 'class="[^"]*(exercise|solution)',
    "sphinx-design.min.css": 'class="[^"]*sd-',
    "design-tabs.js": 'class="[^"]*sd-tab-set',
    "math.css": "<math",
    "copy-math.js": "<math",
}
# Scripts within the page that set the variables of a script.
VARIABLES = {"toggle": "togglebutton.js"}
# Names, punctuation and spaces in code have the colour of code: a page has ten thousand of them.
PLAIN_TOKENS = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')
DESCRIPTION = 160  # characters: as much as a search engine shows
ICONS = "vendor/fontawesome/webfonts"
SHEET = (
    r'<link rel="stylesheet"[^>]*? href="(?P<file>[^":?]+\.css)[^"]*"'
    r'(?: data-of="(?P<joined>[^"]*)")?[^>]*>'
)


def is_used(asset, page: str) -> bool:
    """Whether a page needs a script or a style sheet; what is unknown is needed."""
    name = str(asset.filename or "").rpartition("/")[2]
    body = asset.attributes.get("body") or ""
    for word, script in VARIABLES.items():
        if body.partition("=")[0].partition(word)[1]:
            name = script
    return re.search(MARKS.get(name, ""), page) is not None


def keep_what_is_used(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Drop the scripts and styles a page has no use for; the others wait for the page."""
    page = context.get("body", "")
    for kind in ("css_files", "script_files"):
        context[kind] = [asset for asset in context[kind] if is_used(asset, page)]
    for script in context["script_files"]:
        # Pages share these objects. Scripts of the search page itself use the others at once.
        script.attributes.pop("defer", None)
        at_once = str(script.filename).endswith("documentation_options.js") or pagename == "search"
        if script.filename and not at_once:
            script.attributes["defer"] = "defer"


def unwrap_plain_tokens(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Leave those parts of the code unmarked that look the same without a mark."""
    if "body" in context:
        context["body"] = PLAIN_TOKENS.sub(r"\1", context["body"])


def describe(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Say in a page's head what it is about, for those who search: its first sentences."""
    paragraph = next(doctree.findall(nodes.paragraph), None) if doctree is not None else None
    if paragraph is not None:
        text = html.escape(textwrap.shorten(paragraph.astext(), DESCRIPTION, placeholder=" …"))
        context["metatags"] += f'\n<meta name="description" content="{text}">'


def names_in(selector: list) -> set[str]:
    """The classes and ids a selector asks for; what stands in `:not(…)` is not asked for."""
    names, dot = set(), False
    for token in selector:
        if token.type == "hash" or (token.type == "ident" and dot):
            names.add(token.value)
        dot = token == "."
    return names


def pruned(rules: list, words: set[str]) -> list:
    """The rules of a style sheet that can apply to a page of which these are the words."""
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors, current = [], []
            for token in rule.prelude:
                if token == ",":
                    selectors.append(current)
                    current = []
                else:
                    current.append(token)
            selectors = [s for s in [*selectors, current] if names_in(s) <= words]
            if not selectors:
                continue
            rule.prelude = [
                t for s in selectors for t in [tinycss2.ast.LiteralToken(0, 0, ","), *s]
            ][1:]
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            rule.content = pruned(inner, words)
            if not rule.content:
                continue
        kept.append(rule)
    return kept


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Cut the style sheets and the font of icons down to what the built pages use."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    texts = [
        file.read_text(encoding="utf-8")
        for pattern in ("*.html", "*.js")
        for file in Path(app.outdir).rglob(pattern)
        if file.name not in ("fontawesome.js", "searchindex.js")
    ]
    words = {word for text in texts for word in re.findall(r"[\w-]+", text)}
    theme = Path(app.outdir) / "_static" / "styles" / "pydata-sphinx-theme.css"
    icons = set()
    for sheet in static.rglob("*.css"):
        rules = tinycss2.parse_stylesheet(
            sheet.read_text(encoding="utf-8"), skip_comments=True, skip_whitespace=True
        )
        css = "".join(rule.serialize() for rule in pruned(rules, words))
        if sheet == theme:
            icons.update(re.findall(r'\.fa-[^{}]*:before\s*\{\s*content:\s*"([^"\\])"', css))
            icons.update(
                chr(int(code, 16)) for code in re.findall(r'content:\s*"\\([0-9a-f]+)\s?"', css)
            )
        sheet.write_text(css, encoding="utf-8")
    save_subset(static / ICONS / "fa-solid-900.ttf", icons, static / ICONS / "fa-solid-900.woff2")
    for unused in [*static.rglob("*.map"), static / "scripts" / "fontawesome.js"]:
        unused.unlink(missing_ok=True)


def whole(sheet: Path, folder: Path) -> str:
    """The rules of a style sheet and of those it imports, for a file in `folder`."""

    def address(match: re.Match) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f'url("{relative(sheet.parent / target, folder)}")'

    def imported(match: re.Match) -> str:
        return whole(sheet.parent / match["target"], folder)

    css = sheet.read_text(encoding="utf-8").removeprefix('@charset "UTF-8";')
    css = re.sub(r"""url\((["']?)(?P<target>[^"')]+)\1\)""", address, css)
    return re.sub(r'@import "(?P<target>[^"]+)";', imported, css)


def relative(file: Path, folder: Path) -> str:
    """The address of a file for a page or a style sheet in `folder`."""
    return Path(os.path.relpath(file, folder)).as_posix()


def join_sheets(app: Sphinx, exception: Exception | None) -> None:
    """Make one style sheet of those a page has; pages that have the same ones share it."""
    if exception is not None or app.builder.format != "html":
        return
    static, kept = Path(app.outdir) / "_static", set()
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        links = list(re.finditer(SHEET, text))
        if not links:
            continue
        # A page that was not written again since the last build has one link, which says of what.
        names = " ".join(link["joined"] or link["file"] for link in links)
        css = "\n".join(whole(page.parent / name, static) for name in names.split())
        joined = static / f"styles-{hashlib.sha256(css.encode()).hexdigest()[:12]}.css"
        joined.write_text(css, encoding="utf-8")
        kept.add(joined)
        link = f'<link rel="stylesheet" href="{relative(joined, page.parent)}" data-of="{names}" />'
        first, last = links[0].start(), links[-1].end()
        between = re.sub(SHEET, "", text[first:last]).strip()
        page.write_text(text[:first] + link + between + text[last:], encoding="utf-8")
    for old in set(static.glob("styles-*.css")) - kept:
        old.unlink()


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    # Later than the extensions that add to a page, and than the font of icons is copied.
    app.connect("html-page-context", keep_what_is_used, priority=900)
    app.connect("html-page-context", unwrap_plain_tokens)
    app.connect("html-page-context", describe)
    app.connect("build-finished", lighten, priority=900)
    app.connect("build-finished", join_sheets, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
