"""`clinbert build-abbreviations`: contexts, weights, figures and card on a toy text."""

import json

import pytest
import srsly
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_abbreviations import build_abbreviations
from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.corpora.abbreviations import extend_inventory
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.passages import Passage
from clinbert_spacy.models.abbreviations import Mention, context_features, weigh
from clinbert_spacy.training.abbreviation_contexts import (
    PER_DOCUMENT,
    SILVER,
    TEST,
    TRAIN,
    WRITTEN,
    Harvest,
    trie_pattern,
)
from clinbert_spacy.training.abbreviation_notes import read_gold
from clinbert_spacy.training.abbreviations import Settings, build, may_all_ship, weigh_contexts

TABLE = {
    "forms": {
        "MS": ["multiple sclerosis", "mitral stenosis"],
        "HR": ["heart rate", "hazard ratio"],
        "BP": ["blood pressure"],
    },
    "variants": {"mitral stenosis": ["mitral valve stenosis"]},
    "ordinary": [],
}
NERVES = "A relapse of {} was seen on the brain scan of day {}."
VALVES = "A murmur of {} was heard on the heart exam of day {}."


def passages(n=60):
    """Texts that write the long forms out, each with a number of its own."""
    for i in range(n):
        yield Passage("mtsamples", str(i), NERVES.format("multiple sclerosis", "x" * (i + 1)))
        yield Passage("articles", str(i), VALVES.format("mitral stenosis", "x" * (i + 1)))


def harvest(*texts, **options):
    found = Harvest(TABLE, **options)
    for text in texts:
        found.add(Passage("toy", "", text))
    return found


def features(found, kind=SILVER, form="MS"):
    return [c for part in (TRAIN, TEST) for c in found.of(form, part, kind)]


def test_a_long_form_is_a_context():
    (context, *_) = features(harvest("Known multiple sclerosis since 2009."))
    assert context.sense == 0 and context.source == "toy"
    assert set(context.features) == {"known", "<known", "since", ">since", "0"}


@pytest.mark.parametrize(
    ("text", "sense"),
    [
        ("Mitral valve stenosis, severe", 1),
        ("MULTIPLE SCLEROSIS", 0),
        ("two multiple scleroses", None),
        ("multiplex sclerosis", None),
        ("nonmitral stenosis", None),
    ],
)
def test_where_long_forms_are_found(text, sense):
    assert {c.sense for c in features(harvest(text))} == ({sense} - {None})


def test_contexts_do_not_give_the_form_away():
    text = "Multiple sclerosis (MS) or mitral stenosis; multiple sclerosis was first."
    for context in features(harvest(text)):
        assert not {"multiple", "sclerosis", "mitral", "stenosis", "ms"} & set(context.features)


def test_offsets_hold_where_lower_case_is_longer():
    found = features(harvest("\u0130\u0130\u0130 seen: mitral stenosis here"))
    assert ">here" in found[0].features and "<seen" in found[0].features


def test_what_a_text_defines_is_a_context_of_the_form():
    text = "Multiple sclerosis (MS) is rare. Relapses of MS differ. XMS is not."
    (context, *_) = features(harvest(text), WRITTEN)
    assert context.sense == 0 and {"<of", ">differ"} <= set(context.features)
    assert not features(harvest("MS is rare. Relapses of MS."), WRITTEN)


def test_training_contexts_are_also_seen_abbreviated():
    found = Harvest(TABLE)
    for day in range(40):
        found.add(Passage("toy", "", f"Blood pressure low, mitral stenosis, day {day}"))
    train, test = (found.of("MS", part, SILVER) for part in (TRAIN, TEST))
    assert len(train) == 2 * (40 - len(test)) and test
    plain, short = train[:2]
    assert {"blood", "pressure"} <= set(plain.features) and "bp" not in plain.features
    assert "bp" in short.features and "pressure" not in short.features
    assert all("bp" not in context.features for context in test)


def test_a_document_gives_a_few_contexts_and_a_pool_is_bounded():
    found = harvest("multiple sclerosis, " * 20)
    assert len(features(found)) in (PER_DOCUMENT, 2 * PER_DOCUMENT)
    found = Harvest(TABLE, size=5)
    for passage in passages():
        found.add(passage)
    assert len(found.of("MS", TRAIN, SILVER)) == 10


