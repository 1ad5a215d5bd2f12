"""What a note is cut into before it is classified: passages of text, or problems."""

from functools import partial
from typing import Callable, Collection, List, Mapping, Tuple

from spacy.tokens import Doc

from ..attributes import ASSERTION_KEY, PRIORITY, in_one_word

# Ranges of tokens; they do not overlap, and not every token needs to be in one.
Ranges = List[Tuple[int, int]]
Cut = Callable[[Doc], Ranges]


def configure_passages(size: int = 128) -> Cut:
    """Registered as `clinbert.Passages.v1`: consecutive passages that cover the note.

    size (int): most tokens of a passage.
    RETURNS (Cut): Ends passages at sentences where these are known and not longer than `size`.
    RAISES (ValueError): `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"size = {size}: expected at least 1 token a passage.")
    return partial(cut_passages, size=size)


def cut_passages(doc: Doc, size: int) -> Ranges:
    """Cut a note into passages.

    doc (Doc): the note. size (int): most tokens of a passage.
    RETURNS (Ranges): In order, without gaps; empty for an empty note.
    """
    ends = [sent.end for sent in doc.sents] if doc.has_annotation("SENT_START") else [len(doc)]
    found: Ranges = []
    start = last = 0
    for end in ends:
        if end - start > size and last > start:
            found.append((start, last))
            start = last
        while end - start > size:
            found.append((start, start + size))
            start += size
        last = end
    if last > start:
        found.append((start, last))
    return found


def configure_problems(said: Collection[str] = ("present",)) -> Cut:
    """Registered as `clinbert.PatientProblems.v1`: the problems that the patient has.

    What is denied, feared, the family's or over is no part of the note then, whatever its name.

    said (Collection[str]): assertions (see `attributes.PRIORITY`) of the problems to take.
    RETURNS (Cut): Needs `clinbert_assertion` earlier in the pipeline, and in training among the
        annotating components.
    RAISES (ValueError): An unknown assertion.
    """
    unknown = sorted(set(said) - set(PRIORITY))
    if unknown or not said:
        raise ValueError(f"said = {list(said)}: expected some of {', '.join(PRIORITY)}.")
    return partial(find_problems, said=frozenset(said))


def find_problems(doc: Doc, said: Collection[str]) -> Ranges:
    """Find the problems that are asserted in one of several ways.

    doc (Doc): the note, its problems judged. said (Collection[str]): the ways.
    RETURNS (Ranges): Tokens of the problems, in order.
    RAISES (ValueError): Nobody judged the problems of a note that has tokens.
    """
    group = doc.spans.get(ASSERTION_KEY)
    if group is None or "values" not in group.attrs:
        if len(doc):
            raise ValueError(
                "clinbert.PatientProblems.v1 needs to know which problems the patient has, and "
                "nobody has judged them: add 'clinbert_assertion' earlier in the pipeline (and to "
                "annotating_components in training)."
            )
        return []
    kept = [group[i] for i, v in enumerate(group.attrs["values"]) if _is_said(v, said)]
    return sorted({(span.start, span.end) for span in kept})


def _is_said(values: Mapping[str, str], said: Collection[str]) -> bool:
    # in one word what somebody other than family has is "present"
    if not values.get("presence") or values.get("experiencer") == "other":
        return False
    return in_one_word(values) in said
