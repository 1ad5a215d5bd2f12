"""Rows, pairs, masks, cache and vocabulary of pretraining, each alone."""

import json
from pathlib import Path

import numpy
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.passages import Passage, read_corpora, read_texts
from clinbert_spacy.corpora.sentences import take_fold
from clinbert_spacy.models.lexicon import Lexicon, key_of
from clinbert_spacy.nets.bert import encode_bert, fits
from clinbert_spacy.training.masking import find_units, mask_units
from clinbert_spacy.training.pretrain_data import entry_tags
from clinbert_spacy.training.sequences import (
    ELSEWHERE,
    NEXT,
    SWAPPED,
    Pieces,
    make_rows,
    plan_pass,
)
from clinbert_spacy.training.text_cache import (
    MENTION,
    SENTENCE,
    WORD,
    TextCache,
    build_cache,
    is_held_out,
    open_cache,
    sentence_starts,
)
from clinbert_spacy.training.vocabulary import pieces_per_word, train_wordpieces, transplant

from ..corpora.toy_ade import write_ade

PIECES = Pieces(cls=1, sep=2, pad=0, mask=3, size=1000)


def make_cache(lengths=(100, 7, 30, 60), names=("a", "b")):
    """Documents whose ids count up, every piece a word, a sentence every ten."""
    total = sum(lengths)
    flags = numpy.full(total, WORD, dtype="uint8")
    flags[::10] |= SENTENCE
    starts = numpy.concatenate([[0], numpy.cumsum(lengths)])
    return TextCache(
        ids=numpy.arange(10, total + 10).astype("uint16"),
        flags=flags,
        entries=numpy.zeros(total, dtype="int32"),
        documents=starts,
        sources=numpy.arange(len(lengths)) % len(names),
        names=list(names),
    )


@pytest.mark.parametrize("number", range(4))
def test_a_pass_covers_every_piece_of_documents_that_teach(number):
    cache = make_cache()
    seen = numpy.zeros(len(cache.ids), dtype=int)
    for document, start, size in plan_pass(cache, {}, 20, seed=0, number=number):
        assert cache.documents[document] <= start
        assert start + size <= cache.documents[document + 1] and size <= 20
        seen[start : start + size] += 1
    assert seen[:100].min() >= 1 and seen[107:].min() >= 1
    assert seen[100:107].max() == 0  # seven pieces are too few


def test_weights_repeat_sources_and_passes_differ():
    cache = make_cache((200,) * 40)
    once = plan_pass(cache, {}, 20, 0, 0)
    thrice = plan_pass(cache, {"a": 3.0, "b": 0.5}, 20, 0, 0)
    of_a = [cache.sources[rows[:, 0]] == 0 for rows in (once, thrice)]
    assert of_a[1].sum() == 3 * of_a[0].sum()
    assert 0.35 < (~of_a[1]).sum() / (~of_a[0]).sum() < 0.65
    assert (plan_pass(cache, {}, 20, 0, 0) == once).all()
    other = plan_pass(cache, {}, 20, 0, 1)
    assert sorted(map(tuple, other)) != sorted(map(tuple, once))


def test_halves_follow_swap_or_come_from_elsewhere_in_the_document():
    cache = make_cache((300,) * 30)
    rng = numpy.random.default_rng(0)
    stretches = plan_pass(cache, {}, 21, 0, 0)
    rows = make_rows(cache, stretches, 24, PIECES, rng, (0.4, 0.3))
    counts = {kind: int((rows.kinds == kind).sum()) for kind in (NEXT, ELSEWHERE, SWAPPED)}
    assert min(counts.values()) > 0.2 * len(stretches)
    for i, (document, start, size) in enumerate(stretches):
        first = rows.ids[i][rows.inner[i] & (rows.segments[i] == 0)]
        second = rows.ids[i][rows.inner[i] & (rows.segments[i] == 1)]
        left, right = cache.documents[document] + 10, cache.documents[document + 1] + 10
        assert left <= second.min() and second.max() < right
        if rows.kinds[i] == NEXT:
            assert second[0] == first[-1] + 1 and first[0] == start + 10
        elif rows.kinds[i] == SWAPPED:
            assert first[0] == second[-1] + 1
        else:
            assert second.max() < first[0] or second.min() >= start + size + 10
            assert (numpy.diff(second) == 1).all()
    assert (rows.ids[:, 0] == PIECES.cls).all() and (rows.mask.sum(1) == size + 3).all()


