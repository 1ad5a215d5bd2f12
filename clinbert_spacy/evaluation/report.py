"""One self-contained HTML report: scores, speed, and entities shown in their notes."""

import base64
import hashlib
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

from .evaluate import Result
from .highlight import Entity, Link, Segment, cut_at_borders, mark_ends
from .output import write_text

INTENDED_USE = (
    "Research and human-reviewed chart abstraction. Not a medical device, not for treatment "
    "decisions. No output is not “no disease” or “no effect”."
)
MAX_SHOWN = 20_000
# what a benchmark may leave out
SPEED_PARTS = dict.fromkeys(("sets", "accuracy", "shape", "footprint", "curves"))
GOLDEN_ANGLE = 137.508


@dataclass(frozen=True)
class ExampleNote:
    """A note as the report shows it.

    id (str): name of the note. text (str): its text. entities (Sequence[Entity]): what was found.
    coverage (Mapping[str, int]): tokens, wordpieces, windows, unknown, truncated; may be empty.
    links (Sequence[Link]): relations of the entities.
    status (str): why there are no side effects; "" if nobody looked for any.
    """

    id: str
    text: str
    entities: Sequence[Entity]
    coverage: Mapping[str, int] = field(default_factory=dict)
    links: Sequence[Link] = ()
    status: str = ""


def write_report(
    path: Union[str, Path],
    *,
    pipeline: Mapping[str, Any],
    command: str = "",
    results: Sequence[Result] = (),
    speed: Mapping[str, Any] = {},  # noqa: B006 (read only)
    examples: Sequence[ExampleNote] = (),
    summary: Sequence[str] = (),
    parts: Sequence[str] = (),
    title: str = "clinbert report",
) -> None:
    """Write an HTML report that loads nothing from outside and escapes every text.

    path (Union[str, Path]): the file; written whole or not at all.
    pipeline (Mapping[str, Any]): names and values to show, for instance name, version, licence.
    command (str): what the user typed. summary (Sequence[str]): sentences for the top.
    results (Sequence[Result]): evaluations. speed (Mapping): what `benchmark` returned.
    examples (Sequence[ExampleNote]): notes to show, at most 20,000 characters of each.
    parts (Sequence[str]): what `render` made of other templates; any other text is escaped.
    """
    write_text(
        path,
        render_report(
            pipeline=pipeline,
            command=command,
            results=results,
            speed=speed,
            examples=examples,
            summary=summary,
            parts=parts,
            title=title,
        ),
    )


def render_report(
    *,
    results: Sequence[Result],
    examples: Sequence[ExampleNote],
    speed: Mapping[str, Any],
    **values: Any,
) -> str:
    """The page of `write_report` as a string."""
    marked = [replace(x, entities=mark_ends(x.entities, x.links)) for x in examples]
    return render(
        "report.html",
        **values,
        intended_use=INTENDED_USE,
        results=results,
        speed=render("speed.html", speed={**SPEED_PARTS, **speed}) if speed else "",
        examples=[_shown(example) for example in marked],
        colours=colours(marked),
    )


def render(template: str, **values: Any) -> str:
    """Fill one of the templates in; every text is escaped.

    template (str): name of the file. values (Any): what it asks for; nothing may be missing.
    RETURNS (str): markup, which other templates take as it is.
    """
    # 50 ms to import, and the scorer behind spaCy's entry points must not wait for it
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = files(__package__).joinpath("templates", template).read_text("utf8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    environment.filters["sha256"] = _sha256
    return Markup(environment.from_string(source).render(**values))


def colours(examples: Sequence[ExampleNote]) -> Dict[str, str]:
    """A light background per label, far apart on the colour wheel, the same in every run."""
    labels = sorted({entity.label for example in examples for entity in example.entities})
    return {
        label: f"hsl({round(i * GOLDEN_ANGLE) % 360}, 75%, 86%)" for i, label in enumerate(labels)
    }


def _sha256(script: str) -> str:
    """The name of the one script that the page's policy lets run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf8")).digest()).decode()


def _shown(example: ExampleNote) -> Dict[str, Any]:
    text = example.text[:MAX_SHOWN]
    segments: List[Segment] = cut_at_borders(text, example.entities)
    return {
        "id": example.id,
        "segments": segments,
        "n_entities": len(example.entities),
        "n_hidden": len(example.text) - len(text),
        "coverage": dict(example.coverage),
        "links": [_link_row(example.text, i, x) for i, x in enumerate(example.links, 1)],
        "status": example.status.replace("_", " "),
    }


def _link_row(text: str, number: int, link: Link) -> Dict[str, Any]:
    ends = [text[end.start : end.end] for end in (link.head, link.tail)]
    value = f" {text[link.value.start : link.value.end]}" if link.value else ""
    said = [link.causality, link.kind, link.assertion, link.status]
    return {
        "number": number,
        "head": ends[0],
        "tail": ends[1] + value,
        "label": link.label,
        "score": link.score,
        "said": [item.replace("_", " ") for item in said],
        "current": "" if link.current is None else "yes" if link.current else "no",
        "is_effect": link.is_effect,
    }
