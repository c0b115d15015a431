"""The chain of lines: what is written, refused and shown."""

import re
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from lossbook.derivation.printing import print_latex
from lossbook.derivation.proof import has_one_root, limits_found, proves, same
from lossbook.derivation.reading import Reader
from lossbook.derivation.smoothness import poles_of
from lossbook.derivation.sums import (
    GeneralReader,
    has_one_root_for_every_size,
    proves_for_every_size,
)
from lossbook.derivation.trial import (
    Trial,
    approaches,
    misses_limit,
    other_limit,
    other_root,
)
from lossbook.derivation.wording import legend, where

# What a last line of an exercise has carried out.
UNFINISHED = (sp.Derivative, sp.Integral, sp.Limit, sp.Sum)
RELATIONS = {"=": "=", "<=": r"\le", ">=": r"\ge"}
DENIALS = {"=": "is not equal to", "<=": "is not at least", ">=": "is not at most"}


class DerivationError(ValueError):
    """A line that does not follow from the one before it.

    Attributes
    ----------
    line : int
        Number of the refused line.
    counterexample : dict
        Values of the symbols where it fails, by name; empty where no single point shows it.
    """

    def __init__(self, message, line, counterexample=None):
        super().__init__(message)
        self.line = line
        self.counterexample = counterexample or {}


@dataclass(frozen=True)
class Line:
    """One row; `expr` is None in a line of prose, `before` stands in front of the expression."""

    expr: sp.Expr | None
    reason: str
    mark: str
    relation: str
    before: str = ""
    before_latex: str = ""