def test_documents_too_short_for_elsewhere_only_follow():
    cache = make_cache((20,) * 30)
    stretches = plan_pass(cache, {}, 21, 0, 0)
    rows = make_rows(cache, stretches, 24, PIECES, numpy.random.default_rng(0), (0.5, 0.0))
    assert (rows.kinds == NEXT).all()


def test_rows_without_pairs_have_one_segment():
    cache = make_cache()
    stretches = plan_pass(cache, {}, 22, 0, 0)
    rows = make_rows(cache, stretches, 24, PIECES, numpy.random.default_rng(0), (0.0, 0.0))
    assert rows.segments.max() == 0 and (rows.kinds == -1).all()
    assert (rows.ids == PIECES.sep).sum() == len(stretches)


def units_of(flags, entries, **options):
    inner = numpy.ones_like(flags, dtype=bool)
    inner[:, 0] = inner[:, -1] = False
    settings = {"whole_words": True, "whole_entities": True, **options}
    return find_units(flags, entries, inner, **settings), inner


def test_units_are_words_and_names():
    flags = numpy.array([[0, WORD, 0, WORD | MENTION, WORD, 0, WORD, 0]], dtype="uint8")
    entries = numpy.array([[0, 0, 0, 5, 5, 5, 0, 0]])
    both, _ = units_of(flags, entries)
    assert both.tolist() == [[0, 1, 1, 2, 2, 2, 3, 4]]
    words, _ = units_of(flags, entries, whole_entities=False)
    assert words.tolist() == [[0, 1, 1, 2, 3, 3, 4, 5]]
    pieces, _ = units_of(flags, entries, whole_entities=False, whole_words=False)
    assert pieces.tolist() == [list(range(8))]


def test_a_unit_is_hidden_whole_or_not_at_all():
    rng = numpy.random.default_rng(0)
    flags = numpy.where(rng.random((60, 40)) < 0.6, WORD, 0).astype("uint8")
    ids = rng.integers(10, 1000, (60, 40))
    units, inner = units_of(flags, numpy.zeros_like(ids), whole_entities=False)
    masked = mask_units(ids, units, inner, rng, rate=0.3, mask_id=3, pieces=(10, 1000))
    chosen = numpy.zeros(ids.size, dtype=bool)
    chosen[masked.positions] = True
    chosen = chosen.reshape(ids.shape)
    for unit in range(int(units.max()) + 1):
        assert len(set(chosen[units == unit].tolist())) == 1
    assert not chosen[~inner].any()
    assert 0.25 < chosen[inner].mean() < 0.35
    assert (masked.labels == ids.reshape(-1)[masked.positions]).all()
    assert (masked.ids[~chosen] == ids[~chosen]).all()
    share = (masked.ids.reshape(-1)[masked.positions] == 3).mean()
    assert 0.72 < share < 0.88


def test_something_is_hidden_always():
    flags = numpy.full((1, 6), WORD, dtype="uint8")
    ids = numpy.arange(10, 16)[None]
    units, inner = units_of(flags, numpy.zeros_like(ids))
    for seed in range(20):
        rng = numpy.random.default_rng(seed)
        found = mask_units(ids, units, inner, rng, rate=1e-9, mask_id=3, pieces=(10, 1000))
        assert len(found.positions) == 1


@pytest.fixture
def tokenizer(checkpoint):
    return AutoTokenizer.from_pretrained(checkpoint)


