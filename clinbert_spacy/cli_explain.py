"""`clinbert explain`: which words made a pipeline decide so, as an HTML heat map."""

import json
from pathlib import Path
from typing import Annotated, Any, Callable, Iterable, List, Optional, Sequence

import typer

from .cli_args import check_choice, check_encoding, command_line, load_pipeline, require_one
from .cli_show import Skips, print_table, progress_bar

BATCH_SIZE = 4


def explain(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    inputs: Annotated[List[Path], typer.Argument(help="Text files, folders, JSONL or CSV files.")],
    output: Annotated[Path, typer.Option(help="HTML file to write; holds the notes' text.")],
    as_json: Annotated[
        Optional[Path], typer.Option("--json", help="Write offsets and values here as well.")
    ] = None,
    kind: Annotated[
        Optional[List[str]],
        typer.Option(help="classes, relations or entities; all that there are if none."),
    ] = None,
    label: Annotated[
        Optional[List[str]],
        typer.Option(help="Only this label; of classes also where it was not decided yes."),
    ] = None,
    max_items: Annotated[int, typer.Option(min=1, help="Most decisions to explain.")] = 20,
    max_windows: Annotated[
        int, typer.Option(min=1, help="Most windows of a note to read, the weightiest.")
    ] = 4,
    steps: Annotated[int, typer.Option(min=2, help="Steps of the integral.")] = 32,
    baseline: Annotated[str, typer.Option(help="What stands for no text: pad or mask.")] = "pad",
    text_column: Annotated[str, typer.Option(help="JSONL key or CSV column: text.")] = "text",
    id_column: Annotated[str, typer.Option(help="JSONL key or CSV column: id.")] = "id",
    encoding: Annotated[str, typer.Option(help="Encoding of the input files.")] = "utf-8",
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
) -> None:
    """Show which words made classes, relations and entities. The HTML holds the notes' text."""
    from .cli_annotate import stream_docs
    from .cli_notes import ReadOptions, list_files, read_notes
    from .evaluation.explain import BASELINES, Settings
    from .evaluation.explain_items import KINDS, find_sources

    settings = Settings(steps, baseline, max_windows)
    check_choice("--baseline", baseline, BASELINES)
    for one in kind or ():
        check_choice("--kind", one, KINDS)
    settings.check()
    check_outputs(output, as_json)
    options = ReadOptions(text_column, id_column, check_encoding(encoding))
    nlp, skips = load_pipeline(pipeline, gpu_id), Skips()
    sources = find_sources(nlp, kind or (), label or ())
    notes = read_notes(list_files(inputs, skips.add, [output, as_json]), options, skips.add)
    with skips.printed(), progress_bar("explain", max_items) as advance:
        outcomes = skips.passed(stream_docs(nlp, notes, BATCH_SIZE), lambda _: None)
        found = explain_notes(
            nlp, require_one(outcomes, output), sources, label or (), settings, max_items, advance
        )
    write(nlp, found, settings, output, as_json)
    print_found(found, output)


def check_outputs(output: Path, as_json: Optional[Path]) -> None:
    """Check, before anything is read, that the files can be written.

    output (Path): the HTML. as_json (Optional[Path]): the JSON.
    RAISES (ValueError): no such folder, a folder in place of a file, or one name for both.
    """
    paths = [path for path in (output, as_json) if path]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"--output and --json are both {output}: give two names.")
    for path in paths:
        if path.is_dir() or not path.parent.is_dir():
            raise ValueError(f"Cannot write {path}: expected a file in a folder that is there.")


def explain_notes(
    nlp: Any,
    outcomes: Iterable[Any],
    sources: Sequence[Any],
    labels: Sequence[str],
    settings: Any,
    max_items: int,
    advance: Callable[[int], None],
) -> List[Any]:
    """Explain decisions on notes as they come, until there are enough.

    nlp (Language): the pipeline. outcomes (Iterable[Tuple[Note, Doc]]): annotated notes.
    sources (Sequence[Source]), labels (Sequence[str]), settings (Settings): see `evaluation`.
    max_items (int): most decisions. advance (Callable[[int], None]): called for each.
    RETURNS (List[ExplainedNote]): the notes that were looked at.
    """
    from .evaluation.explain import Explainer
    from .evaluation.explain_items import list_items
    from .evaluation.explain_report import ExplainedNote

    notes: List[Any] = []
    left = max_items
    for note, doc in outcomes:
        items = [item for source in sources for item in list_items(source, doc, labels)]
        explainer, found = Explainer(nlp, doc, settings), []
        for item in items[:left]:
            found.append(explainer.explain(item))
            advance(1)
        left -= len(found)
        notes.append(ExplainedNote(note.id, note.text, found, len(items) - len(found)))
        if not left:
            break
    return notes


def write(
    nlp: Any, notes: Sequence[Any], settings: Any, output: Path, as_json: Optional[Path]
) -> None:
    """Write the HTML, and the JSON if there is a name for it."""
    from .evaluation.evaluate import describe_pipeline
    from .evaluation.explain_report import record_explanations, render_explanations
    from .evaluation.output import write_text

    about = {**describe_pipeline(nlp), "licence": nlp.meta.get("license", "")}
    page = render_explanations(notes, pipeline=about, settings=settings, command=command_line())
    write_text(output, page)
    if as_json:
        head = {"command": command_line(), "pipeline": about}
        record = record_explanations(notes, settings, head)
        write_text(as_json, json.dumps(record, ensure_ascii=False) + "\n")


def print_found(notes: Sequence[Any], output: Path) -> None:
    """Print what was explained, without text, and what was left."""
    rows = [
        (note.id, one.kind, one.label, f"{one.score:.2f}", f"{one.baseline:.2f}",
         f"{one.delta:+.3f}", f"{len(one.windows)} of {one.n_windows}")
        for note in notes for one in note.found
    ]  # fmt: skip
    if rows:
        header = ["note", "kind", "label", "score", "at baseline", "delta", "windows read"]
        print_table(header, rows)
    n_rough = sum(one.is_rough for note in notes for one in note.found)
    if n_rough:
        typer.echo(f"{n_rough} rough: the deltas are over 5 %; take more --steps.", err=True)
    n_left = sum(note.n_left for note in notes)
    left = f", {n_left} more on these notes left: raise --max-items" if n_left else ""
    typer.echo(f"{len(rows)} decisions on {len(notes)} notes explained{left}: {output}", err=True)
