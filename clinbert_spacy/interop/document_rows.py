"""What is said of a note as a whole, as plain rows: its classes, and its summary."""

from typing import Any, Dict, List

from spacy.tokens import Doc

from ..attributes import EVIDENCE_KEY, SUMMARY_KEY, section_names_of

DIGITS = 4


def summary_of(doc: Doc) -> Dict[str, Any]:
    """Read the summary of a note.

    doc (Doc): a note that was summarised.
    RETURNS (Dict[str, Any]): `budget`, and `sentences`: start, end, text, section, score.
    """
    group = doc.spans[SUMMARY_KEY]
    spans = list(group)
    rows = [
        {"start": span.start_char, "end": span.end_char, "text": span.text, "section": name,
         "score": round(float(score), DIGITS)}
        for span, name, score in zip(spans, section_names_of(doc, spans), group.attrs["scores"])
    ]  # fmt: skip
    return {"budget": group.attrs["budget"], "sentences": rows}


def classes_of(doc: Doc) -> Dict[str, Any]:
    """Read the classes of a note, the likeliest first.

    doc (Doc): an annotated note.
    RETURNS (Dict[str, Any]): `classes`: label, score, and where `clinbert_evidence` ran also
        decision and evidence (start and end of passages); empty for a pipeline without classes.
    """
    group = doc.spans.get(EVIDENCE_KEY)
    attrs = group.attrs if group is not None else {}
    passages: Dict[str, List[List[int]]] = {}
    for row in attrs.get("rows", ()):
        span = group[row["span"]]
        passages.setdefault(row["label"], []).append([span.start_char, span.end_char])
    rows: List[Dict[str, Any]] = []
    for label, score in sorted(doc.cats.items(), key=lambda pair: (-pair[1], pair[0])):
        rows.append({"label": label, "score": round(float(score), DIGITS)})
        if group is not None:
            decision = attrs.get("decisions", {}).get(label)
            rows[-1] |= {"decision": decision, "evidence": passages.get(label, [])}
    return {"classes": rows} if rows else {}
