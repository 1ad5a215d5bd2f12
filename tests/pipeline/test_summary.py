"""`clinbert_summary` without anything learned: budgets, offsets, odd notes, rules before it."""

import pickle
import re
import sys
from functools import cache

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, DocBin, SpanGroup
from spacy.training import Example

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.corpora.silver import measure as measure_silver
from clinbert_spacy.corpora.silver import parse_budget as parse_silver
from clinbert_spacy.pipeline.summary import (
    Summary,
    gold_sentences,
    measure,
    parse_budget,
    word_vectors,
)
from tests.pipeline.test_summary_choice import count_calls
from tests.toy_told import (
    CENTRAL,
    NAME,
    choose,
    drug,
    effect,
    has,
    lay,
    make_central,
    make_example,
    numbers,
    shown,
    split,
)

NOTE = """Admitted with cough and fever.
Cough since Monday, fever since Tuesday.
  Chest is clear.

Stopped naproxen.\tRash since naproxen.
Home on Friday.
"""
LINES = ["Admitted with cough and fever.", "Cough since Monday, fever since Tuesday.",
         "Chest is clear.", "Stopped naproxen.", "Rash since naproxen.",
         "Home on Friday."]  # fmt: skip


def texts(doc):
    return [span.text for span in doc._.clinbert_summary]


# Sentences, word for word


def test_builds_from_its_default_config():
    component = spacy.blank("en").add_pipe(NAME)
    assert isinstance(component, Summary) and isinstance(component, TrainablePipe)
    assert {"__call__", "pipe"}.isdisjoint(vars(Summary))
    assert component.is_trainable and component.labels == () and component.scorer is not None
    assert (component.method, component.budget, component.redundancy) == ("model", "20%", 0.3)
    listener = component.model.get_ref("tok2vec").get_ref("listener")
    assert listener.upstream_name == "clinbert_transformer"


@pytest.mark.parametrize("budget", ["1", "3", "50%", "8w", "6"])
def test_word_for_word_in_the_order_of_the_note(budget):
    doc = make_central(budget)(NOTE)
    spans = doc._.clinbert_summary
    assert [doc.text[s.start_char : s.end_char] for s in spans] == texts(doc)
    assert set(texts(doc)) <= set(LINES)
    assert [s.start for s in spans] == sorted({s.start for s in spans})
    group = doc.spans[SUMMARY_KEY]
    assert group.attrs["budget"] == budget and len(group.attrs["scores"]) == len(spans) > 0
    assert all(type(score) is float and 0 <= score <= 1 for score in group.attrs["scores"])
    assert doc.text == NOTE


def test_scores_are_those_of_the_chosen_sentences():
    everything = make_central("100%")(NOTE).spans[SUMMARY_KEY].attrs["scores"]
    assert max(everything) == 1 and len(everything) == 6
    doc = make_central("2")(NOTE)
    assert doc.spans[SUMMARY_KEY].attrs["scores"] == [everything[i] for i in numbers(doc)]


def test_nothing_chosen_yet():
    assert make_central() and split("Cough.")._.clinbert_summary == []


# Budgets


@pytest.mark.parametrize(
    ("budget", "n"),
    [
        ("0", 0), ("1", 1), ("5", 5), ("6", 6), ("999", 6), (4, 4), ("2.0", 2), (" 3 ", 3),
        ("0%", 0), ("1%", 1), ("16.6%", 1), ("33%", 1), ("34%", 2), ("50 %", 3), ("100%", 6),
        ("0w", 0), ("1w", 0), ("2w", 1), ("4w", 1), ("5w", 2), ("22w", 6), ("9999999w", 6),
    ],
)  # fmt: skip
def test_budgets(budget, n):
    doc = make_central(budget)(NOTE)
    assert len(texts(doc)) == n
    unit = str(budget).strip()
    if unit.endswith("w"):
        assert sum(len(text.split()) for text in texts(doc)) <= float(unit[:-1])


