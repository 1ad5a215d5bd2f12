"""`clinbert read-score`: sentences, sections, assertion and drug status against gold notes."""

import json
import random
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, Optional, Sequence, Tuple

import typer
from spacy.language import Language
from spacy.tokens import Doc

from .cli_args import check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

SPLITTERS = ("sentencizer", "pysbd_sentencizer")
Gold = List[List[Tuple[int, int, str]]]


def read_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    data: Annotated[Path, typer.Option(help="Folder of notes with layers, as assets/notes/dev.")],
    rules: Annotated[
        bool, typer.Option("--rules", help="Add what the pipeline lacks, by rules alone.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Notes a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Score what a pipeline reads of notes, beside other sentence splitters and the rules alone."""
    from .corpora.files import sha256_of
    from .corpora.layers import LAYERS_FILE, read_notes
    from .evaluation.output import write_text

    check_path(data)
    nlp = load_pipeline(pipeline, gpu_id)
    if rules:
        add_rules(nlp)
    notes = [note for note in read_notes(data) if "layers" in note.meta]
    if not notes:
        raise ValueError(
            f"No note in {data} has the layers that are scored (sections, sentences; file "
            f"{LAYERS_FILE}). Name a folder like assets/notes/dev."
        )
    result: Dict[str, Any] = {"command": command_line(), "notes": len(notes)}
    result["sha256"] = sha256_of("".join(note.text for note in notes))
    if "clinbert_sentences" in nlp.pipe_names:
        result["sentences"] = score_sentences(nlp, notes)
    if "clinbert_sections" in nlp.pipe_names:
        result["sections"] = score_sections(nlp, notes, batch_size)
    if "clinbert_assertion" in nlp.pipe_names:
        result["assertion"] = score_assertion(nlp, notes, batch_size)
    _print(result)
    if output:
        write_text(output, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def add_rules(nlp: Language) -> None:
    """Add sentences, sections and assertion by rules, where a pipeline lacks them.

    nlp (Language): changed.
    """
    if "clinbert_sentences" not in nlp.pipe_names:
        nlp.add_pipe("clinbert_sentences", first=True)
    if "clinbert_sections" not in nlp.pipe_names:
        nlp.add_pipe("clinbert_sections", after="clinbert_sentences")
    if "clinbert_assertion" not in nlp.pipe_names:
        nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})


def score_sentences(nlp: Language, notes: Sequence[Any]) -> Dict[str, Any]:
    """Score our splitter, spaCy's and scispaCy's. RETURNS (Dict[str, Any]): by splitter."""
    from .evaluation.reading import score_boundaries

    gold = [[start for start, _ in note.meta["layers"].sentences] for note in notes]
    ours = [nlp.get_pipe("clinbert_sentences")(nlp.make_doc(note.text)) for note in notes]
    found = {"clinbert_sentences": score_boundaries(ours, gold)}
    for name in SPLITTERS:
        other = make_splitter(name)
        docs = [other(note.text) for note in notes]
        found[name] = score_boundaries(docs, gold)
    return found


def make_splitter(name: str) -> Language:
    """Build a blank pipeline with another splitter. RETURNS (Language): the pipeline."""
    import spacy

    if name == "pysbd_sentencizer":
        import scispacy.custom_sentence_segmenter  # noqa: F401 (registers the component)
    nlp = spacy.blank("en")
    nlp.add_pipe(name)
    return nlp


def score_sections(nlp: Language, notes: Sequence[Any], batch_size: int) -> Dict[str, Any]:
    """Score sections as they are, and with all headings taken out.

    nlp (Language): the pipeline. notes (Sequence[AnnotatedNote]): with layers.
    batch_size (int): notes a batch.
    RETURNS (Dict[str, Any]): `as_written`, `headed` (recall of sections that begin with a heading),
        `without_headings`.
    """
    from .evaluation.reading import score_section_docs
    from .training.section_texts import Part, Variation, cut_heading, write

    gold: Gold = [[(s, e, n) for s, e, n in note.meta["layers"].sections] for note in notes]
    docs = list(_read(nlp, [note.text for note in notes], batch_size))
    found = {"as_written": score_section_docs(docs, gold)}
    headed = [
        [(s, e, n) for s, e, n in rows if cut_heading(note.text[s:e])[0]]
        for note, rows in zip(notes, gold)
    ]
    right = [len(set(rows) & _sections(doc)) for doc, rows in zip(docs, headed)]
    found["headed"] = {"n": sum(map(len, headed)), "r": sum(right) / max(1, sum(map(len, headed)))}
    rng, bare = random.Random(0), Variation(bare=1.0)
    texts, without = [], []
    for note, rows in zip(notes, gold):
        parts = [Part(n, *cut_heading(note.text[s:e])) for s, e, n in rows]
        text, sections = write(parts, bare, rng)
        texts.append(text)
        without.append([(s, e, n) for s, e, n in sections])
    found["without_headings"] = score_section_docs(list(_read(nlp, texts, batch_size)), without)
    return found


def _sections(doc: Doc) -> set:
    return {(s.start_char, s.end_char, s.label_) for s in doc.spans["clinbert_sections"]}


def _read(nlp: Language, texts: Iterable[str], batch_size: int) -> Iterable[Doc]:
    """Run what sections need, and no more."""
    wanted = ("transformer", "sentences", "sections")
    names = [n for n in nlp.pipe_names if any(word in n for word in wanted)]
    with nlp.select_pipes(enable=names):
        yield from nlp.pipe(texts, batch_size=batch_size)


def score_assertion(nlp: Language, notes: Sequence[Any], batch_size: int) -> Dict[str, Any]:
    """Score assertion on gold entities and on those that the pipeline finds.

    nlp (Language): the pipeline. notes (Sequence[AnnotatedNote]): with attributes.
    batch_size (int): notes a batch.
    RETURNS (Dict[str, Any]): `gold_spans`, `rules` (on gold spans), `predicted_spans`.
    """
    from .evaluation.reading import place_entities, read_values, score_judged

    placed = [place_entities(nlp, note) for note in notes]
    ner = [name for name in nlp.pipe_names if _sets_entities(nlp, name)]
    with nlp.select_pipes(disable=ner), progress_bar("gold entities", len(placed)) as advance:
        decided, rules = [], []
        for doc, (_, gold) in zip(nlp.pipe((d for d, _ in placed), batch_size=batch_size), placed):
            values = read_values(doc)
            for span, right in gold:
                found = values.get((span.start, span.end), ({}, {}))
                decided.append((right, found[0]))
                rules.append((right, found[1]))
            advance(1)
    result = {"gold_spans": score_judged(decided), "rules": score_judged(rules)}
    if ner:
        texts = (note.text for note in notes)
        judged, lost = [], 0
        for doc, (_, gold) in zip(nlp.pipe(texts, batch_size=batch_size), placed):
            values = read_values(doc)
            for span, right in gold:
                found = values.get((span.start, span.end))
                lost += found is None
                judged.extend([(right, found[0])] if found else [])
        result["predicted_spans"] = {**score_judged(judged), "entities_not_found": lost}
    return result


def _sets_entities(nlp: Language, name: str) -> bool:
    return "doc.ents" in nlp.get_pipe_meta(name).assigns


def _print(result: Dict[str, Any]) -> None:
    if "sentences" in result:
        rows = [(n, *_three(s), str(s["n"])) for n, s in result["sentences"].items()]
        print_table(["sentences", "P", "R", "F1", "boundaries"], rows)
    if "sections" in result:
        rows = [
            (name, *(_percent(s[f"sections_{k}"]) for k in ("p", "r", "f", "characters")))
            for name, s in result["sections"].items()
            if name != "headed"
        ]
        headed = result["sections"]["headed"]
        rows.append((f"headed ({headed['n']})", "", _percent(headed["r"]), "", ""))
        print_table(["sections", "P", "R", "F1", "characters"], rows)
    for name, scores in result.get("assertion", {}).items():
        print_axes(f"assertion, {name}", scores)


def print_axes(title: str, scores: Dict[str, Any]) -> None:
    """Print a table of the values of all axes.

    title (str): heads the first column. scores (Dict[str, Any]): see reading.score_judged.
    """
    rows = [
        (axis, value, *_three(s), str(s["n"]))
        for axis, found in scores.items()
        if isinstance(found, dict)
        for value, s in [*found["per_value"].items(), ("macro", _macro(found))]
    ]
    print_table([title, "value", "P", "R", "F1", "n"], rows)
    wrong = scores.get("called_active")
    if wrong is not None:
        typer.echo(f"Stopped, allergy or not-taken drugs called active: {_percent(wrong)} %")


def _macro(found: Dict[str, Any]) -> Dict[str, Any]:
    return {"p": None, "r": None, "f": found["macro_f"], "n": found["n"]}


def _three(scores: Dict[str, Any]) -> List[str]:
    return [_percent(scores[key]) for key in ("p", "r", "f")]


def _percent(value: Optional[float]) -> str:
    return "" if value is None else f"{100 * value:.1f}"
