"""Numbers, units, rates and dates of a text as values, so that "two" is 2 and 1 g is 1000 mg."""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

RESOURCE = "resources/en/quantities.json"
NUMBER, DATE = "number", "date"
# Units of what has none: "T12" is 12 under this and its letters; a day of the week is its number.
CODE, WEEKDAY = "code ", "weekday"
FIGURES = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
# Months that are also words, and mean one beside a figure alone; as shorter forms do.
WORDS_TOO = ("may", "march")
Day = Tuple[Optional[int], Optional[int], Optional[int]]


class Quantity(NamedTuple):
    """A number or a date in a text. start (int), end (int): characters.

    kind (str): NUMBER or DATE. values (Tuple[float, ...]): as written; two of "140/90".
    unit (str): dimension, "" without one. size (float): of its unit in the dimension's first.
    days (Tuple[Day, ...]): of a date: year, month, day, in every way that it may be read.
    """

    start: int
    end: int
    kind: str
    values: Tuple[float, ...] = ()
    unit: str = ""
    size: float = 1.0
    days: Tuple[Day, ...] = ()


class _Tables(NamedTuple):
    words: Dict[str, float]
    scales: Dict[str, float]
    units: Dict[str, Tuple[str, float]]
    below: Dict[str, str]
    rates: Dict[str, Tuple[float, str]]
    months: Sequence[str]
    unit: "re.Pattern[str]"
    number: "re.Pattern[str]"
    code: "re.Pattern[str]"
    weekdays: "re.Pattern[str]"
    names_of_days: Sequence[str]
    rate: "re.Pattern[str]"
    times: "re.Pattern[str]"
    dates: "Tuple[re.Pattern[str], ...]"


