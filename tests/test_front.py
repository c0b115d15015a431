"""What the pages around the chapters promise: the quiz, the refresher and the glossary.

- Each question of the quiz has a drop-down solution whose code asserts something, and which links
  to the part of the refresher that mends a miss. The table at the end names every group.
- The refresher has its five sections. Each idea in them has a worked example that runs, and one
  line to try with a drop-down answer; each section checks its answers in a cell.
- What both share with all notebooks of the book stands in test_chapters.py.
- Every entry of the bibliography is cited in the book, or named by author and year in a docstring.
- The glossary is sorted, without duplicates, in lower case but for names; each entry links to a
  page or to another entry, and the entries that it names exist.
"""

import ast
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from english import unsaid
from pybtex.database import parse_string

BOOK = Path(__file__).resolve().parents[1] / "book"

GROUPS = ["quiz-derivatives", "quiz-matrices", "quiz-probability", "quiz-python"]
SECTIONS = [
    "refresher-derivatives",
    "refresher-logarithms",
    "refresher-matrices",
    "refresher-probability",
    "refresher-python",
]
LEAST_QUESTIONS = 12
LEAST_FIGURES = 2
# Upper case where the field writes it so: people's names and abbreviations.
NAMES = re.compile(
    "AdamW|Adam|AMSGrad|AUC|BCE|Bernoulli|Bonferroni.s|Brier|CosFace|Crammer|Dice|ELBO|F1|Hessian|Holm.s"
    "|Huber|InfoNCE|IoU|Jaccard|Jacobian|Jensen|KL|Kantorovich|Kullback|L1|L2|LINEX|Laplace|Leibler"
    "|Lipschitz|MAP|MSE|NLL|Nesterov|Platt|Poisson|RMSE|RMSProp|RSS|Rubinstein|SGD|Shannon|Singer"
    "|Tversky|VJP|Wasserstein|Watkins|Weston"
)


def notebook(name):
    return nbformat.read(BOOK / "front" / f"{name}.ipynb", as_version=4).cells


def glossary():
    return (BOOK / "back" / "glossary.md").read_text()


def text_of(cells):
    """All Markdown, with a mark ⟦n⟧ in the place of the n-th cell where that is code."""
    return "\n\n".join(
        cell.source if cell.cell_type == "markdown" else f"⟦{position}⟧"
        for position, cell in enumerate(cells)
    )


def labels(cells):
    return re.findall(r"^\(([\w-]+)\)=$", text_of(cells), re.MULTILINE)


def references(text):
    """The labels that {ref} links to."""
    return re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", text)


def asserts(cell):
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))


# Each rule returns what is wrong, in words: an empty list is a pass.

# Rules of the quiz.


def questions_have_solutions_that_check_and_link(cells):
    text = text_of(cells)
    known = set(labels(notebook("refresher")))
    questions = re.findall(r"\{exercise-start\}.*?^:label: (\S+)$", text, re.MULTILINE | re.DOTALL)
    gated = r"\{solution-start\} (\S+)(.*?)\{solution-end\}"
    solutions = dict(re.findall(gated, text, re.DOTALL))
    wrong = [] if len(questions) >= LEAST_QUESTIONS else [f"only {len(questions)} questions"]
    wrong += [f"{label} is no question" for label in solutions if label not in questions]
    for label in questions:
        if not label.startswith("ex-quiz-"):
            wrong.append(f'{label} is not called "ex-quiz-..."')
        solution = solutions.get(label, "")
        if ":class: dropdown" not in solution:
            wrong.append(f"{label} has no drop-down solution")
        run = [cells[int(position)] for position in re.findall(r"⟦(\d+)⟧", solution)]
        if not any(asserts(cell) for cell in run):
            wrong.append(f"the solution of {label} asserts nothing")
        linked = set(references(solution))
        if not any(link.startswith("refresher-") for link in linked):
            wrong.append(f"the solution of {label} does not link to the refresher")
        wrong += [f"{label} links to {link}, which is not there" for link in sorted(linked - known)]
    return wrong


def result_names_groups_and_sections(cells):
    table = text_of(cells).partition("(quiz-result)=")[2]
    return [label for label in GROUPS + SECTIONS if label not in references(table)]


def groups_are_as_large_as_the_table_says(cells):
    text = text_of(cells)
    wrong = []
    for group in GROUPS:
        part = re.split(r"^\(quiz-", text.partition(f"({group})=")[2], flags=re.MULTILINE)[0]
        count = part.count("{exercise-start}")
        if not re.search(rf"<{group}>`, {count} questions", text):
            wrong.append(f"{group} has {count} questions, and the table says otherwise")
    return wrong