class Derivation:
    r"""A chain of expressions, each checked against the one before it.

    A line is an ordinary SymPy expression, shown as it was written; a `Derivative`, `Sum`, `Limit`
    or `Integral` in it is carried out for the check alone. A step is first tried at points, in
    interval arithmetic, so that a counterexample is never a rounding error. Then SymPy is asked for
    a proof, which turns the mark from "sampled" into "proved".

    Parameters
    ----------
    expr : sympy.Expr
        The first line.
    reason : str
        Why the derivation may start there, for instance "definition".
    given : list of sympy.Eq, optional
        Definitions that hold throughout: a symbol, `p(z)` or `p[k]` on the left, which stands for
        the right side in every check. In `Derivative(expr, p)` the symbol `p` stays a variable.
        SymPy takes a symbol for a constant: write `p(z)` where `Derivative(expr, z)` has to see
        that it depends on `z`.
    domain : dict, optional
        The values each symbol can take: a SymPy set, or a Python set of numbers. For an
        `IndexedBase`: a set for every entry, "one-hot", or "simplex" (positive entries that sum to
        one); the last index is that of the class. For an index: its range, such as `(1, K)`. A
        symbol left out is real, or what its own assumptions say.
    lhs : str or sympy.Expr, optional
        Name of the quantity that the lines compute; a string is LaTeX.

    Raises
    ------
    DerivationError
        When a line does not follow from the one before. The message names the line and gives a
        counterexample. The line is not added, so that another can be tried.
    TypeError, ValueError
        When an argument is not what is described here.

    Notes
    -----
    A step is tried at 64 seeded points of the domain, 1e-6 to 1e6 in size; at half of them or more
    both lines must have a finite real value, known to 30 digits. What is not proved is also tried
    from 1e-12 to 1e12, and to 300 digits. Wherever a `Piecewise`, `Abs`,
    `Max` or `sign` changes branch, points are added inside each branch, close to both sides of the
    boundary, and on it. In a step that is not proved, a branch that no point reaches is an error,
    unless it is empty.

    A line without a finite real value where the other line has one refutes the step, except on a
    boundary or at an end of the domain. What is divided by, and the argument of a logarithm, is
    looked at as written: where it is zero in the domain, both lines must lack a value, so that
    (x**2 - 1)/(x - 1) is not x + 1 unless 1 is outside the domain.

    "proved" means everywhere in the domain where the lines have values. A `Derivative` does not
    exist where its function jumps, or where the slopes on both sides differ: there alone it is not
    compared, for the value to use is a choice to be argued, and the mark adds "except at p = t".
    In the mark of a step for several sizes these are the "kinks".

    A line with a sum to a symbolic limit `K` is proved for every K where both sides can be brought
    to one form (:mod:`lossbook.derivation.sums`), and tried at the least sizes besides. Else it is
    tried for K = 2, 3 and 5, and more where a polynomial of the degree that occurs could vanish on
    these, with every value of each free index. A decimal such as 0.1 is read as one tenth.

    Examples
    --------
    >>> import sympy as sp
    >>> p, t = sp.symbols("p t")
    >>> d = Derivation(sp.Derivative((p - t)**2, p), "definition")
    >>> d.step(2*(p - t), "power rule")
    1  Derivative((p - t)**2, p)  definition  start
    2  = 2*p - 2*t                power rule  proved
    The line is proved: SymPy shows it for all values in the domain.
    >>> d.step(2*p - t, "collect")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    lossbook.derivation.lines.DerivationError: line 3 is not equal to line 2: at p = ...
    """

    def __init__(self, expr, reason, *, given=(), domain=None, lhs=None):
        if lhs is not None and not isinstance(lhs, (str, sp.Expr)):
            raise TypeError(f"lhs must be LaTeX text or a SymPy expression, got {lhs!r}")
        expr, reason = _expression(expr, "expr"), _words(reason, "reason")
        self._reader = Reader(given, domain or {})
        self._general_reader = GeneralReader(given, domain or {})
        self._lhs = lhs
        self._direction = "="
        for values in self._reader.instances(expr)[0]:
            self._reader.read(expr, values)
        relation = "" if lhs is None else "="
        self._lines = [Line(expr, reason, "start", "", relation, relation)]

    @property
    def first(self):
        """The expression of the first line, as written."""
        return self._lines[0].expr

    @property
    def last(self):
        """The expression of the last line that has one, as written."""
        return self._lines[self._last_number - 1].expr

    @property
    def marks(self):
        """How each line after the first was checked."""
        return [line.mark for line in self._lines[1:]]

    @property
    def relations(self):
        """How each line after the first follows: "=", "<=", ">=", "solve", "limit" or "argue"."""
        return [line.relation for line in self._lines[1:]]

    @property
    def counts(self):
        """How many lines are proved (for every size), sampled (or for a few sizes) and argued."""
        kinds = [mark.replace(":", "").split()[0] for mark in self.marks]
        return {
            "proved": kinds.count("proved"),
            "sampled": kinds.count("sampled") + kinds.count("checked"),
            "argued": kinds.count("argued"),
        }

    def step(self, expr, reason, relation="="):
        """Add a line that equals the one before, or bounds it ("<=": the new line is larger)."""
        expr, reason = _expression(expr, "expr"), _words(reason, "reason")
        if relation not in RELATIONS:
            raise ValueError(f"relation must be one of {', '.join(RELATIONS)}, got {relation!r}")
        if {relation, self._direction} == {"<=", ">="}:
            raise ValueError(
                f"relation {relation!r} after {self._direction!r}: inequalities that turn round "
                "say nothing about the first line and the last"
            )
        if expr == self.last:
            raise DerivationError(
                f"{self._here} repeats {self._before}: SymPy writes both as {expr}. To show a "
                "form that SymPy changes at once, build it with evaluate=False",
                self._number,
            )
        mark = self._check_step(expr, relation)
        if relation != "=":
            self._direction = relation
        return self._add(Line(expr, reason, mark, relation, relation, RELATIONS[relation]))

    def solve(self, symbol, solution, reason):
        """Set the line before to zero and conclude that `symbol` is `solution`, nothing else.

        "proved" covers both halves. Where SymPy cannot show that there is no other zero, zeros are
        looked for along `symbol` at eight points of the other symbols: all of a polynomial's, else
        changes of sign and turns at zero, 1e-12 to 1e12 in size. A bound cannot be solved.
        """
        symbol, reason = _symbol(symbol), _words(reason, "reason")
        solution = _expression(solution, "solution")
        self._refuse_after_a_bound("solve")
        mark = self._check_solution(symbol, solution)
        latex = rf"= 0 \;\Rightarrow\; {print_latex(symbol)} ="
        return self._add(Line(solution, reason, mark, "solve", f"= 0 => {symbol} =", latex))

    def limit(self, symbol, point, value, reason, direction="+-"):
        """Let `symbol` go to `point` in the line before, from the sides that its domain has.

        Where SymPy finds the limit, it must be `value`, and the mark is "proved". Elsewhere values
        at distances from 1e-4 to 1e-32 must close in on `value` (far out: at 1e4 to 1e32; to an
        infinite `value`: grow). A bound has no limit to take.
        """
        symbol, reason = _symbol(symbol), _words(reason, "reason")
        point, value = _expression(point, "point"), _expression(value, "value")
        if direction not in ("+", "-", "+-"):
            raise ValueError(f'direction must be "+", "-" or "+-", got {direction!r}')
        self._refuse_after_a_bound("limit")
        mark = self._check_limit(symbol, point, value, direction)
        side = "" if direction == "+-" or point.is_infinite else direction
        latex = rf"\xrightarrow{{{print_latex(symbol)} \to {print_latex(point)}^{{{side}}}}}"
        before = f"-> [{symbol} -> {point}{side}]"
        return self._add(Line(value, reason, mark, "limit", before, latex))

    def argue(self, text):
        """Add a line of prose for what cannot be stated as a checked step; it is counted."""
        return self._add(Line(None, _words(text, "text"), "argued", "argue"))

    def require(self, *, lines, through=(), start=None):
        """Refuse a derivation that jumps to its end, for exercises that ask for the steps.

        Parameters
        ----------
        lines : int
            The smallest number of lines of algebra, the first and the last included.
        through : list of sympy.Expr, optional
            Lines that the derivation must contain, in this order. A line counts if it becomes the
            one asked for when products are multiplied out and sums are split into their terms;
            other forms of the same value are other lines. The message does not print it.
        start : sympy.Expr, optional
            What the first line must be equal to, in whatever form.

        Raises
        ------
        DerivationError
            If the first line is not equal to `start`, there are fewer lines, one of `through` is
            missing or out of order, or the last line still has a `Derivative`, `Integral`, `Limit`
            or `Sum` that SymPy could carry out.

        Examples
        --------
        >>> p, t = sp.symbols("p t")
        >>> d = Derivation(sp.Derivative((p - t)**2, p), "definition").step(2*(p - t), "rules")
        >>> d.require(lines=3)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        lossbook.derivation.lines.DerivationError: 2 lines of algebra, and 3 are asked ...
        """
        if start is not None:
            self.compare("first", start, "what is to be derived")
        algebra = [(n, line.expr) for n, line in enumerate(self._lines, 1) if line.expr is not None]
        if len(algebra) < lines:
            raise DerivationError(
                f"{len(algebra)} lines of algebra, and {lines} are asked for: write each step down",
                self._last_number,
            )
        after = 0
        for place, wanted in enumerate(through, 1):
            wanted = _spread(self._in_own_symbols(_expression(wanted, "through")))
            found = next((n for n, expr in algebra if n > after and _spread(expr) == wanted), None)
            if found is None:
                there = f"no line after line {after}" if after else "no line"
                raise DerivationError(
                    f"a step is missing: {there} is number {place} of the {len(through)} that the "
                    "exercise asks for",
                    self._last_number,
                )
            after = found
        left = [part for part in UNFINISHED if self.last.has(part)]
        if left and self.last.doit() != self.last:
            names = ", ".join(part.__name__ for part in left)
            raise DerivationError(
                f"{self._before} still has a {names} that is to be carried out: {self.last}",
                self._last_number,
            )

    def compare(self, which, expr, name):
        """Hold the "first" line or the "last" to `expr`, called `name`, without adding a line.

        Symbols are matched by name. Returns the mark that a step from that line to `expr` would
        get, and raises as it would.
        """
        if which not in ("first", "last"):
            raise ValueError(f'which must be "first" or "last", got {which!r}')
        expr, name = _expression(expr, "expr"), _words(name, "name")
        number = 1 if which == "first" else self._last_number
        line = self.first if which == "first" else self.last
        expr = self._in_own_symbols(expr)

        def pair(reader, values):
            return reader.read(line, values), reader.read(expr, values)

        cases, sizes = self._reader.instances(line, expr)
        if not sizes and all(one == other for one, other in (pair(self._reader, c) for c in cases)):
            return "proved"
        if line == expr and proves_for_every_size(self._general_reader, (line, expr), pair, "="):
            # One expression written twice: there is nothing to try.
            return _mark(True, sizes, "", every=True)
        claim, sides = f"line {number} is not {name}", (f"line {number}", name)
        return self._check((line, expr), pair, "=", claim, sides, (number, line))

    def latex(self):
        """The lines of algebra as one `aligned` environment."""
        rows = [] if self._lhs is None else [f"& {_latex(self._lhs)}"]
        for line in self._lines:
            if line.expr is not None:
                reason = re.sub(r"([#%&_{}])", r"\\\1", line.reason)
                rows.append(rf"& {_latex_of(line)} && \text{{{reason}}}")
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_markdown_(self):
        # A mark that all lines share is said once, below the table.
        each = len(set(self.marks)) > 1
        rows = ["| Expression | Because |" + " Check |" * each, "|:--|:--|" + ":--|" * each]
        if self._lhs is not None:
            rows.append(f"| {_math(_latex(self._lhs))} | |" + " |" * each)
        for number, line in enumerate(self._lines, 1):
            shown, because = _cell(line.reason), ""
            if line.expr is not None:
                shown, because = _math(_latex_of(line)), shown
            mark = line.mark if number > 1 else ""
            rows.append(f"| {shown} | {because} |" + f" {mark} |" * each)
        about = self._reader.statement(lambda expr: _math(print_latex(expr)))
        parts = [about, "\n".join(rows), f"*{self._summary()}*"]
        return "\n\n".join(part for part in parts if part) + "\n"

    def __repr__(self):
        rows = [("", str(self._lhs), "", "")] if self._lhs is not None else []
        for number, line in enumerate(self._lines, 1):
            shown, because = line.reason, ""
            if line.expr is not None:
                shown, because = f"{line.before} {line.expr}".strip(), shown
            rows.append((str(number), shown, because, line.mark))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        about = self._reader.statement(str)
        return "\n".join([*([about] if about else []), *table, self._summary()])

    def _summary(self):
        if not self.marks:
            return "No steps yet."
        if len(set(self.marks)) == 1:
            which = "Each line" if len(self.marks) > 1 else "The line"
            meaning = legend(self.marks).partition(": ")[2]
            return f"{which} is {self.marks[0].replace(': ', ', ')}: {meaning}"
        counts = [f"{count} {mark}" for mark, count in self.counts.items() if count]
        return f"{', '.join(counts)}. {legend(self.marks)}"

    @property
    def _number(self):
        return len(self._lines) + 1

    @property
    def _last_number(self):
        return max(n for n, line in enumerate(self._lines, 1) if line.expr is not None)

    @property
    def _here(self):
        return f"line {self._number}"

    @property
    def _before(self):
        return f"line {self._last_number}"

    def _add(self, line):
        self._lines.append(line)
        return self

    def _refuse_after_a_bound(self, action):
        if self._direction != "=":
            raise ValueError(
                f"{action} after {self._direction!r}: {self._before} only bounds the first line, "
                "whose zeros and limits may be others"
            )

    def _in_own_symbols(self, expr):
        """`expr` with every symbol replaced by that of the same name in the derivation."""
        parts = [line.expr for line in self._lines if line.expr is not None]
        parts += [*self._reader.given, *self._reader.domain]
        own, theirs = (_symbols_by_name(*exprs) for exprs in (parts, [expr]))
        return expr.xreplace({theirs[name]: own[name] for name in theirs if name in own})

    def _check_step(self, expr, relation):
        def pair(reader, values):
            return reader.read(self.last, values), reader.read(expr, values)

        claim = f"{self._here} {DENIALS[relation]} {self._before}"
        sides = self._before, self._here
        return self._check((self.last, expr), pair, relation, claim, sides, (self._number, expr))

    def _check_solution(self, symbol, solution):
        reader, exprs = self._reader, (self.last, solution)
        variable = reader.variable(symbol)

        def pair(reader, values):
            variable, root = reader.variable(symbol), reader.read(solution, values)
            if root.has(variable):
                raise ValueError(f"solution must not contain {symbol} itself, got {solution}")
            return reader.read(self.last, values).xreplace({variable: root}), sp.S.Zero

        claim, sides = f"{self._here} does not make {self._before} zero", (self._before, "zero")
        written = self._number, f"{symbol} = {solution}"
        mark = self._check(
            exprs, pair, "=", claim, sides, written, lambda v: {variable: reader.read(solution, v)}
        )
        for values in reader.instances(*exprs)[0]:
            function, root = reader.read(self.last, values), reader.read(solution, values)
            if wrong := other_root(function, variable, root, reader, values):
                claim = f"{self._here} is not the only zero of {self._before}"
                self._refuse(claim, values, wrong, wrong.found[0], written)
            if mark == "proved" and not has_one_root(function, variable, reader.sets):
                mark = "sampled: root proved, no other found"
        for_every = mark.startswith("proved for every")
        if for_every and not has_one_root_for_every_size(self._general_reader, self.last, symbol):
            mark = f"checked for {reader.instances(*exprs)[1]}"
        return mark

    def _check_limit(self, symbol, point, value, direction):
        reader = self._reader
        variable = reader.variable(symbol)
        ways = approaches(reader.sets[variable], point, direction)
        if not ways:
            raise ValueError(
                f"point {point} cannot be approached from direction {direction!r} in the domain "
                f"{reader.sets[variable]} of {symbol}"
            )
        cases, sizes = reader.instances(self.last, value)
        proved = not sizes
        for values in cases:
            function, target = reader.read(self.last, values), reader.read(value, values)
            limits = limits_found(function, variable, point, ways)
            if limits is not None and all(same(limit, target) for limit in limits):
                continue
            proved = False
            claim, written = f"{self._here} is not the limit of {self._before}", self._number
            if wrong := misses_limit(function, variable, target, ways.values(), reader, values):
                found = f"{self._before} still gives {wrong.found[0]}"
                self._refuse(claim, values, wrong, found, (written, value))
            if wrong := other_limit(limits or (), target, reader, values):
                self._refuse(
                    claim, values, wrong, f"SymPy finds {wrong.found[0]}", (written, value)
                )
        return _mark(proved, sizes, "sampled: near the limit")

    def _check(self, exprs, pair, relation, claim, sides, written, put=None):
        """Compare the two expressions of `pair(values)` in every case, and return the mark.

        `put(values)` is what `pair` puts in for symbols of the expressions.
        """
        reader = self._reader
        cases, sizes = reader.instances(*exprs)
        proved, valid, left_out = not sizes, 0, {}
        every = sizes and proves_for_every_size(self._general_reader, exprs, pair, relation)
        if every:
            # The trial only guards the proof now: the smallest sizes will do.
            named = list(cases[0])[: sizes.partition(" = ")[0].count(",") + 1]
            cases = [case for case in cases if all(case[n] == cases[0][n] for n in named)]
        for values in cases:
            left, right = pair(reader, values)
            slopes = [slope for expr in exprs for slope in reader.slopes(expr, values)]
            # As written: SymPy cancels a x/a at once.
            poles = [[reader.read(pole, values) for pole in poles_of(expr)] for expr in exprs]
            if put is not None:
                # A solution may leave its domain at the edge of the other symbols' sets.
                slopes, poles = [slope.at(put(values)) for slope in slopes], None
            trial = Trial(left, right, relation, reader, values, len(cases), slopes, poles)
            wrong = trial.run()
            valid += trial.valid
            left_out |= trial.left_out
            failing = list(trial.left_out.values())
            proved = proved and not wrong and proves(left, right, relation, reader.sets, failing)
            if wrong := wrong or (None if proved or every else trial.search()):
                gives = [f"{s} gives {v}" for s, v in zip(sides, wrong.found, strict=True)]
                self._refuse(claim, values, wrong, " but ".join(gives), written)
            if 2 * trial.usable < trial.tried:
                why = (
                    f"only {trial.usable} of {trial.tried} points give both a finite real value; "
                    "narrow the domain"
                )
                self._give_up(why, sides, written)
            branch = None if proved or every else trial.unreached()
            if branch:
                why = f"no point was found in the branch {tuple(branch)}"
                self._give_up(why, sides, written)
        return _mark(proved, sizes, f"sampled: {valid} points", list(left_out), every)

    def _refuse(self, claim, values, wrong, found, written):
        point = {**values, **wrong.point}
        number, line = written
        raise DerivationError(
            f"{claim}: {where(point)}{found}. Line {number} reads: {line}{_rounded(line)}",
            number,
            {str(symbol): value for symbol, value in point.items()},
        )

    def _give_up(self, why, sides, written):
        number, line = written
        first, second = sides
        raise DerivationError(
            f"{first} and {second} cannot be compared: {why}. Line {number} reads: {line}", number
        )


