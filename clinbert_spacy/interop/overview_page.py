"""Summaries and structured views of notes as one HTML page; each line leads to its place."""

from importlib.resources import files
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

Row = Mapping[str, Any]
# What a cell holds: words, and where in the note they stand, if they do.
Cell = List[Tuple[str, Optional[int]]]
SUMMARY, FOUND = "sum", "hit"
PARTS = ("strength", "dose", "frequency", "route", "form", "duration", "reason")


class Table(NamedTuple):
    """A table of a note.

    title (str), header (Sequence[str]), rows (List[List[Cell]]): What it shows.
    empty (str): What stands there without rows.
    """

    title: str
    header: Sequence[str]
    rows: List[List[Cell]]
    empty: str


class Segment(NamedTuple):
    """A stretch of a note's text. id (str): its anchor, or "". style (str): its classes."""

    text: str
    id: str
    style: str


def render_page(
    notes: Sequence[Tuple[str, Row]],
    *,
    intended_use: str,
    pipeline: Mapping[str, Any],
    command: str = "",
    lines: Sequence[str] = (),
    title: str = "clinbert summaries",
) -> str:
    """Write a page that loads nothing from outside and escapes every text.

    notes (Sequence[Tuple[str, Row]]): Text of each, and its record: `id`, `summary` (sentences with
        start, end, text, section, score), `view` (see `structured_view`), `classes` (may be
        missing).
    intended_use (str): For the top of the page. pipeline (Mapping[str, Any]): Names and values.
    command (str): What the user typed. lines (Sequence[str]): Sentences for the top.
    RETURNS (str): HTML.
    """
    # slow to import, and most of this package goes without it
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("templates/overview.html").read_text("utf8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = [_note(number, *note) for number, note in enumerate(notes, 1)]
    page = environment.from_string(source).render(
        notes=shown, intended_use=intended_use, pipeline=pipeline, command=command, lines=lines,
        title=title,
    )  # fmt: skip
    # a lone surrogate out of JSON, which UTF-8 cannot hold
    return page.encode("utf8", "replace").decode("utf8")


def _note(number: int, text: str, record: Row) -> Dict[str, Any]:
    tables = note_tables(record)
    anchors = {start for table in tables for row in table.rows for cell in row for _, start in cell}
    anchors.discard(None)
    marks = [(x["start"], x["end"], SUMMARY) for x in record["summary"]["sentences"]]
    marks += [(start, end, FOUND) for start, end in _places(record["view"])]
    return {
        "id": record["id"],
        "number": number,
        "tables": tables,
        "segments": cut_text(text, anchors, marks, f"n{number}-"),
    }


def _places(view: Any) -> List[Tuple[int, int]]:
    """Places of all mentions in a view, however deep; sentences are none."""
    if isinstance(view, list):
        return [place for item in view for place in _places(item)]
    if not isinstance(view, dict):
        return []
    below = [item for key, item in view.items() if key != "evidence"]
    own = [(view["start"], view["end"])] if "start" in view and "kinds" not in view else []
    return own + _places(below)


def cut_text(
    text: str, anchors: Set[int], marks: Sequence[Tuple[int, int, str]], prefix: str
) -> List[Segment]:
    """Cut a text where links lead to and where marks begin and end. The pieces joined are the text.

    text (str): Of a note. anchors (Set[int]): Characters that links lead to.
    marks (Sequence[Tuple[int, int, str]]): Start, end and class of stretches; they may overlap.
    prefix (str): Of the ids of anchors. RETURNS (List[Segment]): In the order of the note.
    """
    steps: Dict[int, Dict[str, int]] = {}
    for start, end, style in marks:
        for place, step in ((start, 1), (end, -1)):
            row = steps.setdefault(place, {})
            row[style] = row.get(style, 0) + step
    borders = sorted({0, len(text), *anchors, *steps})
    depth: Dict[str, int] = {}
    found = []
    for start, end in zip(borders, borders[1:]):
        for style, step in steps.get(start, {}).items():
            depth[style] = depth.get(style, 0) + step
        styles = " ".join(sorted(style for style, count in depth.items() if count > 0))
        found.append(Segment(text[start:end], f"{prefix}{start}" * (start in anchors), styles))
    return found


def note_tables(record: Row) -> List[Table]:
    """Lay a note's record out in tables.

    record (Row): See `render_page`. RETURNS (List[Table]): The summary first.
    """
    view = record["view"]
    read = view["read"]
    unread = "" if read["assertion"] else "Not looked for: the pipeline judged no entities."
    effects = f"None: {read['side_effects'].replace('_', ' ')}."
    tables = [
        Table("Summary", ("Sentence", "Section", "Score"), _summary(record), "No sentence: the "
              "note has none that may be shown, or the budget allows none."),
        Table("Problems", ("Problem", "Presence", "Time", "Mentions", "Denied at", "Concept"),
              [_problem(row) for row in view["problems"]], unread or "None found."),
        Table("Medications", ("Drug", "Status", *map(str.capitalize, PARTS), "Mentions", "Concept"),
              [_medication(row) for row in view["medications"]], unread or "None found."),
        Table("Allergies and intolerances", ("Drug", "Kind", "Reactions", "Mentions"),
              [_allergy(row) for row in view["allergies"]], unread or "None found."),
        Table("Side effects", ("Drug", "Effect", "Causality", "Assertion", "Kind", "Current",
              "Drug status"), [_effect(row) for row in view["side_effects"]], effects),
        Table("Plan, pending, follow-up", ("Sentence", "Kind", "Section"),
              [_plan(row) for row in view["plan"]], "None found."),
    ]  # fmt: skip
    if "classes" in record:
        rows = [_class(row) for row in record["classes"]]
        tables.insert(1, Table("Classes", ("Class", "Probability", "Decision", "Passages"), rows,
                               "None."))  # fmt: skip
    return tables


def _plain(value: Any) -> Cell:
    return [("" if value is None else str(value).replace("_", " "), None)]


def _link(row: Row) -> Tuple[str, Optional[int]]:
    text = row.get("text")
    shown = " ".join(text.split()) if text is not None else "(names somebody: see the note)"
    return shown, row["start"]


def _at(places: Sequence[Row]) -> Cell:
    """Links by number of character, for what is named elsewhere in the line."""
    return [(f"{place['start']}", place["start"]) for place in places]


def _named(name: str, places: Sequence[Row]) -> Cell:
    return [(name, places[0]["start"])]


def _concept(row: Row) -> Cell:
    found = row["concept"]
    return _plain(f"{found['id']} {found['name']}" if found else None)


def _summary(record: Row) -> List[List[Cell]]:
    return [
        [[_link(row)], _plain(row["section"]), _plain(f"{row['score']:.2f}")]
        for row in record["summary"]["sentences"]
    ]


def _class(row: Row) -> List[Cell]:
    passages = [{"start": start} for start, _ in row.get("evidence", ())]
    return [_plain(row["label"]), _plain(f"{row['score']:.2f}"), _plain(row.get("decision")),
            _at(passages)]  # fmt: skip


def _problem(row: Row) -> List[Cell]:
    return [_named(row["name"], row["mentions"]), _plain(row["presence"]), _plain(row["time"]),
            _at(row["mentions"]), _at(row["absent"]), _concept(row)]  # fmt: skip


def _medication(row: Row) -> List[Cell]:
    # as often as the note says it in other words
    parts = [list({_link(x)[0].lower(): _link(x) for x in row[name][::-1]}.values())[::-1]
             for name in PARTS]  # fmt: skip
    return [_named(row["name"], row["mentions"]), _plain(", ".join(row["statuses"])), *parts,
            _at(row["mentions"]), _concept(row)]  # fmt: skip


def _allergy(row: Row) -> List[Cell]:
    reactions = [(one["name"], one["mentions"][0]["start"]) for one in row["reactions"]]
    return [_named(row["name"], row["mentions"]), _plain(row["kind"] or "not said"), reactions,
            _at(row["mentions"])]  # fmt: skip


def _effect(row: Row) -> List[Cell]:
    said = [row["causality"], row["assertion"], row["kind"], "yes" if row["current"] else "no",
            row["drug_status"]]  # fmt: skip
    return [_named(row["drug"], row["drug_mentions"]), _named(row["effect"],
            row["effect_mentions"]), *map(_plain, said)]  # fmt: skip


def _plan(row: Row) -> List[Cell]:
    return [[_link(row)], _plain(", ".join(row["kinds"])), _plain(row["section"])]
