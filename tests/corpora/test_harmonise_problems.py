"""Problems that a corpus does not tell apart are told apart by their concepts."""

import pytest

from clinbert_spacy.corpora.harmonise import resolve_problem, to_product
from clinbert_spacy.corpora.record import AnnotatedNote, Mention


@pytest.mark.parametrize(
    "concepts, label",
    [
        (("D009325",), "SYMPTOM"),  # nausea
        (("MESH:D006261",), "SYMPTOM"),  # headache
        (("D003920",), "DISEASE"),  # diabetes mellitus
        (("OMIM:219700",), "DISEASE"),
        (("D011507",), ""),  # proteinuria: a sign, and a disease of the kidney
        (("D009325", "D014839"), "SYMPTOM"),  # nausea and vomiting
        (("D009325", "D003920"), ""),
        (("D009325+D003920",), ""),
        ((), ""),
    ],
)
def test_by_concept(concepts, label):
    assert resolve_problem(concepts) == label


@pytest.mark.parametrize(
    "corpus, own", [("bc5cdr", "Disease"), ("ncbi", "Modifier"), ("chia", "Condition")]
)
def test_only_corpora_with_concepts_change(corpus, own):
    mention = Mention("T1", own, ((0, 6),), ("D009325",))
    note = AnnotatedNote("1", "Nausea.", (mention,), meta={"corpus": corpus})
    found = to_product(note).mentions[0].label
    assert found == ("Condition" if corpus == "chia" else "SYMPTOM")


def test_chemicals_keep_their_label():
    mention = Mention("T1", "Chemical", ((0, 7),), ("D001241",))
    note = AnnotatedNote("1", "Aspirin", (mention,), meta={"corpus": "bc5cdr"})
    assert to_product(note).mentions[0].label == "Chemical"
