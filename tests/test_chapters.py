"""The contract of a chapter: what every chapter of the table of contents holds, and in which form.

PAGE_RULES, on installation, code, figures, prose and citations, hold for every notebook of the
book, the quiz for instance; the other rules for chapters.

A chapter is a notebook. Its title is the only heading of the first level; its headings of the
second level are SKELETON, in this order and no others (headings of the third level are free).

- The first two cells say how to install `lossbook` where it is missing.
- "What you will be able to do" lists 3 to 5 objectives, then holds the heading "### Recall" with
  three numbered questions from earlier chapters.
- A loss of the chapter (the `chapter` on its card) is shown on a card: `loss_card(...)`. A loss
  whose card names no chapter of the table of contents is refused.
- Each such loss is derived, from its value to its gradient as the card states them: a shown cell
  calls `check_derivation(...)` with its name.
- At least 3 figures; each is a cell whose `mystnb` metadata holds `figure.caption`, `figure.name`
  (fig-...) and `image.alt`.
- At least 2 derivations (`Derivation(...)`) in chapters 2 to 13, 15 and 16.
- "Exercises" holds 6 or more, with a label, a time ("10 min") and a hint. Each has a drop-down
  solution, {solution-start} with `:class: dropdown`, with code in cells of its own.
- An exercise, the start of a solution and its end each stand in a cell of their own. The cells of
  solutions, and no others, are tagged `solution`, and no other cell uses what they compute. No two
  cells have the same id.
- Chapters 1 to 6 run without torch, and say in the cells tagged `needs-torch` that it is missing.
- "Summary" is a list of five lines. "Further reading" cites; each citation is in references.bib.
- What answers a question is folded: after "Commit yourself" and perhaps code stands an answer. It
  goes from a cell that begins with `<!-- answer -->` to one that ends with
  `<!-- end of answer -->`.
- No name is bound in two cells but SCRATCH and the variables of loops, which are read only in cells
  that bind them.
- Code to paste, in cells tagged `paste`, uses nothing that another cell binds. A chapter that has
  losses has some.
- Prose says "with respect to" and "minus": :mod:`english` has what it does not say.
- Shown code: 15 lines a cell at most, 10 in the median, 80 characters a line, which fit a page.
- Prose, captions and alternative texts hold no decimal of three or more significant digits: it
  comes from a cell by glue, and a cell above shows it too, because plain Jupyter hides glue.
"""

import ast
import builtins
import dataclasses
import re
import statistics
import symtable
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import pytest
import yaml
from english import unsaid

from lossbook import LOSSES
from lossbook.cards import CARDS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
from notebooks import ANSWER, END  # noqa: E402

SKELETON = [
    "What you will be able to do",
    "A question first",
    "By hand",
    "Derivation",
    "Implementation",
    "On data",
    "Where it fails",
    "Summary",
    "Exercises",
    "Further reading",
]
RECALL = "Recall"
LEAST_FIGURES = 3
LEAST_DERIVATIONS = 2
CHAPTERS_THAT_DERIVE = {*range(2, 14), 15, 16}
LEAST_EXERCISES = 6
SUMMARY_LINES = 5
LONGEST_CELL, LONGEST_MEDIAN, LONGEST_LINE = 15, 10, 80
# Decimals that may stand in prose, each with the reason why no cell computes it.
TRUE_CONSTANTS = {
    "3.11": "the version of Python the book needs",
    "1.96": "the normal quantile that everybody knows by its digits",
}
# Names that cells bind again, each with the reason why no reader is misled.
SCRATCH = {
    "fig": "the figure that the cell draws",
    "ax": "its only panel",
    "axes": "its panels",
    "d": "the derivation that the cell shows",
    "_": "what is not looked at",
}
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
CITATION_KEYS = set(
    re.findall(r"^@\w+\{\s*([^,\s]+)", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE)
)


@dataclass(frozen=True)
class Exercise:
    """An exercise: its label, and all text of it, title included."""

    label: str
    text: str


@dataclass(frozen=True)
class Solution:
    """A gated solution: the label of its exercise, its first lines, and its code cells."""

    exercise: str
    opening: str
    code_cells: list[nbformat.NotebookNode]


