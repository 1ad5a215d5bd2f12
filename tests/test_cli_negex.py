import json

import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy.cli import app

HEADER = "line\tcondition\tsentence\tnegation\ttemporality\texperiencer\n"
LINES = (
    "1\tpurpura\tNo purpura on the shins.\tNegated\tRecent\tPatient\n"
    "2\tgallstones\tHer aunt has gallstones.\tAffirmed\tRecent\tOther\n"
    "3\tiritis\tIritis in 2009, now quiet.\tAffirmed\tHistorical\tPatient\n"
    "4\tgout\tNothing of the kind.\tAffirmed\tRecent\tPatient\n"
)


@pytest.fixture
def kit(tmp_path):
    path = tmp_path / "kit.txt"
    path.write_text(HEADER + LINES, "latin-1")
    return str(path)


def save(nlp, folder):
    nlp.to_disk(folder)
    return str(folder)


def run(*arguments):
    return CliRunner().invoke(app, ["negex-score", *map(str, arguments)])


def test_ours(kit, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("entity_ruler")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    output = tmp_path / "out.json"
    result = run(save(nlp, tmp_path / "nlp"), "--kit", kit, "--output", output)
    assert result.exit_code == 0, result.output
    record = json.loads(output.read_text("utf8"))
    axes = record["axes"]
    assert record["adapter"] == "clinbert" and record["not_placed"] == 1
    assert axes["presence"]["per_value"]["absent"] == {"p": 1.0, "r": 1.0, "f": 1.0, "n": 1}
    assert axes["experiencer"]["per_value"]["family"]["f"] == 1.0
    assert axes["time"]["per_value"]["historical"]["f"] == 1.0
    assert "1 do not hold" in result.output


def test_another_engine(kit, tmp_path):
    code = tmp_path / "code.py"
    code.write_text(
        "from spacy.language import Language\n"
        "from spacy.tokens import Span\n"
        "Span.set_extension('negex', default=False, force=True)\n"
        "@Language.component('toy_negex')\n"
        "def toy(doc):\n"
        "    for span in doc.ents:\n"
        "        span._.negex = doc[0].lower_ == 'no'\n"
        "    return doc\n"
    )
    from runpy import run_path

    from spacy.tokens import Span

    run_path(str(code))
    nlp = spacy.blank("en")
    nlp.add_pipe("toy_negex")
    result = run(save(nlp, tmp_path / "nlp"), "--kit", kit, "--code", code, "--output",
                 tmp_path / "out.json")  # fmt: skip
    Span.remove_extension("negex")
    assert result.exit_code == 0, result.output
    axes = json.loads((tmp_path / "out.json").read_text("utf8"))["axes"]
    assert axes["presence"]["accuracy"] == 1.0 and "time" not in axes


def test_an_engine_that_says_nothing(kit, tmp_path):
    result = run(save(spacy.blank("en"), tmp_path / "nlp"), "--kit", kit, "--adapter", "clinbert")
    assert result.exit_code == 1
    assert "Nothing was said" in result.output and "purpura" not in result.output


def test_an_empty_kit(tmp_path):
    kit = tmp_path / "kit.txt"
    kit.write_text(HEADER, "latin-1")
    result = run(save(spacy.blank("en"), tmp_path / "nlp"), "--kit", kit)
    assert result.exit_code == 1 and "is it a file of the kit" in result.output


def test_a_broken_line_is_named_without_its_text(tmp_path):
    kit = tmp_path / "kit.txt"
    kit.write_text(HEADER + "1\tpurpura\n", "latin-1")
    result = run(save(spacy.blank("en"), tmp_path / "nlp"), "--kit", kit)
    assert result.exit_code == 1
    assert "6 columns" in result.output and "purpura" not in result.output


def test_entities_taken_away(kit, tmp_path):
    code = tmp_path / "code.py"
    code.write_text(
        "from spacy.language import Language\n"
        "@Language.component('toy_thief')\n"
        "def toy(doc):\n"
        "    doc.set_ents([])\n"
        "    return doc\n"
    )
    from runpy import run_path

    run_path(str(code))
    nlp = spacy.blank("en")
    nlp.add_pipe("toy_thief")
    folder = save(nlp, tmp_path / "nlp")
    result = run(folder, "--kit", kit, "--code", code)
    assert result.exit_code == 1 and "--disable" in result.output
