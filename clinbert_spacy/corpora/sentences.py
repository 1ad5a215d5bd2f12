"""clinbert.SentenceClasses.v1: sentences that report an adverse effect, or do not, in folds."""
import random
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Union

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from .files import CorpusError
from .readers import read_corpus
from .splits import PARTS, part_of_fold

POSITIVE = "ADE"
NEGATIVE = "OTHER"


class Sentence(NamedTuple):
    """A sentence to classify.

    id (str): PubMed id and number. text (str): the sentence. group (str): its PubMed id.
    positive (bool): whether it reports an adverse effect of a drug.
    """

    id: str
    text: str
    group: str
    positive: bool


def read_sentences(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Sentence]:
    """Read the sentences of the ADE corpus, each text once.

    A sentence that is in the positive and in the negative file is positive; one with a dose
    alone is in neither class and left out.

    path (Union[str, Path]): folder with DRUG-AE.rel and ADE-NEG.txt. encoding (str): theirs.
    YIELDS (Sentence): the sentences.
    Raises CorpusError for a missing or broken file.
    """
    for note in read_corpus("ade", path, None, encoding):
        if POSITIVE in note.meta.get("cats", {}):
            yield Sentence(note.id, note.text, note.group, note.meta["cats"][POSITIVE] == 1.0)


def take_fold(
    path: Union[str, Path], part: str, fold: int = 0, folds: int = 10, encoding: str = "utf-8"
) -> List[Sentence]:
    """Take a part of a cross-validation over PubMed ids.

    path (Union[str, Path]), encoding (str): see read_sentences.
    part (str): "held_out": fold `fold`, to be scored; "dev": the fold after it, to choose weights
        and settings by; "train": all others.
    fold (int): 0 to folds - 1. folds (int): how many; a hash of the PubMed id decides.
    RETURNS (List[Sentence]): its sentences, in the order of the files.
    Raises CorpusError for a part or fold that is not there, or without sentences.
    """
    if part not in PARTS:
        raise CorpusError(f"Part of a fold is {part!r}: expected one of {list(PARTS)}.")
    sentences = read_sentences(path, encoding)
    found = [s for s in sentences if part_of_fold(s.group, fold, folds) == part]
    if not found:
        raise CorpusError(f"{path}: expected sentences in {part!r} of fold {fold}, found none.")
    return found


def create_sentence_classes(
    path: Union[str, Path],
    part: str,
    fold: int = 0,
    folds: int = 10,
    shuffle: bool = False,
    seed: int = 0,
    limit: int = 0,
    encoding: str = "utf-8",
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.SentenceClasses.v1: reads for spaCy's exclusive `textcat`.

    path (Union[str, Path]), part (str), fold (int), folds (int), encoding (str): see take_fold.
    shuffle (bool): another order in every epoch. seed (int): for the order and the limit.
    limit (int): at most so many sentences, chosen by chance; 0: all.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader; gold in `cats`: ADE and OTHER.
    """
    # Read once, when first asked for: a config can be built where its files are not.
    cache: List[Sentence] = []
    rng = random.Random(seed)

    def read(nlp: Language) -> Iterator[Example]:
        if not cache:
            cache.extend(take_fold(path, part, fold, folds, encoding))
            if limit:
                random.Random(seed).shuffle(cache)
                del cache[limit:]
        order = list(cache)
        if shuffle:
            rng.shuffle(order)
        for sentence in order:
            yield Example(nlp.make_doc(sentence.text), _gold(nlp, sentence))

    return read


def _gold(nlp: Language, sentence: Sentence) -> Doc:
    doc = nlp.make_doc(sentence.text)
    doc.cats = {POSITIVE: float(sentence.positive), NEGATIVE: float(not sentence.positive)}
    return doc