class Chapter:
    """A chapter's notebook, taken apart."""

    def __init__(self, name: str, notebook: nbformat.NotebookNode):
        self.name = name
        self.cells = notebook.cells

    @property
    def number(self) -> int:
        return int(Path(self.name).name[:2])

    @cached_property
    def code_cells(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @cached_property
    def shown_code(self) -> list[str]:
        return [
            cell.source
            for cell in self.code_cells
            if not HIDDEN & set(cell.metadata.get("tags", []))
        ]

    @cached_property
    def loop_variables(self) -> set[str]:
        return set().union(*(loop_variables(cell.source) for cell in self.code_cells))

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        return [
            (len(marks), title.strip())
            for cell in self.cells
            if cell.cell_type == "markdown"
            for marks, title in re.findall(
                r"^(#{1,6}) +(.+?)#*$", without_code(cell.source), re.MULTILINE
            )
        ]

    @cached_property
    def text(self) -> str:
        """All Markdown, with a mark ⟦n⟧ in the place of the n-th cell where that is code."""
        return "\n\n".join(
            cell.source if cell.cell_type == "markdown" else f"⟦{position}⟧"
            for position, cell in enumerate(self.cells)
        )

    def section(self, title: str, level: int = 2) -> str:
        """The text below a heading, up to the next of its level or above."""
        start = re.search(rf"^{'#' * level} +{re.escape(title)} *$", self.text, re.MULTILINE)
        if start is None:
            return ""
        rest = self.text[start.end() :]
        end = re.search(rf"^#{{1,{level}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest

    @cached_property
    def figures(self) -> list[dict]:
        """The `mystnb` metadata of the cells that show a figure, empty where there is none."""
        return [
            cell.metadata.get("mystnb", {})
            for cell in self.code_cells
            if "figure" in cell.metadata.get("mystnb", {}) or "plt.subplots(" in cell.source
        ]

    @cached_property
    def exercises(self) -> list[Exercise]:
        alone = r"^(?P<fence>`{3,}|:{3,})\{exercise\}(?P<text>.*?)^(?P=fence) *$"
        gated = r"^(`{3,}|:{3,})\{exercise-start\}(?P<text>.*?)\{exercise-end\}"
        texts = [
            found.group("text")
            for pattern in (alone, gated)
            for found in re.finditer(pattern, self.text, re.MULTILINE | re.DOTALL)
        ]
        return [Exercise(option(text, "label"), text) for text in texts]

    @cached_property
    def solutions(self) -> list[Solution]:
        gated = r"^(?:`{3,}|:{3,})\{solution-start\} *(\S+)(.*?)\{solution-end\}"
        return [
            Solution(label, text, [self.cells[int(n)] for n in re.findall(r"⟦(\d+)⟧", text)])
            for label, text in re.findall(gated, self.text, re.MULTILINE | re.DOTALL)
        ]

    @cached_property
    def glued(self) -> dict[str, int]:
        """The glued names, each with the position of the cell that glues it."""
        found = {}
        for position, cell in enumerate(self.cells):
            if cell.cell_type != "code":
                continue
            stored = [output.get("metadata", {}) for output in cell.outputs]
            names = [entry["scrapbook"]["name"] for entry in stored if "scrapbook" in entry]
            names += re.findall(r"""\bglue\(\s*["']([^"']+)["']""", cell.source)
            found.update(dict.fromkeys(names, position))
        return found

    def glued_value(self, name: str) -> str | None:
        """The text a name is glued to, where the notebook stores it."""
        for output in self.cells[self.glued[name]].outputs:
            if output.get("metadata", {}).get("scrapbook", {}).get("name") == name:
                return "".join(output.data["application/papermill.record/text/plain"]).strip("'\"")
        return None


def option(text: str, name: str) -> str:
    """The value of a directive's option, "" where it is not given."""
    found = re.search(rf"^:{name}: *(\S+) *$", text, re.MULTILINE)
    return found.group(1) if found else ""


def without_code(markdown: str) -> str:
    """Markdown without literal blocks; the bodies of directives are text and stay."""
    return re.sub(
        r"^(`{3,}|~{3,})(?:\{code(?:-block)?\})?[\w-]*[ \t]*(?:\w+)?\n.*?^\1 *$",
        "",
        markdown,
        flags=re.MULTILINE | re.DOTALL,
    )


def without_markup(markdown: str) -> str:
    """Prose: Markdown without code, mathematics, roles, addresses and attributes."""
    prose = without_code(markdown)
    for pattern in (
        r"\$\$.*?\$\$",
        r"\$[^$\n]+(?:\n[^$\n]+)*\$",
        r"^(`{3,}|:{3,})\{math\}.*?^\1 *$",
        r"\{[^}\n]*\}`[^`]*`",
        r"`[^`]*`",
        r"\]\([^)]*\)",
        r"https?://\S+",
        r"^:[\w-]+:.*$",
    ):
        prose = re.sub(pattern, " ", prose, flags=re.MULTILINE | re.DOTALL)
    return prose


def long_decimals(prose: str) -> list[str]:
    """The decimals of three or more significant digits."""
    decimals = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\w)", prose)
    return [
        number
        for number in decimals
        if len(number.replace(".", "").lstrip("0")) >= 3 and number not in TRUE_CONSTANTS
    ]


def calls(source: str, function: str) -> int:
    """How often a cell calls a function by this name."""
    return sum(
        isinstance(node, ast.Call)
        and function in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
        for node in ast.walk(ast.parse(source))
    )


# The rules. Each returns what is wrong, in words: an empty list is a pass.


def headings_follow_the_skeleton(chapter):
    titles = [title for level, title in chapter.headings if level == 1]
    second = [title for level, title in chapter.headings if level == 2]
    wrong = [] if len(titles) == 1 else [f"one title of the first level, not {titles}"]
    missing = [title for title in SKELETON if title not in second]
    extra = [title for title in second if title not in SKELETON]
    wrong += [f'missing heading "## {title}"' for title in missing]
    wrong += [f'heading "## {title}" is not in the skeleton' for title in extra]
    if not wrong and second != SKELETON:
        wrong.append(f"headings out of order: {second}")
    return wrong


def first_cells_say_how_to_install(chapter):
    text = "\n".join(cell.source for cell in chapter.cells[:2])
    if "lossbook" in text and "install" in text.lower():
        return []
    return ["neither of the first two cells says how to install lossbook"]


def objectives_are_listed(chapter):
    own = chapter.section("What you will be able to do").split("\n### ")[0]
    count = len(re.findall(r"^(?:[-*]|\d+\.) ", own, re.MULTILINE))
    return [] if 3 <= count <= 5 else [f"3 to 5 objectives, not {count}"]


def three_questions_recall_earlier_chapters(chapter):
    count = len(re.findall(r"^\d+\. ", chapter.section(RECALL, level=3), re.MULTILINE))
    return [] if count == 3 else [f'three numbered questions below "### {RECALL}", not {count}']


def losses_without(function, chapter, sources):
    """The losses of the chapter that no cell names in which `function` is called."""
    cells = [source for source in sources if calls(source, function)]
    return [
        name
        for name, loss in LOSSES.items()
        if loss.card.chapter == chapter.number
        and not any(re.search(rf"""["']{name}["']""", source) for source in cells)
    ]


def losses_of_the_chapter_have_cards(chapter):
    sources = [cell.source for cell in chapter.code_cells]
    return [f"no loss card of {name}" for name in losses_without("loss_card", chapter, sources)]


def losses_of_the_chapter_are_derived(chapter):
    wrong = losses_without("check_derivation", chapter, chapter.shown_code)
    return [f"no derivation of {name} is held to its card" for name in wrong]


def figures_are_many(chapter):
    count = len(chapter.figures)
    return [] if count >= LEAST_FIGURES else [f"{count} figures, fewer than {LEAST_FIGURES}"]


def figures_are_described(chapter):
    wrong = []
    for position, entry in enumerate(chapter.figures, start=1):
        figure, image = entry.get("figure", {}), entry.get("image", {})
        name = figure.get("name", f"number {position}")
        if not figure.get("name", "").startswith("fig-"):
            wrong.append(f'figure {name} has no name "fig-..."')
        if not figure.get("caption", "").strip():
            wrong.append(f"figure {name} has no caption")
        if not image.get("alt", "").strip():
            wrong.append(f"figure {name} has no alternative text")
    return wrong


def derivations_are_checked_ones(chapter):
    least = LEAST_DERIVATIONS if chapter.number in CHAPTERS_THAT_DERIVE else 0
    count = sum(calls(cell.source, "Derivation") for cell in chapter.code_cells)
    return [] if count >= least else [f"{count} derivations, fewer than {least}"]


def exercises_have_solutions_that_run(chapter):
    count = len(chapter.exercises)
    wrong = [] if count >= LEAST_EXERCISES else [f"{count} exercises, fewer than {LEAST_EXERCISES}"]
    solutions = {solution.exercise: solution for solution in chapter.solutions}
    for exercise in chapter.exercises:
        if not exercise.label:
            wrong.append(f"an exercise without a label: {exercise.text.strip()[:40]!r}")
            continue
        if not re.search(r"\d+ min", exercise.text):
            wrong.append(f'{exercise.label} says no time, as in "10 min"')
        if "hint" not in exercise.text.lower():
            wrong.append(f"{exercise.label} has no hint")
        solution = solutions.get(exercise.label)
        if solution is None:
            wrong.append(f"{exercise.label} has no solution")
            continue
        if option(solution.opening, "class") != "dropdown":
            wrong.append(f"the solution of {exercise.label} is no drop-down")
        run = [
            cell
            for cell in solution.code_cells
            if "nbval-skip" not in cell.metadata.get("tags", []) and cell.source.strip()
        ]
        if not run:
            wrong.append(f"the solution of {exercise.label} has no code that runs")
    return wrong


def solutions_can_be_taken_out(chapter):
    """Gates are found in the raw text, so that none hides in a longer cell."""
    wrong, inside = [], False
    for cell in chapter.cells:
        gates = re.findall(r"\{(exercise|solution)-(start|end)\}", cell.source)
        if cell.cell_type == "markdown" and gates:
            whole = re.fullmatch(
                r"(`{3,}|:{3,})\{(?:exercise-start\}.*\{exercise-end|solution-(?:start|end))\}"
                r".*(`{3,}|:{3,}) *",
                cell.source,
                re.DOTALL,
            )
            alone = len(gates) == (2 if gates[0][0] == "exercise" else 1)
            if not (whole and alone):
                wrong.append(f"{gates[0][0]}-{gates[0][1]} shares the cell {cell.id}")
        inside = inside or ("solution", "start") in gates
        if inside != ("solution" in cell.metadata.get("tags", [])):
            wrong.append(f"{cell.id} is {'not ' * inside}tagged `solution`")
        inside = inside and ("solution", "end") not in gates
    return wrong


def nothing_else_uses_a_solution(chapter):
    """Names that a cell outside solutions takes from a solution, and does not set itself."""
    wrong, from_solution = [], {}
    for cell in chapter.code_cells:
        in_solution = "solution" in cell.metadata.get("tags", [])
        names = symtable.symtable(cell.source, cell.id, "exec")
        set_here = {s.get_name() for s in names.get_symbols() if s.is_assigned() or s.is_imported()}
        if not in_solution:
            taken = {name for name in used(names) - set_here if from_solution.get(name)}
            wrong += [f"{cell.id} takes {name} from a solution" for name in sorted(taken)]
        from_solution |= dict.fromkeys(set_here, in_solution)
    return wrong


def used(names: symtable.SymbolTable) -> set[str]:
    """The names of the notebook that code refers to, functions within it included."""
    own = names.get_type() == "module"
    found = {
        s.get_name() for s in names.get_symbols() if s.is_referenced() and (own or s.is_global())
    }
    return found.union(*map(used, names.get_children()))


def answers_are_folded(chapter):
    wrong, open_since = [], ""
    for position, cell in enumerate(chapter.cells):
        lines = cell.source.strip().splitlines() or [""]
        if ANSWER in cell.source and (lines[0] != ANSWER or open_since):
            wrong.append(f"an answer begins within {cell.id}")
        open_since = cell.id if lines[0] == ANSWER else open_since
        if END in cell.source and (lines[-1] != END or not open_since):
            wrong.append(f"an answer ends within {cell.id}")
        open_since = "" if lines[-1] == END else open_since
        if "**commit yourself" in cell.source.lower() and cell.cell_type == "markdown":
            following = chapter.cells[position + 1 :]
            text = next((later for later in following if later.cell_type == "markdown"), None)
            if text is None or not text.source.startswith(ANSWER):
                wrong.append(f"{cell.id} asks for a commitment, and no answer is folded after it")
    return wrong + ([f"the answer of {open_since} has no end"] if open_since else [])


def names_are_bound_once(chapter):
    wrong, where = [], defaultdict(list)
    for cell in chapter.code_cells:
        for name in sorted(bound(cell.source) - SCRATCH.keys()):
            where[name].append(cell.id)
    wrong += [f"{n} is bound in {', '.join(ids)}" for n, ids in where.items() if len(ids) > 1]
    for cell in chapter.code_cells:
        names = symtable.symtable(cell.source, cell.id, "exec")
        own = {s.get_name() for s in names.get_symbols() if s.is_assigned() or s.is_imported()}
        passing = (used(names) - own) & (SCRATCH.keys() | chapter.loop_variables) - where.keys()
        wrong += [f"{cell.id} reads {name}, which another cell bound" for name in sorted(passing)]
    return wrong


def bound(source: str) -> set[str]:
    """The names that a cell binds, without the variables of its loops."""
    names = symtable.symtable(source, "cell", "exec")
    found = {s.get_name() for s in names.get_symbols() if s.is_assigned() or s.is_imported()}
    return found - ((loop_variables(source) | caught(source)) - assigned(source))


def caught(source: str) -> set[str]:
    """The names of exceptions, which end with the lines that handle them."""
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    return {handler.name for handler in handlers if handler.name}


def loop_variables(source: str) -> set[str]:
    loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    return {name for loop in loops for name in stored(loop.target)}


def assigned(source: str) -> set[str]:
    """The names that are set otherwise than as the variable of a loop."""
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
    return {name for node in statements for target in node.targets for name in stored(target)}


def stored(target: ast.expr) -> set[str]:
    return {
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def pasted_code_stands_alone(chapter):
    """In an empty session it runs: it imports and defines all that it uses."""
    cells = [cell for cell in chapter.code_cells if "paste" in cell.metadata.get("tags", [])]
    has_losses = any(loss.card.chapter == chapter.number for loss in LOSSES.values())
    wrong = ["no cell is tagged paste"] if has_losses and not cells else []
    for cell in cells:
        names = symtable.symtable(cell.source, cell.id, "exec")
        missing = used(names) - bound(cell.source) - vars(builtins).keys()
        wrong += [f"{cell.id} is to be pasted and needs {name}" for name in sorted(missing)]
    return wrong


def prose_is_english(chapter):
    markdown = [cell.source for cell in chapter.cells if cell.cell_type == "markdown"]
    captions = [entry.get("figure", {}).get("caption", "") for entry in chapter.figures]
    return [found for text in [*markdown, *captions] for found in unsaid(without_code(text))]


def cells_have_ids_of_their_own(chapter):
    counts = Counter(cell.id for cell in chapter.cells)
    return [f"{count} cells have the id {name}" for name, count in counts.items() if count > 1]


def summary_has_five_lines(chapter):
    count = len(re.findall(r"^(?:[-*]|\d+\.) ", chapter.section("Summary"), re.MULTILINE))
    return [] if count == SUMMARY_LINES else [f"a summary of {SUMMARY_LINES} lines, not {count}"]


def citations_resolve(chapter):
    cited = [
        key.strip()
        for keys in re.findall(r"\{cite[:\w]*\}`([^`]+)`", chapter.text)
        for key in keys.split(",")
    ]
    return [f"{key} is not in references.bib" for key in cited if key not in CITATION_KEYS]


def further_reading_cites(chapter):
    cites = "{cite" in chapter.section("Further reading")
    return [] if cites else ["further reading cites nothing"]


def shown_code_is_short(chapter):
    lengths = [len(source.splitlines()) for source in chapter.shown_code]
    median = statistics.median(lengths) if lengths else 0
    wrong = [] if median <= LONGEST_MEDIAN else [f"the median shown cell has {median} lines"]
    for source, length in zip(chapter.shown_code, lengths, strict=True):
        start = source.splitlines()[0] if length else ""
        if length > LONGEST_CELL:
            wrong.append(f"{length} lines in the cell that starts {start!r}")
        wrong += [
            f"a long line: {line}" for line in source.splitlines() if len(line) > LONGEST_LINE
        ]
    return wrong


def numbers_in_prose_come_from_cells(chapter):
    markdown = [cell.source for cell in chapter.cells if cell.cell_type == "markdown"]
    captions = [entry.get("figure", {}).get("caption", "") for entry in chapter.figures]
    alternatives = [entry.get("image", {}).get("alt", "") for entry in chapter.figures]
    return [
        f"{number} is typed into prose: {text.strip()[:60]!r}"
        for text in [*markdown, *captions, *alternatives]
        for number in long_decimals(without_markup(text))
    ]


def glued_numbers_are_shown_above(chapter):
    wrong = []
    shown, showing = "", set()
    for position, cell in enumerate(chapter.cells):
        if cell.cell_type == "code":
            tags = set(cell.metadata.get("tags", []))
            if not tags & {"remove-cell", "remove-output", "hide-cell"}:
                shown += "".join(
                    output.get("text", "")
                    + str(output.get("data", {}).get("text/plain", ""))
                    + str(output.get("data", {}).get("text/markdown", ""))
                    for output in cell.outputs
                )
                if "print(" in cell.source or "display(" in cell.source:
                    showing.add(position)
            continue
        for name in re.findall(r"\{glue(?::\w+)?\}`([^`:]+)[^`]*`", cell.source):
            if name not in chapter.glued:
                wrong.append(f"{name} is glued by no cell")
            elif chapter.glued[name] > position:
                wrong.append(f"{name} is used above the cell that glues it")
            else:
                value = chapter.glued_value(name)
                # A cell whose outputs are not stored is taken at its word when it prints.
                told = chapter.glued[name] in showing if value is None else value in shown
                if not told:
                    wrong.append(f"{name} is shown by no cell above")
    return wrong


PAGE_RULES = [
    first_cells_say_how_to_install,
    solutions_can_be_taken_out,
    nothing_else_uses_a_solution,
    answers_are_folded,
    prose_is_english,
    cells_have_ids_of_their_own,
    figures_are_described,
    citations_resolve,
    shown_code_is_short,
    numbers_in_prose_come_from_cells,
    glued_numbers_are_shown_above,
]
RULES = [
    headings_follow_the_skeleton,
    objectives_are_listed,
    three_questions_recall_earlier_chapters,
    losses_of_the_chapter_have_cards,
    losses_of_the_chapter_are_derived,
    figures_are_many,
    derivations_are_checked_ones,
    exercises_have_solutions_that_run,
    names_are_bound_once,
    pasted_code_stands_alone,
    summary_has_five_lines,
    further_reading_cites,
    *PAGE_RULES,
]


def notebooks_of_toc() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [file for file in files if (ROOT / f"{file}.ipynb").exists()]


def is_chapter(name: str) -> bool:
    return name.startswith("book/part")


def losses_of_no_chapter(cards, names):
    """What is wrong with the cards whose chapter is no file of the table of contents."""
    numbers = [Path(name).name[:2] for name in names if is_chapter(name)]
    return [
        f"the card of {name} names chapter {card.chapter}, but the table of contents lists no "
        f"file {card.chapter:02}-...: there are {', '.join(numbers)}"
        for name, card in cards.items()
        if f"{card.chapter:02}" not in numbers
    ]


def test_every_loss_is_one_of_a_chapter():
    assert losses_of_no_chapter(CARDS, notebooks_of_toc()) == []


def test_a_loss_of_no_chapter_is_found():
    strayed = {"huber": dataclasses.replace(CARDS["huber"], chapter=18)}
    (wrong,) = losses_of_no_chapter(strayed, ["book/part1/01-one", "book/back/18-index"])
    assert wrong == (
        "the card of huber names chapter 18, but the table of contents lists no file 18-...: "
        "there are 01"
    )


CASES = [
    (name, rule)
    for name in notebooks_of_toc()
    for rule in (RULES if is_chapter(name) else PAGE_RULES)
]


@pytest.mark.parametrize(
    ("name", "rule"), CASES, ids=[f"{name}-{rule.__name__}" for name, rule in CASES]
)
def test_chapter(name, rule):
    chapter = Chapter(name, nbformat.read(ROOT / f"{name}.ipynb", as_version=4))
    assert rule(chapter) == [], name


# The rules themselves, on a small sound chapter and on the same chapter with one thing spoilt.


def figure_cell(number: int) -> nbformat.NotebookNode:
    mystnb = {
        "figure": {"name": f"fig-{number}", "caption": "A curve falls."},
        "image": {"alt": "A falling curve."},
    }
    return nbformat.v4.new_code_cell("plot()", metadata={"mystnb": mystnb, "tags": ["hide-input"]})


def sound_cells() -> list[nbformat.NotebookNode]:
    """The cells of a chapter that keeps every rule."""
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    glueing = code("print(x)\nglue('x', x, display=False)")
    glueing.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="0.125\n"),
        nbformat.v4.new_output(
            "display_data",
            data={"application/papermill.record/text/plain": "'0.125'"},
            metadata={"scrapbook": {"name": "x"}},
        ),
    ]
    cells = [
        markdown("# A chapter\n\nInstall `lossbook` first."),
        markdown("## What you will be able to do\n\n- derive\n- check\n- train"),
        markdown("### Recall\n\n1. One?\n2. Two?\n3. Three?"),
        markdown("## A question first\n\nIn about 0.5 s, with Python 3.11 and $x = 0.125$."),
        markdown("## By hand"),
        code(
            f"for name in {[n for n, loss in LOSSES.items() if loss.card.chapter == 4]}:\n"
            "    display(loss_card(name))"
        ),
        markdown("## Derivation"),
        code("d = Derivation(x, 'given')\nown = d"),
        code("d = Derivation(y, 'given')"),
        code(
            f"for name in {[n for n, loss in LOSSES.items() if loss.card.chapter == 4]}:\n"
            "    check_derivation(name, own)"
        ),
        markdown("## Implementation"),
        glueing,
        markdown("## On data\n\nIt is {glue:text}`x`, see `0.12345`."),
        *[figure_cell(number) for number in range(3)],
        code("import math\n\nmath.exp(abs(-1))", metadata={"tags": ["paste"]}),
        markdown("## Where it fails"),
        markdown("## Summary\n\n" + "\n".join(f"- line {n}" for n in range(5))),
        markdown("## Exercises"),
    ]
    solution = {"metadata": {"tags": ["solution"]}}
    for number in range(6):
        label = f"ex-{number}"
        cells += [
            markdown(
                f"````{{exercise}} Derive it (10 min)\n:label: {label}\n\nDerive.\n\n"
                f"```{{hint}}\nUse it.\n```\n````"
            ),
            markdown(f"```{{solution-start}} {label}\n:class: dropdown\n```", **solution),
            code("assert 2 + 2 == 4", **solution),
            markdown("```{solution-end}\n```", **solution),
        ]
    key = min(CITATION_KEYS)
    return [*cells, markdown(f"## Further reading\n\nRead {{cite:t}}`{key}`.")]


