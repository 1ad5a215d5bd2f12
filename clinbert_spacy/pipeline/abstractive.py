"""`clinbert_abstractive`: a summary in words of a network's own, checked against its note.

Off by default, and in no pipeline that ships: a generator invents drugs, doses and findings, or
drops a "no", in sentences that read as well as true ones. The sentences of `clinbert_summary` stand
in the note, word for word, with their offsets. What the check here finds is flagged; what it does
not find may be wrong all the same.
"""

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from spacy import util
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example
from spacy.util import minibatch
from thinc.api import Model

from .. import attributes
from ..attributes import ABSTRACT_KEY, Abstract
from .abstractive_check import checks_of, find_flags

EMPTY, UNSUPPORTED, UNFLAGGED = "empty", "unsupported", "unflagged"
NO_MODEL = (
    "'{name}' has no generator: train one with `clinbert train-abstractive`, give its folder "
    "`model` to nlp.get_pipe('{name}').load(...), or take the component out."
)


@Language.factory(
    "clinbert_abstractive",
    assigns=["doc.spans"],
    requires=["doc.ents"],
    default_config={
        "model": {"@architectures": "clinbert.TextGenerator.v1"},
        "beams": 4,
        "shortest": 1,
        "longest": 128,
        "penalty": 1.0,
        "repeat": 3,
    },
)
def make_clinbert_abstractive(
    nlp: Language,
    name: str,
    model: Model,
    beams: int,
    shortest: int,
    longest: int,
    penalty: float,
    repeat: int,
) -> "Abstractive":
    """Construct the component.

    model (Model): A `clinbert.TextGenerator.v1`.
    beams (int): Candidates that the search keeps; 1 takes the likeliest piece each time.
    shortest (int), longest (int): Of a summary, in wordpieces with the special ones.
    penalty (float): Above 0 favours long summaries, below short ones.
    repeat (int): No so many wordpieces in a row twice; 0 allows it.
    """
    return Abstractive(
        nlp, model, name, beams=beams, shortest=shortest, longest=longest, penalty=penalty,
        repeat=repeat,
    )  # fmt: skip


