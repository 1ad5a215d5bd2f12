"""Cues of assertion and drug status in marked-up, invented sentences.

`[words]` is an entity, `{words}` a drug; behind them stands what the rules must say.
"""

import random
import re

import pytest
import spacy
from spacy.tokens import Span
from spacy.util import filter_spans

from clinbert_spacy.attributes import AXES, DRUG_AXES, PROBLEM_AXES
from clinbert_spacy.pipeline.context import Asked, judge
from clinbert_spacy.pipeline.cues import CueMatcher, Phrase, list_roles, load_cues, longest
from clinbert_spacy.pipeline.note_words import read_words

MARK = re.compile(r"[\[{]([^\]}]*)[\]}]")
CASES = [
    ("No [fever], [chills] or [rigors].", "absent absent absent"),
    ("Denies [chest pain] but has [dyspnoea].", "absent present"),
    ("[Afebrile], [non-tender].", "absent absent"),
    ("[PE] was ruled out.", "absent"),
    ("CT: [pneumonia] not seen, [effusion] present.", "absent present"),
    ("No change in [murmur].", "present"),
    ("Walks not without [pain].", "present"),
    ("Gram negative [bacteraemia].", "present"),
    ("Cannot rule out [PE].", "possible"),
    ("[Pneumonia] cannot be excluded.", "possible"),
    ("?[PE] ?[pneumonia]", "possible possible"),
    ("Likely [cellulitis].", "possible"),
    ("Return if [fever] or [vomiting].", "hypothetical hypothetical"),
    ("ondansetron 4 mg prn [nausea]", "hypothetical"),
    ("[Dyspnoea] on exertion.", "conditional"),
    ("Mother had [breast cancer].", "family"),
    ("Mother reports [fever] since Monday.", "patient"),
    ("Father died of [MI]; patient has [angina].", "family patient"),
    ("[diabetes] in her sister", "family"),
    ("Flatmate has [influenza].", "other"),
    ("History of [seizures].", "historical"),
    ("History of [hypertension].", "current"),
    ("[MI] 2015", "historical"),
    ("[Appendicitis] as a child.", "historical"),
    ("Two-day history of [fever].", "current"),
    ("Allergic to {penicillin}.", "allergy"),
    ("{lisinopril} was stopped, continue {aspirin}", "stopped active"),
    ("Hold {metformin}.", "held"),
    ("Started {apixaban} 5 mg bd.", "started"),
    ("Plan to start {methotrexate}.", "planned"),
    ("Previously on {warfarin}.", "past"),
    ("Declined {statins}.", "not_taken"),
    ("Takes {ramipril} daily.", "active"),
    ("{furosemide} increased to 80 mg", "changed"),
    ("Wife thinks the [tremor] is worse.", "patient"),
    ("Dad denies [wheeze].", "absent"),
    ("Dad has [wheeze].", "family"),
    ("Her aunt developed a [clot] and had [bleeding].", "family family"),
    ("Mother has [gout]; patient has [cough].", "family patient"),
    ("Brother: [asthma]", "family"),
    ("[non-smoker], [NKDA], [no known drug allergies]", "absent absent absent"),
    ("[non-small cell lung cancer]", "present"),
    ("Cannot exclude [PE] without [effusion].", "possible absent"),
    ("No [rash], not even a faint one, but not without [itch].", "absent present"),
    ("His uncle had [gout] on {thiazides}.", "family not_taken"),
    ("Likely {nitrofurantoin}: [hepatitis].", "active present"),
    ("No {statin} ([myalgia]).", "not_taken present"),
    ("{lithium} may have contributed to the [tremor].", "active present"),
    ("Intol: {codeine}.", "allergy"),
    ("[Rash]: no, [fever]: yes, [itch] (-), [sweats] none.", "absent present absent absent"),
    ("[Palps] nil, [ankle swelling].", "absent present"),
    ("[Malaise], [aches], [cough] nil.", "present present absent"),
    ("[Shingles], [mumps]: never.", "absent absent"),
    ("[Cramps] denied, [bloating] since May.", "absent present"),
    ("[Jaundice] in March, [gallstones] excluded.", "present absent"),
    ("[Vertigo] ?[labyrinthitis]", "present possible"),
    ("[Labyrinthitis]? Hearing fine, [vertigo].", "possible present"),
    ("+ [pallor]\n- [petechiae]\n- [bruises]", "present absent absent"),
    ("- [petechiae]\n- [bruises]", "present present"),
    ("Without [stridor], with [drooling].", "absent present"),
    ("Not keen on {statins} ([myalgia]).", "not_taken present"),
    ("No [bruising] on {edoxaban}.", "absent active"),
    ("No {naproxen}, [ulcer].", "not_taken present"),
    ("Denies [angina] or [faints] on exertion.", "absent absent"),
    ("Denies [exertional angina].", "absent"),
    ("Risks: [leak]; [sepsis].", "hypothetical hypothetical"),
    ("[Gout] prophylaxis: {colchicine}.", "hypothetical active"),
    ("If the [itch] persists, biopsy.", "present"),
    ("Return if [itch] persists.", "hypothetical"),
    ("Swapped {fluoxetine} for {sertraline}.", "stopped started"),
    ("On {warfarin} - held.", "held"),
    ("On {aspirin}, hold {warfarin}.", "active held"),
    ("{Digoxin} stopped two years ago.", "past"),
    ("Stopped {digoxin} in 2019.", "past"),
    ("If platelets fall, stop {apixaban}.", "active"),
    ("If agitated, {lorazepam} 0.5 mg.", "planned"),
    ("{Lorazepam} 0.5 mg if agitated.", "planned"),
    ("{Cefaclor}: [hives].", "allergy conditional"),
    ("{Cetirizine}: [hives].", "active present"),
    ("{Cefaclor} today: [hives].", "started present"),
    ("Allergies: {aspirin} - [wheeze]; {codeine} - [itch].",
     "allergy conditional allergy conditional"),
    ("Told mum to watch for [floppiness].", "hypothetical"),
    ("Sister had [lupus]; our patient, [alopecia].", "family patient"),
    ("[Glaucoma] mother.", "family"),
]  # fmt: skip