@pytest.mark.parametrize(
    "budget", ["", "w", "%", "five", "-1", -1, "1.5", "2.5w", "101%", "5 words", "1e3", "5w%",
               "gold", "inf", "nan", "9" * 400, True],
)  # fmt: skip
def test_malformed_budgets_are_refused_by_name(budget):
    with pytest.raises(ValueError, match=re.escape(f"budget = '{budget}': expected e.g. '5'")):
        parse_budget(budget)
    component = make_central("3").get_pipe(NAME)
    with pytest.raises(ValueError, match="budget = "):
        component.budget = budget
    assert component.budget == "3"
    with pytest.raises(ValueError, match="budget"):
        make_central(budget)


@given(st.integers(0, 2000), st.integers(0, 1000), st.sampled_from(["", "w", "%"]))
def test_costs_and_limits_are_those_of_the_silver_summaries(n, amount, unit):
    """The same budget means the same to the component and to the rows it is scored beside."""
    budget = f"{amount / 10:g}%" if unit == "%" else f"{amount}{unit}"
    doc = split("One two. Three.\n\nFour")
    sentences = list(doc.sents) * (n % 7)
    own = measure([s.text for s in sentences] and sentences, budget)
    assert own == measure_silver([s.text for s in sentences], parse_silver(budget))
    many = measure(["x"] * n if unit != "w" else [], budget)[1]
    assert many == measure_silver(["x"] * n, parse_silver(budget))[1]


def test_a_share_is_not_cut_by_rounding():
    assert measure(["x"] * 1000, "65.1%")[1] == 651 and 1000 * 65.1 / 100 < 651


# Settings


def test_every_setting_counts():
    twice = "Cough and fever.\nCough and fever now.\nCough and a fever.\nSister has gout."
    found = {n: texts(make_central("2", redundancy=n)(twice)) for n in (0.0, 1.0)}
    assert "Sister has gout." in found[1.0] and "Sister has gout." not in found[0.0]
    assert spacy.blank("en").add_pipe(NAME, config={**CENTRAL, "scorer": None}).scorer is None


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({**CENTRAL, "method": "guess"}, "method = 'guess' is not one of model, central"),
        ({"model": None}, "needs a model; 'central' goes without one"),
        ({**CENTRAL, "redundancy": 1.5}, "redundancy = 1.5: expected a number from 0 to 1"),
        ({**CENTRAL, "redundancy": -0.1}, "redundancy = -0.1"),
    ],
)
def test_wrong_settings(config, match):
    with pytest.raises(ValueError, match=match):
        spacy.blank("en").add_pipe(NAME, config=config)


def test_needs_sentences():
    nlp = spacy.blank("en")
    nlp.add_pipe(NAME, config=CENTRAL)
    with pytest.raises(ValueError, match="put 'clinbert_sentences'"):
        nlp("Cough.")
    assert texts(nlp("")) == []


def test_a_component_without_a_model_cannot_learn_but_may_stand_in_a_training():
    nlp = make_central()
    nlp.add_pipe("textcat")
    examples = [make_example(nlp, NOTE, LINES[:1])]
    examples[0].reference.cats = {"a": 1.0, "b": 0.0}
    optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer, annotates=["clinbert_sentences"])
    assert NAME not in losses
    with nlp.use_params({}):
        assert texts(nlp(NOTE))
    assert not nlp.get_pipe(NAME).is_trainable
    with pytest.raises(ValueError, match="has no model to train: method = 'central'"):
        nlp.get_pipe(NAME).get_loss(examples, None)
    # spaCy keeps what nobody learned of the score beside what others learned
    assert nlp.evaluate([make_example(nlp, NOTE, LINES[:1])])["summary_p"] in (0.0, 1.0)


# Survival


