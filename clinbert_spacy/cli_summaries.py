"""`clinbert summary-score`: extractive summaries beside first, random, central, best sentences."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import typer
from spacy.language import Language

from .cli_args import check_choice, check_encoding, check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

AS_PIPELINE = "pipeline"
Span = Tuple[int, int]


def summary_score(
    pipeline: Annotated[
        Optional[str], typer.Argument(help="Installed pipeline or folder; none: plain rows alone.")
    ] = None,
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")] = Path(
        "assets/notes/dev"
    ),
    corpus: Annotated[str, typer.Option(help="notes, mediqa_mas or radiology.")] = "notes",
    budget: Annotated[
        str,
        typer.Option(
            help="Of the plain rows: 3 sentences, 50w words, 20% of the sentences; gold: as many "
            "sentences as people chose, or words as they wrote; pipeline: as many as it chose."
        ),
    ] = "gold",
    fold: Annotated[
        int, typer.Option(min=-1, help="Score this fold alone, as in training; -1: all texts.")
    ] = -1,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 5,
    limit: Annotated[int, typer.Option(min=0, help="First so many texts; 0: all.")] = 0,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Texts a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score summaries by ROUGE, choice of sentences, repetition and facts, beside plain rows."""
    from .evaluation.output import write_text
    from .evaluation.summaries import evaluate_summaries

    check_path(data)
    if budget == AS_PIPELINE and not pipeline:
        raise ValueError("--budget is 'pipeline', but there is none; give one, or another budget.")
    items = _read(corpus, data, check_encoding(encoding), (fold, folds, limit))
    record: Dict[str, Any] = {
        "command": command_line(), "data": data.resolve().name, "budget": budget, "fold": fold,
        "folds": folds, "limit": limit,
    }  # fmt: skip
    system = None
    if pipeline:
        nlp = load_pipeline(pipeline, gpu_id)
        record["pipeline"] = _describe(nlp)
        system = summarise(nlp, items, batch_size, _budgets(items, budget))
    judged = _judge(items, budget, system)
    with progress_bar("score", len(judged)) as advance:
        record |= evaluate_summaries(judged, system, corpus=corpus, progress=advance)
    _print(record)
    if output:
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _describe(nlp: Language) -> Dict[str, str]:
    from .evaluation.evaluate import describe_pipeline

    return describe_pipeline(nlp)


def _read(corpus: str, data: Path, encoding: str, asked: Tuple[int, int, int]) -> List[Any]:
    """Read texts; `asked`: fold, folds, limit."""
    from .corpora.silver_reader import take_summaries
    from .corpora.summaries import READERS, add_sentences, read_summaries

    check_choice("--corpus", corpus, list(READERS))
    fold, folds, limit = asked
    if fold < 0:
        items = list(read_summaries(corpus, data, encoding))
    else:
        items = take_summaries(corpus, data, "held_out", fold, folds, encoding)
    return list(add_sentences(items[:limit] if limit else items, split_sentences))


def split_sentences(text: str) -> List[Span]:
    """Find sentences as `clinbert_sentences` does.

    text (str): any text.
    RETURNS (List[Span]): start and end of each in characters, white space after it included.
    """
    from .pipeline.sentences import find_sentences, load_words

    starts = find_sentences(text, load_words())
    return list(zip(starts, [*starts[1:], len(text)]))


def _budgets(items: Sequence[Any], budget: str) -> List[str]:
    """What each text allows, as `clinbert_summary` reads it; "" leaves its own."""
    from .corpora.silver import budget_of, parse_budget

    if budget == AS_PIPELINE:
        return [""] * len(items)
    units = {"sentences": "", "words": "w", "share": "%"}
    found = [budget_of(item, parse_budget(budget)) for item in items]
    return [f"{one.amount:.15g}{units[one.unit]}" for one in found]


