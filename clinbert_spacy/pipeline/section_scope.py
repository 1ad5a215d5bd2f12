"""How far the heading of a section decides what is said below it."""

import re
from typing import Iterator, List, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import SECTIONS_KEY

# A line that neither is indented nor opens an item.
NEW_LINE = re.compile(r"\n(?=[^\s\-*•·–+])")

# A text cut into fewer sections may be a line that only looks like a heading and what follows.
SEVERAL = 3
# "NKDA. Takes penicillin V daily.": its line goes on, but not with allergies.
ENDS_WITH_SENTENCE = ("allergies",)
# An entry of a list: "Codeine - nausea."
ENTRY_WORDS, ENTRY_SIGNS = 10, {"-", "–", ":", "(", "="}


def governing_sections(doc: Doc, spans: Sequence[Span]) -> List[str]:
    """Name the section that decides what is said of a span, unless a cue does.

    `FHx: father gout` speaks of the family up to its end. The lines after it may go on without a
    heading of their own, so they are not taken to; those below a heading that stands alone are.
    A section that was found without a heading decides nothing: its name is a guess.

    doc (Doc): a note. spans (Sequence[Span]): in order of their starts.
    RETURNS (List[str]): normalised names, "" where no section decides.
    """
    sections = _reaches(doc)
    current = next(sections, None)
    names = []
    for span in spans:
        while current is not None and current[0].end <= span.start:
            current = next(sections, None)
        names.append(_name(current, span) if current is not None else "")
    return names


def _name(current: Tuple[Span, int], span: Span) -> str:
    section, reach = current
    if not section.start <= span.start < section.end:
        return ""
    # a wrapped line goes on with its sentence
    first = span.start_char if span.start_char < reach else span[0].sent.start_char
    return str(section.label_) if first < reach else ""


def _reaches(doc: Doc) -> Iterator[Tuple[Span, int]]:
    """Sections, each with the character up to which its heading decides."""
    group = doc.spans.get(SECTIONS_KEY)
    if group is None:
        return
    headings = group.attrs.get("headings", [0] * len(group))
    titled = group.attrs.get("titled")
    for i, (section, heading) in enumerate(zip(group, headings)):
        if titled and not (titled[i] or (heading and len(group) >= SEVERAL)):
            continue
        text = section.text
        stop = NEW_LINE.search(text, heading)
        alone = not heading or not text[heading:].split("\n", 1)[0].strip()
        end = len(text) if alone or stop is None else stop.start()
        if not alone and section.label_ in ENDS_WITH_SENTENCE:
            end = min(end, _last_entry(section, end))
        yield section, section.start_char + end


def _last_entry(section: Span, end: int) -> int:
    """Where the entries of a section end, in characters from its start, at most `end`."""
    for sentence in list(section.sents)[1:]:
        start = sentence.start_char - section.start_char
        if start >= end:
            break
        on_new_line = "\n" in section.doc[sentence.start - 1].text
        is_entry = len(sentence) <= ENTRY_WORDS and any(t.text in ENTRY_SIGNS for t in sentence)
        if not (on_new_line or is_entry):
            return start
    return end