def _any(names: Sequence[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    table = json.loads(files("clinbert_spacy").joinpath(RESOURCE).read_text("utf8"))
    units = {
        name: (dimension, float(size))
        for dimension, rows in table["units"].items()
        for size, names in rows
        for name in names
    }
    below, words = _any(list(table["below"])), _any(list(table["words"]))
    spelled = rf"(?:{words})(?:[- ](?:{words}))?(?:\s+(?:{_any(list(table['scales']))}))?"
    short = [*(month[:3] for month in table["months"]), "sept"]
    month = rf"(?P<month>{_any([*table['months'], *short])})\b\.?"
    ordinal = r"(?:st|nd|rd|th)?"
    return _Tables(
        words=table["words"], scales=table["scales"], units=units, below=table["below"],
        rates={name: (float(n), period) for name, (n, period) in table["rates"].items()},
        months=table["months"],
        unit=re.compile(
            rf"[\s-]*(?P<unit>{_any(list(units))})(?:[\s-]*old)?"
            rf"(?P<below>(?:\s*(?:/|\bper\b)\s*(?:{below}))*)(?![\w°])"
        ),
        number=re.compile(rf"(?<!\w)(?<!\d\.)x?(?P<value>{FIGURES}|(?:{spelled})(?!\w))"),
        code=re.compile(r"(?<!\w)(?P<letters>[a-wyz][a-z]{0,2})(?P<value>\d{1,3})(?!\w)"),
        weekdays=re.compile(rf"(?<!\w)(?P<day>{_any(table['weekdays'])})(?!\w)"),
        names_of_days=table["weekdays"],
        rate=re.compile(rf"(?<!\w)(?:{_any(list(table['rates']))})(?!\w)"),
        times=re.compile(
            rf"(?<!\w)(?:(?P<times>{FIGURES}|{spelled})\s+times\s+(?:(?:a|per|each|every)\s+)?"
            r"(?P<period>day|week|month|year|daily|weekly)"
            rf"|(?:q|every)\s*(?P<every>{FIGURES}|{spelled})\s*-?(?P<gap>h|hours?|hrs?|days?|weeks?|months?))"
            r"(?!\w)"
        ),
        dates=(
            re.compile(r"(?<![\w.])(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\w)"),
            re.compile(r"(?<![\w.])(?P<a>\d{1,2})(?P<bar>[/.-])(?P<b>\d{1,2})(?P=bar)"
                       r"(?P<y>\d{4}|\d{2})(?!\w)"),
            re.compile(rf"(?<!\w)(?:(?P<before>\d{{1,2}}){ordinal}\s+(?:of\s+)?)?{month}"
                       rf"(?:\s+(?P<after>\d{{1,2}}){ordinal}(?!\w))?(?:,?\s+(?P<y>\d{{4}})(?!\w))?"),
        ),
    )  # fmt: skip


def find_quantities(text: str) -> List[Quantity]:
    """Find what a text says in numbers.

    text (str): any text. The number of a list's line, and "one" as in "one of" or "no one", are
        left out.
    RETURNS (List[Quantity]): in order, none inside another.
    """
    lower = text.lower()
    lower = lower if len(lower) == len(text) else text
    taken = [False] * len(lower)
    found = []
    for one in _all(lower, _tables()):
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = [True] * (one.end - one.start)
            found.append(one)
    return sorted(found)


def _all(text: str, tables: _Tables) -> Iterator[Quantity]:
    """Everything, what claims its characters first at the front."""
    yield from _dates(text, tables)
    for match in tables.times.finditer(text):
        yield _times(match, tables)
    numbers = list(_numbers(text, tables))
    # "5 mg/day" and "10 mg per day" hold the rate in their unit
    yield from (one for one in numbers if "/" in one.unit)
    for match in tables.rate.finditer(text):
        n, period = tables.rates[match.group()]
        yield Quantity(*match.span(), NUMBER, (n,), f"times/{period}")
    yield from numbers
    for match in tables.code.finditer(text):
        yield Quantity(*match.span(), NUMBER, (float(match["value"]),), CODE + match["letters"])


def _dates(text: str, tables: _Tables) -> Iterator[Quantity]:
    iso, slashed, named = tables.dates
    for match in iso.finditer(text):
        day = (int(match["y"]), int(match["m"]), int(match["d"]))
        yield Quantity(*match.span(), DATE, days=(day,))
    for match in slashed.finditer(text):
        year, a, b = int(match["y"]), int(match["a"]), int(match["b"])
        ways = tuple((year, m, d) for m, d in ((a, b), (b, a)) if 1 <= m <= 12 and 1 <= d <= 31)
        if ways:
            yield Quantity(*match.span(), DATE, days=ways)
    for match in named.finditer(text):
        figure = match["before"] or match["after"]
        name = match["month"]
        if figure or match["y"] or (name in tables.months and name not in WORDS_TOO):
            month = 1 + next(i for i, full in enumerate(tables.months) if full[:3] == name[:3])
            day = (int(match["y"]) if match["y"] else None, month, int(figure) if figure else None)
            yield Quantity(*match.span(), DATE, days=(day,))
    for match in tables.weekdays.finditer(text):
        number = tables.names_of_days.index(match["day"])
        yield Quantity(*match.span(), DATE, (float(number),), WEEKDAY)


def _times(match: "re.Match[str]", tables: _Tables) -> Quantity:
    if match["times"]:
        period = {"daily": "day", "weekly": "week"}.get(match["period"], match["period"])
        return Quantity(*match.span(), NUMBER, (_value(match["times"], tables),), f"times/{period}")
    gap = {"h": "hour", "d": "day", "w": "week", "m": "month"}[match["gap"][0]]
    return Quantity(*match.span(), NUMBER, (_value(match["every"], tables),), f"every {gap}")


def _numbers(text: str, tables: _Tables) -> Iterator[Quantity]:
    matches = [m for m in tables.number.finditer(text) if not _is_mark(text, m)]
    number = 0
    while number < len(matches):
        match = matches[number]
        following = matches[number + 1] if number + 1 < len(matches) else None
        number += 1
        values = [_value(match["value"], tables)]
        end = match.end()
        bar = text[end : following.start()].strip() if following else None
        if following and bar in ("/", ":"):
            values.append(_value(following["value"], tables))
            end, number = following.end(), number + 1
        unit, size, after = _unit(text, end, tables)
        if following and not unit and bar in ("-", "–", "to"):
            # a range has the unit behind its second number
            unit, size, _ = _unit(text, following.end(), tables)
        yield Quantity(match.start(), after, NUMBER, tuple(values), unit, size)


def _is_mark(text: str, match: "re.Match[str]") -> bool:
    """The number of a line in a list, or "one" as a pronoun."""
    before, after = text[: match.start()].rstrip(" "), text[match.end() :]
    if match["value"] == "one":
        return before.endswith(" no") or before == "no" or after.startswith(" of ")
    opens = not before or before[-1] in ".\n"
    return opens and len(match["value"]) <= 2 and re.match(r"[.)]\s", after) is not None


def _unit(text: str, at: int, tables: _Tables) -> Tuple[str, float, int]:
    match = tables.unit.match(text, at)
    if match is None:
        return "", 1.0, at
    dimension, size = tables.units[match["unit"]]
    parts = re.split(r"\s*(?:/|\bper\b)\s*", match["below"].strip())[1:]
    return "/".join([dimension, *(tables.below[part] for part in parts)]), size, match.end()


def _value(text: str, tables: _Tables) -> float:
    if text[-1].isdigit():
        return float(text.replace(",", ""))
    total = 0.0
    for word in re.split(r"[-\s]+", text):
        total = total * tables.scales[word] if word in tables.scales else total + tables.words[word]
    return total