def chapter_of(cells) -> Chapter:
    return Chapter("book/part2/04-sound", nbformat.v4.new_notebook(cells=cells))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_sound_chapter_passes(rule):
    assert rule(chapter_of(sound_cells())) == []


SPOILT = [
    (headings_follow_the_skeleton, "## By hand", "## Example"),
    (headings_follow_the_skeleton, "## By hand", "# By hand"),
    (first_cells_say_how_to_install, "Install `lossbook`", "Read"),
    (objectives_are_listed, "- derive\n- check\n", "- derive\n"),
    (three_questions_recall_earlier_chapters, "3. Three?", ""),
    (losses_of_the_chapter_have_cards, "loss_card(name)", "name"),
    (losses_of_the_chapter_are_derived, "check_derivation(name, own)", "name"),
    (derivations_are_checked_ones, "Derivation(y, 'given')", "y"),
    (exercises_have_solutions_that_run, "10 min", "soon"),
    (exercises_have_solutions_that_run, "{hint}", "{note}"),
    (exercises_have_solutions_that_run, ":class: dropdown", ""),
    (exercises_have_solutions_that_run, "{solution-start} ex-2", "{solution-start} ex-1"),
    (exercises_have_solutions_that_run, "assert 2 + 2 == 4", ""),
    (exercises_have_solutions_that_run, ":label: ex-2", ""),
    (solutions_can_be_taken_out, "```{solution-end}", "So be it.\n\n```{solution-end}"),
    (solutions_can_be_taken_out, "```{solution-end}\n```", "```{solution-end}\n```\n\nGo on."),
    (solutions_can_be_taken_out, "```{solution-start}", "Next.\n\n```{solution-start}"),
    (solutions_can_be_taken_out, "```{solution-end}\n```", "So be it."),
    (pasted_code_stands_alone, "import math", ""),
    (pasted_code_stands_alone, "math.exp(abs(-1))", "def f(x):\n    return math.exp(z)"),
    (summary_has_five_lines, "- line 4", ""),
    (citations_resolve, "{cite:t}`", "{cite:t}`nobody0000,"),
    (further_reading_cites, "{cite:t}", "{ref}"),
    (shown_code_is_short, "d = Derivation(x, 'given')", "\n".join("abcdefghijklmnop")),
    (shown_code_is_short, "d = Derivation(x, 'given')", "x = 1  # " + "long " * 20),
    (numbers_in_prose_come_from_cells, "0.5 s", "0.512 s"),
    (numbers_in_prose_come_from_cells, "0.5 s", "99.1 %."),
    (glued_numbers_are_shown_above, "{glue:text}`x`", "{glue:text}`y`"),
]