def test_parts_are_by_document():
    found = Harvest(TABLE)
    for passage in passages(100):
        found.add(passage)
    sizes = {part: len(found.of("MS", part, SILVER)) for part in (TRAIN, TEST)}
    assert sizes[TEST] + sizes[TRAIN] // 2 == 200 and 10 < sizes[TEST] < 90


def test_trie_pattern():
    import re

    phrases = ["heart", "heart rate", "heat", "a.b", "x"]
    pattern = re.compile(rf"\b(?:{trie_pattern(phrases)})\b")
    assert all(pattern.fullmatch(phrase) for phrase in phrases)
    assert pattern.search("the heart rate is").group() == "heart rate"
    assert not pattern.search("hear axb hearts")


def test_it_learns_and_says_how_well(tmp_path):
    about = {"licences": {"mtsamples": "CC0", "articles": "CC BY 4.0"}}
    report = build(passages(), TABLE, tmp_path, Settings(threshold=0.7), about=about)
    silver = report["scores"][SILVER]
    assert silver["all"]["accuracy"] == 1.0 > silver["all"]["most_frequent"]
    assert set(silver["forms"]) == {"MS"} and set(silver["sources"]) == {"mtsamples", "articles"}
    assert report["learned"] == 1 and report["ambiguous"] == 2 and report["ships"]
    assert report["documents"] == {"articles": 60, "mtsamples": 60}
    assert json.loads((tmp_path / "metrics.json").read_text()) == report
    table = srsly.read_gzip_json(tmp_path / "abbreviations.json.gz")
    mention = Mention("MS", "A murmur of ", " was heard")
    assert weigh(table, mention)[1] > 0.7
    assert weigh(table, Mention("HR", "", "")) == [0.5, 0.5]
    assert weigh(table, Mention("BP", "", "")) == [1.0]


def test_the_same_text_gives_the_same_weights(tmp_path):
    for name in "ab":
        build(passages(), TABLE, tmp_path / name)
    a, b = (srsly.read_gzip_json(tmp_path / name / "abbreviations.json.gz") for name in "ab")
    assert a == b


def test_settings_change_something(tmp_path):
    build(passages(), TABLE, tmp_path / "a", Settings(features=2))
    build(passages(), TABLE, tmp_path / "b", Settings(features=2, strength=0.01))
    a, b = (srsly.read_gzip_json(tmp_path / x / "abbreviations.json.gz")["weights"] for x in "ab")
    assert len(a["MS"]["words"]) == 2 and a["MS"] != b["MS"]


def test_senses_weigh_as_in_notes():
    found = Harvest(TABLE)
    for passage in passages(20):
        found.add(passage)
    contexts = found.of("MS", TRAIN, SILVER)
    weights = weigh_contexts(contexts, Settings(prior=1.0))
    shares = [sum(w for c, w in zip(contexts, weights) if c.sense == s) for s in (0, 1)]
    assert shares[0] > 10 * shares[1] > 0 and sum(weights) == pytest.approx(len(contexts))
    even = weigh_contexts(contexts, Settings(prior=1e9))
    assert sum(w for c, w in zip(contexts, even) if c.sense) == pytest.approx(len(contexts) / 2)


def test_a_text_without_contexts(tmp_path):
    with pytest.raises(ValueError, match="No form has two long forms with 8 contexts each"):
        build([Passage("a", "1", "Nothing here.")], TABLE, tmp_path)


@pytest.mark.parametrize(
    ("about", "ships"),
    [
        ({"licences": {"a": "CC BY 4.0"}}, True),
        ({"licences": {"a": "CC BY-NC 4.0"}}, False),
        ({}, False),
        ({"licences": {"a": "CC BY 4.0"}, "inventory": "lists"}, False),
    ],
)
def test_what_may_ship(about, ships):
    assert may_all_ship(["a"], about) == ships


