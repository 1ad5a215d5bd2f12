"""`clinbert negex-score`: any assertion engine on the NegEx test kit, its concepts given."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer
from spacy.language import Language

from .cli_args import check_choice, check_path, command_line
from .cli_reading import print_axes
from .cli_show import progress_bar
from .cli_smell import AdapterName, Code, Disable, load_with_code


def negex_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    kit: Annotated[Path, typer.Option(help="File of the NegEx test kit.")],
    adapter: AdapterName = "auto",
    label: Annotated[str, typer.Option(help="Label that the concepts get.")] = "DISEASE",
    disable: Disable = None,
    code: Code = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Lines a batch.")] = 64,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Score negation, history and experiencer of our pipelines, medspaCy's or negspaCy's."""
    from .corpora.files import sha256_of
    from .evaluation.output import write_text
    from .evaluation.smell_adapters import choose_adapter

    check_path(kit)
    nlp = load_with_code(pipeline, code, gpu_id)
    for name in disable or ():
        check_choice("--disable", name, nlp.pipe_names)
    chosen = choose_adapter(adapter)
    found = score_kit(nlp, kit, chosen, label, disable or [], batch_size)
    result: Dict[str, Any] = {
        "command": command_line(),
        "pipeline": pipeline,
        "adapter": chosen.name,
        "sha256": sha256_of(kit.read_text("latin-1")),
        **found,
    }
    print_axes(f"read as {chosen.name}", found["axes"])
    typer.echo(f"{found['lines']} lines; {found['not_placed']} do not hold their concept.")
    if output:
        write_text(output, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def score_kit(
    nlp: Language, kit: Path, adapter: Any, label: str, disable: List[str], batch_size: int
) -> Dict[str, Any]:
    """Run the kit's lines, their concepts as entities, and compare what is said of them.

    nlp (Language): the pipeline; components that find entities are left out.
    kit (Path): the file. adapter (Adapter): reads what is said. label (str): of the concepts.
    disable (List[str]): more components to leave out. batch_size (int): lines a batch.
    RETURNS (Dict[str, Any]): `axes` (see reading.score_judged), `lines`, `not_placed`.
    RAISES (ValueError): no concept in the file, a component takes the entities away, or nothing
        was said of any.
    """
    from .corpora.negex import read_negex
    from .evaluation.reading import place_entities, score_judged

    placed = [place_entities(nlp, note, lambda _: label) for note in read_negex(kit)]
    if not any(gold for _, gold in placed):
        raise ValueError(f"{kit} has no line that holds its concept: is it a file of the kit?")
    finders = [n for n in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(n).assigns]
    judged = []
    with (
        nlp.select_pipes(disable=[*finders, *disable]),
        progress_bar("NegEx kit", len(placed)) as advance,
    ):
        docs = nlp.pipe((doc for doc, _ in placed), batch_size=batch_size)
        for doc, (_, gold) in zip(docs, placed, strict=True):
            spans = {(span.start, span.end): span for span in doc.ents}
            for asked, right in gold:
                span = spans.get((asked.start, asked.end))
                if span is None:
                    raise ValueError(
                        "A component took the given entities away. Name it with --disable."
                    )
                values = {axis: read(span) for axis, read in adapter.axes.items()}
                judged.append((right, {a: v for a, v in values.items() if v is not None}))
            advance(1)
    if not any(found for _, found in judged):
        raise ValueError(
            f"Nothing was said of any concept, read as {adapter.name}: is there a component for "
            "assertion, and does it judge the --label?"
        )
    lost = sum(not gold for _, gold in placed)
    return {"axes": score_judged(judged), "lines": len(placed), "not_placed": lost}
