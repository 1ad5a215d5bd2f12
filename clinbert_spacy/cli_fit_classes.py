"""`clinbert fit-classes`: calibration and limits of a classifier of documents."""

from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Sequence, Tuple

import typer

from .cli_args import check_choice, check_encoding, check_path, load_pipeline
from .cli_show import print_table, progress_bar

ALL = "all"


def fit_classes(
    pipeline: Annotated[str, typer.Argument(help="Folder of the pipeline, or installed.")],
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    corpus: Annotated[str, typer.Option(help="As in document-score.")],
    output: Annotated[Path, typer.Option(help="Folder to write the pipeline to.")],
    component: Annotated[
        str, typer.Option(help="The classifier, a clinbert.LongTextCat.v1 in it.")
    ] = "textcat_multilabel",
    task: Annotated[str, typer.Option(help="As in document-score.")] = "",
    titles: Annotated[bool, typer.Option("--titles/--no-titles", help="As there.")] = True,
    part: Annotated[str, typer.Option(help="dev of the fold, or all.")] = "dev",
    fold: Annotated[int, typer.Option(min=0, help="Fold, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 5,
    method: Annotated[str, typer.Option(help="temperature or isotonic.")] = "temperature",
    precision: Annotated[
        Optional[float],
        typer.Option(min=0, max=1, help="Say yes at this precision, not at the best F1."),
    ] = None,
    missed: Annotated[
        Optional[float],
        typer.Option(min=0, max=1, help="Say no to so many of the true ones, else unsure."),
    ] = None,
    plot: Annotated[Optional[Path], typer.Option(help="Write a reliability plot (PNG).")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Documents a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
) -> None:
    """Calibrate classes, and say from where on they count, on documents not trained on."""
    from .models.class_calibration import METHODS, check_rules
    from .training.class_fit import Wanted
    from .training.class_fit import fit_classes as fit

    check_path(data)
    check_choice("--method", method, list(METHODS))
    check_choice("--part", part, ["dev", "held_out", ALL])
    texts = read_part(corpus, data, part, fold, folds, (task, titles, check_encoding(encoding)))
    nlp = load_pipeline(pipeline, gpu_id)
    model, labels = find_classifier(nlp, component)
    known = {name for text in texts for name in text.classes}
    if not known & set(labels):
        raise ValueError(
            f"None of the classes {list(labels)} of '{component}' stands in {data}, which has "
            f"{sorted(known)}: give the --corpus and --task that it was trained for."
        )
    model.attrs["rules"], model.attrs["limits"] = [], []
    found, truth = _judge(nlp, component, labels, texts, batch_size)
    exclusive = not model.attrs["multi_label"]
    fitted = fit(found, truth, labels, method, Wanted(precision, missed), exclusive)
    rules = [one.rule for one in fitted]
    check_rules(rules, len(labels))
    model.attrs["rules"], model.attrs["limits"] = rules, [one.limits for one in fitted]
    if plot:
        _plot(plot, found, truth, rules)
    output.parent.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(output)
    _print(labels, fitted)
    typer.echo(f"Fitted on {len(texts)} documents; written to {output}.", err=True)


def read_part(
    corpus: str, data: Path, part: str, fold: int, folds: int, told: Tuple[str, bool, str]
) -> List[Any]:
    """Read documents of one part of a fold, or all; `told`: task, titles, encoding."""
    from .corpora.classes import Settings
    from .corpora.documents import read_documents, take_documents

    settings = Settings(*told)
    if part == ALL:
        texts = read_documents(corpus, data, settings)
        if not texts:
            raise ValueError(f"{data}: expected texts, found none.")
        return texts
    return take_documents(corpus, data, fold, folds, parts=(part,), settings=settings)[part]


def find_classifier(nlp: Any, component: str) -> Tuple[Any, Sequence[str]]:
    """Look up the model and the classes of a `clinbert.LongTextCat.v1`; raise if there is none."""
    if component not in nlp.pipe_names:
        raise ValueError(
            f"The pipeline has no component '{component}' among {nlp.pipe_names}: give the one "
            "that classifies as --component."
        )
    found = nlp.get_pipe(component)
    if "rules" not in getattr(getattr(found, "model", None), "attrs", {}):
        raise ValueError(
            f"'{component}' has no clinbert.LongTextCat.v1, which alone keeps a calibration: train "
            "it with that architecture, or give another --component."
        )
    return found.model, found.labels


def _judge(
    nlp: Any, component: str, labels: Sequence[str], texts: Sequence[Any], batch_size: int
) -> Tuple[Any, Any]:
    """Probabilities, and truth. Shape of both (documents, classes)."""
    import numpy

    rows = []
    # nothing behind the classifier is needed
    behind = nlp.pipe_names[nlp.pipe_names.index(component) + 1 :]
    with progress_bar("classify", len(texts)) as advance, nlp.select_pipes(disable=behind):
        for doc in nlp.pipe([text.text for text in texts], batch_size=batch_size):
            rows.append([doc.cats[label] for label in labels])
            advance(1)
    truth = [[label in text.classes for label in labels] for text in texts]
    return numpy.array(rows, dtype="float32"), numpy.array(truth, dtype=bool)


def _print(labels: Sequence[str], fitted: Sequence[Any]) -> None:
    def limits(one: Any) -> str:
        low, high = one.limits
        return f"{low:.2f}" if low == high else f"{low:.2f} - {high:.2f}"

    errors = [(one.before, one.after) for one in fitted]
    means = [sum(column) / len(fitted) for column in zip(*errors)]
    rows = [
        (label, str(one.n), one.rule["method"], limits(one), *(f"{x:.3f}" for x in found))
        for label, one, found in zip(labels, fitted, errors)
    ]
    rows.append(("mean", "", "", "", *(f"{x:.3f}" for x in means)))
    print_table(["class", "n", "by", "limits", "ECE before", "after (held out)"], rows)


def _plot(path: Path, found: Any, truth: Any, rules: List[Dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    from .models.class_calibration import calibrate_classes
    from .training.class_fit import reliability

    figure = Figure(figsize=(4.5, 4.5))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in (("before", found), ("after", calibrate_classes(found, rules))):
        rows = reliability(values, truth)
        axes.plot([x for x, _, _ in rows], [y for _, y, _ in rows], marker="o", label=name)
    axes.set(xlabel="probability", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", dpi=120)
