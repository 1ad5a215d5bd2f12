"""`clinbert build-graph`: names, triples and vectors of concepts out of open ontologies."""

from pathlib import Path
from typing import Annotated, Any, List, Mapping, Tuple

import typer

from .cli_args import check_path
from .cli_show import print_table, progress_bar


def build_graph(
    ontologies: Annotated[Path, typer.Argument(help="Folder with a subfolder an ontology.")],
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    dim: Annotated[int, typer.Option(min=2, help="Numbers a vector, even.")] = 64,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the triples.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, draws and the held-out part.")] = 0,
    no_vectors: Annotated[bool, typer.Option("--no-vectors", help="Names and triples only.")] = (
        False
    ),
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Make a lexicon, a graph and vectors of concepts from open ontologies."""
    from .corpora.ontologies import find_sources
    from .training.graph import build_graph as run_build
    from .training.graph_embedding import EmbeddingSettings

    check_path(ontologies)
    check_device(device)
    if dim % 2:
        raise ValueError(f"--dim is {dim}; expected an even number: half are imaginary parts.")
    for name in find_sources(ontologies)[1]:
        typer.echo(f"skipped {name}: no such subfolder in {ontologies}", err=True)
    settings = EmbeddingSettings(dim=dim, epochs=epochs, seed=seed, device=device)
    with progress_bar("epochs", 0 if no_vectors else 2 * epochs) as advance:
        report = run_build(ontologies, output, None if no_vectors else settings, advance)
    print_report(report)
    typer.echo(f"written to {output}", err=True)


def check_device(name: str) -> None:
    """Raise if torch cannot compute on a device."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError):
        raise ValueError(
            f"--device is {name!r}, where torch cannot compute here; expected cpu, or cuda with a "
            "build of torch for it."
        ) from None


def print_report(report: Mapping[str, Any]) -> None:
    """Print counts, figures beside the baseline, and sizes."""
    print_table(["relation", "triples"], _strings(report["triples_by_relation"]))
    print_table(["kind", "names"], _strings(report["names_by_kind"]))
    typer.echo(
        f"{report['concepts']} concepts, {report['names']} names ({report['ambiguous_names']} "
        f"ambiguous), {report['triples']} triples"
    )
    if "vectors" in report:
        print_figures(report["vectors"]["test"])
    print_table(["file", "bytes"], _strings(report["bytes"]))


def print_figures(figures: Mapping[str, Any]) -> None:
    """Print how well tails of held-out triples are found again."""
    model, baseline = figures["model"], figures["frequency"]
    scores = [key for key in model["micro"] if key != "n"]
    rows = [
        (name, str(row["n"]), *(f"{x[key]:.3f}" for key in scores for x in (row, baseline[name])))
        for name, row in model.items()
    ]
    header = ["held out", "n"]
    for key in scores:
        header += [key, f"{key}, by frequency"]
    print_table(header, rows)


def _strings(numbers: Mapping[str, int]) -> List[Tuple[str, ...]]:
    return [(name, str(number)) for name, number in numbers.items()]
