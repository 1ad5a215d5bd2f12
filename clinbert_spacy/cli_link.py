"""`clinbert build-kb`, `link-fit`, `link-score`: knowledge bases and entity linking."""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import typer

from .cli_args import check_choice, check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

MESH_AND_OMIM = ("MESH", "OMIM")
Vocabulary = Annotated[
    Optional[List[str]], typer.Option(help="Link to ids of these alone; MESH and OMIM by default.")
]


def build_kb(
    source: Annotated[Path, typer.Argument(help="Folder of ontologies or of a graph, or a CSV.")],
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    duplicates: Annotated[str, typer.Option(help="An id twice in a CSV: error or merge.")] = (
        "error"
    ),
    written: Annotated[bool, typer.Option(help="Add the names written by hand.")] = True,
) -> None:
    """Make a knowledge base, in scispaCy's format, of ontologies, a graph or a table."""
    from .training.kb import describe_sizes, read_source, write_base

    check_path(source)
    start = time.perf_counter()
    built = read_source(source, duplicates, written)
    read_s = time.perf_counter() - start
    card = write_base(built, output)
    sizes = [(name, str(n)) for name, n in describe_sizes(card)]
    print_table(["file", "bytes"], [*sizes, ("all", str(sum(int(n) for _, n in sizes)))])
    typer.echo(
        f"{card['concepts']} concepts, {card['names']} names, {card['ids']} ids; read in "
        f"{read_s:.1f} s, built in {card['build_s']} s ({card['build_cpu_s']} s of a processor), "
        f"loads in {card['load_s']} s ({card['load_cpu_s']}), peak {card['peak_mb']} MB"
    )
    typer.echo(f"written to {output}", err=True)


def link_fit(
    base: Annotated[Path, typer.Argument(help="Folder that build-kb wrote.")],
    corpus: Annotated[List[str], typer.Option(help="NAME=FOLDER, e.g. ncbi=FOLDER. Repeat it.")],
    output: Annotated[
        Optional[Path], typer.Option(help="JSON to write; by default ranker.json in the base.")
    ] = None,
    vocabulary: Vocabulary = None,
) -> None:
    """Fit the weights of the ranker on the training parts of corpora."""
    from .evaluation.output import write_text
    from .models.linking import ConceptLinker
    from .models.linking_base import RANKER
    from .training.linking_fit import Case, fit_ranker

    linker = ConceptLinker(base, tuple(vocabulary or MESH_AND_OMIM))
    cases, names = [], {}
    for value in corpus:
        name, folder = split_corpus(value)
        names[f"{name}:train"] = _sha256(name, folder, "train")
        for case in read_cases(linker, name, folder, "train"):
            if len(case.gold) == 1:
                cases.append(Case(case.request, case.gold[0]))
    # no command in it: the file travels with the base, and paths of a machine must not
    ranker = {**fit_ranker(linker, cases), "fitted_on": names}
    target = output or base / RANKER
    write_text(target, json.dumps(ranker, indent=2) + "\n")
    rows = [(x, f"{w:.2f}") for x, w in zip(ranker["features"], ranker["weights"])]
    print_table(["feature", "weight"], rows)
    typer.echo(
        f"{ranker['mentions']} mentions, the right concept among the candidates of "
        f"{ranker['with_right_candidate']}: {target}"
    )


