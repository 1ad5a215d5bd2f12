"""Random notes for the round trips: invented characters, no clinical text."""
from hypothesis import strategies as st

from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation

WORDS = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=8)
LABELS = st.text(alphabet="abcXYZ_-", min_size=1, max_size=8)
CONCEPTS = WORDS.filter(lambda word: word != "-1")  # -1 says that there is none
# Combining marks, an emoji outside the BMP, a non-breaking space, tabs: all count as characters.
PLAIN = "ab Z.,é\u0301😀\u00a0/(%"
LINES = PLAIN + "\n"
ALL = PLAIN + "\t\n\r"


@st.composite
def spans(draw, text, pieces):
    """Sorted, separate spans that hold something visible at both ends of each."""
    count = draw(st.integers(1, pieces))
    places = st.integers(0, len(text))
    cuts = sorted(draw(st.lists(places, min_size=2 * count, max_size=2 * count, unique=True)))
    return tuple((cuts[i], cuts[i + 1]) for i in range(0, 2 * count, 2))


@st.composite
def notes(draw, alphabet, pieces=3, attributes=True, relations="mention", flags=True):
    """A note with nested, overlapping and, if asked for, discontinuous mentions."""
    text = draw(st.text(alphabet=alphabet, min_size=8, max_size=60))
    values = st.one_of(WORDS, st.just(True)) if flags else WORDS
    extra = st.dictionaries(WORDS, values, max_size=2) if attributes else st.just({})
    concepts = st.lists(CONCEPTS, max_size=2)
    found = draw(st.lists(spans(text, pieces), max_size=5))
    mentions = tuple(
        Mention(f"T{i}", draw(WORDS), span, tuple(draw(concepts)), draw(extra))
        for i, span in enumerate(found, 1)
    )
    ends = WORDS if relations == "concept" else st.sampled_from([m.id for m in mentions] or [""])
    count = draw(st.integers(0, 3)) if mentions or relations == "concept" else 0
    linked = tuple(
        Relation(f"R{i}", draw(LABELS), draw(ends), draw(ends), draw(extra))
        for i in range(1, count + 1)
    )
    meta = {"relations": "concept"} if linked and relations == "concept" else {}
    return AnnotatedNote(f"n{draw(WORDS)}", text, mentions, linked, meta=meta)