def test_survives_disk_bytes_pickle_and_a_docbin(tmp_path):
    nlp = make_central("3")
    expected = shown(nlp(NOTE))
    nlp.to_disk(tmp_path)
    again = [spacy.load(tmp_path), make_central("3").from_bytes(nlp.to_bytes()),
             pickle.loads(pickle.dumps(nlp))]  # fmt: skip
    assert [shown(copy(NOTE)) for copy in again] == [expected] * 3
    (read,) = DocBin(docs=[nlp(NOTE)]).get_docs(nlp.vocab)
    assert shown(read) == shown(Doc(nlp.vocab).from_bytes(nlp(NOTE).to_bytes())) == expected


NOTES = [NOTE, "", "Cough.", " \n", NOTE * 2]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pipe_equals_call(size):
    nlp = make_central("2")
    alone = [shown(nlp(text)) for text in NOTES]
    assert [shown(doc) for doc in nlp.pipe(NOTES, batch_size=size)] == alone


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes():
    nlp = make_central("2")
    found = [shown(doc) for doc in nlp.pipe(NOTES, n_process=2, batch_size=2)]
    assert found == [shown(nlp(text)) for text in NOTES]


def test_run_twice_it_says_the_same():
    nlp = make_central("2")
    doc = nlp(NOTE)
    first = shown(doc)
    assert shown(nlp.get_pipe(NAME)(doc)) == first


# Odd notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []), (" \n\n\t ", []), ("Cough", ["Cough"]), ("...", ["..."]),
        ("\n\nCough.\n", ["Cough."]),
        ("Na 140 | K 4.1\nCr 88 | Hb 120", ["Na 140 | K 4.1", "Cr 88 | Hb 120"]),
        ("咳嗽三天。发热。", ["咳嗽三天。发热。"]),
        ("Der Patient hustet.\nKein Fieber.", ["Der Patient hustet.", "Kein Fieber."]),
        ("😀\n\u200b", ["😀", "\u200b"]), ("---\n---\n===", ["---", "---", "==="]),
    ],
)  # fmt: skip
def test_odd_notes(text, expected):
    assert texts(make_central("100%")(text)) == expected
    assert texts(make_central("0")(text)) == []


def test_another_language_and_sentences_of_another_component():
    nlp = spacy.blank("de")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe(NAME, config={**CENTRAL, "budget": "2"})
    assert len(texts(nlp("Husten und Fieber. Kein Fieber. Husten seit Montag."))) == 2


def test_a_duplicated_paragraph_is_not_chosen_twice_while_others_are_left():
    part = "Cough and fever since Monday.\nCough is dry, fever high.\n"
    doc = make_central("4")(part + "\n" + part + "\n" + part + "Sleeps well.\nEats.\n")
    assert len(set(texts(doc))) == 4
    doc = make_central("5")(part + "\n" + part + "Sleeps well.\nEats.\n")
    assert len(set(texts(doc))) == 4


def test_the_same_plan_twice_is_said_once_while_others_are_left():
    doc = make_central("2", redundancy=0.0)("Follow up in May.\nFollow up in May.\nWell.")
    assert len(set(texts(doc))) == 2


def test_work_grows_with_the_note():
    nlp = make_central("20%")

    def work(n):
        lines = [f"Line {i} says w{i % 50} and w{i % 7} ." * 2 for i in range(n)]
        doc = nlp.get_pipe("clinbert_sentences")(nlp.make_doc("\n".join(lines)))
        return count_calls(lambda: nlp.get_pipe(NAME)(doc))

    assert work(1300) < 14 * work(130)  # lines of 16 words: 20,000 in all


def test_work_grows_with_what_was_found():
    component = make_central("10").get_pipe(NAME)

    def work(n):
        text = "\n".join(f"Drug{i} gave pain{i} today ." for i in range(n))
        rows = [row for i in range(n) for row in (drug(f"Drug{i} "[:-1]), has(f"pain{i}"))]
        doc = lay_numbered(text, rows, n)
        return count_calls(lambda: component(doc))

    assert work(400) < 7 * work(100)


