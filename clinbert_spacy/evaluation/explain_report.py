"""One self-contained HTML heat map: which words made a pipeline decide so."""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .explain import Explanation, Settings, Word
from .report import INTENDED_USE

# Words below this share of the strongest of their heat map stay white.
FAINT = 0.03
TOP = 8
FOR, AGAINST = "194, 65, 12", "29, 78, 216"
NAMES = {"pad": "[PAD]", "mask": "[MASK]"}


@dataclass(frozen=True)
class ExplainedNote:
    """A note with its explanations.

    id (str): its name. text (str): its text. found (Sequence[Explanation]): in order.
    n_left (int): decisions that were not explained, as there were too many.
    """

    id: str
    text: str
    found: Sequence[Explanation]
    n_left: int = 0


def render_explanations(
    notes: Sequence[ExplainedNote],
    *,
    pipeline: Mapping[str, Any],
    settings: Settings,
    command: str = "",
    summary: Sequence[str] = (),
) -> str:
    """Render a page that loads nothing from outside and escapes every text.

    notes (Sequence[ExplainedNote]): what to show. pipeline (Mapping[str, Any]): names and values.
    settings (Settings): how it was explained. command (str): what the user typed.
    summary (Sequence[str]): sentences for the top.
    RETURNS (str): the HTML, in which the notes' contents stand.
    """
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("templates/explain.html").read_text("utf8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["signed"] = lambda value: f"{value:+.2f}".replace("-", "−")
    return environment.from_string(source).render(
        intended_use=INTENDED_USE,
        pipeline=pipeline,
        command=command,
        summary=summary,
        captum=version("captum"),
        steps=settings.steps,
        filler=NAMES[settings.baseline],
        notes=[
            {"id": note.id, "n_left": note.n_left,
             "items": [_shown(note.text, one) for one in note.found]}
            for note in notes
        ],
    )  # fmt: skip


def record_explanations(
    notes: Sequence[ExplainedNote], settings: Settings, head: Mapping[str, Any]
) -> Dict[str, Any]:
    """What the HTML shows as plain data: characters and values, never text.

    notes (Sequence[ExplainedNote]): the notes. settings (Settings): how they were explained.
    head (Mapping[str, Any]): what to say of pipeline and command.
    RETURNS (Dict[str, Any]): for a JSON file.
    """
    return {
        **head,
        "intended_use": INTENDED_USE,
        "method": "integrated gradients",
        "captum": version("captum"),
        "steps": settings.steps,
        "baseline": settings.baseline,
        "max_windows": settings.max_windows,
        "unit": "log odds; words are start, end, value, of which lexicon",
        "notes": [
            {"id": note.id, "n_chars": len(note.text), "n_left": note.n_left,
             "items": [one.to_dict() for one in note.found]}
            for note in notes
        ],
    }  # fmt: skip


def cut_words(
    text: str, words: Sequence[Word], places: Sequence[Tuple[int, int]]
) -> List[Dict[str, Any]]:
    """Cut the part of a text that was read into coloured words and what stands between them.

    text (str): the note. words (Sequence[Word]): in order. places (Sequence): characters of the
        entities that are explained.
    RETURNS (List[Dict[str, Any]]): text, style and title of each piece; pieces that belong
        together have one style. What was not read between two windows is a piece `gap`.
    """
    strongest = max((abs(word.value) for word in words), default=0.0) or 1.0
    pieces: List[Dict[str, Any]] = []
    end = words[0].start if words else 0
    for word in words:
        between = text[end : word.start]
        gap = bool(between.strip())
        if between:
            pieces.append({"text": "" if gap else between, "style": "", "title": "", "gap": gap})
        share = word.value / strongest
        style = _style(share, any(a <= word.start < b for a, b in places))
        title = _title(word) if style else ""
        shown = text[word.start : word.end]
        pieces.append({"text": shown, "style": style, "title": title, "gap": False})
        end = word.end
    return pieces


def strongest_words(text: str, words: Sequence[Word]) -> List[Dict[str, Any]]:
    """List the words that add or take most, the strongest first.

    RETURNS (List[Dict[str, Any]]): text, value and lexicon of at most `TOP` words.
    """
    order = sorted(words, key=lambda word: -abs(word.value))
    kept = [word for word in order if text[word.start : word.end].strip()][:TOP]
    return [{"text": text[w.start : w.end], "value": w.value, "lexicon": w.lexicon} for w in kept]


def _style(share: float, is_explained: bool) -> str:
    colour = FOR if share > 0 else AGAINST
    parts = [f"background:rgba({colour},{0.75 * abs(share):.2f})"] if abs(share) >= FAINT else []
    return ";".join(parts + ["border-bottom:2px solid #1c2430"] * is_explained)


def _title(word: Word) -> str:
    lexicon = f", {word.lexicon:+.3f} of it by the lexicon" if word.lexicon else ""
    return f"{word.value:+.3f}{lexicon}"


def _shown(text: str, found: Explanation) -> Dict[str, Any]:
    return {
        "kind": found.kind,
        "label": found.label,
        "component": found.component,
        "about": " → ".join(text[start:end] for start, end in found.places),
        "probability": found.probability,
        "score": found.score,
        "baseline": found.baseline,
        "delta": found.delta,
        "total": sum(word.value for word in found.words),
        "is_rough": found.is_rough,
        "windows": found.windows,
        "n_windows": found.n_windows,
        "pieces": cut_words(text, found.words, found.places),
        "strongest": strongest_words(text, found.words),
    }