class Abstractive(Pipe):
    """Writes a summary of each note, and what of it the note does not bear out.

    Writes `doc.spans["clinbert_abstract"]`, which holds no span: the text is not in the note. Its
    attrs hold `text`, `status`, `flags`, `checks`, `truncated`, `read`; `doc._.clinbert_abstract`
    reads them.
    The components before it annotate the summary too, so that its entities can be compared.
    """

    def __init__(
        self,
        nlp: Language,
        model: Model,
        name: str = "clinbert_abstractive",
        *,
        beams: int = 4,
        shortest: int = 1,
        longest: int = 128,
        penalty: float = 1.0,
        repeat: int = 3,
    ):
        attributes.install()
        self.nlp = nlp
        self.model = model
        self.name = name
        self.limits: Dict[str, Any] = {}
        self.set_limits(
            beams=beams, shortest=shortest, longest=longest, penalty=penalty, repeat=repeat
        )

    def set_limits(self, **limits: Any) -> None:
        """Change how summaries are searched for.

        limits (Any): beams, shortest, longest, penalty, repeat; those not named stay.
        RAISES (ValueError): One of them is out of its range.
        """
        new = {**self.limits, **limits}
        lengths = 1 <= new["shortest"] < new["longest"]
        if new["beams"] < 1 or new["repeat"] < 0 or not lengths:
            raise ValueError(
                f"{', '.join(f'{name} = {value}' for name, value in new.items())}: expected beams "
                "of 1 or more, repeat of 0 or more, and 1 <= shortest < longest."
            )
        self.limits = new

    def load(self, path: Union[str, Path]) -> None:
        """Take a generator in.

        path (Union[str, Path]): The folder `model` that `clinbert train-abstractive` wrote.
        RAISES (ValueError): Nothing usable is there.
        """
        self.model.attrs["load"](self.model, path)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        path: Optional[Union[str, Path]] = None,
    ) -> None:
        """Take the generator of a folder; without one the component keeps what it has.

        path (Optional[Union[str, Path]]): See `load`.
        """
        if path is not None:
            self.load(path)

    def __call__(self, doc: Doc) -> Doc:
        """Summarise a note.

        doc (Doc): The note, annotated. RETURNS (Doc): The same.
        RAISES (ValueError): There is no generator, or nothing before this finds entities.
        """
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Summarise many notes.

        stream (Iterable[Doc]): The notes. batch_size (int): How many at a time.
        YIELDS (Doc): The notes in their order.
        """
        for docs in minibatch(stream, size=batch_size):
            self._annotate(docs)
            yield from docs

    def _annotate(self, docs: Sequence[Doc]) -> None:
        if not self.model.attrs["loaded"](self.model):
            raise ValueError(NO_MODEL.format(name=self.name))
        full = [doc for doc in docs if doc.text.strip()]
        found = self.model.attrs["generate"](self.model, [doc.text for doc in full], **self.limits)
        written = {id(doc): one for doc, one in zip(full, found)}
        for doc in docs:
            attrs = self._attrs(doc, written.get(id(doc)))
            doc.spans[ABSTRACT_KEY] = SpanGroup(doc, name=ABSTRACT_KEY, attrs=attrs)

    def _before(self) -> List[Tuple[str, Callable[[Doc], Doc]]]:
        """The components that annotate what is compared."""
        names = self.nlp.pipe_names
        last = names.index(self.name) if self.name in names else len(names)
        found = self.nlp.pipeline[:last]
        if not any("doc.ents" in self.nlp.get_pipe_meta(name).assigns for name, _ in found):
            raise ValueError(
                f"'{self.name}' compares the entities of a summary with those of its note, and "
                f"none of {[name for name, _ in found]} before it finds any: put it behind "
                "'clinbert_ner'."
            )
        return found

    def _attrs(self, doc: Doc, one: Any) -> Dict[str, Any]:
        found = self.check(doc, one.text if one is not None else "")
        flags = [flag._asdict() for flag in found.flags]
        attrs = {**found._asdict(), "flags": flags, "checks": list(found.checks)}
        if one is not None:
            attrs |= {"truncated": bool(one.truncated), "read": int(one.read)}
        return attrs

    def check(self, doc: Doc, text: str) -> Abstract:
        """Check any text against a note, whoever wrote it.

        doc (Doc): The note, annotated. text (str): A summary of it.
        RETURNS (Abstract): The text with its flags.
        RAISES (ValueError): Nothing before this component finds entities.
        """
        before = self._before()
        output = self.nlp.make_doc(text)
        for _, component in before if text.strip() else ():
            output = component(output)
        flags = find_flags(output, doc) if text.strip() else []
        status = (UNSUPPORTED if flags else UNFLAGGED) if text.strip() else EMPTY
        return Abstract(text, status, flags, tuple(checks_of(doc)), False, len(doc.text))

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialise. RETURNS (bytes): The generator, if there is one."""
        data: bytes = util.to_bytes({"model": self.model.to_bytes}, exclude)
        return data

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "Abstractive":
        """Restore what `to_bytes` gave. RETURNS (Abstractive): The same component."""
        util.from_bytes(data, {"model": lambda b: self.model.from_bytes(b)}, exclude)
        return self

    def to_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> None:
        """Write the generator. path (Path): A folder."""
        util.to_disk(Path(path), {"model": lambda p: self.model.to_disk(p)}, exclude)

    def from_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> "Abstractive":
        """Read what `to_disk` wrote. RETURNS (Abstractive): The same component."""
        readers = {"model": lambda p: self.model.from_bytes(p.read_bytes())}
        util.from_disk(Path(path), readers, exclude)
        return self
