"""Sphinx extension: formulas become MathML when the book is built.

KaTeX, run here rather than in the reader's browser, turns LaTeX into MathML, which browsers lay
out and screen readers read. What browsers leave out of MathML is put in terms of what they do:
alphabets become characters, the columns of tables become styles, and a long formula becomes
several that stand side by side, so that a line can end between them.
"""

import functools
import html
import importlib.util
import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from subsets import save_subset

logger = logging.getLogger(__name__)

STYLES = "math.css"
FONT = "math.woff2"  # math.css names the same file
COPYING = "copy-math.js"
# A formula with fewer characters than this stays on one line.
LONG = 16
# One with more characters than this, between two places to break, may be wider than a phone.
WIDE = 24

RELATIONS = set("=≠<>≤≥≈∝∼≃≡→←⟶⟵↦⇒⇐⇔⟺⟹∈")
SIGNS = set("+−±-")
OPENING, CLOSING = set("([{⟨⌊⌈"), set(")]}⟩⌋⌉")
ROWS = {"mrow", "mstyle", "mtd"}
BARS = {"∥", "∣", "|"}
APPLICATION = "\N{FUNCTION APPLICATION}"
PRIMES = {"′′": "″", "′′′": "‴"}
TALL = {"mfrac", "msqrt", "mroot", "mtable", "munder", "mover", "munderover"}
# Accents as combining marks have no place of their own in some fonts: these have.
ACCENTS = {"~": "˜", "^": "ˆ", "ˉ": "¯"}
# Names of the alphabets, as MathML calls them and as Unicode does.
ALPHABETS = {
    "bold": "MATHEMATICAL BOLD",
    "italic": "MATHEMATICAL ITALIC",
    "bold-italic": "MATHEMATICAL BOLD ITALIC",
    "double-struck": "MATHEMATICAL DOUBLE-STRUCK",
    "script": "MATHEMATICAL SCRIPT",
    "fraktur": "MATHEMATICAL FRAKTUR",
    "sans-serif": "MATHEMATICAL SANS-SERIF",
    "monospace": "MATHEMATICAL MONOSPACE",
}


@functools.cache
def katex() -> MiniRacer:
    """A JavaScript engine that holds KaTeX."""
    package = importlib.util.find_spec("sphinxcontrib.katex")
    engine = MiniRacer()
    engine.eval((Path(package.origin).parent / "katex.min.js").read_text(encoding="utf-8"))
    return engine


def in_alphabet(character: str, alphabet: str) -> str:
    """A letter or digit in another alphabet; 𝔼 for E in double-struck."""
    kinds = {"Lu": "CAPITAL ", "Ll": "SMALL ", "Nd": "DIGIT "}
    kind = kinds.get(unicodedata.category(character))
    if kind is None:
        return character
    letter = unicodedata.name(character).rpartition("LETTER ")[2].removeprefix("DIGIT ")
    prefixes = (alphabet, alphabet.removeprefix("MATHEMATICAL "), "BLACK-LETTER")
    for prefix in prefixes:
        try:
            return unicodedata.lookup(f"{prefix} {kind}{letter}")
        except KeyError:
            continue
    return character


def spell_alphabets(tree: ElementTree.Element) -> None:
    """Write letters of other alphabets as the characters Unicode has for them."""
    for leaf in tree.iter():
        variant = leaf.get("mathvariant")
        if variant in ALPHABETS:
            del leaf.attrib["mathvariant"]
            leaf.text = "".join(in_alphabet(c, ALPHABETS[variant]) for c in leaf.text)
        elif variant == "normal" and len(leaf.text) > 1:
            del leaf.attrib["mathvariant"]


def align_tables(tree: ElementTree.Element) -> None:
    """Say as styles of the cells what KaTeX says as attributes of their table."""
    for table in tree.iter("mtable"):
        sides = table.attrib.pop("columnalign", "center").split()
        gaps = table.attrib.pop("columnspacing", "1em").split()
        row_gap = table.attrib.pop("rowspacing", "0.16em").split()[0]
        for row in table.iter("mtr"):
            for column, cell in enumerate(row.findall("mtd")):
                gap = gaps[min(column - 1, len(gaps) - 1)] if column else "0"
                side = sides[min(column, len(sides) - 1)]
                cell.set(
                    "style",
                    f"text-align:{side};padding:calc({row_gap}/2) 0 calc({row_gap}/2) {gap}",
                )


def stand_alone_accents(tree: ElementTree.Element) -> None:
    """Use the accents that fonts draw at their height, as wide as they are drawn."""
    for over in tree.iter("mover"):
        if over.get("accent") == "true" and over[1].text in ACCENTS:
            over[1].text = ACCENTS[over[1].text]
            over[1].attrib.setdefault("stretchy", "false")


