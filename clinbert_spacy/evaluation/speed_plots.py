"""Speed against length of notes and size of batches, measured and drawn."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from spacy.language import Language

from .benchmark import Progress, allow_length, time_in_turns
from .checkpoints import checkpoint_of
from .contenders import PipeRun, stock_pipeline
from .speed_sets import SET_WORDS, SpeedSet, cut_words, join_notes, take_words

NOTE_WORDS = (20, 50, 100, 200, 500, 1000, 5000, 20_000)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
AXES = {"note_words": "words a note", "batch_size": "notes a batch"}
Point = Dict[str, Any]


def speed_curves(
    nlp: Language,
    texts: Sequence[str],
    *,
    stock: Optional[Union[str, Path]] = None,
    n_words: int = SET_WORDS,
    note_words: Sequence[int] = (),
    batch_sizes: Sequence[int] = (),
    n_rounds: int = 3,
    batch_size: int = 32,
    progress: Progress = lambda n: None,
) -> Dict[str, List[Point]]:
    """Time a pipeline and the stock pipeline at several lengths of notes and sizes of batches.

    nlp (Language): the pipeline. texts (Sequence[str]): ordinary notes.
    stock (Optional[Union[str, Path]]): another checkpoint for the stock pipeline.
    n_words (int): words of each set. note_words (Sequence[int]): lengths, cut from joined notes;
        none: `NOTE_WORDS`.
    batch_sizes (Sequence[int]): notes a batch, with the notes as they are; none: `BATCH_SIZES`.
    n_rounds (int): timed rounds after a warm-up. batch_size (int): notes a batch for the lengths.
    progress (Callable): called with 1 after each run.
    RETURNS (Dict[str, List[Point]]): "note_words" and "batch_size", each a list of points with
        that value, n_notes, n_words and words per second of "pipeline" and, where there is a
        checkpoint, "stock".
    """
    ordinary = SpeedSet("ordinary", take_words(texts, n_words))
    lengths = note_words or NOTE_WORDS
    cut = {n: SpeedSet(str(n), cut_notes(texts, n, n_words)) for n in lengths}
    with checkpoint_of(nlp, stock) as (folder, _):
        lines = {"pipeline": nlp, **({"stock": stock_pipeline(folder)} if folder else {})}
        for line in lines.values():
            allow_length(line, [ordinary, *cut.values()])

        def point(axis: str, value: int, notes: SpeedSet, batch: int) -> Point:
            runs = {name: PipeRun(line, notes.texts, batch) for name, line in lines.items()}
            times = time_in_turns(runs, n_rounds, progress)
            speeds = {name: notes.n_words / seconds for name, seconds in times.items()}
            return {axis: value, "n_notes": len(notes.texts), "n_words": notes.n_words, **speeds}

        return {
            "note_words": [point("note_words", n, cut[n], batch_size) for n in lengths],
            "batch_size": [point("batch_size", n, ordinary, n) for n in batch_sizes or BATCH_SIZES],
        }


def cut_notes(texts: Sequence[str], note_words: int, n_words: int) -> List[str]:
    """Cut joined notes into notes of exactly so many words, at least one of them."""
    total = max(1, n_words // note_words) * note_words
    return list(cut_words(join_notes(texts, total), note_words))


def draw_curves(curves: Mapping[str, Sequence[Point]], folder: Union[str, Path]) -> List[Path]:
    """Draw words a second, one picture an axis, a line for each of pipeline and stock.

    curves (Mapping): what `speed_curves` gave. folder (Union[str, Path]): made if need be.
    RETURNS (List[Path]): the PNG files.
    RAISES (ImportError): matplotlib is not installed (extra `plot`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for axis, points in curves.items():
        files.append(folder / f"{axis}.png")
        _draw(axis, points).savefig(files[-1], dpi=120)
    return files


def _draw(axis: str, points: Sequence[Point]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, style in (("pipeline", "-"), ("stock", "--")):
        shown = [(point[axis], point[name]) for point in points if name in point]
        if shown:
            axes.plot(*zip(*shown), style, marker="o", label=name)
    axes.set_xscale("log")
    values = [point[axis] for point in points]
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel("words a second")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