@pytest.mark.parametrize(("rule", "part", "spoilt"), SPOILT)
def test_a_rule_finds_what_is_wrong(rule, part, spoilt):
    cells = sound_cells()
    assert any(part in cell.source for cell in cells)
    for cell in cells:
        cell.source = cell.source.replace(part, spoilt)
    assert rule(chapter_of(cells)) != []


@pytest.mark.parametrize(
    ("sources", "wrong"),
    [
        (["x = 1", "x = 2"], 1),
        (["x = 1", "def x(): pass"], 1),
        (["x = 1", "import x"], 1),
        (["x = 1", "x += 2"], 1),
        (["x = 1", "for x in y: pass"], 0),
        (["for x in y: pass", "for x in z: print(x)"], 0),
        (["for x in y: pass", "print(x)"], 1),
        (["for x in y: pass", "[x for x in z]"], 0),
        (["try: f()\nexcept E as error: pass"] * 2, 0),
        (["fig, ax = f()", "fig, ax = f()"], 0),
        (["fig, ax = f()", "ax.plot()"], 1),
        (["a = 1", "def f(a): b = a\nreturn_ = [a for a in f]"], 0),
    ],
)
def test_names_that_are_bound_twice_are_found(sources, wrong):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    assert len(names_are_bound_once(chapter_of(cells))) == wrong