def join_upright_letters(tree: ElementTree.Element) -> None:
    """Make one name of the letters of a row that are all upright."""
    for row in list(tree.iter("mrow")):
        letters = list(row)
        if len(letters) > 1 and all(e.get("mathvariant") == "normal" for e in letters):
            row[:] = []
            ElementTree.SubElement(row, "mi").text = "".join(e.text for e in letters)


def is_name(element: ElementTree.Element) -> bool:
    """Whether this is the name of a function, with or without an index."""
    name = core(element)
    name = name[0] if name.tag == "mrow" and len(name) else name
    return name.tag == "mi" and length(name) > 1


def space_names(tree: ElementTree.Element) -> None:
    """Leave a thin space around the name of a function, but not where an operator stands."""
    for row in (e for e in tree.iter() if e.tag in ROWS):
        for place, element in reversed(list(enumerate(row[:-1]))):
            if element.tag not in ("mo", "mspace") and is_name(row[place + 1]):
                row.insert(place + 1, ElementTree.Element("mspace", width="0.1667em"))
        for place, element in reversed(list(enumerate(row[:-1]))):
            # The name may carry an index, and is then the row that the index is attached to.
            name = core(element)
            last = name[-1] if name is not element and len(name) else name
            if last.text == APPLICATION:
                argument = core(row[place + 1])
                first = argument[0] if argument.tag == "mrow" and len(argument) else argument
                if first.text is None or first.text not in OPENING | BARS:
                    row.insert(place + 1, ElementTree.Element("mspace", width="0.1667em"))


def tell_signs(tree: ElementTree.Element) -> None:
    """A sign after an operator or an opening bracket is that of a number: -1, not 2 - 1."""
    for row in (e for e in tree.iter() if e.tag in ROWS):
        before = ""
        for element in row:
            symbol = core(element).text if core(element).tag == "mo" else None
            if symbol in SIGNS and before is not None and before not in CLOSING | BARS | {"!"}:
                element.set("form", "prefix")
            if element.tag != "mspace":
                before = symbol


def quiet_bars(tree: ElementTree.Element) -> None:
    """Bars around a value stand close to it, and primes close to their function."""
    for operator in tree.iter("mo"):
        if operator.text in BARS and operator.get("stretchy") == "false":
            operator.set("lspace", "0")
            operator.set("rspace", "0")
    for row in tree.iter("mrow"):
        if len(row) > 1 and all(e.text == "′" for e in row):
            primes = "′" * len(row)
            row[:] = []
            ElementTree.SubElement(row, "mo").text = PRIMES.get(primes, primes)


def pad_labels(tree: ElementTree.Element) -> None:
    """The label of an arrow has room on both sides: browsers know no relative widths."""
    for padded in tree.iter("mpadded"):
        if padded.get("width", "").startswith("+"):
            margin = padded.get("lspace", "0")
            padded.tag, padded.attrib = "mrow", {}
            padded.insert(0, ElementTree.Element("mspace", width=margin))
            padded.append(ElementTree.Element("mspace", width=margin))


def shrink_brackets(tree: ElementTree.Element) -> None:
    """Brackets around what is one line high are not stretched."""
    for row in tree.iter("mrow"):
        fences = [e for e in row if e.get("fence") == "true"]
        if fences and not any(e.tag in TALL for e in row.iter()):
            for fence in fences:
                fence.set("stretchy", "false")


def length(tree: ElementTree.Element) -> int:
    """How many characters a formula has, which is roughly how wide it is."""
    if tree.tag == "mfrac":
        return max(map(length, tree))
    if tree.tag in ("annotation", "mspace"):
        return 0
    return len((tree.text or "").strip()) + sum(map(length, tree))


def core(element: ElementTree.Element) -> ElementTree.Element:
    """What an index is attached to: the bracket of a bracket with an exponent."""
    while element.tag in ("msub", "msup", "msubsup", "mover", "munder", "munderover"):
        element = element[0]
    return element


def pieces(row: list[ElementTree.Element]) -> list[list[ElementTree.Element]]:
    """The parts of a row between which a line may end: before relations and signs."""
    found, depth, bars = [[]], 0, 0
    for element in row:
        inner = core(element)
        symbol = inner.text if inner.tag == "mo" else None
        if symbol in CLOSING:
            depth -= 1
        if symbol in BARS and inner.get("stretchy") == "false":
            bars = 1 - bars
        outside = depth == 0 and bars == 0 and found[-1]
        is_binary = symbol in SIGNS and element.get("form") != "prefix"
        after_gap = found[-1] and found[-1][-1].get("width") in ("1em", "2em")
        if outside and (symbol in RELATIONS or is_binary or after_gap):
            if inner is element and symbol is not None:
                # At the start of a row a sign would otherwise be one of a number: -1.
                element.set("form", "infix")
            found.append([])
        found[-1].append(element)
        if symbol in OPENING:
            depth += 1
    return found


