"""`clinbert_sections`: by titles, and learned."""

import pickle

import pytest
import spacy
import torch
from spacy.tokens import DocBin, SpanGroup
from spacy.training import Example

from clinbert_spacy.evaluation.sections import score_sections
from clinbert_spacy.models import section_features
from clinbert_spacy.nets.sections import SectionNet
from clinbert_spacy.training.section_texts import Part, Variation, cut_heading, vary, write

LEARNED = {"model": {"@architectures": "clinbert.SectionTagger.v1", "dropout": 0.0,
                     "word_dropout": 0.0}}  # fmt: skip
NOTE = "CLINIC NOTE\nCC: cough\nPMH: asthma, gout.\nAllergies: penicillin - rash"
EXPECTED = [
    ("CLINIC NOTE", "header"),
    ("CC: cough", "chief_complaint"),
    ("PMH: asthma, gout.", "past_medical_history"),
    ("Allergies: penicillin - rash", "allergies"),
]


def make_nlp(config=None):
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_sections", config=config or {})
    return nlp


def sections(doc):
    return [(s.text, s.label_) for s in doc.spans["clinbert_sections"]]


def scores(doc):
    return doc.spans["clinbert_sections"].attrs["scores"]


def make_example(nlp, text, parts):
    reference = nlp.make_doc(text)
    spans, at = [], 0
    for part, name in parts:
        start = text.index(part, at)
        at = start + len(part)
        spans.append(reference.char_span(start, at, label=name))
    reference.spans["clinbert_sections"] = SpanGroup(reference, spans=spans)
    return Example(nlp.make_doc(text), reference)


def test_titles():
    nlp = make_nlp()
    doc = nlp(NOTE)
    assert sections(doc) == EXPECTED
    group = doc.spans["clinbert_sections"]
    assert group.attrs["headings"][1:] == [3, 4, 10]
    assert doc[-1:]._.clinbert_section == "allergies"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        (" \n ", []),
        ("Seen at home, well.", [("Seen at home, well.", "header")]),
        ("ALLERGIES", [("ALLERGIES", "allergies")]),
        ("She said her plan: to rest.", [("She said her plan: to rest.", "header")]),
    ],
)
def test_notes_without_headings_and_others(text, expected):
    assert sections(make_nlp()(text)) == expected


def test_learns_and_reloads(tmp_path):
    nlp = make_nlp(LEARNED)
    bare = "Cough for a week.\nHas asthma and gout.\nPenicillin gave a rash."
    names = ("chief_complaint", "past_medical_history", "allergies")
    examples = [
        make_example(nlp, NOTE, EXPECTED),
        make_example(nlp, bare, list(zip(bare.split("\n"), names))),
    ]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(40):
        losses = nlp.update(examples, sgd=optimizer, annotates=["clinbert_sentences"])
    assert losses["clinbert_sections"] < 1.0
    assert nlp.evaluate(examples)["sections_f"] == 1.0
    nlp.to_disk(tmp_path)
    for copy in (spacy.load(tmp_path), pickle.loads(pickle.dumps(nlp))):
        assert sections(copy(bare)) == sections(nlp(bare))
        # weights are saved in half precision
        assert scores(copy(bare)) == pytest.approx(scores(nlp(bare)), abs=1e-2)
    texts = [NOTE, "", bare, "\n"]
    for doc, alone in zip(nlp.pipe(texts), map(nlp, texts)):
        assert sections(doc) == sections(alone)
        assert scores(doc) == pytest.approx(scores(alone), abs=1e-5)


def test_several_names_may_be_right():
    nlp = make_nlp(LEARNED)
    example = make_example(nlp, NOTE, [(NOTE, "family_history|social_history")])
    nlp.initialize(lambda: [example])
    for _ in range(30):
        nlp.update([example], annotates=["clinbert_sentences"])
    assert sections(nlp(NOTE))[0][1] in ("family_history", "social_history")