def test_a_cache_marks_words_sentences_and_names(tmp_path, tokenizer):
    text = "The patient takes aspirin.\nNo rash; DIABETES mellitus"
    lexicon = Lexicon(
        ["disease", "drug"],
        ["D1", "C1"],
        [1, 2],
        {key_of("aspirin"): [1], key_of("diabetes mellitus"): [0]},
    )
    build_cache(
        tmp_path / "c", [Passage("a", "1", text)], tokenizer, lexicon, held_out=0.0, key={"n": 1}
    )
    cache = open_cache(tmp_path / "c", "train")
    strings = tokenizer.convert_ids_to_tokens(cache.ids.tolist())
    words = [i for i, flag in enumerate(cache.flags) if flag & WORD]
    assert [strings[i] for i in words][:6] == ["the", "patient", "takes", "aspirin", ".", "no"]
    assert [strings[i] for i in range(len(strings)) if cache.flags[i] & SENTENCE] == ["the", "no"]
    begins = [strings[i] for i in range(len(strings)) if cache.flags[i] & MENTION]
    assert begins == ["aspirin", "diabetes"]
    last = strings.index("diabetes")
    assert (cache.entries[last:] == cache.entries[last]).all() and cache.entries[last] > 0
    tags = entry_tags(lexicon)
    assert tags[cache.entries[last]] == 1 and tags[cache.entries[words[3]]] == 3 and tags[0] == 0


def test_a_cache_is_built_again_only_for_another_key(tmp_path, tokenizer):
    def passages():
        calls.append(1)
        yield Passage("a", "1", "the patient takes aspirin")

    calls = []
    for number in (1, 1, 2):
        build_cache(
            tmp_path / "c", passages(), tokenizer, None, held_out=0.0, key={"number": number}
        )
    assert len(calls) == 2
    with pytest.raises(ValueError, match="build it again"):
        open_cache(tmp_path / "nowhere", "train")


def test_the_same_text_is_in_the_same_split():
    texts = [f"patient number {i} has cough" for i in range(400)]
    held = [text for text in texts if is_held_out(text, 0.2)]
    assert 50 < len(held) < 110
    assert all(is_held_out(f"{text} \n", 0.2) for text in held)
    assert not any(is_held_out(text, 0.0) for text in texts)


def test_sentence_starts():
    text = "HPI: Cough. No fever\n- aspirin\n\nPlan"
    assert [text[i:].split()[0] for i in sentence_starts(text)] == ["HPI:", "No", "-", "Plan"]


def test_transplanted_embeddings(tokenizer):
    new = train_wordpieces(["aspirin cough rashes coughing"] * 20, 300, min_frequency=1)
    old = torch.randn(len(tokenizer), 8)
    table, counts = transplant(old, tokenizer, new)
    ids, vocab = new.get_vocab(), tokenizer.get_vocab()
    assert torch.equal(table[ids["aspirin"]], old[vocab["aspirin"]])
    parts = tokenizer.convert_tokens_to_ids(["rash", "##e", "##s"])
    assert torch.allclose(table[ids["rashes"]], old[parts].mean(0))
    assert counts["copied"] + counts["parts"] + counts["unknown"] == len(new)
    assert pieces_per_word(["rashes"], new) == 1.0
    assert pieces_per_word(["rashes"], tokenizer) == 3.0


@pytest.mark.parametrize("padded", [False, True])
def test_the_fast_forward_is_bert(padded):
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48,
    )  # fmt: skip
    bert = BertModel(config, add_pooling_layer=False).eval()
    ids, types = torch.randint(1, 50, (3, 11)), (torch.arange(11) > 5).long().expand(3, 11)
    mask = torch.ones(3, 11).long()
    if padded:
        mask[1, 7:] = 0
    expected = bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    found = encode_bert(bert, ids, mask, types)
    weights = torch.randn_like(expected) * mask[..., None]
    torch.testing.assert_close(found * weights, expected * weights, atol=1e-5, rtol=1e-4)
    (expected * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in bert.named_parameters()}
    bert.zero_grad()
    (found * weights).sum().backward()
    for name, parameter in bert.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=2e-4, rtol=1e-3)
    assert fits(bert)