ASKS = "**Commit yourself**: more or less?"


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        ([ASKS, f"{ANSWER}\n\nMore.\n\n{END}"], 0),
        ([ASKS, ["ask()"], f"{ANSWER}\n\nMore.", ["show()"], END], 0),
        ([ASKS, "More.", f"{ANSWER}\n\nMore.\n\n{END}"], 1),
        ([ASKS, ["ask()"], ["ask()"], f"{ANSWER}\n\nMore.\n\n{END}"], 0),
        ([ASKS, f"{ANSWER}\n\nMore."], 1),
        ([f"More.\n\n{END}"], 1),
        ([f"So:\n\n{ANSWER}\n\nMore.", END], 2),
        ([f"{ANSWER}\n\nMore.\n\n{END}\n\nGo on.", END], 1),
    ],
)
def test_answers_in_view_are_found(cells, wrong):
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    made = [code(cell[0]) if isinstance(cell, list) else markdown(cell) for cell in cells]
    assert len(answers_are_folded(chapter_of(made))) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("The slope by $w$ is 1.", 1),
        ("the gradient by the logits", 1),
        ("Derivatives by its weights", 1),
        ("The slope at 3, divided by $w$, and the loss by class.", 0),
        ("`slope by $w$`", 1),
        ("```\nslope by $w$\n```", 0),
    ],
)
def test_phrases_that_nobody_says_are_found(text, wrong):
    assert len(prose_is_english(chapter_of([nbformat.v4.new_markdown_cell(text)]))) == wrong