@pytest.fixture(scope="module")
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    return nlp


@pytest.fixture(scope="module")
def matcher(nlp):
    return CueMatcher(nlp)


def run(nlp, matcher, marked, section=""):
    text = MARK.sub(r"\1", marked)
    doc = nlp(text)
    asked, shift = [], 0
    for match in MARK.finditer(marked):
        start = match.start() - shift
        shift += 2
        span = doc.char_span(start, start + len(match.group(1)), alignment_mode="expand")
        axes = DRUG_AXES if match.group()[0] == "{" else PROBLEM_AXES
        asked.append(Asked(span, axes, section, matcher.is_chronic(span)))
    return judge(doc, asked, matcher)[1]


@pytest.mark.parametrize("marked, expected", CASES)
def test_cues(nlp, matcher, marked, expected):
    for found, value in zip(run(nlp, matcher, marked), expected.split(), strict=True):
        (axis,) = [axis for axis, values in AXES.items() if value in values]
        assert found[axis].value == value


def test_a_sentence_ends_a_scope(nlp, matcher):
    first, second = run(nlp, matcher, "No [fever].\n[Cough] persists.")
    assert (first["presence"].value, second["presence"].value) == ("absent", "present")


def test_a_colon_carries_a_cue_into_a_list(nlp, matcher):
    found = run(nlp, matcher, "Denies:\n- [fever]\n- [cough]\n[Rash] today")
    assert [f["presence"].value for f in found] == ["absent", "absent", "present"]


def test_sections_decide_where_no_cue_does(nlp, matcher):
    (found,) = run(nlp, matcher, "[asthma], well", "family_history")
    assert found["experiencer"] == ("family", None, "section")
    (found,) = run(nlp, matcher, "{penicillin}: rash", "allergies")
    assert found["drug_status"].value == "allergy"
    (found,) = run(nlp, matcher, "{penicillin}: continued", "allergies")
    assert found["drug_status"].value == "active"


