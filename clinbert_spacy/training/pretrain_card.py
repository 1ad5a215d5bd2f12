"""The card of a pretrained encoder: what it read, how long, how well it guesses, what it is not."""

import json
from pathlib import Path
from typing import Any, Dict, List

from .pretrain_settings import Settings
from .pretrain_setup import Prepared
from .sequences import pass_sizes

CARD = """---
language: en
library_name: transformers
pipeline_tag: fill-mask
tags: [clinical, biomedical, bert, spacy]
license: {licence}
---

# {title}

{summary}

It is **neither** Alsentzer et al.'s Bio_ClinicalBERT **nor** Huang et al.'s ClinicalBERT: no MIMIC
note was read and none of their weights were used.

| | |
|---|---|
| started from | `{start}` |
| shape | {layers} layers, width {width}, {heads} heads, {vocabulary} wordpieces ({how}) |
| parameters | {parameters:,} |
| updates | {steps:,} of {rows} rows of {length} pieces |
| wordpieces seen | {pieces:,} ({passes:.2f} weighted passes over the text) |
| time | {hours:.2f} h on {device} |
| weights stored as | {dtype} |

## What it read

| source | wordpieces | times read in a pass |
|---|---:|---:|
{sources}

Held out by a hash of each document's text: {held_out} documents, never trained on.
{gold}{identifiers}
## Objectives

| objective | weight | loss at the end | on held-out text |
|---|---:|---:|---:|
{objectives}

{accuracy}

## What a language model may remember

A masked language model can give back rare strings of its training text: names, numbers, addresses
(Carlini et al. 2021; Lehman et al. 2021 found little of it in BERT-size clinical models, and no
proof of none). Whoever pretrains on patients' notes should treat the weights as they treat the
notes, unless identifiers were removed first and the removal was checked.

{notes}
"""


def write_card(
    folder: Path,
    prepared: Prepared,
    settings: Settings,
    progress: Dict[str, Any],
    log: List[Dict[str, Any]],
) -> None:
    """Write README.md and pretraining.json beside the weights.

    folder (Path): The checkpoint folder.
    prepared (Prepared): Networks and text.
    settings (Settings): What was asked for.
    progress (Dict[str, Any]): Steps, pieces, seconds.
    log (List[Dict]): Losses.
    """
    facts = collect(prepared, settings, progress, log)
    (folder / "pretraining.json").write_text(json.dumps(facts, indent=1) + "\n", "utf8")
    (folder / "README.md").write_text(_render(facts, settings), "utf8")


def collect(
    prepared: Prepared, settings: Settings, progress: Dict[str, Any], log: List[Dict[str, Any]]
) -> Dict[str, Any]:
    """Gather what the card says. RETURNS (Dict[str, Any]): Plain data."""
    config = prepared.net.model.config
    training = settings.training
    _, pieces = pass_sizes(prepared.stream.cache, prepared.stream.weights, 1)
    return {
        "start": settings.encoder.name,
        "fresh": settings.encoder.fresh,
        "shape": {
            "layers": config.num_hidden_layers,
            "width": config.hidden_size,
            "heads": config.num_attention_heads,
            "vocabulary": len(prepared.tokenizer),
        },
        "vocabulary": prepared.vocabulary,
        "parameters": sum(p.numel() for p in prepared.net.model.parameters()),
        "progress": {key: progress[key] for key in ("step", "pieces", "seconds")},
        "passes": progress["step"] * training.accumulate / prepared.stream.batches_per_pass(),
        "text": prepared.record["counts"],
        "sources": prepared.stream.cache.count(),
        "pieces_per_pass": {name: round(n) for name, n in pieces.items()},
        "gold": {
            name: {"stretches": len(corpus.ids), "labels": corpus.labels}
            for name, corpus in prepared.stream.gold.items()
        },
        "objectives": _objectives_of(settings),
        "training": json.loads(training.model_dump_json()),
        "identifiers": json.loads(settings.text.identifiers.model_dump_json()),
        "log": log[-1] if log else {},
    }