# Rules of the refresher.


def sections_are_there(cells):
    return [label for label in SECTIONS if not re.search(rf"\({label}\)=\n## ", text_of(cells))]


def ideas_are_worked_and_tried(cells):
    wrong = []
    text = text_of(cells).partition(f"({SECTIONS[0]})=")[2]
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *ideas = re.split(r"^### ", section, flags=re.MULTILINE)
        for idea in ideas:
            name, _, body = idea.partition("\n")
            worked, _, tried = body.partition("**Try it.**")
            if "⟦" not in worked:
                wrong.append(f"{name!r} has no worked example")
            if "```{dropdown} Answer" not in tried:
                wrong.append(f"{name!r} has no line to try with an answer")
        last = re.findall(r"⟦(\d+)⟧", section)[-1:]
        if not last or not asserts(cells[int(last[0])]):
            wrong.append(f"{title.splitlines()[0]!r} does not check its answers")
    return wrong


def derivations_and_figures_are_there(cells):
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    figures = sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells)
    wrong = [] if any("Derivation(" in source for source in code) else ["no derivation"]
    return wrong if figures >= LEAST_FIGURES else [*wrong, f"only {figures} figures"]


QUIZ = [
    questions_have_solutions_that_check_and_link,
    result_names_groups_and_sections,
    groups_are_as_large_as_the_table_says,
]
REFRESHER = [sections_are_there, ideas_are_worked_and_tried, derivations_and_figures_are_there]


@pytest.mark.parametrize("rule", QUIZ, ids=lambda rule: rule.__name__)
def test_quiz(rule):
    assert rule(notebook("quiz")) == []


@pytest.mark.parametrize("rule", REFRESHER, ids=lambda rule: rule.__name__)
def test_refresher(rule):
    assert rule(notebook("refresher")) == []


# Rules of the glossary.


def entries(text):
    """The terms with their definitions, in the order of the page."""
    body = text.partition("```{glossary}\n")[2].rpartition("```")[0]
    return [tuple(entry.split("\n", 1)) for entry in body.strip().split("\n\n")]


def order(term):
    """Word by word: a hyphen is a space, and case does not count."""
    return term.casefold().replace("-", " ").replace("_", " ")


def terms_are_sorted(text):
    terms = [term for term, _ in entries(text)]
    return [f"{b} after {a}" for a, b in pairwise(terms) if order(a) >= order(b)]


def terms_are_lower_case_but_for_names(text):
    words = [word for term, _ in entries(text) for word in re.split(r"[ -]", term)]
    return [word for word in words if word != word.lower() and not NAMES.fullmatch(word)]


def entries_are_defined_and_linked(text):
    wrong = []
    for term, definition in entries(text):
        if not all(line.startswith("  ") for line in definition.splitlines()):
            wrong.append(f"{term}: the definition is not indented")
        if not re.search(r"See\b.*\{(?:ref|term)\}`", definition):
            wrong.append(f"{term} says not where it is explained")
    return wrong


def named_terms_are_entries(text):
    known = {term for term, _ in entries(text)}
    named = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", text)
    return [term for term in named if term not in known]


def no_entry_sends_to_an_entry_that_sends_on(text):
    definitions = dict(entries(text))
    wrong = []
    for term, definition in definitions.items():
        if "{ref}" in definition:
            continue
        for other in re.findall(r"See \{term\}`([^`]+)`", definition):
            if "{ref}" not in definitions.get(other, ""):
                wrong.append(f"{term} sends to {other}, which explains nothing")
    return wrong


GLOSSARY = [
    terms_are_sorted,
    terms_are_lower_case_but_for_names,
    entries_are_defined_and_linked,
    named_terms_are_entries,
    no_entry_sends_to_an_entry_that_sends_on,
]


@pytest.mark.parametrize("rule", GLOSSARY, ids=lambda rule: rule.__name__)
def test_glossary(rule):
    assert len(entries(glossary())) >= 80
    assert rule(glossary()) == []


# The bibliography.


def bibliography():
    return (BOOK / "references.bib").read_text()


