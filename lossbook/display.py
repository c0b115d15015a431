"""What the chapters show: the source of a function, a loss card, a table, and one plot style.

Every object here shows itself as Markdown, which a notebook and the built book both render, and
prints the same on every machine.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap

from lossbook.cards.convention import with_names
from lossbook.extras import extra
from lossbook.loss import LOSSES
from lossbook.names import NAMES

#: Okabe and Ito's colours, which stay apart for colour-blind readers, in the order used.
COLOURS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "grey": "#767676",
}

#: Set to anything while the book is built: figures then come in two renderings (`narrow`).
NARROW_TOO = "LOSSBOOK_NARROW_TOO"
#: The width of the column of text on a desktop, and on a telephone 390 pixels wide.
COLUMN_PIXELS, NARROW_PIXELS = 672, 342
#: Text of 8 points, and the index of a letter of 11, is then 9 pixels high on the telephone.
NARROW_INCHES = 4.0


def use_style():
    """Give all figures that follow the book's one style; call it in a notebook's first cell.

    White paper and dark ink: in dark mode the built book turns them round. Lines differ in dash as
    well as in colour.
    """
    with extra("notebook"):
        import matplotlib as mpl
        from cycler import cycler
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats

    dashes = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]
    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(COLOURS.values())) + cycler(linestyle=dashes),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "figure.constrained_layout.use": True,
            "figure.figsize": (6.4, 3.6),
            "figure.facecolor": "white",
            "font.size": 11,
            "grid.alpha": 0.25,
            "image.cmap": "cividis",
            "legend.frameon": False,
            "lines.linewidth": 2,
            "savefig.facecolor": "white",
        }
    )
    shell = get_ipython()
    if shell is not None:
        set_matplotlib_formats("retina")
        if os.environ.get(NARROW_TOO):
            from matplotlib.figure import Figure

            shell.display_formatter.formatters["image/png"].for_type(Figure, _two_renderings)


def narrow(figure):
    """Make a figure, in place, as wide as a telephone: its panels stand in as many columns as fit.

    A panel keeps its height, and the names of axes that it shared with its neighbours. A figure of
    pictures without text becomes smaller as it is.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0))
    >>> _ = left.set_ylabel("loss")
    >>> narrow(figure)
    >>> figure.get_size_inches().tolist(), right.get_ylabel()
    ([4.0, 6.0], 'loss')
    >>> plt.close(figure)
    """
    width, height = figure.get_size_inches()
    axes = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    if not any(ax.axison or ax.get_title(loc="left") for ax in axes):
        figure.set_size_inches(NARROW_INCHES, height * NARROW_INCHES / width)
        return
    grid = axes[0].get_gridspec()
    # A tenth of a panel may be missing: three of 1.36 inches fit.
    columns = min(grid.ncols, max(1, int(NARROW_INCHES / (width / grid.ncols) + 0.1)))
    rows = -(-len(axes) // columns)
    for ax in axes:
        if grid.ncols > columns and ax.axison:
            ax.tick_params(labelleft=True, labelbottom=True)
            first = axes[ax.get_subplotspec().rowspan.start * grid.ncols]
            ax.set_ylabel(ax.get_ylabel() or first.get_ylabel())
        if ax.get_legend():
            # There is less room beside the lines: names may cover them, but stay readable.
            ax.get_legend().get_frame().set(visible=True, alpha=0.8, edgecolor="none")
    stacked = figure.add_gridspec(rows, columns)
    for ax, place in zip(axes, stacked, strict=False):
        ax.set_subplotspec(place)
    figure.set_size_inches(NARROW_INCHES, rows * min(height / grid.nrows, 0.85 * NARROW_INCHES))


def _two_renderings(figure):
    """The PNG of a figure at twice the resolution, and behind its end that of the narrow figure.

    Whoever shows the first does not see the second; book/_tools/book_figures.py takes them apart.
    """
    from IPython.core.pylabtools import print_figure, retina_figure

    dpi = min(2 * figure.dpi, 2 * COLUMN_PIXELS / figure.get_figwidth())
    wide, metadata = retina_figure(figure, base64=False, dpi=dpi, pad_inches=0.02)
    narrow(figure)
    dpi = 2 * NARROW_PIXELS / NARROW_INCHES
    return wide + print_figure(figure, dpi=dpi, pad_inches=0.02), metadata


class Markdown:
    """A piece of Markdown that shows itself in a notebook; `name` is what ``repr`` says."""

    def __init__(self, text, name):
        self.text, self.name = text, name

    def _repr_markdown_(self):
        return self.text

    def __repr__(self):
        return self.name


def source(*functions):
    """Show the source of functions, without their docstrings: the code, not a copy of it.

    Examples
    --------
    >>> from lossbook import huber_grad
    >>> print(source(huber_grad).text)
    ```python
    @takes(REAL, REAL, delta=POSITIVE)
    def huber_grad(prediction, target, /, *, delta=1.0):
        return clip(prediction - target, -delta, delta)
    ```
    """
    code = "\n\n\n".join(_without_docstring(function) for function in functions)
    names = ", ".join(function.__name__ for function in functions)
    return Markdown(f"```python\n{code}\n```", f"source of {names}")


def table(rows, header):
    """Show rows of cells under a header; a cell is shown as ``str`` makes it.

    A bar in a cell is escaped, since Markdown would read it as the cell's end.

    Examples
    --------
    >>> print(table([("squared", 4.0), ("$|r|$", 2.0)], ("error", "value")).text)
    | error | value |
    |---|---|
    | squared | 4.0 |
    | $\\|r\\|$ | 2.0 |
    """
    rows = [tuple(str(cell).replace("|", r"\|") for cell in row) for row in rows]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"each row must have {len(header)} cells, one for each of {', '.join(header)}; "
                f"got {row}"
            )
    return Markdown(_table(header, rows), f"table of {', '.join(header)}: {len(rows)} rows")


def glue(name, text):
    """Keep a text, such as a rounded number, for prose: ``{glue:text}`` shows it in the built book.

    MyST-NB's function of this name does the same for any object, but loads Sphinx to do it.

    Raises
    ------
    TypeError
        If `text` is no string: rounding belongs to whoever writes the prose.

    Examples
    --------
    >>> glue("error", 0.125)
    Traceback (most recent call last):
        ...
    TypeError: text must be a str, rounded as the prose shall say it, got float
    """
    with extra("notebook"):
        from IPython.display import display

    if not isinstance(text, str):
        got = type(text).__name__
        raise TypeError(f"text must be a str, rounded as the prose shall say it, got {got}")
    # The prefix hides it in a notebook; the metadata is where MyST-NB looks.
    hidden = "application/papermill.record/"
    data = {f"{hidden}text/plain": repr(text)}
    display(data, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": hidden}})


def loss_card(loss):
    """Show a loss's passport: its formula, what to know of it, and its name elsewhere.

    Parameters
    ----------
    loss : a row of ``LOSSES``, or its name

    Examples
    --------
    >>> print(loss_card("huber").text.splitlines()[0])
    **Huber loss**: `lossbook.huber(prediction, target, /, *, delta=1.0)`
    """
    loss = LOSSES[loss] if isinstance(loss, str) else loss
    signature = _signature(loss)
    text = f"**{loss.card.title}**: {signature}\n\n{_passport(loss)}\n\n{_elsewhere(loss)}"
    return Markdown(text, f"loss card of {loss.name}")


def rosetta(family):
    """Show how other libraries write the losses of a family: what to write, and what it does.

    Parameters
    ----------
    family : such as "regression", the name of a module of :mod:`lossbook.losses`

    Raises
    ------
    ValueError
        If there is no such family.

    Examples
    --------
    >>> print(rosetta("regression").text.splitlines()[0])
    **Squared error**, in this book `squared_error(prediction, target, /)`
    """
    families = _families()
    if family not in families:
        raise ValueError(f"family must be one of {', '.join(families)}, got {family!r}")
    parts = []
    for loss in families[family]:
        call = f"{loss.name}{inspect.signature(loss.function)}"
        parts += [f"**{loss.card.title}**, in this book `{call}`", _elsewhere(loss)]
    return Markdown("\n\n".join(parts), f"{family} losses in other libraries")


def atlas_markdown(chapters):
    """The loss atlas: a section for each loss, each with a label such as ``loss-huber``.

    `chapters` maps the numbers of the chapters that exist to what to call them in Markdown.
    """
    parts = []
    for family, losses in _families().items():
        parts.append(f"## {family.capitalize()}")
        for loss in losses:
            signature = _signature(loss)
            chapter = chapters.get(loss.card.chapter)
            parts += [
                f"(loss-{loss.name.replace('_', '-')})=",
                f"### {loss.card.title}",
                f"```{{index}} {loss.card.title}\n```",
                f"{signature}, derived in {chapter}." if chapter else signature,
                _passport(loss),
                _elsewhere(loss),
            ]
    return "\n\n".join(parts) + "\n"


def names_markdown(chapters):
    """What others call losses, and where this book has them: a section for each source.

    `chapters` is that of :func:`atlas_markdown`.
    """
    parts = []
    for source, entries in NAMES.items():
        rows = [_answer(entry, chapters) for entry in sorted(entries, key=_alphabetically)]
        parts += [f"## {source}", _table(("name", "here", "written here", "mind"), rows)]
    return "\n\n".join(parts) + "\n"


def _alphabetically(entry):
    return entry.name.lower()


def _answer(entry, chapters):
    """A row of the table of names."""
    name = f"`{entry.name}`" if re.search(r"[_=]|^\w+$", entry.name) else entry.name
    if not entry.loss:
        return name, "not in this book", "", entry.note
    loss = LOSSES[entry.loss]
    arrays = LOSSES[entry.arrays or entry.loss].arrays
    card = f"{{ref}}`{loss.card.title} <loss-{loss.name.replace('_', '-')}>`"
    chapter = chapters.get(loss.card.chapter)
    where = f"{card}, {chapter}" if chapter else card
    written = f"`{with_names(entry.here, arrays)}`"
    if entry.formula:
        where = f"made of: {where}"
        written = f"`{with_names(entry.formula, arrays)}` is {written}"
    return name, where, written, entry.note


def _signature(loss):
    """How a loss is called; one that a reader has registered is in no module of the package."""
    package = "lossbook." if loss.function.__module__.startswith("lossbook.") else ""
    return f"`{package}{loss.name}{inspect.signature(loss.function)}`"


def _passport(loss):
    return _table(
        ("", ""),
        [
            ("value", f"$\\displaystyle {loss.card.formula}$"),
            ("gradient", f"$\\displaystyle {loss.card.gradient_formula}$"),
            ("prediction", _kinds(loss, loss.function.spaces[: loss.gradients])),
            ("target", loss.target.name if loss.target else "none"),
            ("least on average at", loss.card.minimiser),
            ("noise model", loss.card.noise_model),
            ("convexity", loss.card.convexity),
            ("Lipschitz", loss.card.lipschitz),
            ("kinks", loss.card.kinks),
            ("stable form", loss.card.stable_form),
            ("typical failure", loss.card.failure),
        ],
    )


def _kinds(loss, spaces):
    """What the arrays with a gradient hold, and which these are if there are several."""
    if len(spaces) == 1:
        return spaces[0].name
    return f"{spaces[0].name} each: " + ", ".join(
        f"`{name}`" for name in loss.arrays[: len(spaces)]
    )


#: What is said of a loss in another library, a column each.
ELSEWHERE = ("library", "call", "reduction", "weighted mean divides by", "mind")


def _elsewhere(loss):
    """The same loss in other libraries: a row each."""
    return _table(ELSEWHERE, [_columns(other, loss) for other in loss.card.conventions])


def _columns(other, loss):
    """A row of the table of ELSEWHERE."""
    library = f"**{other.library}**"
    if other.call == "-":
        return library, "none", "", "", other.note
    call = f"`{with_names(other.call, loss.arrays)}`"
    if not other.named:
        call += " (no function of its own)"
    divisor = f"{other.weighted_mean} (`{other.weights}`)" if other.weights else "no weights"
    mind = []
    if other.theirs != "ours":
        mind.append(f"Gives `{with_names(other.theirs, loss.arrays)}`.")
    if other.class_axis != "-":
        mind.append(f"Classes are on axis {other.class_axis}.")
    return library, call, other.reduction, divisor, " ".join([*mind, other.note]).strip()


def _families():
    """The losses by the name of their family."""
    families = {}
    for loss in LOSSES.values():
        families.setdefault(loss.family, []).append(loss)
    return families


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return text.replace("| " + " | ".join(["---"] * len(header)) + " |", "|---" * len(header) + "|")


def _without_docstring(function):
    """The source of a function, its decorators kept and its docstring cut out."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    first = ast.parse("\n".join(lines)).body[0].body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_docstring and isinstance(first.value.value, str):
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines).rstrip()
