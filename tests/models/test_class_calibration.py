"""Calibrated classes: formulas, decisions, and when a pipeline applies them."""

import pickle

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.models.class_calibration import (
    EDGE,
    calibrate_classes,
    check_rules,
    decide,
)
from clinbert_spacy.models.textcat import decide_all, judge
from tests.models.toy_textcat import (
    AGGREGATORS,
    COMPONENTS,
    NOTES,
    SOME,
    difference,
    encoder_weight,
    make_model,
    make_notes,
    make_pipeline,
    net_of,
    number_docs,
    trained_pipeline,
)

either = pytest.mark.parametrize("component", COMPONENTS)
FOUND = numpy.array([[0.9, 0.5, 0.2], [0.01, 0.3, 1.0], [0.6, 0.0, 0.4]], dtype="float32")
COOL = {"method": "temperature", "temperature": 2.0}
MOVED = {"method": "temperature", "temperature": 0.5, "shift": -1.5}
STEPS = {"method": "isotonic", "at": [0.2, 0.4, 0.9], "is": [0.1, 0.3, 0.35]}
RULES = [COOL, MOVED, STEPS]


def logit(values):
    values = numpy.asarray(values, dtype="float64")
    return numpy.log(values) - numpy.log1p(-values)


def sigmoid(values):
    return 1 / (1 + numpy.exp(-values))


def one_class(values, rule):
    return calibrate_classes(numpy.array(values, dtype="float32")[:, None], [rule])[:, 0]


# Formulas


def test_temperature_divides_logits():
    values = [0.001, 0.2, 0.5, 0.97]
    assert numpy.allclose(one_class(values, COOL), sigmoid(logit(values) / 2), atol=1e-6)
    roots = numpy.sqrt(values)  # p ** (1 / T), shared with that of 1 - p
    expected = roots / (roots + numpy.sqrt(1 - numpy.array(values)))
    assert numpy.allclose(one_class(values, COOL), expected, atol=1e-6)


def test_shift_moves_logits():
    values = [0.001, 0.2, 0.5, 0.97]
    assert numpy.allclose(one_class(values, MOVED), sigmoid(logit(values) * 2 - 1.5), atol=1e-6)


def test_a_temperature_of_1_without_a_shift_changes_nothing():
    values = [0.001, 0.2, 0.5, 0.97]
    rule = {"method": "temperature", "temperature": 1.0, "shift": 0.0}
    assert numpy.allclose(one_class(values, rule), values, atol=1e-6)


def test_isotonic_is_a_line_between_its_points_and_level_outside():
    found = one_class([0.05, 0.2, 0.3, 0.4, 0.65, 0.9, 1.0], STEPS)
    assert numpy.allclose(found, [0.1, 0.1, 0.2, 0.3, 0.325, 0.35, 0.35])


def test_each_class_by_its_own_rule():
    found = calibrate_classes(FOUND, RULES)
    assert found.shape == FOUND.shape and found.dtype == "float32"
    for i, rule in enumerate(RULES):
        assert numpy.allclose(found[:, i], one_class(FOUND[:, i] + 1e-12, rule), atol=1e-6)


def test_without_rules_nothing_changes():
    assert calibrate_classes(FOUND, []) is FOUND


def test_the_given_probabilities_stay_as_they_are():
    before = FOUND.copy()
    calibrate_classes(FOUND, RULES)
    assert numpy.array_equal(FOUND, before)


@pytest.mark.parametrize("rules", [RULES, [MOVED] * 3, [STEPS] * 3])
def test_a_note_without_passages_keeps_no_class(rules):
    found = calibrate_classes(numpy.array([[0, 0, 0], [0, 0, 0.5]], dtype="float32"), rules)
    assert found[0].tolist() == [0, 0, 0] and (found[1] > 0).all()


@pytest.mark.parametrize("temperature", [0.02, 1.0, 50.0])
def test_certainties_stay_finite(temperature):
    rule = {"method": "temperature", "temperature": temperature, "shift": 3.0}
    found = calibrate_classes(numpy.array([[0, 1.0], [1.0, 0]]), [rule, rule])
    assert numpy.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()
    edges = sigmoid(logit([EDGE, 1 - EDGE]) / temperature + 3)
    assert numpy.allclose(found, [edges, edges[::-1]], atol=1e-6)


