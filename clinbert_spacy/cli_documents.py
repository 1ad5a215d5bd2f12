"""`clinbert document-score`: classes of documents, beside an SVM and a bag of words."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Mapping, Optional, Tuple

import typer

from .cli_args import check_encoding, check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

RANKED = ("auroc", "auprc", "rp80")
TITLES = {"f": "micro F1", "macro_f": "macro F1", "auroc": "AUROC", "auprc": "AUPRC",
          "rp80": "R at P 80"}  # fmt: skip
# What a pipeline's training and its scoring must have in common; and what the reader assumes.
COMMON = {"corpus": "", "task": "", "titles": True, "fold": 0, "folds": 5, "held_out": None}


def document_score(
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    corpus: Annotated[
        str, typer.Option(help="medical_abstracts, mtsamples, radiology, notes, readmission.")
    ],
    pipeline: Annotated[
        Optional[str], typer.Argument(help="Installed pipeline or folder; none: baselines alone.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="notes: both, encounter, chapters; readmission: discharge, early.")
    ] = "",
    titles: Annotated[
        bool, typer.Option("--titles/--no-titles", help="notes: leave in what names their kind.")
    ] = True,
    fold: Annotated[int, typer.Option(min=0, help="Fold to score, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 5,
    held_out: Annotated[
        Optional[Path], typer.Option(help="Score this file or folder instead of the fold.")
    ] = None,
    precision: Annotated[
        Optional[float],
        typer.Option(min=0, max=1, help="Thresholds for this precision, not for the best F1."),
    ] = None,
    baselines: Annotated[bool, typer.Option(help="Score the two baselines as well.")] = True,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the bag of words.")] = 10,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Documents a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
    html: Annotated[
        Optional[Path], typer.Option(help="Write an HTML report with reliability diagrams.")
    ] = None,
) -> None:
    """Score document classification on a held-out fold, beside TF-IDF + SVM and a bag of words."""
    for path in filter(None, (data, held_out)):
        check_path(path)
    if not pipeline and not baselines:
        raise ValueError("Neither a pipeline nor --baselines is given; expected one of them.")
    asked = {
        "corpus": corpus, "task": task, "titles": titles, "fold": fold, "folds": folds,
        "held_out": held_out,
    }  # fmt: skip
    described, parts = _read(data, asked, check_encoding(encoding))
    rows: Dict[str, Dict[str, Any]] = {}
    nlp = load_pipeline(pipeline, gpu_id) if pipeline else None
    if pipeline and nlp:
        check_trained(pipeline, nlp.config, asked, described.name)
        rows["pipeline"] = _score(nlp, described, parts, precision, batch_size)
    if baselines:
        rows |= _score_baselines(described, parts, precision, epochs)
    _print(rows)
    if output:
        head = {
            "data": data.resolve().name, **asked, "held_out": held_out and held_out.resolve().name,
            "precision": precision, "n_train": len(parts.train.texts),
            "n_dev": len(parts.dev.texts),
        }  # fmt: skip
        _write_json(output, head, rows)
    if html:
        _write_html(html, nlp, rows)


def _write_json(path: Path, head: Dict[str, Any], rows: Dict[str, Dict[str, Any]]) -> None:
    from .evaluation.output import write_text

    record = _record({"command": command_line(), **head}, rows)
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _write_html(path: Path, nlp: Any, rows: Dict[str, Dict[str, Any]]) -> None:
    from .cli_html import write_page
    from .evaluation.document_report import render_documents

    write_page(path, nlp, [], parts=[render_documents(rows)])


def _score(
    nlp: Any, task: Any, parts: Any, precision: Optional[float], batch_size: int
) -> Dict[str, Any]:
    from .evaluation.documents import evaluate_documents

    total = len(parts.dev.texts) + len(parts.held_out.texts)
    with progress_bar("classify", total) as advance:
        return evaluate_documents(
            nlp, task, parts.dev, parts.held_out, precision=precision, batch_size=batch_size,
            progress=advance,
        )  # fmt: skip


def _score_baselines(
    task: Any, parts: Any, precision: Optional[float], epochs: int
) -> Dict[str, Dict[str, Any]]:
    from .evaluation.document_baselines import BAG, SVM, evaluate_bag, evaluate_svm

    return {
        SVM: evaluate_svm(task, parts, precision),
        BAG: evaluate_bag(task, parts, precision, epochs=epochs),
    }


def _record(head: Dict[str, Any], rows: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
    """The pipeline's scores, or else the first baseline's; the others beside."""
    first, *others = rows
    beside = {name: rows[name] for name in (others if first == "pipeline" else rows)}
    return {**head, **rows[first], **({"beside": beside} if beside else {})}


def _read(data: Path, asked: Mapping[str, Any], encoding: str) -> Tuple[Any, Any]:
    from .corpora.classes import Settings
    from .corpora.documents import find_source, take_documents
    from .corpora.splits import PARTS
    from .evaluation.document_baselines import Parts
    from .evaluation.documents import Task, make_documents

    source, name = find_source(asked["corpus"], asked["task"])
    found = take_documents(
        asked["corpus"], data, asked["fold"], asked["folds"], held_out=asked["held_out"],
        settings=Settings(name, asked["titles"], encoding),
    )  # fmt: skip
    exclusive = name in source.exclusive
    task = Task(asked["corpus"], name, source.tasks[name], exclusive, source.positive)
    columns = {part: list(zip(*((t.text, t.classes, t.group) for t in found[part])))
               for part in PARTS}  # fmt: skip
    return task, Parts(*(make_documents(task, *columns[part]) for part in PARTS))


def check_trained(pipeline: str, config: Any, asked: Mapping[str, Any], task: str) -> None:
    """Raise if the pipeline may have learned from what is to be scored."""
    trained = config.interpolate().get("corpora", {}).get("train", {})
    if trained.get("@readers") != "clinbert.DocumentClasses.v1":
        return
    had = {name: trained.get(name, default) for name, default in COMMON.items()}
    want = dict(asked)
    # a part of its own that is scored is named by its folder, not by where that stands
    for values in (had, want):
        values["task"] = values["task"] or (task if values["corpus"] == asked["corpus"] else "")
        values["held_out"] = values["held_out"] and Path(values["held_out"]).resolve().name
    if other := {name: had[name] for name in COMMON if had[name] != want[name]}:
        named = ", ".join(f"{name} {value!r}, not {want[name]!r}" for name, value in other.items())
        raise ValueError(
            f"{pipeline} was trained for {named}: it may have seen what is scored here. Give the "
            "options that it was trained with."
        )


def _print(rows: Dict[str, Dict[str, Any]]) -> None:
    first = next(iter(rows.values()))
    names = ["f", "macro_f", *(RANKED if "auroc" in first else ())]
    cells: List[Tuple[str, ...]] = []
    for row, result in rows.items():
        shown = [text for name in names for text in _with_ends(result[name])]
        cells.append((row, *shown, f"{result['ece']:.3f}"))
    header = [text for name in names for text in (TITLES[name], "95 %")]
    print_table(["", *header, "ECE"], cells)
    columns = zip(*(result["labels"] for result in rows.values()))
    labels = [
        (found[0]["label"], str(found[0]["n"]), *(f"{100 * row['f']:.1f}" for row in found))
        for found in columns
    ]
    print_table(["label", "n", *(f"F1 {name}" for name in rows)], labels)
    for row, result in rows.items():
        if "abstention" in result:
            _print_abstention(row, result["abstention"])
    prevalence = f", {100 * first['prevalence']:.1f} % positive" if "prevalence" in first else ""
    typer.echo(
        f"{first['n_notes']} documents of {first['corpus']} ({first['scheme']}) in "
        f"{first['n_groups']} groups{prevalence}; data sha256 {first['data_sha256'][:16]}"
    )


def _print_abstention(row: str, found: Mapping[str, Any]) -> None:
    (share, ends), (f, f_ends) = (_with_ends(found[name]) for name in ("unsure", "f"))
    typer.echo(
        f"{row}, by its limits: {share} % unsure ({ends}), F1 on the decided ones {f} ({f_ends}), "
        f"{100 * found['risk']:.1f} % of these wrong"
    )


def _with_ends(score: Mapping[str, float]) -> Tuple[str, str]:
    return f"{100 * score['value']:.1f}", f"{100 * score['low']:.1f} - {100 * score['high']:.1f}"
