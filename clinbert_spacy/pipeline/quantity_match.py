"""Whether a source says what a text says in numbers and dates."""

import math
from typing import List, Sequence, Tuple

from .quantities import CODE, DATE, NUMBER, WEEKDAY, Day, Quantity

SAME = 1e-6


def why_unsupported(one: Quantity, source: Sequence[Quantity]) -> str:
    """Say what a source lacks of a quantity.

    one (Quantity): of a text that was written from the source. source (Sequence[Quantity]): its.
    RETURNS (str): "" if it says the same; "date", "number" (no such value), or "unit" (the value,
        yet with another unit or none).
    """
    if one.kind == DATE:
        return "" if any(_says(other, one) for other in source) else DATE
    if any(_same_number(one, other) for other in source):
        return ""
    written = [values for other in source for values in _readings(other)]
    known = any(_equal(one.values, values) for values in written)
    return "unit" if known and not one.unit.startswith(CODE) else NUMBER


def _same_number(one: Quantity, other: Quantity) -> bool:
    if one.unit:
        scaled = [tuple(v * q.size for v in q.values) for q in (one, other)]
        return one.unit == other.unit and _equal(*scaled)
    # "three nodules" are not borne out by 3 mg
    return not other.unit and any(_equal(one.values, values) for values in _readings(other))


def _readings(one: Quantity) -> List[Tuple[float, ...]]:
    """What a number may have been taken from: the whole, one of a pair, the year of a date."""
    if one.kind == NUMBER:
        return [one.values, *((value,) for value in one.values if len(one.values) > 1)]
    found: List[Tuple[float, ...]] = []
    for year, month, day in one.days:
        found += [(float(year),)] if year is not None and year > 99 else []
        found += [(float(month), float(day))] if month is not None and day is not None else []
    return found


def _equal(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(_close(a, b) for a, b in zip(one, other))


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME, abs_tol=1e-12)


def _says(other: Quantity, one: Quantity) -> bool:
    """Whether the other date says all that this one says."""
    if one.unit == WEEKDAY:
        return other.unit == WEEKDAY and other.values == one.values
    return any(_covers(b, a) for a in one.days for b in other.days)


def _covers(whole: Day, part: Day) -> bool:
    same = (
        x is None or (y is not None and _same_part(x, y, is_year))
        for x, y, is_year in zip(part, whole, (True, False, False))
    )
    return all(same)


def _same_part(x: int, y: int, is_year: bool) -> bool:
    # 24 may be 2024; two whole years are compared as they are
    return x % 100 == y % 100 if is_year and min(x, y) < 100 else x == y
