"""`clinbert smell-test`: one-liners that a clinician would be angry to see read wrongly."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import typer

from .cli_args import check_choice, check_path, command_line, load_pipeline, read_mapping
from .cli_show import print_table, progress_bar

HEADER = [
    "category", "safety", "passed", "of", "%", "of answered", "checks passed", "not answered",
]  # fmt: skip
AdapterName = Annotated[
    str, typer.Option(help="auto, clinbert, medspacy or negspacy: which attributes are read.")
]
Disable = Annotated[Optional[List[str]], typer.Option(help="Component to leave out. Repeat.")]
Code = Annotated[
    Optional[Path], typer.Option(help="Python file to import first, with components.")
]


def smell_test(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    gold_spans: Annotated[
        bool, typer.Option("--gold-spans", help="Give the entities; judge what is said of them.")
    ] = False,
    adapter: AdapterName = "auto",
    kind: Annotated[
        Optional[List[str]], typer.Option(help="Kind of check that counts, e.g. presence. Repeat.")
    ] = None,
    label_map: Annotated[
        Optional[Path], typer.Option(help="JSON or YAML: labels of the pipeline to ours.")
    ] = None,
    disable: Disable = None,
    code: Code = None,
    min_safety: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Exit with 1 below this share of safety items.")
    ] = 0.0,
    show_failed: Annotated[bool, typer.Option("--show-failed", help="Print what failed.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Items a batch.")] = 64,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Run invented one-liners through a pipeline: entities, assertion, drug status, relations."""
    from .evaluation.output import write_text
    from .evaluation.smell_items import KINDS, read_items
    from .evaluation.smell_test import SAFETY, Settings, run_smell_test

    for name in kind or ():
        check_choice("--kind", name, KINDS)
    labels = read_label_map(label_map) if label_map else {}
    items = read_items()
    nlp = load_with_code(pipeline, code, gpu_id)
    for name in disable or ():
        check_choice("--disable", name, nlp.pipe_names)
    settings = Settings(adapter, gold_spans, tuple(kind or KINDS), labels, tuple(disable or ()))
    with progress_bar("smell test", len(items.items)) as advance:
        result = run_smell_test(nlp, items, settings, batch_size=batch_size, progress=advance)
    _print(result)
    if show_failed:
        _print_failed(result, {item.id: item for item in items.items})
    if output:
        record = {"command": command_line(), **result.to_dict()}
        write_text(output, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    safety = result.row(SAFETY)
    if safety.rate < min_safety:
        raise ValueError(
            f"{safety.passed} of {safety.n_items} safety items passed ({100 * safety.rate:.1f} %); "
            f"expected at least {100 * min_safety:.1f} %. --show-failed says which did not."
        )


def load_with_code(pipeline: str, code: Optional[Path], gpu_id: int) -> Any:
    """Load a pipeline, after a Python file that registers its components.

    pipeline (str): package or folder. code (Optional[Path]): the file. gpu_id (int): the GPU.
    RETURNS (Language): the pipeline.
    RAISES (ValueError): no such file or pipeline.
    """
    from spacy.cli._util import import_code

    if code:
        check_path(code)
        import_code(code)
    return load_pipeline(pipeline, gpu_id)


def read_label_map(path: Path) -> Dict[str, Tuple[str, ...]]:
    """Read which labels of a pipeline stand for which of ours.

    path (Path): JSON or YAML, e.g. {"PROBLEM": ["DISEASE", "SYMPTOM"], "MED": "DRUG"}.
    RETURNS (Dict[str, Tuple[str, ...]]): by their label.
    RAISES (ValueError): not a mapping, or a label that is none of ours.
    """
    from .corpora.schema import PRODUCT_LABELS

    found = {}
    for theirs, ours in read_mapping(path).items():
        found[str(theirs)] = tuple(ours) if isinstance(ours, list) else (ours,)
        for label in found[str(theirs)]:
            check_choice(f"{path.name}: {theirs}", label, PRODUCT_LABELS)
    return found


def _print(result: Any) -> None:
    rows = [
        (
            row.category,
            "yes" if row.safety else "",
            str(row.passed),
            str(row.n_items),
            f"{100 * row.rate:.1f}",
            f"{row.answered_passed} of {row.n_answered}",
            f"{row.checks_passed} of {row.n_checks}",
            str(row.not_answered),
        )
        for row in result.rows
        if row.n_items
    ]
    print_table(HEADER, rows)
    given = ", entities given" if result.settings.gold_spans else ""
    typer.echo(f"{result.file} sha256 {result.sha256[:16]}; read as {result.adapter}{given}")


def _print_failed(result: Any, items: Dict[str, Any]) -> None:
    """The texts may be shown: they are invented, and ship with the package."""
    typer.echo("")
    rows = []
    for name in result.failed:
        item = items[name]
        wrong = [_describe(v, item) for v in result.verdicts[name] if not v.passed]
        rows.append((name, " / ".join(item.text.split("\n")), "; ".join(wrong)))
    print_table(["id", "text", "what"], rows)


def _describe(verdict: Any, item: Any) -> str:
    check, words = verdict.check, " -> ".join(t.words for t in item.asks_for(verdict.check))
    wanted = check.label or "|".join(check.allowed)
    negation = "" if check.expected else "no "
    found = f", found {verdict.found}" if verdict.found else ""
    outcome = verdict.outcome.replace("_", " ")
    return f"{words}: {check.kind} {negation}{wanted}".rstrip() + f" ({outcome}{found})"
