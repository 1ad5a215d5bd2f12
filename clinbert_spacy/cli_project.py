"""Commands that project.yml needs between the others: `clinbert exclude`, `clinbert seeds`."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from .cli_args import check_path, read_mapping
from .cli_show import print_table

REASON = "in the development part of a scored corpus (PubMed id or three 12-word runs)"


def exclude(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Training config; --section.key VALUE overrides.")],
    output: Annotated[Path, typer.Option(help="JSON file to write, for `exclude` of the reader.")],
    held_out: Annotated[
        Optional[List[str]], typer.Option(help="More that is scored: CORPUS=PATH.")
    ] = None,
) -> None:
    """List the training notes that stand in a development or test part of any corpus."""
    from spacy.cli._util import parse_config_overrides
    from spacy.util import load_config

    from .corpora.exclusion import find_excluded, list_sources
    from .corpora.splits import write_excluded

    check_path(config)
    overrides = parse_config_overrides(list(context.args))
    corpora = load_config(config, overrides=overrides, interpolate=True)["corpora"]
    train, dev = (list_sources(corpora[name]["sources"]) for name in ("train", "dev"))
    found = find_excluded(train, dev, [_named_source(text) for text in held_out or ()])
    write_excluded(found, output, REASON)
    counts = Counter((corpus, why) for (corpus, _), why in found.items())
    rows = [(corpus, why, str(n)) for (corpus, why), n in sorted(counts.items())]
    print_table(["corpus", "why", "notes"], rows)
    typer.echo(f"{len(found)} notes left out of training: {output}")


def seeds(
    results: Annotated[List[Path], typer.Argument(help="What `evaluate --output` wrote, by seed.")],
    output: Annotated[Optional[Path], typer.Option(help="Write the summary as JSON.")] = None,
) -> None:
    """Mean and standard deviation of several runs of one benchmark."""
    from .evaluation.output import write_text
    from .evaluation.seeds import MICRO, summarise

    summary = summarise([_read_result(path) for path in results])
    header = ["label", "n", "P", "sd", "R", "sd", "F1", "sd"]
    total_last = sorted(summary.rows, key=lambda row: row.label == MICRO)
    print_table(header, [_seed_row(row) for row in total_last])
    macro = f"{100 * summary.macro_f.mean:.1f} (sd {100 * summary.macro_f.sd:.1f})"
    typer.echo(
        f"{summary.n_seeds} seeds, {summary.n_notes} notes of {summary.corpus}, labels: "
        f"{summary.scheme}, F1 macro {macro}, data sha256 {summary.data_sha256[:16]}"
    )
    if output:
        write_text(output, json.dumps(summary.to_dict(), indent=2, ensure_ascii=False) + "\n")


def _named_source(text: str) -> Dict[str, str]:
    corpus, found, path = text.partition("=")
    if not found or not path:
        raise ValueError(f"--held-out is {text!r}; expected CORPUS=PATH, e.g. notes=assets/notes.")
    return {"corpus": corpus, "path": path}


def _read_result(path: Path) -> Dict[str, Any]:
    result = read_mapping(path)
    if not {"corpus", "data_sha256", "labels", "f", "macro_f"} <= set(result):
        raise ValueError(f"{path} holds no scores; expected what `clinbert evaluate` writes.")
    return result


def _seed_row(row: Any) -> tuple:
    spreads = (row.precision, row.recall, row.f)
    cells = [f"{100 * value:.1f}" for s in spreads for value in (s.mean, s.sd)]
    return (row.label, str(row.n), *cells)
