"""`clinbert_summary`: what is laid on a note counts, and no sentence is torn from what turns it."""

from functools import cache

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import SpanGroup

from clinbert_spacy.pipeline.summary import measure
from tests.pipeline.test_summary import NOTE, texts
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
    numbers,
    split,
)

# The same twice


def test_a_duplicated_paragraph_is_not_chosen_twice_while_others_are_left():
    part = "Cough and fever since Monday.\nCough is dry, fever high.\n"
    doc = make_central("4")(part + "\n" + part + "\n" + part + "Sleeps well.\nEats.\n")
    assert len(set(texts(doc))) == 4
    doc = make_central("5")(part + "\n" + part + "Sleeps well.\nEats.\n")
    assert len(set(texts(doc))) == 4


def test_the_same_plan_twice_is_said_once_while_others_are_left():
    doc = make_central("2", redundancy=0.0)("Follow up in May.\nFollow up in May.\nWell.")
    assert len(set(texts(doc))) == 2


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


@settings(max_examples=150)
@given(st.lists(st.one_of(BLOCKS, st.sampled_from(PROSE)), max_size=5), BUDGETS)
def test_no_item_without_the_line_that_turns_it_around(blocks, budget):
    lines, heads, families = [], {}, []
    for block in blocks:
        if isinstance(block, str):
            lines.append(block)
            continue
        head, bullet, items = block
        first = len(lines)
        # two of a name with nothing but text between them are one section
        families += [first] if head.lower().startswith("family") else []
        lines += [head, *(bullet + item for item in items)]
        found = {first} if head.endswith(":") else set(families)
        heads |= {first + 1 + i: found for i, item in enumerate(items)
                  if head.endswith(":") or item in ("gout", "fever", "rash")}  # fmt: skip
        lines[-1] += "\n"
    nlp = ruled()
    nlp.get_pipe(NAME).budget = budget
    doc = nlp("\n".join(lines))
    chosen = set(numbers(doc))
    assert len(list(doc.sents)) == len(lines)
    assert all(heads[i] & chosen for i in chosen & set(heads))
    costs, limit = measure(list(doc.sents), budget)
    assert sum(costs[i] for i in chosen) <= limit


def test_an_allergy_comes_with_its_heading():
    nlp = ruled()
    text = "Has a cough.\nAllergies:\npenicillin - rash\ncodeine\n\nPlan: rest."
    for budget, expected in (("1", [[0]]), ("2", [[1, 2], [1, 3]]), ("3", [[1, 2, 3]])):
        nlp.get_pipe(NAME).budget = budget
        assert numbers(nlp(text)) in expected


# How the work grows


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