def test_boxes(nlp, matcher):
    doc = nlp("[ ] haematuria [x] dysuria")
    asked = [Asked(doc[i : i + 1], PROBLEM_AXES) for i in (2, 6)]
    first, second = judge(doc, asked, matcher)[1]
    assert (first["presence"].value, second["presence"].value) == ("absent", "present")
    doc = nlp("haematuria [ ] dysuria [x]")
    asked = [Asked(doc[i : i + 1], PROBLEM_AXES) for i in (0, 3)]
    first, second = judge(doc, asked, matcher)[1]
    assert (first["presence"].value, second["presence"].value) == ("absent", "present")


def test_a_status_belongs_to_the_drug(nlp, matcher):
    found = run(nlp, matcher, "[Gout] from {frusemide}. On {frusemide}. Plan: stop {Frusemide}.")
    statuses = [f["drug_status"] for f in found[1:]]
    assert [s.value for s in statuses] == ["stopped"] * 3
    assert [s.source for s in statuses] == ["mention", "mention", "cue"]
    assert len({s.cue for s in statuses}) == 1


def test_what_was_once_given_does_not_end_what_is_taken(nlp, matcher):
    first, second = run(nlp, matcher, "Takes {morphine}. Was given {morphine} in theatre.")
    assert (first["drug_status"].value, second["drug_status"].value) == ("active", "past")


def test_an_entity_may_cross_a_sentence_end(nlp, matcher):
    (found,) = run(nlp, matcher, "No [fever.\nCough] today.")
    assert found["presence"].value == "absent"


def test_answers_carry_their_cue(nlp, matcher):
    doc = nlp("There is no evidence of pneumonia.")
    span = doc[5:6]
    cues, (found,) = judge(doc, [Asked(span, PROBLEM_AXES)], matcher)
    start, end = found["presence"].cue
    assert doc[start:end].text == "no evidence of" and found["presence"].source == "cue"
    assert [doc[c.start : c.end].text for c in cues] == ["no evidence of"]
    assert found["time"] == ("current", None, "default")


def test_the_lists_are_well_formed():
    roles = list_roles(load_cues())
    for phrase, found in roles.items():
        assert phrase == phrase.lower() or "/" in phrase
        for role in found:
            assert role.axis in {*AXES, "end", "pseudo"}
            assert role.axis not in AXES or role.value in AXES[role.axis]
    for values in load_cues()["sections"].values():
        assert all(value in AXES[axis] for axis, value in values.items())


def test_empty_note(nlp, matcher):
    assert judge(nlp(""), [], matcher) == ([], [])


def test_phrases_are_cut_as_the_first_note_is():
    nlp = spacy.blank("en")
    matcher = CueMatcher(nlp)
    nlp.tokenizer = spacy.tokenizer.Tokenizer(nlp.vocab)
    nlp.add_pipe("clinbert_sentences")
    (found,) = run(nlp, matcher, "We cannot exclude [torsion] yet")
    assert found["presence"].value == "possible"


def test_a_host_tokenizer_finds_the_same_cues(matcher):
    other = spacy.blank("en")
    other.tokenizer = spacy.tokenizer.Tokenizer(other.vocab)
    other.add_pipe("clinbert_sentences")
    (found,) = run(other, CueMatcher(other), "There is no evidence of [pneumonia] today")
    assert found["presence"].value == "absent"


def test_the_longest_phrases_are_kept(nlp):
    doc = nlp("a b c d e f g h")
    for seed in range(50):
        dice = random.Random(seed)
        pairs = [sorted(dice.sample(range(9), 2)) for _ in range(6)]
        found = [Phrase(start, end, str(n)) for n, (start, end) in enumerate(pairs)]
        expected = filter_spans(Span(doc, p.start, p.end, label=p.key) for p in found)
        assert longest(found) == [(s.start, s.end, s.label_) for s in expected]


def test_words_are_those_of_the_tokens(nlp):
    doc = nlp("No Fever.\n\nCC:  cough (x2)")
    words = read_words(doc)
    assert words.texts == [t.text for t in doc] and words.lower == [t.lower_ for t in doc]
    assert words.begins == [bool(t.is_sent_start) for t in doc]
    for start in range(len(doc)):
        for end in range(start, len(doc)):
            assert words.phrase(start, end) == doc[start:end].text
