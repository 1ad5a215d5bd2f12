"""Identifiers taken off invented notes before pretraining."""

import pytest
import spacy

from clinbert_spacy.training.identifiers import make_remover
from clinbert_spacy.training.pretrain_settings import IdentifierSettings, read_settings
from clinbert_spacy.training.pretrain_setup import prepare
from clinbert_spacy.training.text_cache import open_cache

from .toy_text import make_config

PATTERNS = make_remover(IdentifierSettings(patterns=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Seen 03/14/2021 for cough.", "Seen [date] for cough."),
        ("Admitted 2021-03-14, home 14 March 2021.", "Admitted [date], home [date]."),
        ("Admitted March 3rd, 2021.", "Admitted [date]."),
        ("MRN: 00482913", "[number]"),
        ("Call (555) 010-4477 or 555-010-4478.", "Call [phone] or [phone]."),
        ("Mail: jo.doe@clinic.example today", "Mail: [email] today"),
        ("Dr. Ortega saw her with Mrs. K. Lindqvist.", "[name] saw her with [name]."),
        ("Lives at 12 Elm Tree Road.", "Lives at [address]"),
        ("A 94-year-old woman", "A [age]-year-old woman"),
        ("A 64-year-old man, glucose 94, T 98.6", "A 64-year-old man, glucose 94, T 98.6"),
        ("BP 120/80, drug 10/12.5 mg, 3/4", "BP 120/80, drug 10/12.5 mg, 3/4"),
        ("drug (may cause) 5 to 10 tablets", "drug (may cause) 5 to 10 tablets"),
    ],
)
def test_patterns(text, expected):
    assert PATTERNS(text) == expected


def test_a_pipeline_names_identifiers(tmp_path):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "PHI_NAME", "pattern": "Ortega"}, {"label": "DRUG", "pattern": "aspirin"}]
    )
    nlp.to_disk(tmp_path / "phi")
    remover = make_remover(IdentifierSettings(pipeline=str(tmp_path / "phi"), labels=["PHI_NAME"]))
    assert remover("Ortega takes aspirin, says Ortega.") == "[name] takes aspirin, says [name]."
    spans = make_remover(IdentifierSettings(pipeline=str(tmp_path / "phi"), spans_key="phi"))
    assert spans("Ortega takes aspirin.") == "Ortega takes aspirin."


def test_nothing_is_removed_unless_asked():
    text = "Seen 03/14/2021 by Dr. Ortega."
    assert make_remover(IdentifierSettings())(text) == text


def test_what_is_removed_is_never_tokenised(tmp_path, checkpoint):
    (tmp_path / "text.jsonl").write_text(
        '{"text": "the patient takes aspirin daily, MRN: 00482913, after cough and fever"}\n',
        "utf8",
    )
    caches = []
    for patterns in (False, True):
        config = make_config(
            tmp_path, checkpoint, text__held_out=0.0, text__identifiers={"patterns": patterns}
        )
        prepared = prepare(read_settings(config))
        ids = open_cache(tmp_path / "cache", "train").ids
        caches.append(" ".join(prepared.tokenizer.convert_ids_to_tokens(ids.tolist())))
    assert "##8 ##2" in caches[0] and "##8 ##2" not in caches[1] and "aspirin" in caches[1]
