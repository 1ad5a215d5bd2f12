"""`clinbert summarise`: notes as summaries, classes and structured views, with offsets."""

from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import typer
from spacy.language import Language
from spacy.tokens import Doc

from .cli_args import check_choice, check_encoding, command_line, load_pipeline, require_one
from .cli_show import Skips, progress_bar

COMPONENT, SENTENCES = "clinbert_summary", "clinbert_sentences"
METHODS = ("central", "model")
DEFAULT_BUDGET = "20%"


def summarise(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    notes: Annotated[List[Path], typer.Argument(help="Text files, folders, JSONL or CSV files.")],
    output: Annotated[Path, typer.Option(help="JSONL file to write, a line a note.")],
    html: Annotated[Optional[Path], typer.Option(help="Write an HTML page here as well.")] = None,
    html_notes: Annotated[int, typer.Option(min=0, help="Notes shown in the HTML.")] = 20,
    budget: Annotated[
        Optional[str],
        typer.Option(
            help="Most of a summary: 5 sentences, 80w words, 20% of the sentences; none: as the "
            "pipeline has it, 20% in one without summaries."
        ),
    ] = None,
    method: Annotated[
        Optional[str],
        typer.Option(help="Who scores sentences: central or model; none: as the pipeline has it."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="JSONL key or CSV column: text.")] = "text",
    id_column: Annotated[str, typer.Option(help="JSONL key or CSV column: id.")] = "id",
    encoding: Annotated[str, typer.Option(help="Encoding of the input files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Notes a batch.")] = 32,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
) -> None:
    """Summarise notes: sentences word for word, classes, and a structured view, with offsets."""
    from .cli_annotate import stream_docs, to_line
    from .cli_notes import ReadOptions, count_notes, list_files, read_notes
    from .evaluation.output import atomic_writer

    check_settings(budget, method, output, html)
    options = ReadOptions(text_column, id_column, check_encoding(encoding))
    nlp, skips, n_done = load_pipeline(pipeline, gpu_id), Skips(), 0
    for line in prepare(nlp, budget, method):
        typer.echo(line, err=True)
    shown: List[Tuple[str, Dict[str, Any]]] = []
    files = list_files(notes, skips.add, [output, html])
    texts = read_notes(files, options, skips.add)
    with (
        skips.printed(),
        atomic_writer(output) as file_,
        progress_bar("summarise", count_notes(files)) as advance,
    ):
        outcomes = skips.passed(stream_docs(nlp, texts, batch_size), advance)
        for note, doc in require_one(outcomes, output):
            record = to_record(note, doc, nlp.get_pipe(_names(nlp)[-1]).method)
            file_.write(to_line(record))
            n_done += 1
            if html and len(shown) < html_notes:
                shown.append((note.text, record))
    if html:
        write_page(html, nlp, shown, n_done)
    typer.echo(f"{n_done} notes summarised, {skips.count} skipped: {output}", err=True)


def check_settings(
    budget: Optional[str], method: Optional[str], output: Path, html: Optional[Path]
) -> None:
    """Check, before anything is loaded, what the user gave.

    budget (Optional[str]), method (Optional[str]): as in `clinbert_summary`, or none.
    output (Path), html (Optional[Path]): files to write.
    RAISES (ValueError): a budget or method that is none, or a file that cannot be written.
    """
    from .pipeline.summary import parse_budget

    if method is not None:
        check_choice("--method", method, METHODS)
    if budget is not None:
        parse_budget(budget)
    if html and html.resolve() == output.resolve():
        raise ValueError(f"--html and --output are both {html}; give one of them another name.")
    # it is written last, when the work is done
    if html and (html.is_dir() or not html.parent.is_dir()):
        raise ValueError(f"Cannot write {html}: expected a file in a folder that is there.")


