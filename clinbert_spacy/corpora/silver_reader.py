"""clinbert.SilverSummaries.v1: texts whose best sentences are found by a summary people wrote."""
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from ..attributes import SUMMARY_KEY
from .files import CorpusError
from .silver import budget_of, greedy_oracle, parse_budget
from .splits import PARTS, part_of_fold
from .summaries import Summarised, add_sentences, read_summaries

SENTENCES = "clinbert_sentences"
Span = Tuple[int, int]


def take_summaries(
    corpus: str, path: Union[str, Path], part: str, fold: int = 0, folds: int = 5,
    encoding: str = "utf-8",
) -> List[Summarised]:  # fmt: skip
    """Take a part of a cross-validation over texts.

    corpus (str), path (Union[str, Path]), encoding (str): see read_summaries.
    part (str): "train", "dev" or "held_out". fold (int), folds (int): see part_of_fold.
    RETURNS (List[Summarised]): its texts; equal texts are in one part.
    Raises CorpusError for a part or fold that is not there, or one without texts.
    """
    if part not in PARTS:
        raise CorpusError(f"Part of a fold is {part!r}: expected one of {list(PARTS)}.")
    items = read_summaries(corpus, path, encoding)
    found = [item for item in items if part_of_fold(item.text, fold, folds) == part]
    if not found:
        place = f"{path}, fold {fold} of {folds}"
        raise CorpusError(f"{place}: expected texts in {part!r}, found none.")
    return found


def create_silver_summaries(
    corpus: str,
    path: Union[str, Path],
    part: str,
    fold: int = 0,
    folds: int = 5,
    budget: str = "gold",
    limit: int = 0,
    encoding: str = "utf-8",
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.SilverSummaries.v1: reads for `clinbert_summary`.

    corpus (str), path, part (str), fold (int), folds (int), encoding (str): see take_summaries.
    budget (str): of the chosen sentences, see silver.parse_budget. limit (int): first so many
        texts; 0: all.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader; gold in spans: the sentences
        that the greedy oracle chooses, among those of the pipeline's `clinbert_sentences`.
    Raises when read CorpusError for a broken file, or a pipeline that splits no sentences.
    """
    cache: List[Summarised] = []
    allowed = parse_budget(budget)

    def read(nlp: Language) -> Iterator[Example]:
        if SENTENCES not in nlp.component_names:
            raise CorpusError(
                f"clinbert.SilverSummaries.v1 chooses among the sentences of '{SENTENCES}': add it "
                f"to the pipeline, which has {nlp.component_names}."
            )
        if not cache:
            items = take_summaries(corpus, path, part, fold, folds, encoding)
            split = _splitter(nlp)
            cache.extend(add_sentences(items[:limit] if limit else items, split))
        for item in cache:
            texts = [item.text[start:end] for start, end in item.sentences]
            chosen = greedy_oracle(texts, item.reference, budget_of(item, allowed))
            doc = nlp.make_doc(item.text)
            _lay(doc, [item.sentences[i] for i in chosen])
            yield Example(nlp.make_doc(item.text), doc)

    return read


def _splitter(nlp: Language) -> Callable[[str], List[Span]]:
    sentences = nlp.get_pipe(SENTENCES)

    def split(text: str) -> List[Span]:
        return [(sent.start_char, sent.end_char) for sent in sentences(nlp.make_doc(text)).sents]

    return split


def _lay(doc: Doc, spans: Sequence[Span]) -> None:
    found = [doc.char_span(*span, alignment_mode="expand") for span in spans]
    doc.spans[SUMMARY_KEY] = SpanGroup(doc, name=SUMMARY_KEY, spans=[x for x in found if x])
