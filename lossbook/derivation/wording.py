"""Numbers and points as they stand in messages."""

from decimal import Context, Decimal

import mpmath


def decimal(value):
    """A rational number with no more digits than it needs; any other as SymPy writes it."""
    if not value.is_Rational:
        return str(value)
    digits = Context(prec=24).divide(Decimal(int(value.p)), Decimal(int(value.q))).normalize()
    return f"{digits:f}" if -7 < digits.adjusted() < 9 else f"{digits:e}"


def where(point):
    """A point as `at p = 1, t = 0`; nothing where there is no symbol."""
    ordered = sorted(point.items(), key=lambda item: str(item[0]))
    values = ", ".join(f"{symbol} = {decimal(value)}" for symbol, value in ordered)
    return f"at {values} " if values else ""


def shown(interval, digits=6):
    """The middle of an interval; None stands for no value."""
    if interval is None:
        return "no finite real value"
    with mpmath.workdps(digits + 5):
        text = mpmath.nstr(mpmath.mpf(interval.mid), digits)
    return text.removesuffix(".0")


def distinct(left, right):
    """Both values, with the digits it takes to tell them apart; if too many, how far apart."""
    for digits in range(6, 60, 6):
        texts = shown(left, digits), shown(right, digits)
        if texts[0] != texts[1]:
            return texts
    gap = right - left
    return shown(left), f"{shown(abs(gap))} {'more' if gap.a > 0 else 'less'}"