def top_row(tree: ElementTree.Element) -> tuple[ElementTree.Element, list]:
    """The row a formula is, and the elements around it that only set its style."""
    styles = []
    while len(tree) == 1 and tree[0].tag in ("mrow", "mstyle") and tree[0].get("fence") is None:
        if tree[0].tag == "mstyle":
            styles.append(tree[0].attrib)
        tree = tree[0]
    return tree, styles


@functools.cache
def mathml(tex: str, display: bool) -> str:
    """A formula as one or more `math` elements; the first one holds the LaTeX."""
    options = {"output": "mathml", "displayMode": display, "throwOnError": True, "strict": "error"}
    rendered = katex().eval(f"katex.renderToString({json.dumps(tex)}, {json.dumps(options)})")
    inside = rendered.removeprefix('<span class="katex">').removesuffix("</span>")
    tree = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", inside))
    semantics = tree.find("semantics")
    semantics.remove(semantics.find("annotation"))
    join_upright_letters(semantics)
    spell_alphabets(semantics)
    align_tables(semantics)
    stand_alone_accents(semantics)
    space_names(semantics)
    tell_signs(semantics)
    quiet_bars(semantics)
    pad_labels(semantics)
    shrink_brackets(semantics)
    row, styles = top_row(semantics)
    parts = pieces(list(row)) if length(row) >= LONG else [list(row)]
    written = []
    for part in parts:
        content = ElementTree.Element("mrow")
        content.extend(part)
        for style in reversed(styles):
            styled = ElementTree.Element("mstyle", style)
            styled.append(content)
            content = styled
        if not written:
            whole = ElementTree.Element("semantics")
            whole.append(content)
            annotation = ElementTree.SubElement(whole, "annotation", encoding="application/x-tex")
            annotation.text = tex.strip()
            content = whole
        math = ElementTree.Element("math", {"display": "block"} if display else {})
        if length(content) > WIDE:
            math.set("class", "wide")
        math.append(content)
        written.append(ElementTree.tostring(math, encoding="unicode", short_empty_elements=False))
    return "".join(written)


def typeset(tex: str, node: nodes.Node, display: bool) -> str:
    """The MathML of a formula; what KaTeX cannot read fails the build."""
    try:
        return mathml(tex, display)
    except JSEvalException as problem:
        reason = next(line for line in str(problem).splitlines() if "Error" in line)
        logger.warning("KaTeX cannot read the formula %r: %s", tex, reason, location=node)
        return html.escape(tex)


def visit_inline(translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    opening = translator.starttag(node, "span", "", CLASS="math notranslate nohighlight")
    translator.body.append(opening + typeset(node.astext(), node, display=False) + "</span>")
    raise nodes.SkipNode


def displayed_tex(node: nodes.math_block) -> str:
    """What KaTeX is given: the book numbers equations itself, and `split` holds several lines."""
    tex = re.sub(r"\\(begin|end)\{(equation|align|gather|alignat)\}", r"\\\1{\2*}", node.astext())
    is_environment = tex.strip().startswith(r"\begin")
    return rf"\begin{{split}}{tex}\end{{split}}" if r"\\" in tex and not is_environment else tex


def visit_display(translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, with its number if it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    formula = typeset(displayed_tex(node), node, display=True)
    translator.body.append(f'<div class="formula">{formula}</div>')
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def characters_of(pages: Path) -> set[str]:
    """The characters in the formulas of all pages, and the slanted letters of single ones."""
    used = set()
    for page in pages.rglob("*.html"):
        for formula in re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), re.DOTALL):
            used.update(html.unescape(re.sub(r"<annotation.*?</annotation>|<[^>]*>", "", formula)))
    return used | {in_alphabet(character, "MATHEMATICAL ITALIC") for character in used} | set("ℎ√")


def save_font(app: Sphinx, exception: Exception | None) -> None:
    """Put the font for mathematics beside the pages, with the characters that they use."""
    if exception is None and app.builder.format == "html":
        package = importlib.util.find_spec("ziamath")
        source = Path(package.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
        save_subset(source, characters_of(Path(app.outdir)), Path(app.outdir) / "_static" / FONT)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    app.add_css_file(STYLES)
    app.add_js_file(COPYING)
    app.connect("build-finished", save_font)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
