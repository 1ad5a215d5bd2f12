"""`clinbert_sentences`: `|` marks where a sentence begins in the invented texts below."""

import pickle

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example

from clinbert_spacy.pipeline.sentences import (
    find_sentences,
    find_stops,
    load_words,
    mark_sentences,
)

WRAPPED = (
    "|HPI: 61M w/ seropositive RA on methotrexate weekly, presents with\n"
    "three weeks of dry cough and low grade fever, much worse over 4\n"
    "days, referred by Dr. Hale as possible pneumonitis. |No chest pain.\n"
    "|PMH: RA, HTN"
)
MARKED = [
    "|No fever. |Denies chills.",
    "|Seen by Dr. Abara and Mrs. Lee. |Stable.",
    "|Took 0.5 mg b.i.d. with food. |No rash.",
    "|Stool C. difficile toxin positive. |E. coli in urine.",
    "|Known hepatitis B. |On entecavir.",
    "|VA 6/9 R, 6/12 L. |Cornea clear.",
    "|CT no. 4 compared. |Better?\n|Yes!",
    "|PLAN\n|1. Stop ramipril.\n|2. Start losartan 50 mg\n|3. K in 1 wk",
    "|MEDICATIONS\n|lisinopril 20 mg daily\n|metformin 1 g bd\n|aspirin 81 mg",
    "|A/P: 1. Chronic toxicity in AKI on CKD.\n|- hold digoxin\n|- recheck K",
    "|Na 131   K 4.2   Cr 1.9\n|Hb 9.8    WBC 11.2",
    "|Dear Dr Ferreira,\n|I saw this man today. |He is well.",
    "|CURRENT DRUGS\n\n|nil",
    "|gliclazide?? wife's, not his\n|Rung GP.",
    WRAPPED,
    "\n\n  |Seen at home.\r\n|Well.",
]


def starts(text):
    return find_sentences(text, load_words())


@pytest.mark.parametrize("marked", MARKED)
def test_boundaries(marked):
    parts = marked.split("|")
    expected = [sum(map(len, parts[: i + 1])) for i in range(len(parts) - 1)]
    assert starts("".join(parts)) == expected


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    return nlp


@pytest.mark.parametrize("text", ["", " \n ", "A", "...", "\r\n\r\n", "x" * 5000, ". . .\n?"])
def test_odd_texts(nlp, text):
    doc = nlp(text)
    assert doc.text == text
    assert "".join(sent.text_with_ws for sent in doc.sents) == text


def test_tokens_are_marked(nlp):
    doc = nlp("\nNo fever. \n\nDenies\nchills.")
    assert [s.text.strip() for s in doc.sents] == ["No fever.", "Denies", "chills."]
    assert [t.text for t in doc if t.is_sent_start] == ["\n", "Denies", "chills"]


def test_pipe_equals_call_and_pickle(nlp):
    texts = ["".join(m.split("|")) for m in MARKED]
    copy = pickle.loads(pickle.dumps(nlp))
    for doc, other, text in zip(nlp.pipe(texts), copy.pipe(texts), texts):
        expected = [s.text for s in nlp(text).sents]
        assert [s.text for s in doc.sents] == [s.text for s in other.sents] == expected


def test_overwrite(nlp):
    blank = spacy.blank("en")
    blank.add_pipe("sentencizer")
    keeping = spacy.blank("en")
    keeping.add_pipe("clinbert_sentences", config={"overwrite": False})
    text = "PLAN\nStop aspirin."
    doc = blank(text)
    assert len(list(doc.sents)) == 1
    assert len(list(keeping.get_pipe("clinbert_sentences")(doc).sents)) == 1
    assert len(list(nlp.get_pipe("clinbert_sentences")(doc).sents)) == 2


def test_leaves_a_parser_alone(nlp):
    words = ["PLAN", "\n", "Stop", "aspirin"]
    doc = Doc(nlp.vocab, words=words, heads=[0, 0, 0, 2], deps=["ROOT", "dep", "dep", "dobj"])
    with pytest.warns(UserWarning, match="parser"):
        nlp.get_pipe("clinbert_sentences")(doc)
    assert len(list(doc.sents)) == 1


def test_scores(nlp):
    doc = nlp("No fever. Well.")
    assert nlp.evaluate([Example(nlp.make_doc(doc.text), doc)])["sents_f"] == 1.0


class Watched(str):
    """A line that counts the characters that are cut out of it."""

    def __getitem__(self, key):
        part = super().__getitem__(key)
        self.copied = getattr(self, "copied", 0) + len(part)
        return part


def test_a_stop_looks_back_a_little_way_only():
    sentence = "Seen by Dr. Abara. "
    lines = [Watched(sentence * n + "x") for n in (100, 1000)]
    found = [len(list(find_stops(line, load_words()))) for line in lines]
    assert found == [100, 1000]
    assert lines[1].copied < 11 * lines[0].copied


class AskedDoc(Doc):
    """A Doc that counts how often all of it is read."""

    asked = 0

    def has_annotation(self, *args, **kwargs):
        type(self).asked += 1
        return super().has_annotation(*args, **kwargs)


def test_marks_without_reading_the_note_for_each_token():
    doc = AskedDoc(spacy.blank("en").vocab, words=["a", "."] * 50)
    mark_sentences(doc, range(0, 200, 20))
    assert [token.i for token in doc if token.is_sent_start] == list(range(0, 100, 10))
    assert AskedDoc.asked <= 1
