"""`clinbert.AbbreviationSenses.v1`: which long form an abbreviation stands for, by its context."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Set,
    Tuple,
    Union,
)

import numpy
import srsly
from thinc.api import Model

# Characters on either side that may be looked at, and the words taken from them.
REACH, WORDS = 140, 12
SHIPPED = "abbreviations.json"
_WORD = re.compile(r"[^\W\d_]+|\d+|[%/]")
Table = Dict[str, Any]


class Mention(NamedTuple):
    """An abbreviation in its text.

    form (str): as written. before, after (str): the text around it, up to `REACH` characters.
    """

    form: str
    before: str
    after: str


def AbbreviationSenses() -> Model[List[Mention], List[List[float]]]:
    """Build the model of `clinbert_abbreviations`, with the shipped inventory and no weights.

    `attrs` hold `table`, which is saved with the model; `load`, which gives it the table of a file;
    and `reach`, how many characters on either side of a form are looked at.

    RETURNS (Model): Mentions to a probability per long form of each, in the inventory's order.
    """
    attrs = {"table": read_inventory(), "load": load_table, "reach": REACH}
    return Model("abbreviation_senses", forward, attrs=attrs)


def forward(
    model: Model[List[Mention], List[List[float]]], mentions: List[Mention], is_train: bool
) -> Tuple[List[List[float]], Callable[[Any], List[Mention]]]:
    """Weigh the long forms of each mention; nothing is learned here."""
    table = model.attrs["table"]
    return [weigh(table, Mention(*mention)) for mention in mentions], lambda _: mentions


def weigh(table: Table, mention: Mention) -> List[float]:
    """Give each long form of a mention its probability.

    table (Table): inventory and weights; a form without weights has equally likely long forms.
    mention (Mention): its form has to be in the table.
    RETURNS (List[float]): they add up to 1.
    """
    n_senses = len(table["forms"][mention.form])
    weights = table["weights"].get(mention.form)
    if weights is None:
        return [1.0 / n_senses] * n_senses
    return score_features(weights, context_features(mention), n_senses)


def score_features(
    weights: Mapping[str, Any], features: Iterable[str], n_senses: int
) -> List[float]:
    """Give each long form of a form its probability by the words of a context.

    weights (Mapping): `senses` that were learned, `bias`, and `words` with a weight a sense.
    features (Iterable[str]): see `context_features`. n_senses (int): long forms of the form.
    RETURNS (List[float]): They add up to 1; 0 for a sense that was not learned.
    """
    sums = numpy.array(weights["bias"], dtype="float64")
    for feature in features:
        if feature in weights["words"]:
            sums += weights["words"][feature]
    odds = numpy.exp(sums - sums.max())
    found = dict(zip(weights["senses"], (odds / odds.sum()).tolist()))
    return [found.get(sense, 0.0) for sense in range(n_senses)]


def context_features(mention: Mention) -> Set[str]:
    """Describe the words around a mention, in lower case; the form itself is left out.

    mention (Mention): a form and its context.
    RETURNS (Set[str]): the words nearby, and which stand right before and after ("<", ">").
    """
    left = _words(mention.before[-REACH:], mention.form)[-WORDS:]
    right = _words(mention.after[:REACH], mention.form)[:WORDS]
    found = {*left, *right}
    found.update(f"<{word}" for word in left[-1:])
    found.update(f">{word}" for word in right[:1])
    return found


def _words(text: str, form: str) -> List[str]:
    words = (match.group().lower() for match in _WORD.finditer(text))
    return ["0" if word.isdigit() else word for word in words if word != form.lower()]


def read_inventory() -> Table:
    """Read the shipped inventory. RETURNS (Table): forms, variants, ordinary; no weights."""
    text = (files("clinbert_spacy.resources.en") / SHIPPED).read_text("utf8")
    return {**json.loads(text), "weights": {}}


def load_table(model: Model, path: Union[str, Path]) -> None:
    """Give a model the table that `clinbert build-abbreviations` wrote.

    model (Model): a `clinbert.AbbreviationSenses.v1`.
    path (Union[str, Path]): the `.json.gz` file.
    RAISES (ValueError): nothing stands there, or something else.
    """
    if not Path(path).is_file():
        raise ValueError(
            f"{path} is no file: expected the abbreviations.json.gz that "
            "`clinbert build-abbreviations` writes."
        )
    table = srsly.read_gzip_json(path)
    if not isinstance(table, dict) or not {"forms", "ordinary", "weights"} <= set(table):
        raise ValueError(
            f"{path} holds no inventory of abbreviations: expected 'forms', 'ordinary' and "
            "'weights', as `clinbert build-abbreviations` writes them."
        )
    model.attrs["table"] = table