POINTS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6)


@given(
    values=POINTS,
    temperature=st.floats(0.1, 10),
    shift=st.floats(-5, 5),
    at=st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True),
    heights=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_calibration_keeps_the_order_of_notes(values, temperature, shift, at, heights):
    line = {"method": "temperature", "temperature": temperature, "shift": shift}
    steps = {"method": "isotonic", "at": sorted(at), "is": sorted(heights)[: len(at)]}
    values = numpy.sort([value or 1e-7 for value in values])
    for rule in (line, steps):
        found = one_class(values, rule)
        assert (numpy.diff(found) >= -1e-7).all() and (found >= 0).all() and (found <= 1).all()


@pytest.mark.parametrize("rules", [[], RULES])
def test_rules_that_fit(rules):
    check_rules(rules, 3)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (RULES[:2], "2 calibrations for 3 classes: expected one each"),
        ([*RULES, COOL], "4 calibrations for 3 classes"),
        ([COOL, {"method": "platt"}, STEPS], r"by \['platt'\]: expected temperature, isotonic"),
        ([{}, COOL, {"method": "beta"}], r"by \['None', 'beta'\]"),
    ],
)
def test_rules_that_do_not_fit(rules, message):
    with pytest.raises(ValueError, match=message):
        check_rules(rules, 3)


# Decisions


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "no"), (0.19, "no"), (0.2, "unsure"), (0.69, "unsure"), (0.7, "yes"), (1.0, "yes")],
)
def test_between_limits_nobody_decides_unseen(value, expected):
    assert decide(value, [0.2, 0.7]) == expected
    assert decide(value, (0.2, 0.7), threshold=0.99) == expected


@pytest.mark.parametrize("limits", [[0.4, 0.4], None])
def test_equal_limits_or_none_leave_nothing_unsure(limits):
    found = [decide(value, limits, 0.4) for value in (0.39, 0.4, 0.41)]
    assert found == ["no", "yes", "yes"]


def test_a_threshold_of_a_half_unless_told():
    assert [decide(value, None) for value in (0.49, 0.5)] == ["no", "yes"]


def test_each_class_is_decided_by_its_own_limits():
    model = make_model()
    values = numpy.array([0.5, 0.5, 0.5], dtype="float32")
    assert decide_all(model, "ABC", values) == dict.fromkeys("ABC", "yes")
    assert decide_all(model, "ABC", values, 0.6) == dict.fromkeys("ABC", "no")
    model.attrs["limits"] = [[0.2, 0.7], [0.6, 0.8], None]
    assert decide_all(model, "ABC", values) == {"A": "unsure", "B": "no", "C": "yes"}
    assert model.attrs["decide"](model, "ABC", values, 0.6)["C"] == "no"


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([0.5, 0.4, 0.1], [], "yes no no"),
        ([0.4, 0.35, 0.25], [], "yes no no"),
        ([0.0, 0.0, 0.0], [], "no no no"),
        ([0.2, 0.5, 0.3], [[0.1, 0.6]] * 3, "no unsure no"),
        ([0.9, 0.95, 0.9], [[0.1, 0.8]] * 3, "no yes no"),  # calibrated, they sum to more
        ([0.3, 0.3, 0.2], [[0.1, 0.3]] * 3, "yes no no"),
        ([0.0, 0.0, 0.0], [[0.1, 0.3]] * 3, "no no no"),
    ],
)
def test_of_classes_that_exclude_each_other_the_likeliest_alone(values, limits, expected):
    model = make_model(exclusive_classes=True)
    model.attrs["limits"] = limits
    assert list(decide_all(model, "ABC", values).values()) == expected.split()


def test_nothing_to_decide():
    assert decide_all(make_model(exclusive_classes=True), [], []) == {}


# When a model applies them


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_predictions_and_judgements_are_calibrated(aggregator, exclusive):
    model, docs = make_model(aggregator, exclusive_classes=exclusive), number_docs()
    plain, judged = model.predict(docs), judge(model, docs)
    model.attrs["rules"] = RULES
    found = model.predict(docs)
    assert numpy.allclose(found, calibrate_classes(plain, RULES)) and not found[1].any()
    assert not numpy.allclose(found, plain, atol=0.05)
    for before, after, row in zip(judged, judge(model, docs), found):
        assert numpy.allclose(after.whole, row, atol=1e-6)
        assert numpy.allclose(after.without, calibrate_classes(before.without, RULES), atol=1e-6)
        assert numpy.array_equal(after.scores, before.scores)  # of passages nothing is known