def link_score(
    base: Annotated[Path, typer.Argument(help="Folder that build-kb wrote.")],
    corpus: Annotated[str, typer.Option(help="Known corpus with concepts: ncbi, bc5cdr.")],
    data: Annotated[Path, typer.Option(help="Folder of the corpus.")],
    part: Annotated[str, typer.Option(help="Official part.")] = "dev",
    pipeline: Annotated[str, typer.Option(help="Also end to end, with its entities.")] = "",
    vocabulary: Vocabulary = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Below it: no link.")] = 0.3,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score entity linking on gold mentions, and end to end, beside string match and ceiling."""
    from .evaluation.linking import PROTOCOL, score_gold
    from .evaluation.output import write_text
    from .models.linking import ConceptLinker

    linker = ConceptLinker(base, tuple(vocabulary or MESH_AND_OMIM))
    held = {x for id_ in linker.base.links for x in linker.base.ids_of(id_)}
    cases = list(read_cases(linker, corpus, data, part))
    start = time.perf_counter()
    items = judge(linker, cases, threshold)
    seconds = time.perf_counter() - start
    record: Dict[str, Any] = {
        "command": command_line(), "protocol": PROTOCOL, "corpus": corpus, "part": part,
        "data_sha256": _sha256(corpus, data, part), "base": linker.base.card,
        "threshold": threshold, "gold_mentions": score_gold(items, held),
        "ms_per_mention": round(1000 * seconds / max(1, len(items)), 3),
    }  # fmt: skip
    if pipeline:
        nlp = load_pipeline(pipeline)
        record["pipeline"] = pipeline
        record["end_to_end"] = end_to_end(linker, nlp, corpus, data, part, threshold)
    _print(record)
    if output:
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def split_corpus(value: str) -> Tuple[str, Path]:
    """Read NAME=FOLDER. RAISES (ValueError): another form, a corpus not known, no such folder."""
    from .corpora.schema import get_schema

    name, equals, folder = value.partition("=")
    if not equals or not folder:
        raise ValueError(f"--corpus is {value!r}; expected NAME=FOLDER, e.g. ncbi=FOLDER.")
    get_schema(name)
    check_path(Path(folder))
    return name, Path(folder)


class LinkCase(NamedTuple):
    """A gold mention: its note, label, what the linker is asked, and its ids."""

    note: str
    label: str
    request: Any
    gold: Tuple[str, ...]


def read_notes(corpus: str, data: Path, part: str) -> Iterator[Tuple[Any, Any]]:
    """Read notes of a part with the plan of their labels."""
    from .corpora.readers import read_corpus
    from .corpora.schema import get_schema
    from .evaluation.labels import plan_labels

    schema = get_schema(corpus)
    check_path(data)
    check_choice("--part", part, list(schema.parts))
    plan = plan_labels(schema, [], "own")
    for note in read_corpus(corpus, data, [part]):
        yield note, plan


def read_cases(linker: Any, corpus: str, data: Path, part: str) -> Iterator[LinkCase]:
    """Make a case of every gold mention, abbreviations of its note written out."""
    from .evaluation.linking import gold_ids
    from .pipeline.linking import LABELS, long_forms_of

    nlp = detector()
    for note, plan in read_notes(corpus, data, part):
        doc = nlp(note.text)
        spans = [
            doc.char_span(m.start, m.end, label=plan.gold[m.label][0], alignment_mode="expand")
            for m in note.mentions
        ]
        long_forms = long_forms_of(doc, spans)
        for mention, span in zip(note.mentions, spans):
            text = note.text[mention.start : mention.end]
            request = linker.request(text, LABELS[span.label_], long_forms)
            yield LinkCase(note.id, span.label_, request, gold_ids(mention.concepts))


def detector() -> Any:
    """The package's tokenizer, and scispaCy's detector of abbreviations."""
    import spacy

    from .pipeline.tokenizer import create_clinical_tokenizer

    nlp = spacy.blank("en")
    nlp.tokenizer = create_clinical_tokenizer()(nlp)
    return add_detector(nlp)


def add_detector(nlp: Any) -> Any:
    """Add scispaCy's detector to a pipeline that writes no abbreviation out."""
    import warnings

    from scispacy.abbreviation import AbbreviationDetector  # noqa: F401  (registers the factory)

    # its matcher is empty where a note defines no abbreviation
    warnings.filterwarnings("ignore", message=r"\[W036\]")
    present = {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names}
    if not present & {"abbreviation_detector", "clinbert_abbreviations"}:
        nlp.add_pipe("abbreviation_detector")
    return nlp


def judge(linker: Any, cases: Sequence[LinkCase], threshold: float) -> List[Any]:
    """Ask the linker and the baseline for every case."""
    from .evaluation.linking import Judged
    from .models.linking import match_words

    items = []
    with progress_bar("link", len(cases)) as advance:
        for start in range(0, len(cases), 256):
            batch = cases[start : start + 256]
            for case, found in zip(batch, linker.rank([case.request for case in batch])):
                ranked = [linker.base.ids_of(x.id) for x in found]
                exact = match_words(linker, case.request)
                answered = bool(found) and found[0].score >= threshold
                items.append(Judged(case.note, case.label, case.gold, ranked, exact, answered))
            advance(len(batch))
    return items


def end_to_end(
    linker: Any, nlp: Any, corpus: str, data: Path, part: str, threshold: float
) -> Dict[str, Any]:
    """Run a pipeline over the raw text, link what it finds, compare spans, labels and ids."""
    from .corpora.schema import get_schema
    from .evaluation.labels import labels_of, plan_labels
    from .evaluation.linking import ALL, EndToEnd, gold_ids
    from .pipeline.linking import ConceptLinking

    plan = plan_labels(get_schema(corpus), labels_of(nlp), "own")
    component = ConceptLinking(linker, threshold=threshold)
    nlp = add_detector(nlp)
    rows: Dict[str, EndToEnd] = {}
    with progress_bar("end to end") as advance:
        for note, _ in read_notes(corpus, data, part):
            gold = {
                (m.start, m.end, label): gold_ids(m.concepts)
                for m in note.mentions
                for label in plan.gold.get(m.label, ())
            }
            predicted = _predicted(component(nlp(note.text)), plan, linker)
            for label in {ALL, *(span[2] for span in [*gold, *predicted])}:
                chosen = (_of(found, label) for found in (gold, predicted))
                rows.setdefault(label, EndToEnd()).add(*chosen)
            advance(1)
    return {label: rows[label].row() for label in sorted(rows)}


def _of(spans: Dict[Any, Any], label: str) -> Dict[Any, Any]:
    return {span: ids for span, ids in spans.items() if label in (span[2], "all")}


def _predicted(doc: Any, plan: Any, linker: Any) -> Dict[Any, Any]:
    from .pipeline.linking import entities_of

    linked = [x for x in entities_of(doc) if x.kb_id_ and x.label_ in plan.predicted]
    return {
        (x.start_char, x.end_char, plan.predicted[x.label_]): linker.base.ids_of(x.kb_id_)
        for x in linked
    }


def _sha256(corpus: str, data: Path, part: str) -> str:
    import hashlib

    from .corpora.schema import get_schema

    return hashlib.sha256((data / get_schema(corpus).parts[part]).read_bytes()).hexdigest()


def _print(record: Dict[str, Any]) -> None:
    shown = ("accuracy_1", "accuracy_5", "string_match", "ceiling", "candidates",
             "accuracy_1_held", "accuracy_1_strict", "answered", "answered_right")  # fmt: skip
    header = ["label", "n", "one id", "composite", "unlinked"]
    header += [name.replace("_", " ") for name in shown]
    rows = [
        (label, *(str(row[x]) for x in ("mentions", "single", "composite", "unlinked")),
         *(_percent(row[x]) for x in shown))
        for label, row in record["gold_mentions"].items()
    ]  # fmt: skip
    print_table(header, rows)
    found = record.get("end_to_end", {})
    shown = ("precision", "recall", "f", "span_f")
    if found:
        header = ["end to end", "gold", "predicted", "P", "R", "F1", "F1 of spans"]
        print_table(
            header,
            [(label, str(row["gold"]), str(row["predicted"]), *(_percent(row[x]) for x in shown))
             for label, row in found.items()],
        )  # fmt: skip
    base = record["base"]
    typer.echo(
        f"{record['corpus']} {record['part']}, data sha256 {record['data_sha256'][:16]}; base of "
        f"{base['concepts']} concepts, {base['names']} names; {record['ms_per_mention']} ms a "
        "mention"
    )


def _percent(share: Optional[float]) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