def prepare(nlp: Language, budget: Optional[str], method: Optional[str]) -> List[str]:
    """Make a pipeline write summaries as the user wants them.

    nlp (Language): the pipeline, changed in memory.
    budget (Optional[str]), method (Optional[str]): for its summaries; none: as they are.
    RETURNS (List[str]): what was added, in sentences.
    RAISES (ValueError): nobody learned to score sentences, and the user wants that.
    """
    said = add_components(nlp, method)
    component = nlp.get_pipe(_names(nlp)[-1])
    if method == "model" and component.model is None:
        raise ValueError(
            "--method is 'model', but the clinbert_summary of this pipeline has none (it was made "
            "with method = 'central'). Give 'central', or a pipeline that learned to summarise."
        )
    component.method = method or component.method
    component.budget = budget or component.budget
    return said


def _names(nlp: Language) -> List[str]:
    return [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == COMPONENT]


def add_components(nlp: Language, method: Optional[str]) -> List[str]:
    """Add `clinbert_summary` to a pipeline that has none, and sentences where nobody sets them.

    nlp (Language): the pipeline. method (Optional[str]): what the user wants.
    RETURNS (List[str]): what was added, in sentences.
    RAISES (ValueError): the user wants a model, which only training gives.
    """
    if _names(nlp):
        return []
    if COMPONENT in nlp.disabled:
        nlp.enable_pipe(COMPONENT)
        return [f"{COMPONENT} is disabled in the pipeline: it was enabled."]
    if method == "model":
        raise ValueError(
            f"--method is 'model', but the pipeline has no {COMPONENT} (it runs: "
            f"{', '.join(nlp.pipe_names) or 'none'}). Give 'central', or a pipeline that learned "
            "to summarise."
        )
    said = [f"The pipeline has no {COMPONENT}: one was added with method = 'central'."]
    setters = ("doc.sents", "token.is_sent_start")
    assigned = {x for name in nlp.pipe_names for x in nlp.get_pipe_meta(name).assigns}
    if not assigned & set(setters):
        # first, as heads read sentences too
        nlp.add_pipe(SENTENCES, first=True)
        said.append(f"The pipeline sets no sentences: {SENTENCES} was added.")
    config = {"method": "central", "model": None, "budget": DEFAULT_BUDGET}
    nlp.add_pipe(COMPONENT, config=config)
    return said


def to_record(note: Any, doc: Doc, method: str) -> Dict[str, Any]:
    """One line of the output.

    note (Note): the note. doc (Doc): its annotation. method (str): who scored its sentences.
    RETURNS (Dict[str, Any]): id, sha256, n_chars, `summary` (method, budget, and sentences with
        start, end, text, section, score), `classes` where the pipeline has any, `view` (see
        `interop.overview.structured_view`), coverage. Offsets are characters of the note.
    """
    from .cli_annotate import coverage_of, name_note
    from .interop.document_rows import classes_of, summary_of
    from .interop.overview import structured_view

    return {
        **name_note(note),
        "summary": {"method": method, **summary_of(doc)},
        **classes_of(doc),
        "view": structured_view(doc),
        "coverage": coverage_of(doc),
    }


def write_page(
    path: Path, nlp: Language, shown: List[Tuple[str, Dict[str, Any]]], n_done: int
) -> None:
    """Write the HTML page. shown (List[Tuple[str, Dict[str, Any]]]): texts and records."""
    from .evaluation.evaluate import describe_pipeline
    from .evaluation.output import write_text
    from .evaluation.report import INTENDED_USE
    from .interop.overview_page import render_page

    component = nlp.get_pipe(_names(nlp)[-1])
    lines = [
        f"{n_done} notes summarised, {len(shown)} of them shown. Sentences are the note's own, "
        f"chosen by {component.method} within a budget of {component.budget}."
    ]
    about = {**describe_pipeline(nlp), "licence": nlp.meta.get("license", "")}
    page = render_page(
        shown, intended_use=INTENDED_USE, pipeline=about, command=command_line(), lines=lines
    )
    write_text(path, page)