def test_training_knows_nothing_of_calibration():
    parts = []
    model = make_model(gradients=parts)
    found = []
    for rules in ([], RULES):
        model.attrs["rules"] = rules
        net_of(model).zero_grad()
        scores, backprop = model.begin_update(number_docs())
        backprop(difference(scores, SOME))
        weight = net_of(model).join.weight.grad.numpy().copy()
        found.append([scores, weight, *(part.copy() for part in parts)])
    assert all(numpy.array_equal(one, other) for one, other in zip(*found))
    assert numpy.abs(found[0][1]).max() > 1e-4


def copy_of(checkpoint, component, rules=None, limits=None):
    nlp = pickle.loads(pickle.dumps(trained_pipeline(checkpoint, component, "Mean")))
    nlp.get_pipe(component).model.attrs.update(rules=rules or [], limits=limits or [])
    return nlp


@either
def test_updates_of_a_calibrated_pipeline_are_those_of_another(checkpoint, component):
    found, wrong = [], [(text, {"A": 0.0, "B": 1.0}) for text, _ in NOTES]
    for rules in (None, [MOVED, STEPS]):
        nlp = copy_of(checkpoint, component, rules)
        spacy.util.fix_random_seed(0)
        losses = nlp.update(make_notes(nlp, wrong), sgd=False)
        found.append((losses[component], encoder_weight(nlp).grad))
    assert found[0][0] == found[1][0] > 0.1
    assert (found[0][1] == found[1][1]).all() and found[0][1].abs().max() > 1e-6


@either
def test_calibration_survives_on_disk_and_in_bytes(checkpoint, tmp_path, component):
    rules, limits = [MOVED, STEPS], [(0.25, numpy.float64(0.75)), None]
    nlp = copy_of(checkpoint, component, rules, limits)
    nlp.to_disk(tmp_path)
    fresh = [make_pipeline("no/such/folder", component, "Mean") for _ in range(2)]
    copies = [
        fresh[0].from_bytes(nlp.to_bytes()),
        fresh[1].from_disk(tmp_path),
        spacy.load(tmp_path),
        pickle.loads(pickle.dumps(nlp)),
    ]
    docs = list(nlp.pipe([text for text, _ in NOTES]))
    for copy in copies:
        attrs = copy.get_pipe(component).model.attrs
        assert attrs["rules"] == rules
        assert [limit and list(limit) for limit in attrs["limits"]] == [[0.25, 0.75], None]
        assert callable(attrs["decide"]) and callable(attrs["judge"]) and callable(attrs["cut"])
        for doc, other in zip(docs, copy.pipe([text for text, _ in NOTES])):
            assert other.cats == pytest.approx(doc.cats, abs=1e-2)
    # and what was not calibrated overwrites what was
    plain = trained_pipeline(checkpoint, component, "Mean")
    attrs = nlp.from_bytes(plain.to_bytes()).get_pipe(component).model.attrs
    assert attrs["rules"] == attrs["limits"] == []


@either
def test_pipe_equals_call_with_an_empty_note_in_between(checkpoint, component):
    """Also where a batch has nothing else, which spaCy does not hand on to the model."""
    nlp = copy_of(checkpoint, component, [MOVED, STEPS])
    texts = [NOTES[0][0], "", NOTES[1][0]]
    found = [doc.cats for doc in nlp.pipe(texts)]
    for cats, doc in zip(found, map(nlp, texts)):
        assert cats == pytest.approx(doc.cats, abs=1e-5)
    assert found[1] == {"A": 0.0, "B": 0.0}
    plain = trained_pipeline(checkpoint, component, "Mean")(texts[0]).cats
    expected = calibrate_classes(numpy.array([list(plain.values())]), [MOVED, STEPS])[0]
    assert list(found[0].values()) == pytest.approx(expected.tolist(), abs=1e-5)