def lay_numbered(text, rows, n):
    """As `lay`, by numbers of words: `Drug1` stands in `Drug10`, too."""
    doc = split(text)
    spans = [doc[5 * i + j : 5 * i + j + 1] for i in range(n) for j in (0, 2)]
    values = [row[2] for row in rows]
    doc.spans["clinbert_assertion"] = SpanGroup(
        doc, spans=spans, attrs={"values": values, "cues": [{} for _ in values]}
    )
    links = [{"head": 2 * i, "tail": 2 * i + 1, "label": "ADVERSE_EFFECT", "score": 1.0,
              "causality": "stated", "kind": "reaction", "evidence": [], "cue": []}
             for i in range(0, n, 10)]  # fmt: skip
    doc.spans["clinbert_relations"] = SpanGroup(doc, spans=spans, attrs={"relations": links})
    return doc


# What is laid on a note


def test_side_effects_and_allergies_are_in_every_summary_that_has_room():
    doc = lay(NOTE + "Penicillin: anaphylaxis.",
              [drug("naproxen@2", "stopped"), has("Rash"), has("cough"), has("Cough"),
               drug("Penicillin", "allergy")],
              [effect("naproxen@2", "Rash")])  # fmt: skip
    assert choose(doc, "2") == [4, 6] and choose(doc, "6w") == [4, 6]
    assert set(choose(doc, "3")) > {4, 6}


@pytest.mark.parametrize(
    ("values", "said", "expected"),
    [
        ({}, {}, [3]), ({"presence": "hypothetical"}, {}, [1]), ({"presence": "absent"}, {}, [1]),
        ({}, {"causality": "denied"}, [1]), ({"experiencer": "other"}, {}, [1]),
    ],
)  # fmt: skip
def test_what_is_there_is_owed_and_what_is_denied_or_feared_is_not(values, said, expected):
    text = "Cough and fever.\nCough, fever since Monday.\nFever since Monday.\nWheeze on codeine."
    doc = lay(text, [has("Wheeze", **values)], [effect("codeine", "Wheeze", **said)])
    assert choose(doc, "1") == expected


def test_nobody_is_named():
    for budget in ("1", "3", "100%", "50w"):
        doc = lay(NOTE, [has("Rash")], [effect("naproxen@2", "Rash")], phi=["Monday", "Rash"])
        assert not {1, 4} & set(choose(doc, budget))


# Rules before it


@cache
def ruled():
    """Entities by a word list, sections and assertion by rules."""
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    words = {"SYMPTOM": ("fever", "rash", "cough", "nausea"), "DISEASE": ("gout", "asthma"),
             "DRUG": ("penicillin", "codeine", "aspirin")}  # fmt: skip
    patterns = [{"label": label, "pattern": [{"LOWER": word}]}
                for label, row in words.items() for word in row]  # fmt: skip
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    nlp.add_pipe("clinbert_sections")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    nlp.add_pipe(NAME, config=CENTRAL)
    return nlp


HEADS = ["Denies:", "No:", "Negative for:", "Family history:", "FAMILY HISTORY", "Allergies:",
         "Return if:", "Mother:"]  # fmt: skip
ITEMS = ["fever", "rash", "gout", "penicillin - rash", "codeine", "nothing else", "cough, nausea"]
BLOCKS = st.tuples(
    st.sampled_from(HEADS), st.sampled_from(["- ", "* ", ""]),
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=3),
)  # fmt: skip
PROSE = ["Has a cough since Monday.", "Takes aspirin.", "Sleeps well.", "Fever was 39."]
BUDGETS = st.one_of(st.integers(0, 9).map(str), st.integers(0, 30).map("{}w".format),
                    st.sampled_from(["20%", "50%", "100%"]))  # fmt: skip


