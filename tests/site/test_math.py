"""How formulas become MathML."""

import re
import sys
from pathlib import Path

import pytest
from docutils import nodes

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_tools"))

import book_math


def written(tex: str, display: bool = False) -> str:
    return book_math.mathml(tex, display)


def parts(tex: str) -> list[str]:
    """The text of each `math` element of a formula."""
    elements = re.findall(r"<math.*?</math>", written(tex))
    return [re.sub(r"<annotation.*?</annotation>|<[^>]*>|\s", "", e) for e in elements]


@pytest.mark.parametrize(
    ("tex", "character"),
    [
        (r"\mathbb{R}", "ℝ"),
        (r"\mathbb{E}", "𝔼"),
        (r"\mathbf{x}", "𝐱"),
        (r"\mathcal{L}", "ℒ"),
        (r"\boldsymbol{\alpha}", "𝜶"),
        (r"\mathbf{1}", "𝟏"),
    ],
)
def test_alphabets_are_characters(tex, character):
    assert f">{character}<" in written(tex)


def test_the_latex_is_kept_once():
    tex = r"a = b + c \le d + e, \qquad \frac{x}{y} = z + \alpha"
    assert written(tex).count("<annotation") == 1
    assert tex in written(tex)


def test_a_long_formula_ends_lines_before_relations_and_signs_outside_brackets():
    long = r"f(x + y) = \lVert a - b \rVert + (c - d)_i^2 - \left(e + g\right)"
    assert parts(long) == ["f(x+y)", "=∥a−b∥", "+(c−d)i2", "−(e+g)"]


def test_a_sign_of_a_number_is_no_place_to_break():
    assert parts(r"\ell(p, t) = -\sum_k t_k \log p_k + 1") == ["ℓ(p,t)", "=−∑ktklog⁡pk", "+1"]


def test_a_short_formula_is_whole():
    assert parts("a = b + c") == ["a=b+c"]


def test_columns_are_aligned_by_styles():
    assert "text-align:right" in written(r"\begin{aligned}a &= b \\ &= c\end{aligned}", True)


def test_what_katex_cannot_read_is_a_warning(monkeypatch):
    told = []
    monkeypatch.setattr(
        book_math.logger,
        "warning",
        lambda text, *values, **where: told.append((text % values, where)),
    )
    node = nodes.math("", r"\frac{a")
    book_math.typeset(r"\frac{a", node, display=False)
    [(message, where)] = told
    assert r"\\frac{a" in message
    assert "Expected" in message or "Unexpected" in message
    assert where == {"location": node}


def test_equations_are_numbered_by_the_book():
    node = nodes.math_block("", "\\begin{align}a &= b\\end{align}")
    assert book_math.displayed_tex(node) == "\\begin{align*}a &= b\\end{align*}"
