"""The `clinbert` command: parses, calls, prints."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, List, Optional

import typer

from . import (
    cli_benchmark,
    cli_cid,
    cli_corpus,
    cli_documents,
    cli_encoder,
    cli_evidence,
    cli_explain,
    cli_fit_classes,
    cli_negex,
    cli_project,
    cli_reading,
    cli_relations,
    cli_side_effects,
    cli_smell,
    cli_summaries,
    cli_summarise,
)
from .cli_args import (
    check_choice,
    check_encoding,
    check_path,
    check_workers,
    command_line,
    load_pipeline,
    read_figures,
    read_mapping,
    require_one,
)
from .cli_encoder import WITH_OVERRIDES
from .cli_errors import SafeGroup
from .cli_html import write_html, write_page
from .cli_show import (
    Skips,
    plain,
    print_conversion,
    print_result,
    print_table,
    progress_bar,
)

DEFAULT_PIPELINE = "en_clinbert"
EXAMPLES = 5

app = typer.Typer(
    cls=SafeGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    help="Clinical NLP on spaCy. Research and human-reviewed chart abstraction; not a medical "
    "device, not for treatment decisions.",
)

Pipeline = Annotated[str, typer.Option(help="Installed pipeline or folder.")]
Inputs = Annotated[List[Path], typer.Argument(help="Text files, folders, JSONL or CSV files.")]
TextColumnName = Annotated[str, typer.Option(help="JSONL key or CSV column with the text.")]
IdColumnName = Annotated[str, typer.Option(help="JSONL key or CSV column with the id.")]
Encoding = Annotated[str, typer.Option(help="Encoding of the input files.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Notes a batch.")]
GpuId = Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")]
Html = Annotated[Optional[Path], typer.Option(help="Write an HTML report here as well.")]


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command()
def fetch(
    names: Annotated[Optional[List[str]], typer.Argument(help="Which assets; all if none.")] = None,
    source: Annotated[Optional[Path], typer.Option("--from", help="Take them from here.")] = None,
    project: Annotated[Path, typer.Option(help="Project file.")] = Path("project.yml"),
) -> None:
    """Download or copy the public corpora, verify them, exit with 1 if one is not as it should."""
    from .corpora.fetch import fetch as run_fetch
    from .corpora.fetch import read_assets

    results = run_fetch(project, names or (), source, lambda name: typer.echo(name, err=True))
    rows = [(result.name, result.status, result.message) for result in results]
    print_table(["asset", "status", ""], rows)
    assets = read_assets(project)
    # owners of private corpora are asked for them only if they name them
    private = {name for name in assets if not {"url", "git"} & set(assets[name])} - set(names or ())
    allowed = {"private", "missing"}
    bad = [r.name for r in results if not r.ok and r.status != "unverified"
           and not (r.name in private and r.status in allowed)]  # fmt: skip
    if bad:
        raise ValueError(f"Not usable: {', '.join(bad)}. The table says why.")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="File or folder of the corpus.")],
    corpus: Annotated[str, typer.Option(help="Known corpus, or a format: brat, bioc, csv, ...")],
    output: Annotated[Optional[Path], typer.Option(help="Where to write; none: report.")] = None,
    to: Annotated[str, typer.Option(help="docbin, pubtator, brat, bioc; else by suffix.")] = "",
    scheme: Annotated[str, typer.Option(help="Labels: own or product.")] = "product",
    part: Annotated[Optional[List[str]], typer.Option(help="Official part, e.g. train.")] = None,
    encoding: Encoding = "utf-8",
) -> None:
    """Read a corpus, write it in another format, show per label what was mapped or skipped."""
    from .corpora.convert import convert as run_convert

    check_path(source)
    report = run_convert(source, corpus, output, to, scheme, part or None, check_encoding(encoding))
    print_conversion(report)


@app.command(context_settings=WITH_OVERRIDES)
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="spaCy config; --section.key VALUE overrides.")],
    output: Annotated[Path, typer.Option(help="Folder for model-best, model-last, checkpoint.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin again.")] = False,
    gpu_id: GpuId = -1,
) -> None:
    """Train as `spacy train` does, with a checkpoint at every evaluation."""
    from spacy.cli._util import parse_config_overrides

    from .training.loop import train as run_train

    run_train(
        config,
        output,
        resume=resume,
        overwrite=overwrite,
        overrides=parse_config_overrides(list(context.args)),
        use_gpu=gpu_id,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


@app.command()
def package(
    model: Annotated[Path, typer.Argument(help="Folder of a trained pipeline, e.g. model-best.")],
    output: Annotated[Path, typer.Argument(help="Folder for the wheel.")],
    version: Annotated[str, typer.Option(help="Version of the package.")],
    meta: Annotated[Path, typer.Option(help="JSON or YAML: sources, licence, intended use, ...")],
    name: Annotated[str, typer.Option(help="Name of the package.")] = DEFAULT_PIPELINE,
    figures: Annotated[
        Optional[List[Path]], typer.Option(help="What `evaluate --output` wrote, for the card.")
    ] = None,
    half: Annotated[bool, typer.Option(help="Save weights in half precision.")] = True,
    install: Annotated[bool, typer.Option("--install", help="Install the wheel as well.")] = False,
) -> None:
    """Build a wheel of a trained pipeline, without a network."""
    from .training.packaging import build_package, install_package

    about = read_mapping(meta)
    about["performance"] = {**about.get("performance", {}), **read_figures(figures or [])}
    wheel = build_package(model, output, name=name, version=version, meta=about, half=half)
    typer.echo(str(wheel))
    if install:
        typer.echo(f"installed {install_package(wheel)}")


@app.command()
def evaluate(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    corpus: Annotated[str, typer.Option(help="Known corpus: bc5cdr, ncbi, maccrobat, ...")],
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    part: Annotated[Optional[List[str]], typer.Option(help="Official part, e.g. dev.")] = None,
    split: Annotated[str, typer.Option(help="Part by hash of the group: train, dev, test.")] = "",
    scheme: Annotated[str, typer.Option(help="Labels: own, product or auto.")] = "auto",
    limit: Annotated[int, typer.Option(min=0, help="First so many notes; 0: all.")] = 0,
    encoding: Encoding = "utf-8",
    batch_size: BatchSize = 16,
    gpu_id: GpuId = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
    html: Html = None,
) -> None:
    """Score a pipeline on a corpus: raw text in, exact spans and types, 95 % intervals."""
    from itertools import islice

    from .cli_evaluate import Selection
    from .corpora.harmonise import to_product
    from .corpora.schema import get_schema
    from .evaluation import evaluate as judge
    from .evaluation.labels import labels_of, plan_labels
    from .evaluation.output import write_text

    chosen = Selection(corpus, data, part, split, limit, check_encoding(encoding))
    chosen.check()
    nlp = load_pipeline(pipeline, gpu_id)
    plan = plan_labels(get_schema(corpus), labels_of(nlp), scheme)
    notes = chosen.notes()
    if plan.scheme == "product":
        notes = (to_product(note) for note in notes)
    with progress_bar("evaluate") as advance:
        result = judge.evaluate(nlp, notes, corpus, plan, batch_size=batch_size, progress=advance)
    print_result(result)
    for line in chosen.warnings():
        typer.echo(f"Warning: {line}.", err=True)
    record = {"command": command_line(), **chosen.record(), **result.to_dict()}
    if output:
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    if html:
        shown = [(note.id, note.text) for note in islice(chosen.notes(), EXAMPLES)]
        write_html(html, nlp, shown, results=[result], summary=chosen.warnings())


@app.command()
def annotate(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(help="JSONL file to write, a line a note.")],
    html: Html = None,
    html_notes: Annotated[int, typer.Option(min=0, help="Notes shown in the HTML.")] = 20,
    pipeline: Pipeline = DEFAULT_PIPELINE,
    text_column: TextColumnName = "text",
    id_column: IdColumnName = "id",
    encoding: Encoding = "utf-8",
    batch_size: BatchSize = 32,
    n_process: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    gpu_id: GpuId = -1,
    with_text: Annotated[bool, typer.Option(help="Put the whole text into the output.")] = False,
) -> None:
    """Find entities in notes. What cannot be read is skipped and named."""
    from .cli_annotate import free_activations, stream_docs, to_example, to_line, to_record
    from .cli_notes import ReadOptions, count_notes, list_files, read_notes
    from .evaluation.output import atomic_writer

    check_workers(n_process, gpu_id)
    options = ReadOptions(text_column, id_column, check_encoding(encoding))
    nlp, skips, n_done = load_pipeline(pipeline, gpu_id), Skips(), 0
    free_activations(nlp)
    examples: List[Any] = []
    files = list_files(inputs, skips.add, [output, html])
    notes = read_notes(files, options, skips.add)
    with (
        skips.printed(),
        atomic_writer(output) as file_,
        progress_bar("annotate", count_notes(files)) as advance,
    ):
        outcomes = skips.passed(stream_docs(nlp, notes, batch_size, n_process), advance)
        for note, doc in require_one(outcomes, output):
            file_.write(to_line(to_record(note, doc, with_text)))
            n_done += 1
            if html and len(examples) < html_notes:
                examples.append(to_example(note, doc))
    if html:
        write_page(html, nlp, examples, summary=[f"{n_done} notes annotated."])
    typer.echo(f"{n_done} notes annotated, {skips.count} skipped: {output}", err=True)


@app.command()
def embed(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(help="File to write: .npz, .npy or .parquet.")],
    pooling: Annotated[str, typer.Option(help="mean, max or cls.")] = "mean",
    unit: Annotated[str, typer.Option(help="A vector a note, or a sentence.")] = "note",
    pipeline: Pipeline = DEFAULT_PIPELINE,
    text_column: TextColumnName = "text",
    id_column: IdColumnName = "id",
    encoding: Encoding = "utf-8",
    batch_size: BatchSize = 32,
    gpu_id: GpuId = -1,
) -> None:
    """Write vectors of notes or sentences out of the pipeline's transformer."""
    from .cli_annotate import prepare_embedding, stream_docs
    from .cli_notes import ReadOptions, count_notes, list_files, read_notes
    from .interop.vectors import note_rows, sentence_rows, write_vectors

    makers = {"note": note_rows, "sentence": sentence_rows}
    check_choice("--unit", unit, list(makers))
    options = ReadOptions(text_column, id_column, check_encoding(encoding))
    nlp, skips = load_pipeline(pipeline, gpu_id), Skips()
    prepare_embedding(nlp, sentences=unit == "sentence")
    files = list_files(inputs, skips.add, [output])
    notes = read_notes(files, options, skips.add)
    with skips.printed(), progress_bar("embed", count_notes(files)) as advance:
        outcomes = skips.passed(stream_docs(nlp, notes, batch_size), advance)
        pairs = ((note.id, doc) for note, doc in require_one(outcomes, output))
        n_rows = write_vectors(makers[unit](pairs, pooling), output)
    typer.echo(f"{n_rows} vectors, {skips.count} skipped: {output}", err=True)


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, threads, device, processor features, installed pipelines and licences."""
    from .cli_info import collect_info

    found = collect_info()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    rows = [("python", found["python"]), ("platform", found["platform"])]
    rows += list(found["packages"].items())
    rows += [(name, plain(value)) for name, value in found["torch"].items()]
    for name, meta in found["pipelines"].items():
        rows.append((name, f"{meta.get('version', '?')}, licence: {meta.get('license') or '?'}"))
        rows.append(("", plain(meta.get("components", []))))
    print_table(["", ""], rows)


app.add_typer(cli_corpus.app, name="notes")
for command in (
    cli_benchmark.benchmark, cli_project.seeds, cli_smell.smell_test, cli_reading.read_score,
    cli_relations.relation_score, cli_relations.fit_relations, cli_cid.cid_score,
    cli_negex.negex_score, cli_documents.document_score, cli_fit_classes.fit_classes,
    cli_evidence.evidence_score, cli_side_effects.side_effects, cli_explain.explain,
    cli_summaries.summary_score, cli_summarise.summarise,
):  # fmt: skip
    app.command()(command)
cli_encoder.attach(app)
app.command(context_settings=WITH_OVERRIDES)(cli_project.exclude)