def _expression(value, name):
    """`value` as a SymPy expression, or a clear refusal."""
    try:
        expr = sp.sympify(value, strict=True)
    except sp.SympifyError:
        expr = None
    if not isinstance(expr, sp.Expr) or getattr(expr, "is_Matrix", False):
        raise TypeError(
            f"{name} must be a scalar SymPy expression, got {type(value).__name__}: {value!r}"
        )
    return expr


def _spread(expr):
    """`expr` with products multiplied out, and each sum as the sum of its terms, one for each."""

    def terms_of(total):
        terms = sp.Add.make_args(sp.expand_mul(total.function))
        split = [term.as_independent(*total.variables, as_Add=False) for term in terms]
        return sp.Add(*(factor * sp.Sum(rest, *total.limits) for factor, rest in split))

    return sp.expand_mul(expr.replace(lambda part: isinstance(part, sp.Sum), terms_of))


def _rounded(line):
    """A hint where `line` has a decimal that Python has rounded, such as 2/15."""
    floats = line.atoms(sp.Float) if isinstance(line, sp.Basic) else ()
    for number in sorted(floats):
        fraction = Fraction(float(number)).limit_denominator(1000)
        if float(fraction) == float(number) and len(str(float(number))) > 12:
            n, d = fraction.numerator, fraction.denominator
            return f". Python has rounded {n}/{d}: write sp.Rational({n}, {d})"
    return ""


