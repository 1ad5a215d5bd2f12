"""`clinbert_summary` over every invented note, with what people marked laid on it."""

from functools import cache

import numpy
import pytest
from spacy.tokens import Doc

from clinbert_spacy.attributes import ASSERTION_KEY, LISTED
from clinbert_spacy.pipeline.summary import measure
from clinbert_spacy.pipeline.summary_facts import find_needs, numbers_of_sentences, read_note
from tests.toy_gold import all_notes, gold_docs, lay_gold
from tests.toy_told import choose

# What is owed by the rules for people who chose summaries: present, and the patient's.
HAS, NOT_THERE = ("present", None), ("absent", "hypothetical")


def judged(doc):
    group = doc.spans[ASSERTION_KEY]
    return list(zip(group, group.attrs["values"], group.attrs["cues"]))


def cut_cues(doc, budget):
    """Entities in a summary whose cue is left out, and how many have theirs in another sentence."""
    number, chosen = numbers_of_sentences(doc), set(choose(doc, budget))
    cut, apart = [], 0
    for span, _, cues in judged(doc):
        own = int(number[span.start])
        places = [int(number[start]) for start, _ in cues.values()]
        if own in chosen:
            apart += any(place != own for place in places)
            cut += [span.start for place in places if place not in chosen]
    return cut, apart


def tear(note):
    """A note whose every "no" or its like stands in another sentence than what it denies."""
    doc = lay_gold(note)
    for span, values, cues in judged(doc):
        if values.get("presence") == "absent" and "presence" in cues:
            start, end = cues["presence"]
            if end <= span.start:
                doc[end].is_sent_start = True
            elif span.end <= start:
                doc[start].is_sent_start = True
    return doc


@pytest.mark.parametrize("budget", ["10%", "30%"])
def test_no_cue_is_cut_off(budget):
    found = {note.id: cut_cues(doc, budget) for note, doc in gold_docs()}
    assert {name: cut for name, (cut, _) in found.items() if cut} == {}
    assert sum(apart for _, apart in found.values()) > 20


def test_no_negation_is_cut_off_where_a_sentence_ends_behind_it():
    found = {note.id: cut_cues(tear(note), "30%") for note in all_notes()[::3]}
    assert {name: cut for name, (cut, _) in found.items() if cut} == {}
    assert sum(apart for _, apart in found.values()) > 100


# Side effects and allergies


def owed(note, number):
    """Facts that are owed, each with the places that tell it: numbers of sentences."""
    by_id = {mention.id: mention for mention in note.mentions}

    def words(mention):
        return " ".join(note.text[mention.start : mention.end].lower().split())

    found = {}
    for mention in note.mentions:
        if mention.attributes.get("Status") == "allergy":
            found.setdefault(("allergy", words(mention)), set()).add(number([mention]))
    for relation in note.relations:
        drug, effect = by_id[relation.head], by_id[relation.tail]
        if relation.label != "ADVERSE_EFFECT" or relation.attributes.get("Causality") == "denied":
            continue
        said, ends = effect.attributes, number([drug, effect])
        status, kind = drug.attributes.get("Status"), relation.attributes.get("Kind")
        if said.get("Experiencer", "patient") != "patient":
            continue
        if kind in LISTED or status == "allergy":
            if said.get("Presence") not in NOT_THERE:
                found.setdefault(("allergy", words(drug)), set()).add(ends)
        elif said.get("Presence") in HAS:
            found.setdefault((words(drug), words(effect)), set()).add(ends)
    return found


@cache
def asked():
    """Of every note: its Doc, what is owed, and all sentences that tell any of it."""
    rows = []
    for note, doc in gold_docs():
        numbers, starts = numbers_of_sentences(doc), numpy.array([t.idx for t in doc])

        def number(mentions, numbers=numbers, starts=starts):
            places = [m.start for m in mentions]
            return frozenset(int(numbers[i]) for i in starts.searchsorted(places, "right") - 1)

        rows.append((note.id, doc, owed(note, number)))
    return rows


def with_needs(doc, sentences):
    needs, found, left = find_needs(read_note(doc)), set(), list(sentences)
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += needs.get(one, ())
    return found


def missing(facts, chosen):
    return [fact for fact, places in facts.items() if not any(p <= chosen for p in places)]


def test_the_notes_owe_enough():
    facts = [fact for *_, one in asked() for fact in one]
    assert sum(fact[0] == "allergy" for fact in facts) > 100 and len(facts) > 500


def room_for_all(doc, facts):
    """Of all sentences that tell what is owed, with those that they need, the number."""
    return len(with_needs(doc, {i for places in facts.values() for p in places for i in p}))


@pytest.mark.parametrize("budget", ["exact", "20%"])
def test_what_is_owed_is_there_where_the_budget_has_room_for_it(budget):
    lost, held = {}, 0
    for name, doc, facts in asked():
        n = room_for_all(doc, facts)
        given = str(n) if budget == "exact" else budget
        costs, limit = measure(list(doc.sents), given)
        chosen = set(choose(doc, given))
        assert sum(costs[i] for i in chosen) <= limit
        if limit >= n:
            held += len(facts)
            lost[name] = missing(facts, chosen)
    assert {name: gone for name, gone in lost.items() if gone} == {} and held > 200


def test_a_smaller_budget_holds_one_fact_at_least_where_one_fits():
    for _, doc, facts in asked():
        least = min(
            (len(with_needs(doc, place)) for places in facts.values() for place in places),
            default=0,
        )
        if least:
            chosen = set(choose(doc, str(least)))
            assert len(missing(facts, chosen)) < len(facts)


def test_what_is_laid_is_what_people_marked():
    note, doc = gold_docs()[0]
    assert isinstance(doc, Doc) and doc.text == note.text
    told = [values for _, values, _ in judged(doc)]
    marked = [m for m in note.mentions if m.label in ("DISEASE", "SYMPTOM", "DRUG")]
    assert len(told) == len(marked) and all(told)