def _objectives_of(settings: Settings) -> Dict[str, Any]:
    """The objectives, with the names of annotated corpora but not where they lie."""
    blocks: Dict[str, Any] = json.loads(settings.objectives.model_dump_json())
    sources = blocks["gold_tags"]["sources"]
    blocks["gold_tags"]["sources"] = {
        name: {key: value for key, value in block.items() if key not in ("path", "splits")}
        for name, block in sources.items()
    }
    return blocks


def _render(facts: Dict[str, Any], settings: Settings) -> str:
    training, card = settings.training, settings.card
    last = facts["log"]
    held_out = last.get("held_out", {})
    return CARD.format(
        licence=card.get("licence", "other"),
        title=card.get("title", "A BERT pretrained on one's own text"),
        summary=card.get("summary", "A masked language model made by `clinbert pretrain`."),
        start=facts["start"] if not facts["fresh"] else "nothing (fresh weights)",
        **facts["shape"],
        how=_vocabulary(facts["vocabulary"]),
        parameters=facts["parameters"],
        steps=facts["progress"]["step"],
        rows=training.batch_rows * training.accumulate,
        length=training.length,
        pieces=facts["progress"]["pieces"],
        passes=facts["passes"],
        hours=facts["progress"]["seconds"] / 3600,
        device=card.get("machine", "one machine"),
        dtype=training.save_dtype,
        sources=_sources(facts, settings),
        held_out=facts["text"]["held_out"]["documents"],
        gold=_gold(facts["gold"]),
        identifiers=_identifiers(facts["identifiers"]),
        objectives=_objectives(facts["objectives"], last.get("train", {}), held_out),
        accuracy=_accuracy(held_out),
        notes=card.get("notes", ""),
    )


def _vocabulary(counts: Dict[str, int]) -> str:
    if not counts:
        return "those of the start"
    return (
        f"trained on this text: {counts['copied']} embeddings copied, {counts['parts']} composed "
        f"of the old pieces, {counts['unknown']} new"
    )


def _sources(facts: Dict[str, Any], settings: Settings) -> str:
    times = settings.text.weights
    rows = sorted(facts["sources"].items(), key=lambda item: -item[1])
    return "\n".join(f"| {name} | {n:,} | {times.get(name, 1.0):g} |" for name, n in rows)


def _gold(gold: Dict[str, Any]) -> str:
    if not gold:
        return ""
    names = ", ".join(f"{name} ({block['stretches']} stretches)" for name, block in gold.items())
    return f"\nMentions were learned from the training parts of: {names}.\n"


def _identifiers(block: Dict[str, Any]) -> str:
    if not block["patterns"] and not block["pipeline"]:
        return "\nIdentifiers were not removed from the text first.\n"
    how = [f"the pipeline `{block['pipeline']}`"] * bool(block["pipeline"])
    how += ["the shipped patterns"] * bool(block["patterns"])
    return f"\nIdentifiers were removed first, by {' and '.join(how)}; none is perfect.\n"


def _objectives(blocks: Dict[str, Any], train: Dict[str, float], held_out: Dict[str, float]) -> str:
    rows = []
    for name, block in blocks.items():
        if block["weight"]:
            cells = [
                f"{losses[name]:.3f}" if name in losses else "-" for losses in (train, held_out)
            ]
            rows.append(f"| {name} | {block['weight']:g} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def _accuracy(held_out: Dict[str, float]) -> str:
    if "piece_accuracy" not in held_out:
        return ""
    share = 100 * held_out["piece_accuracy"]
    return (
        f"Of the hidden pieces of held-out text {share:.1f} % were guessed. Pieces depend on the "
        "vocabulary: `clinbert lm-score` gives bits per character and whole words, which do not."
    )
