"""What `clinbert evaluate` scores: which notes of a corpus, and what is to be said about them."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from .cli_args import check_choice, check_path
from .corpora.readers import read_corpus
from .corpora.record import AnnotatedNote
from .corpora.schema import get_schema
from .corpora.splits import SHARES, in_split

OWN_NOTES = "notes"


@dataclass(frozen=True)
class Selection:
    """Notes of a corpus, as chosen on the command line.

    corpus (str): name of the corpus. data (Path): its file or folder.
    parts (Optional[Sequence[str]]): official parts.
    split (str): part by the hash of the group, as training configs take it; "": all.
    limit (int): first so many notes; 0: all. encoding (str): of the files.
    """

    corpus: str
    data: Path
    parts: Optional[Sequence[str]] = None
    split: str = ""
    limit: int = 0
    encoding: str = "utf-8"

    def check(self) -> None:
        """Raise if the corpus or the split is unknown, or nothing stands at the path."""
        get_schema(self.corpus)
        check_path(self.data)
        if self.split:
            check_choice("--split", self.split, list(SHARES))

    def notes(self) -> Iterator[AnnotatedNote]:
        """Read the notes, in the corpus' own labels."""
        notes = read_corpus(self.corpus, self.data, self.parts or None, self.encoding)
        kept = (n for n in notes if not self.split or in_split(n, self.split, None))
        return islice(kept, self.limit or None)

    def warnings(self) -> List[str]:
        """What a reader of the scores must know about the notes and their gold."""
        schema, found = get_schema(self.corpus), []
        whole = self.data.is_dir() and self.corpus != OWN_NOTES
        if whole and schema.parts and not self.parts:
            names = ", ".join(schema.parts)
            found.append(f"no --part ({names}): scores every note, training notes included")
        elif whole and not schema.parts and not self.split:
            names = ", ".join(SHARES)
            found.append(
                f"{self.corpus} has no official parts and no --split ({names}) is given: scores "
                "every note, training notes included"
            )
        if not schema.covered:
            found.append("incomplete gold: precision means little")
        return found

    def record(self) -> Dict[str, Any]:
        """The choice for the result file: names only, no path."""
        return {
            "data": self.data.resolve().name,
            "part": list(self.parts or ()),
            "split": self.split,
            "limit": self.limit,
            "warnings": self.warnings(),
        }