@pytest.mark.parametrize("source", ["assert 2 + 2 == 4", "```{solution-end}\n```"])
def test_a_cell_of_a_solution_without_its_tag_is_found(source):
    cells = sound_cells()
    cell = next(cell for cell in cells if cell.source == source)
    cell.metadata["tags"] = []
    assert solutions_can_be_taken_out(chapter_of(cells)) == [f"{cell.id} is not tagged `solution`"]


def test_a_tagged_cell_outside_solutions_is_found():
    cells = sound_cells()
    cells[0].metadata["tags"] = ["solution"]
    assert solutions_can_be_taken_out(chapter_of(cells)) == [f"{cells[0].id} is tagged `solution`"]


@pytest.mark.parametrize("source", ["y = own", "def f():\n    return own", "[own for _ in y]"])
def test_a_cell_that_uses_a_solution_is_found(source):
    cells = sound_cells()
    cell = next(cell for cell in cells if cell.source == "assert 2 + 2 == 4")
    cell.source = "own = y = 1"
    later = nbformat.v4.new_code_cell(f"y = 2\n{source}", id="later")
    wrong = nothing_else_uses_a_solution(chapter_of([*cells, later]))
    assert wrong == ["later takes own from a solution"]
    later.source = f"own = 1\n{later.source}"
    assert nothing_else_uses_a_solution(chapter_of([*cells, later])) == []


