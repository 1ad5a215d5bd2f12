"""Structured views of all invented notes and of drawn ones: what is true of every line."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from clinbert_spacy.interop.overview import STATUSES, structured_view
from tests.toy_gold import gold_docs
from tests.toy_told import has, lay


def places(found):
    """All places of a view, however deep."""
    if isinstance(found, list):
        return [one for item in found for one in places(item)]
    if not isinstance(found, dict):
        return []
    own = [found] if "start" in found else []
    return own + [one for item in found.values() for one in places(item)]


def test_every_place_of_every_invented_note_is_what_stands_there():
    n = 0
    for note, doc in gold_docs():
        found = structured_view(doc)
        assert json.loads(json.dumps(found)) == found
        for one in places(found):
            assert one.get("text") in (None, note.text[one["start"] : one["end"]])
            n += 1
    assert n > 10_000


def marked(note, **wanted):
    """Starts of what people marked with these attributes."""
    return {
        mention.start
        for mention in note.mentions
        if all(mention.attributes.get(name) in values for name, values in wanted.items())
    }


def test_no_line_of_an_invented_note_is_anybody_elses():
    for note, doc in gold_docs():
        found, ents = structured_view(doc), {span.start_char for span in doc.ents}
        allowed = marked(note, Presence=("present", "possible", "conditional"),
                         Experiencer=("patient",))  # fmt: skip
        shown = {one["start"] for row in found["problems"] for one in row["mentions"]}
        sure = marked(note, Presence=("present",), Experiencer=("patient",), Time=("current",))
        assert sure & ents <= shown <= allowed
        taken = {one["start"] for row in found["medications"] for one in row["mentions"]}
        assert taken == marked(note, Status=STATUSES) & ents
        listed = {one["start"] for row in found["allergies"] for one in row["mentions"]}
        assert marked(note, Status=("allergy",)) & ents <= listed


WORDS = st.sampled_from(["gout", "Gout", "rash", "fever"])
VALUES = st.fixed_dictionaries({
    "presence": st.sampled_from(["present", "absent", "possible", "hypothetical", "conditional"]),
    "experiencer": st.sampled_from(["patient", "family", "other"]),
    "time": st.sampled_from(["current", "historical"]),
})  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(WORDS, VALUES), max_size=8))
def test_each_asserted_mention_is_in_one_line(rows):
    text, judged, count = " , ".join(word for word, _ in rows), [], {}
    for word, values in rows:
        count[word] = count.get(word, 0) + 1
        judged.append(has(f"{word}@{count[word]}", **values))
    found = structured_view(lay(text, judged))["problems"]
    mentions = [one["start"] for row in found for one in row["mentions"]]
    asserted = [values for _, values in rows if values["experiencer"] == "patient"
                and values["presence"] in ("present", "possible", "conditional")]  # fmt: skip
    assert len(set(mentions)) == len(mentions) == len(asserted)
    assert len({row["name"].lower() for row in found}) == len(found)