def _symbol(value):
    if not isinstance(value, sp.Symbol):
        raise TypeError(f"symbol must be a SymPy Symbol, got {type(value).__name__}: {value!r}")
    return value


def _symbols_by_name(*exprs):
    bases = set().union(*(expr.atoms(sp.IndexedBase) for expr in exprs))
    symbols = set().union(*(expr.atoms(sp.Symbol) for expr in exprs))
    return {str(s): s for s in (*(symbols - {base.label for base in bases}), *bases)}


def _words(value, name):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {type(value).__name__}: {value!r}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty: every line needs one")
    return " ".join(value.split())


def _mark(proved, sizes, sampled, left_out=(), every=False):
    """How a step was checked; `left_out` says where a derivative in it does not exist."""
    if sizes:
        mark = f"proved for every {sizes.partition(' = ')[0]}" if every else f"checked for {sizes}"
        return mark + (", except at kinks" if left_out else "")
    exceptions = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" * (len(left_out) > 3))
    if proved:
        return f"proved except at {exceptions}" if exceptions else "proved"
    return f"{sampled}, except at {exceptions}" if exceptions else sampled


def _latex(lhs):
    return lhs if isinstance(lhs, str) else print_latex(lhs)


def _latex_of(line):
    return f"{line.before_latex} {print_latex(line.expr)}".strip()


def _math(latex):
    """Inline mathematics that survives a Markdown table: a bare bar would end the cell."""
    return rf"$\displaystyle {_barless(latex)}$"


def _cell(text):
    """Prose for a Markdown table, with mathematics between dollar signs."""
    parts = text.split("$")
    parts[::2] = [part.replace("|", "&#124;") for part in parts[::2]]
    parts[1::2] = map(_barless, parts[1::2])
    return "$".join(parts)


def _barless(latex):
    for plain, safe in ((r"\|", r"\Vert "), ("|", r"\vert "), ("<", r"\lt "), (">", r"\gt ")):
        latex = latex.replace(plain, safe)
    return latex.strip()
