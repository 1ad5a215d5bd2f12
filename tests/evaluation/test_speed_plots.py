import pytest
import spacy

from clinbert_spacy.evaluation import speed_plots as plots

NOTES = ["The patient takes aspirin daily.", "No rash."]


@pytest.mark.parametrize("ours", [True, False])
def test_curves_are_measured_and_drawn(make_nlp, make_examples, tmp_path, ours):
    pytest.importorskip("matplotlib")
    nlp = make_nlp() if ours else spacy.blank("en")
    if ours:
        nlp.initialize(lambda: make_examples(nlp))
    ticks = []
    curves = plots.speed_curves(
        nlp, NOTES, n_words=10, note_words=(2, 20), batch_sizes=(1, 4), n_rounds=1,
        progress=ticks.append,
    )  # fmt: skip
    lengths, batches = curves["note_words"], curves["batch_size"]
    assert [(x["note_words"], x["n_notes"], x["n_words"]) for x in lengths] == [
        (2, 5, 10), (20, 1, 20),
    ]  # fmt: skip
    assert [(x["batch_size"], x["n_words"]) for x in batches] == [(1, 7), (4, 7)]
    assert all(("stock" in point) == ours and point["pipeline"] > 0 for point in lengths)
    assert len(ticks) == 2 * 4 * (1 + ours)
    files = plots.draw_curves(curves, tmp_path / "new" / "folder")
    assert [file_.name for file_ in files] == ["note_words.png", "batch_size.png"]
    assert all(file_.read_bytes().startswith(b"\x89PNG") for file_ in files)
