"""`clinbert overlap`: does a text for pretraining share runs of words with what will be scored?"""

import gzip
import json
import lzma
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import typer

from .cli_args import check_choice, check_path, command_line
from .cli_show import print_table, progress_bar

PACKERS: Dict[str, Callable[..., IO]] = {".xz": lzma.open, ".gz": gzip.open}


def overlap(
    text: Annotated[Path, typer.Argument(help="JSONL (.xz, .gz), folder of texts, or DocBin.")],
    against: Annotated[
        List[str],
        typer.Option(help="CORPUS=PATH[:PART[@MANIFEST]], [NAME=]FILE or folder. Repeat it."),
    ],
    width: Annotated[int, typer.Option(min=1, help="Words a run.")] = 12,
    shared: Annotated[int, typer.Option(min=1, help="Runs from which a document counts.")] = 3,
    output: Annotated[Optional[Path], typer.Option(help="Write counts and places as JSON.")] = None,
    drop_to: Annotated[
        Optional[Path], typer.Option(help="Write the other documents: .jsonl, .jsonl.xz or .gz.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if a document counts.")] = False,
) -> None:
    """Find documents that share runs of words with texts that will be scored; shows no text."""
    from .corpora.overlap import Overlap
    from .corpora.passages import read_texts
    from .evaluation.output import write_text

    check_path(text)
    found = Overlap(width, shared)
    for value in against:
        found.hold_out(*read_held_out(value))
    with _writer(drop_to) as keep, progress_bar("overlap") as advance:
        for passage in read_texts(text):
            if not found.add(passage):
                keep(passage)
            advance(1)
    _print(found)
    if output:
        record = {"command": command_line(), "text": text.resolve().name, **found.to_dict()}
        write_text(output, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if fail and found.n_shared:
        raise ValueError(
            f"{found.n_shared} documents share {shared} or more runs of {width} words with texts "
            "that will be scored. Write the others with --drop-to and train on those."
        )


def read_held_out(value: str) -> Tuple[str, Iterable[str]]:
    """Open a set of texts that will be scored.

    value (str): "bc5cdr=FOLDER:dev" for a part of a known corpus; "chia=FOLDER:dev@MANIFEST" for
        a part by a split manifest, without one by the hash of the group; "notes=FOLDER" for all
        of it; "NAME=PATH" or "PATH" for plain texts, JSON lines or a DocBin.
    RETURNS (Tuple[str, Iterable[str]]): its name in the report, and its texts.
    RAISES (ValueError): nothing at the path, or no such part.
    """
    from .corpora.passages import read_texts
    from .corpora.schema import SCHEMAS

    name, path = _split_name(value)
    if name in SCHEMAS:
        place, part, manifest = _split_part(path)
        check_path(place)
        return f"{name}:{part}" if part else name, _corpus_texts(name, place, part, manifest)
    check_path(Path(path))
    return name or Path(path).name, (passage.text for passage in read_texts(path))


def _split_name(value: str) -> Tuple[str, str]:
    name, equals, path = value.partition("=")
    if Path(value).exists() or not equals:
        return "", value
    if not name or not path:
        raise ValueError(f"--against is {value!r}; expected NAME=PATH, e.g. notes=assets/notes.")
    return name, path


def _split_part(path: str) -> Tuple[Path, str, str]:
    place, _, choice = path.rpartition(":")
    if Path(path).exists() or not place:
        return Path(path), "", ""
    part, _, manifest = choice.partition("@")
    return Path(place), part, manifest


def _corpus_texts(name: str, path: Path, part: str, manifest: str) -> Iterator[str]:
    from .corpora.readers import read_corpus
    from .corpora.schema import get_schema
    from .corpora.splits import SHARES, take_part

    official = get_schema(name).parts
    if manifest and official:
        raise ValueError(f"{name} has official parts ({', '.join(official)}): leave @MANIFEST out.")
    if part:
        check_choice(f"The part of {name} in --against", part, list(official or SHARES))
    notes: Iterable[Any] = read_corpus(name, path, [part] if part and official else None)
    if part and not official:
        notes = take_part(notes, part, manifest or None)
    return (note.text for note in notes)


@contextmanager
def _writer(path: Optional[Path]) -> Iterator[Callable[[Any], None]]:
    """Where documents go that may be trained on: a file that is written whole, or nowhere."""
    from .corpora.files import replacing

    if path is None:
        yield lambda passage: None
        return
    suffixes = "".join(path.suffixes[-2:]) if path.suffix in PACKERS else path.suffix
    check_choice("The suffix of --drop-to", suffixes, [".jsonl", ".jsonl.xz", ".jsonl.gz"])
    opener = PACKERS.get(path.suffix, open)
    with replacing(path) as new, opener(new, "wt", encoding="utf8", newline="\n") as file_:
        yield lambda passage: _write(file_, passage)


def _write(file_: IO[str], passage: Any) -> None:
    row = {"source": passage.source, "id": passage.id, "text": passage.text}
    file_.write(json.dumps(row) + "\n")


def _print(found: Any) -> None:
    classes = found.classes()
    header = ["source", "held out", "documents", *(f"with {x}" for x in classes), "runs"]
    rows = [
        (row["source"], row["against"], str(row["documents"]),
         *(str(row["shared"][x]) for x in classes), str(row["runs"]))
        for row in found.rows()
    ]  # fmt: skip
    print_table(header, rows)
    typer.echo("")
    header = ["held out", "texts", "too short", "with a run", f"with {found.shared}+"]
    held = [tuple(map(str, row.values())) for row in found.held_rows()]
    print_table(header, held)
    width, n_documents = found.index.width, sum(found.sizes.values())
    typer.echo(
        f"{found.n_shared} of {n_documents} documents share {found.shared} or more runs of "
        f"{width} words; texts of fewer words than that cannot be judged."
    )