def test_a_repeated_id_is_found():
    chapter = chapter_of(sound_cells())
    chapter.cells[1].id = chapter.cells[0].id
    assert len(cells_have_ids_of_their_own(chapter)) == 1


@pytest.mark.parametrize("path", [("figure", "caption"), ("figure", "name"), ("image", "alt")])
def test_a_figure_without_its_description_is_found(path):
    cells = sound_cells()
    figure = next(cell for cell in cells if "mystnb" in cell.metadata)
    figure.metadata["mystnb"][path[0]][path[1]] = " "
    assert len(figures_are_described(chapter_of(cells))) == 1


def test_a_figure_without_metadata_is_found():
    cells = [*sound_cells(), nbformat.v4.new_code_cell("fig, ax = plt.subplots()")]
    assert len(figures_are_described(chapter_of(cells))) == 3


def test_a_missing_figure_is_found():
    cells = sound_cells()
    cells.remove(next(cell for cell in cells if "mystnb" in cell.metadata))
    assert len(figures_are_many(chapter_of(cells))) == 1


def test_a_decimal_in_a_caption_is_found():
    cells = sound_cells()
    figure = next(cell for cell in cells if "mystnb" in cell.metadata)
    figure.metadata["mystnb"]["figure"]["caption"] = "A loss of 0.693."
    assert len(numbers_in_prose_come_from_cells(chapter_of(cells))) == 1


def test_a_glued_number_that_no_cell_prints_is_found():
    cells = sound_cells()
    glueing = next(cell for cell in cells if "glue(" in cell.source)
    glueing.outputs[0].text = "another number\n"
    assert glued_numbers_are_shown_above(chapter_of(cells)) == ["x is shown by no cell above"]
