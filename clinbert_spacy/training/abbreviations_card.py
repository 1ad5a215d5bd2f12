"""The card of what `clinbert build-abbreviations` learned."""

from pathlib import Path
from typing import Any, Iterable, List, Mapping, Sequence, Union

from ..corpora.files import write_text

INTRODUCTION = """# Abbreviations and their contexts

Made by `clinbert build-abbreviations` for the component `clinbert_abbreviations`. Research and
human-reviewed chart abstraction; not a medical device, not for treatment decisions.

| file | what |
|---|---|
| `abbreviations.json.gz` | short forms, long forms, weights of context words per ambiguous form |
| `metrics.json` | the numbers below, by form and by source of text, and the settings |
"""

METHOD = """## How it learned

Where a long form of an ambiguous abbreviation is written out in a text, its context is a context of
that sense (`silver`). Where a text defines the short form, "multiple sclerosis (MS)", the other
occurrences of the short form in that text are contexts too (`written`). One logistic regression a
form over the words nearby, each context taken twice, as it is and with what the inventory can
abbreviate in it abbreviated, as notes do; senses weigh as in the notes among the texts. One
document of five, by a hash of its text, was held out; nothing was chosen on it.

Rows `notes` are ambiguous forms in the invented notes of `assets/notes`, labelled by a machine in
`notes.tsv`; settings were chosen on the parts train and dev, and a form that stands for nothing in
the inventory counts as wrong. The baseline gives every form its most frequent sense in the training
part.
"""

LIMITS = """## Limits

- Silver labels: no person labelled a context. Who writes a long form out may write otherwise than
  who abbreviates, so the rows `written` and `notes` come closer to use, and are few.
- Notes are a small part of the text, and write vital signs and doses tersely, which no text that
  writes long forms out does: many such forms stay below the threshold.
- A sense that the inventory lacks is never found; a form may then get a wrong one.
- English, with the usage of the United States first.
"""


def write_abbreviation_card(report: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Write the card.

    report (Mapping[str, Any]): what metrics.json holds. path (Union[str, Path]): the file.
    """
    parts = [INTRODUCTION, _sources(report), METHOD, _figures(report), LIMITS]
    write_text(path, "\n".join(parts))


def _sources(report: Mapping[str, Any]) -> str:
    licences = report["licences"]
    rows = [(x, str(n), licences.get(x, "not stated")) for x, n in report["documents"].items()]
    own = "The inventory was written by hand for this package (MIT)."
    if report["inventory"] != "own":
        own = f"The inventory also holds senses of {report['inventory']}, whose licence is theirs."
    ships = "" if report["ships"] else " **Not for shipping: a licence above does not allow it.**"
    return (
        f"## Sources\n\n{_table(('text', 'documents', 'licence'), rows)}\n"
        f"{report['characters']:,} characters, read once. {own}{ships}\n"
    )


def _figures(report: Mapping[str, Any]) -> str:
    threshold = report["settings"]["threshold"]
    header = (
        "held out", "contexts", "accuracy", "most frequent sense",
        f"given at {threshold}", "accuracy of those",
    )  # fmt: skip
    rows: List[Sequence[str]] = []
    for kind, found in report["scores"].items():
        if found["all"]["n"]:
            rows.append((kind, *_cells(found["all"])))
            mean = found["mean_of_forms"]
            figures = (f"{mean['accuracy']:.3f}", f"{mean['most_frequent']:.3f}")
            rows.append((f"{kind}, mean of {len(found['forms'])} forms", "", *figures, "", ""))
            sources = found["sources"].items()
            rows.extend((f"{kind}, {x}", *_cells(y)) for x, y in sources if y["n"] >= 30)
    rows.extend((f"notes, {part}", *_cells(x)) for part, x in report["notes"].items())
    return (
        f"## Figures\n\n{_table(header, rows)}\n"
        f"{report['forms']} short forms, {report['ambiguous']} with several long forms, of which "
        f"{report['learned']} have weights; the others are not expanded unless the note defines "
        f"them. `abbreviations.json.gz`: {report['bytes']:,} bytes.\n"
    )


def _cells(row: Mapping[str, float]) -> List[str]:
    keys = ("accuracy", "most_frequent", "given", "accuracy_given")
    return [str(row["n"]), *(f"{row[key]:.3f}" for key in keys)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(header), _row(["---"] * len(header)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