def test_without_weights_or_sentences():
    nlp = make_nlp(LEARNED)
    with pytest.raises(ValueError, match="no weights"):
        nlp(NOTE)
    alone = spacy.blank("en")
    alone.add_pipe("clinbert_sections")
    with pytest.raises(ValueError, match="clinbert_sentences"):
        alone(NOTE)


def test_survives_docbin():
    nlp = make_nlp()
    doc = nlp(NOTE)
    (copy,) = DocBin(docs=[doc], store_user_data=False).get_docs(nlp.vocab)
    assert sections(copy) == EXPECTED
    assert copy[-1:]._.clinbert_section == "allergies"


def test_scores():
    nlp = make_nlp()
    example = make_example(nlp, NOTE, [(NOTE[:21], "header"), *EXPECTED[2:]])
    example.predicted = nlp(NOTE)
    found = score_sections([example])
    assert found["sections_f"] == pytest.approx(2 * 2 / (3 + 4))
    assert found["sections_characters"] < 1.0
    assert score_sections([Example(nlp(NOTE), nlp(NOTE[:3] + NOTE[3:]))])["sections_f"] == 1.0


class Always:
    """Stands for `random.Random` where everything happens."""

    def random(self):
        return 0.0

    def choice(self, values):
        return values[0]

    def randrange(self, start, stop):
        return start


def test_headings_are_varied():
    part = Part("allergies", "ALLERGIES", "none")
    rng = Always()
    assert vary(part, Variation(), rng) == "ALLERGIES: "
    assert vary(part, Variation(small=1), rng) == "allergies: "
    assert vary(part, Variation(line=1, plain=1), rng) == "ALLERGIES\n"
    assert vary(part, Variation(typo=1), rng) == "ALERGIES: "
    assert vary(Part("plan", "", "go"), Variation(), rng) == ""
    assert vary(Part("plan", "", "go"), Variation(title=1), rng) == "PLAN: "
    text, found = write([part, part], Variation(bare=1), rng)
    assert text == "none\nnone" and found == [[0, 4, "allergies"], [5, 9, "allergies"]]


def test_headings_are_cut():
    assert cut_heading("PMH: asthma") == ("PMH", "asthma")
    assert cut_heading("Has asthma.") == ("", "Has asthma.")
    assert cut_heading("LABS") == ("", "LABS")


def test_notes_of_a_batch_do_not_see_each_other():
    net = SectionNet(3, 50, 8, 2, dropout=0.0, word_dropout=0.0).eval()
    lengths = [1, 9, 3]
    features, offsets = torch.randint(0, 50, (26,)), torch.arange(0, 26, 2)
    together = net(features, offsets, lengths)
    first = 0
    for scores, length in zip(together, lengths):
        rows = features[2 * first : 2 * (first + length)]
        alone = net(rows, torch.arange(0, 2 * length, 2), [length])[0]
        assert torch.allclose(scores[:length], alone, atol=1e-6)
        bags = torch.tanh(net.bag(rows, torch.arange(0, 2 * length, 2)))
        near = torch.relu(net.near(bags.T[None])[0].T)
        assert torch.allclose(alone, net.output(bags + near), atol=1e-6)
        first += length


def test_what_was_forgotten_is_hashed_again(monkeypatch):
    doc = make_nlp()(NOTE)
    before = section_features.describe(doc)
    monkeypatch.setattr(section_features, "MEMORY", 1)
    after = section_features.describe(doc)
    assert sorted(before.features) == sorted(after.features)
    assert section_features.bucket("w=cough") in before.features


def test_units_begin_at_sentences_and_lines():
    doc = make_nlp()("\n One. Two\n\n \nThree\nfour  \n")
    begins, expected = True, []
    for token in doc:
        begins = begins or bool(token.is_sent_start)
        if token.is_space:
            begins = begins or "\n" in token.text
        elif begins:
            expected.append(token.i)
            begins = False
    assert section_features.find_units(doc) == expected and len(expected) == 4
