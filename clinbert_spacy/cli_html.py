"""The HTML report of a command."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

from .cli_args import command_line


def write_html(path: Path, nlp: Any, notes: List[Tuple[str, str]], **parts: Any) -> None:
    """Annotate a few notes and write the report with them."""
    from .cli_annotate import to_example
    from .cli_notes import Note

    examples = [to_example(Note(name, text), nlp(text)) for name, text in notes]
    write_page(path, nlp, examples, **parts)


def write_page(path: Path, nlp: Any, examples: List[Any], **parts: Any) -> None:
    """Write the HTML report; `nlp` is None where there is no pipeline."""
    from .evaluation.evaluate import describe_pipeline
    from .evaluation.report import write_report

    about: Dict[str, Any] = {}
    if nlp is not None:
        about = {**describe_pipeline(nlp), "licence": nlp.meta.get("license", "")}
    write_report(path, pipeline=about, command=command_line(), examples=examples, **parts)