def summarise(
    nlp: Language, items: Sequence[Any], batch_size: int, budgets: Sequence[str] = ()
) -> List[List[Span]]:
    """Run a pipeline and take its summaries.

    nlp (Language): writes doc.spans["clinbert_summary"]. items (Sequence[Summarised]): the texts.
    batch_size (int): texts at a time.
    budgets (Sequence[str]): of each text, for `clinbert_summary`; others keep their own.
    RETURNS (List[List[Span]]): of each text, start and end of what was chosen, in order.
    RAISES (ValueError): the pipeline writes no summaries.
    """
    from .attributes import SUMMARY_KEY

    own = [SUMMARY_KEY] if SUMMARY_KEY in nlp.pipe_names and any(budgets) else []
    found: List[List[Span]] = []
    with progress_bar("summarise", len(items)) as advance, nlp.select_pipes(disable=own):
        docs = nlp.pipe((item.text for item in items), batch_size=batch_size)
        for number, doc in enumerate(docs):
            if own:
                component = nlp.get_pipe(SUMMARY_KEY)
                component.budget = budgets[number]
                doc = component(doc)
            if SUMMARY_KEY not in doc.spans:
                raise ValueError(
                    f"The pipeline writes no doc.spans[{SUMMARY_KEY!r}]: its components are "
                    f"{', '.join(nlp.pipe_names) or 'none'}. Give one with the component "
                    f"{SUMMARY_KEY!r}, or leave PIPELINE out to score the plain rows alone."
                )
            spans = doc.spans[SUMMARY_KEY]
            found.append(sorted({(span.start_char, span.end_char) for span in spans}))
            advance(1)
    return found


def _judge(
    items: Sequence[Any], budget: str, system: Optional[Sequence[Sequence[Span]]]
) -> List[Any]:
    """Resolve the budget of each text, and ask the oracle."""
    from .corpora.silver import Budget, budget_of, greedy_oracle, measure, parse_budget
    from .evaluation.summary_rows import Judged

    given = None if budget == AS_PIPELINE else parse_budget(budget)
    judged = []
    with progress_bar("oracle", len(items)) as advance:
        for number, item in enumerate(items):
            chosen = len(system[number]) if system else 0
            own = budget_of(item, given) if given else Budget("sentences", chosen)
            sentences = [item.text[start:end] for start, end in item.sentences]
            costs, limit = measure(sentences, own)
            best = greedy_oracle(sentences, item.reference, own)
            judged.append(
                Judged(item.id, item.text, item.sentences, tuple(costs), limit, item.reference,
                       best, item.chosen, item.facts)
            )  # fmt: skip
            advance(1)
    return judged


def _print(record: Mapping[str, Any]) -> None:
    rows = record["rows"]
    titles = ["", "ROUGE-1", "95 % interval", "ROUGE-2", "95 % interval", "ROUGE-L",
              "95 % interval", "way 1", "way 2", "way L"]  # fmt: skip
    print_table(titles, [(name, *_rouge_cells(row)) for name, row in rows.items()])
    typer.echo("")
    titles = ["", "P", "R", "F1", "95 % interval", "redundancy", "coverage", "sentences", "words"]
    print_table(titles, [(name, *_other_cells(row)) for name, row in rows.items()])
    typer.echo(
        f"{record['n_notes']} texts of {record['corpus']}, {record['n_sentences']} sentences, "
        f"{record['n_facts']} facts; budget {record['budget']}; way: share of the way from lead-k "
        f"to the greedy oracle; data sha256 {record['data_sha256'][:16]}"
    )


def _rouge_cells(row: Mapping[str, Any]) -> List[str]:
    from .evaluation.summaries import ROUGE

    scores = [cell for name in ROUGE for cell in (_value(row[name]), _ends(row[name]))]
    return [*scores, *(_value(row["way"][name]) for name in ROUGE)]


def _other_cells(row: Mapping[str, Any]) -> List[str]:
    choice = row["choice"] or dict.fromkeys(("precision", "recall", "f"))
    shown = [_value(choice[name]) for name in ("precision", "recall", "f")]
    shown += [_ends(choice["f"]), _value(row["redundancy"]), _value(row["coverage"])]
    return [*shown, f"{row['sentences']:.1f}", f"{row['words']:.1f}"]


def _value(score: Optional[Mapping[str, float]]) -> str:
    return f"{100 * score['value']:.1f}" if score else "-"


def _ends(score: Optional[Mapping[str, float]]) -> str:
    return f"{100 * score['low']:.1f} - {100 * score['high']:.1f}" if score else "-"