@settings(max_examples=120)
@given(st.lists(st.one_of(BLOCKS, st.sampled_from(PROSE)), max_size=5), BUDGETS)
def test_no_item_without_the_line_that_turns_it_around(blocks, budget):
    lines, heads = [], {}
    for block in blocks:
        if isinstance(block, str):
            lines.append(block)
            continue
        head, bullet, items = block
        first = len(lines)
        lines += [head, *(bullet + item for item in items)]
        heads |= {first + 1 + i: first for i, item in enumerate(items)
                  if head.endswith(":") or item in ("gout", "fever", "rash")}  # fmt: skip
        lines[-1] += "\n"
    nlp = ruled()
    nlp.get_pipe(NAME).budget = budget
    doc = nlp("\n".join(lines))
    chosen = set(numbers(doc))
    assert len(list(doc.sents)) == len(lines)
    assert {heads[i] for i in chosen & set(heads)} <= chosen
    costs, limit = measure(list(doc.sents), budget)
    assert sum(costs[i] for i in chosen) <= limit


def test_an_allergy_comes_with_its_heading():
    nlp = ruled()
    text = "Has a cough.\nAllergies:\npenicillin - rash\ncodeine\n\nPlan: rest."
    for budget, expected in (("1", [[0]]), ("2", [[1, 2], [1, 3]]), ("3", [[1, 2, 3]])):
        nlp.get_pipe(NAME).budget = budget
        assert numbers(nlp(text)) in expected


# Words and gold sentences


def test_vectors_of_words():
    doc = split("Cough, cough 38.\nNo cough.\n...\nFever 38.")
    rows = word_vectors(list(doc.sents))
    assert rows.shape == (4, 4)  # 38, cough, fever, no
    assert numpy.allclose((rows**2).sum(axis=1), [1, 1, 0, 1])
    likeness = rows @ rows.T
    assert likeness[0, 1] > 0 and likeness[0, 3] > 0 and likeness[1, 3] == 0
    # what stands in fewer sentences counts more
    assert rows[1, 3] > rows[1, 1] and rows[3, 2] > rows[3, 0]
    assert word_vectors([]).shape == (0, 0)


def gold_of(text, gold, spans):
    """For predicted sentences, as places of the text."""
    nlp = spacy.blank("en")
    example = make_example(nlp, text, gold)
    doc = example.predicted
    found = [doc.char_span(*place) for place in spans]
    assert None not in found
    doc.spans[SUMMARY_KEY] = SpanGroup(doc, spans=found)
    return gold_sentences(example).tolist()


TEXT = "One two three. Four five six.\n\n\n        \n          Seven."
END = TEXT.index("Seven.")


@pytest.mark.parametrize(
    ("gold", "spans", "expected"),
    [
        (["One two three."], [(0, 14), (15, 29)], [1, 0]),
        (["One two three."], [(0, 7), (8, 29)], [1, 0]),  # 6 of 17 letters
        (["two three. Four"], [(0, 14), (15, 29)], [1, 0]),
        (["Seven."], [(0, 29), (29, len(TEXT))], [0, 1]),
        (["Four five six."], [(0, 14), (15, END)], [0, 1]),  # white space does not count
        (["One two three. Four five six."], [(0, 14), (15, 29), (END, END + 6)], [1, 1, 0]),
        ([], [(0, 14), (15, 29)], [0, 0]),
        (None, [(0, 14), (15, 29)], [-1, -1]),
        (["One", "three."], [(0, 14)], [1]),
        (["Seven."], [(29, END)], [0]),  # white space alone
    ],
)
def test_gold_sentences_under_other_bounds(gold, spans, expected):
    assert gold_of(TEXT, gold, spans) == expected


def test_exactly_half_is_enough():
    assert gold_of("abcd efgh", ["abcd"], [(0, 9)]) == [1]
    assert gold_of("abcd efghi", ["abcd"], [(0, 10)]) == [0]


def test_tokens_of_the_reference_may_differ():
    nlp = spacy.blank("en")
    predicted = nlp.make_doc("One. Two.")
    reference = Doc(nlp.vocab, words=["One", ".", "Two", "."], spaces=[False, True, False, False])
    reference.spans[SUMMARY_KEY] = [reference[2:4]]
    predicted.spans[SUMMARY_KEY] = [predicted[:2], predicted[2:]]
    assert gold_sentences(Example(predicted, reference)).tolist() == [0, 1]