def test_the_fast_forward_takes_half_precision_and_additions():
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48,
    )  # fmt: skip
    bert = BertModel(config, add_pooling_layer=False).eval()
    ids = torch.randint(0, 50, (2, 9))
    exact, half = encode_bert(bert, ids), encode_bert(bert, ids, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert (exact - half.float()).abs().mean() < 0.02
    moved = encode_bert(bert, ids, extra=torch.ones(2, 9, 24))
    words = bert.embeddings.word_embeddings(ids) + 1
    expected = bert(inputs_embeds=words).last_hidden_state
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)


def test_text_is_read_from_every_format(tmp_path):
    import gzip
    import lzma

    import spacy
    from spacy.tokens import DocBin

    row = json.dumps({"source": "s", "text": "one note"}) + "\n"
    (tmp_path / "a.jsonl").write_text(row + "\n" + row, "utf8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(row)
    with lzma.open(tmp_path / "c.jsonl.xz", "wt") as file:
        file.write(row)
    (tmp_path / "d.txt").write_text("another note", "utf8")
    with gzip.open(tmp_path / "e.txt.gz", "wt") as file:
        file.write("zipped note")
    doc = spacy.blank("en")("a third note")
    DocBin(docs=[doc]).to_disk(tmp_path / "f.spacy")
    (tmp_path / "g.png").write_bytes(b"\x89")
    found = [(p.source, p.text) for p in read_texts(tmp_path)]
    name = tmp_path.name
    assert found == [("s", "one note")] * 4 + [
        (name, "another note"), (name, "zipped note"), ("f", "a third note"),
    ]  # fmt: skip
    assert [p.text for p in read_texts(tmp_path / "*.txt")] == ["another note"]


def test_of_a_brat_folder_the_texts_are_read(tmp_path):
    (tmp_path / "a.txt").write_text("a note", "utf8")
    (tmp_path / "a.ann").write_text("", "utf8")
    (tmp_path / "notes.jsonl").write_text('{"id": "a"}\n', "utf8")
    assert [p.text for p in read_texts(tmp_path)] == ["a note"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"{broken\n", "a.jsonl:1: expected a JSON object"),
        ("a.jsonl", b'{"note": "SECRET"}\n', r"found the keys \['note'\]"),
        ("a.jsonl", b'{"text": "x", "source": 3}\n', 'a string as "source", found int'),
        ("a.jsonl", b'{"text": "ok"}\n{"text": "\xff"}\n', "UTF-8"),
        ("a.jsonl.xz", b"no xz at all", "compressed stream"),
        ("a.csv", b"text\nx\n", "a suffix .jsonl"),
    ],
)
def test_broken_text_is_named_without_content(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        list(read_texts(path))
    assert "SECRET" not in str(caught.value)


def test_texts_of_annotated_corpora(tmp_path):
    notes = str(Path(__file__).parent.parent.parent / "assets" / "notes" / "dev")
    blocks = {
        "notes": {"path": notes, "limit": 3},
        "ade": {"path": str(write_ade(tmp_path / "ade")), "fold": 1},
    }
    found = list(read_corpora(blocks))
    assert [p.source for p in found[:3]] == ["notes"] * 3 and len(found) > 40
    folds = {p.text for p in found[3:]}
    assert folds == {s.text for s in take_fold(tmp_path / "ade", "train", 1)}
    assert not folds & {s.text for s in take_fold(tmp_path / "ade", "held_out", 1)}
    with pytest.raises(CorpusError, match="expected a 'path'"):
        list(read_corpora({"notes": {"parts": ["train"]}}))