def entries_that_nothing_cites(text):
    """Keys that no page cites and that no docstring names."""
    pages = [file.read_text() for kind in ("*.md", "*.ipynb") for file in BOOK.rglob(kind)]
    code = "\n".join(file.read_text() for file in (BOOK.parent / "lossbook").rglob("*.py"))
    cited = set()
    for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", "\n".join([*pages, code])):
        cited.update(key.strip() for key in keys.split(","))
    wrong = []
    for key, entry in re.findall(r"^@\w+\{([^,]+),\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        author, year = re.search(r"author\s*= \{(?:von |van )?([^,}]+)", entry), key[-4:]
        named = author and re.search(rf"{author[1]}(?s:.{{0,300}}?){year}", code)
        if key not in cited and not named:
            wrong.append(key)
    return wrong


def test_every_source_is_cited():
    assert len(re.findall("^@", bibliography(), re.MULTILINE)) > 80
    assert entries_that_nothing_cites(bibliography()) == []


def test_a_source_that_nothing_cites_is_found():
    extra = "@book{nobody1999,\n  author = {Nobody, Ann},\n  year   = {1999}\n}\n"
    assert entries_that_nothing_cites(bibliography() + extra) == ["nobody1999"]


def keys_of_two_entries(text):
    """Keys that stand twice: what builds the pages then skips whatever follows."""
    keys = re.findall(r"^@\w+\{\s*([^,\s]+)", text, re.MULTILINE)
    return sorted(key for key, times in Counter(keys).items() if times > 1)


def test_every_key_has_one_entry():
    assert keys_of_two_entries(bibliography()) == []


def test_every_entry_can_be_read():
    read = parse_string(bibliography(), "bibtex").entries
    assert len(read) == len(re.findall("^@", bibliography(), re.MULTILINE))


def test_a_key_of_two_entries_is_found():
    assert keys_of_two_entries(bibliography() + "@book{huber1964,\n}\n") == ["huber1964"]


# The rules themselves: each finds one thing spoilt in the pages as they are.

SPOILT_NOTEBOOKS = [
    ("quiz", questions_have_solutions_that_check_and_link, "assert slope == 18", "slope"),
    ("quiz", questions_have_solutions_that_check_and_link, ":class: dropdown", ""),
    ("quiz", questions_have_solutions_that_check_and_link, "<refresher-chain>", "<quiz>"),
    ("quiz", questions_have_solutions_that_check_and_link, "-chain>", "-chains>"),
    ("quiz", questions_have_solutions_that_check_and_link, "{exercise-start}", "{note}"),
    ("quiz", result_names_groups_and_sections, "<refresher-logarithms>", "<refresher>"),
    ("quiz", groups_are_as_large_as_the_table_says, "5 questions", "4 questions"),
    ("refresher", sections_are_there, "(refresher-matrices)=", "(refresher-matrix)="),
    ("refresher", ideas_are_worked_and_tried, "{dropdown} Answer", "{note}"),
    ("refresher", ideas_are_worked_and_tried, "**Try it.**", "Try."),
    ("refresher", ideas_are_worked_and_tried, "assert all(checked)", "checked"),
    ("refresher", derivations_and_figures_are_there, "Derivation(", "print("),
]


@pytest.mark.parametrize(("name", "rule", "part", "spoilt"), SPOILT_NOTEBOOKS)
def test_a_rule_finds_what_is_wrong(name, rule, part, spoilt):
    cells = notebook(name)
    assert any(part in cell.source for cell in cells)
    for cell in cells:
        cell.source = cell.source.replace(part, spoilt)
    assert rule(cells) != []


SPOILT_GLOSSARIES = [
    (terms_are_sorted, "\nsoftmax\n", "\nasoftmax\n"),
    (terms_are_sorted, "\nsoftmax\n", "\nsoft label\n"),
    (terms_are_lower_case_but_for_names, "\nsoftmax\n", "\nSoftmax\n"),
    (entries_are_defined_and_linked, "See {ref}`why accuracy", "`why accuracy"),
    (entries_are_defined_and_linked, "\n  The share of examples", "\nThe share of examples"),
    (named_terms_are_entries, "{term}`median`", "{term}`medium`"),
    (no_entry_sends_to_an_entry_that_sends_on, "See {term}`quantile loss`", "See {term}`BCE`"),
]


@pytest.mark.parametrize(("rule", "part", "spoilt"), SPOILT_GLOSSARIES)
def test_a_glossary_rule_finds_what_is_wrong(rule, part, spoilt):
    assert part in glossary()
    assert rule(glossary().replace(part, spoilt)) != []


# English


PAGES = [BOOK / "index.md", *sorted((BOOK / "back").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_pages_say_what_one_would_say_aloud(page):
    assert unsaid(page.read_text()) == []
