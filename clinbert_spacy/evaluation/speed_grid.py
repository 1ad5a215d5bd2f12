"""What a precision, a window or a context costs in accuracy and gives in speed."""

from itertools import product
from typing import Any, Callable, Dict, List, Sequence

from spacy.language import Language
from thinc.api import Model

from .benchmark import allow_length, time_in_turns
from .checkpoints import shim_of, transformer_of
from .contenders import PipeRun
from .encoder_settings import offered_precisions, settings_of, with_settings
from .speed_sets import SpeedSet, check_positive

ALL = "all"
EXACT = "float32"
TRIED = ("precision", "window", "context")
N_ROUNDS = 3
Cell = Dict[str, Any]


def try_settings(
    nlp: Language,
    judge: Callable[[], float],
    texts: Sequence[str],
    cells: Sequence[Cell],
    *,
    batch_size: int = 16,
    n_rounds: int = N_ROUNDS,
    progress: Callable[[int], None] = lambda n: None,
) -> List[Cell]:
    """Score and time a pipeline at several settings of its encoder, the first compared with.

    nlp (Language): a pipeline with our transformer; its settings are as before afterwards.
    judge (Callable): gives the F1 of the pipeline as it is. texts (Sequence[str]): what is timed.
    cells (Sequence[Cell]): see `plan_cells`. batch_size (int): notes a batch.
    n_rounds (int): timed rounds, in which the cells take turns.
    progress (Callable): called with 1 after each timed run.
    RETURNS (List[Cell]): the cells with f, difference to the first and words_per_second.
    """
    model = require_transformer(nlp)
    corpus = SpeedSet("corpus", texts)
    check_positive("words of the corpus", corpus.n_words)
    allow_length(nlp, [corpus])
    scores, runners = [], {}
    for number, cell in enumerate(cells):
        with with_settings(model, cell):
            scores.append(judge())
        runners[str(number)] = _at(model, cell, PipeRun(nlp, texts, batch_size))
    # judging was the warm-up
    times = list(time_in_turns(runners, n_rounds, progress, warm_up=False).values())
    return [
        {**cell, "f": f, "difference": f - scores[0], "words_per_second": corpus.n_words / seconds}
        for cell, f, seconds in zip(cells, scores, times)
    ]


def plan_cells(
    nlp: Language,
    precisions: Sequence[str] = (),
    windows: Sequence[int] = (),
    contexts: Sequence[int] = (),
) -> List[Cell]:
    """Every combination of settings, after the one in float32 that all are compared with.

    nlp (Language): a pipeline with our transformer.
    precisions (Sequence[str]): names, or "all" for those that this machine offers.
    windows, contexts (Sequence[int]): in wordpieces; none: the pipeline's own.
    RETURNS (List[Cell]): precision, window and context; without precision where the transformer
        has none to choose.
    RAISES (ValueError): no transformer of ours, or a setting that it cannot take.
    """
    model = require_transformer(nlp)
    own = {key: value for key, value in settings_of(model).items() if key in TRIED}
    offered = offered_precisions(model)
    first = {**own, **({"precision": EXACT} if EXACT in offered else {})}
    tried = {"window": windows or [own["window"]], "context": contexts or [own["context"]]}
    if "precision" in own:
        tried["precision"] = _expand(precisions, offered) or [own["precision"]]
    elif set(precisions) - {ALL}:
        raise ValueError(
            f"No precision {list(precisions)}: the transformer of {nlp.pipe_names} has none to "
            "choose. Leave --try-precision out."
        )
    names = [key for key in TRIED if key in tried]
    grid = [dict(zip(names, values)) for values in product(*(tried[name] for name in names))]
    longest = shim_of(nlp).pieces.special["max_length"] - 2
    for cell in grid:
        _check(cell["window"], cell["context"], longest)
    cells = [first, *(cell for cell in grid if cell != first)]
    return [cell for number, cell in enumerate(cells) if cell not in cells[:number]]


def require_transformer(nlp: Language) -> Model:
    """The model of our transformer, or an error that names what is there."""
    model = transformer_of(nlp)
    if model is None:
        raise ValueError(f"No transformer of ours among {nlp.pipe_names}: no settings to be tried.")
    return model


def _at(model: Model, cell: Cell, run: Callable[[], None]) -> Callable[[], None]:
    def run_at() -> None:
        with with_settings(model, cell):
            run()

    return run_at


def _expand(precisions: Sequence[str], offered: Sequence[str]) -> List[str]:
    known = [*offered, "auto", ALL]
    unknown = sorted(set(precisions) - set(known))
    if unknown:
        raise ValueError(f"No precision {unknown} on this machine; expected some of {known}.")
    return [*offered] if ALL in precisions else [*precisions]


def _check(window: int, context: int, longest: int) -> None:
    if context < 0 or not 2 * context < window <= longest:
        raise ValueError(
            f"window {window} with context {context} cannot be tried; expected context >= 0 and "
            f"2 * context < window <= {longest}."
        )