def test_features_leave_the_form_out_and_reach_a_few_words():
    found = context_features(Mention("MS", "far " * 200 + "ms near 12", " % of MS " + "w " * 99))
    assert {"<0", ">%", "0", "%", "near", "far", "of", "w"} == found


def write_lists(folder):
    (folder / "vanderbilt_clinic_notes.txt").write_text(
        "abbreviation\tsense\tvariation\tCUI\tfrequency\n"
        "ms\tmitral  stenosis\tMS_4|ms_2\tC1\t0.5\nzz\tzig zag\tZZ_3|zz_1\tC2\t1\n"
        "q\tevery\tQ_1\tC3\t1\n"
    )
    (folder / "wikipedia_abbreviation_database.csv").write_text(
        '"abr","long_form"\n"HR","home run"\n"","nothing"\n'
    )
    return folder


def test_foreign_lists_extend_the_inventory(tmp_path):
    table = extend_inventory(TABLE, write_lists(tmp_path))
    assert table["forms"]["MS"] == TABLE["forms"]["MS"]
    assert table["forms"]["ZZ"] == ["zig zag"] and "zz" not in table["forms"]
    assert table["forms"]["HR"] == ["heart rate", "hazard ratio", "home run"]
    assert "Q" not in table["forms"] and TABLE["forms"]["HR"] == ["heart rate", "hazard ratio"]
    with pytest.raises(CorpusError, match="holds no inventory: expected one of vanderbilt"):
        extend_inventory(TABLE, tmp_path / "nothing")


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command()(build_abbreviations)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["build-abbreviations", *map(str, arguments)])


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.jsonl"
    rows = [{"source": x.source, "text": x.text} for x in passages()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_gold(tmp_path, start=13):
    (tmp_path / "notes" / "dev").mkdir(parents=True, exist_ok=True)
    (tmp_path / "notes" / "dev" / "n1.txt").write_text(
        "A relapse of MS was seen on the brain scan."
    )
    gold = tmp_path / "gold.tsv"
    header = "part\tnote\tstart\tform\tlong_form\n"
    gold.write_text(f"{header}dev\tn1\t{start}\tMS\tmultiple sclerosis\n")
    return ["--notes", tmp_path / "notes", "--gold", gold]


def test_command(text, tmp_path):
    licences = tmp_path / "licences.yml"
    licences.write_text("licences:\n  mtsamples: CC0\n  articles: CC BY 4.0\n")
    out = tmp_path / "out"
    done = run(text, out, "--licences", licences, *write_gold(tmp_path))
    assert done.exit_code == 0, done.output
    assert "silver" in done.output and "notes, dev" in done.output
    assert "not for shipping" not in done.output
    card = (out / "README.md").read_text()
    assert "| articles | 60 | CC BY 4.0 |" in card and "| notes, dev | 1 | 1.000 |" in card
    assert "Not for shipping" not in card


def test_command_with_foreign_lists_and_no_licences(text, tmp_path):
    (tmp_path / "lists").mkdir()
    out = tmp_path / "out"
    done = run(text, out, "--senses", write_lists(tmp_path / "lists"))
    assert done.exit_code == 0, done.output
    assert "not for shipping" in done.output
    card = (out / "README.md").read_text()
    assert "**Not for shipping" in card and "senses of lists" in card and "not stated" in card
    assert "ZZ" in srsly.read_gzip_json(out / "abbreviations.json.gz")["forms"]


def test_command_refuses(text, tmp_path):
    done = run(text, tmp_path / "out", "--notes", tmp_path)
    assert done.exit_code == 1 and "--notes and --gold go together" in done.output
    (tmp_path / "empty.yml").write_text("other: 1\n")
    done = run(text, tmp_path / "out", "--licences", tmp_path / "empty.yml")
    assert done.exit_code == 1 and "has no block 'licences'" in done.output


def test_gold_that_does_not_fit(tmp_path):
    _, notes, _, gold = write_gold(tmp_path, start=0)
    with pytest.raises(CorpusError, match="no 'MS' at 0 of note 'n1'"):
        list(read_gold(gold, notes))
    gold.write_text("part\tnote\n")
    with pytest.raises(CorpusError, match="expected part, note, start, form, long_form"):
        list(read_gold(gold, notes))
