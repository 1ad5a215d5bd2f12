"""`clinbert build-abbreviations`: an inventory, and a small classifier of contexts a form."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import (
    Any,
    DefaultDict,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import srsly

from ..corpora.files import write_text
from ..corpora.passages import Passage
from ..corpora.schema import may_ship
from ..models.abbreviations import score_features
from .abbreviation_contexts import SILVER, TEST, TRAIN, WRITTEN, Context, Harvest, harvest
from .abbreviation_notes import Gold, judge_gold

TABLE, METRICS = "abbreviations.json.gz", "metrics.json"
# A sense with fewer contexts is not learned.
LEAST = 8
# Sources of text that are notes.
NOTES = ("mtsamples", "mts_dialog", "aci_bench")
Weights = Dict[str, Any]


class Settings(NamedTuple):
    """How to learn.

    features (int): words kept a form. strength (float): inverse of the L2 penalty.
    prior (float): contexts that every sense gets beside those in notes; see `weigh_contexts`.
    size (int): contexts kept of each form, part, kind and sense. seed (int): of the sample.
    threshold (float): probability from which figures count a long form as given.
    """

    features: int = 500
    strength: float = 0.3
    prior: float = 30.0
    size: int = 2000
    seed: int = 0
    threshold: float = 0.8


def build(
    passages: Iterable[Passage],
    table: Mapping[str, Any],
    folder: Union[str, Path],
    settings: Settings = Settings(),
    gold: Sequence[Gold] = (),
    about: Mapping[str, Any] = {},  # noqa: B006 (never changed)
) -> Dict[str, Any]:
    """Learn what tells the long forms of each form apart, judge it and write both.

    passages (Iterable[Passage]): the text, read once. table (Mapping): inventory.
    folder (Union[str, Path]): where `abbreviations.json.gz` and `metrics.json` go.
    settings (Settings): how to learn. gold (Sequence[Gold]): labelled forms of notes, to judge.
    about (Mapping): kept in the metrics.
    RETURNS (Dict[str, Any]): what `metrics.json` holds.
    RAISES (ValueError): the text has contexts for no form.
    """
    found = harvest(passages, table, settings.size, settings.seed)
    weights = {form: learn(found, form, settings) for form in found.forms}
    learned = {form: row for form, row in weights.items() if row is not None}
    if not learned:
        raise ValueError(
            f"No form has two long forms with {LEAST} contexts each in the text: expected a text "
            "in which long forms are written out."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    srsly.write_gzip_json(folder / TABLE, {**table, "weights": learned}, indent=0)
    report = {
        **about,
        "settings": settings._asdict(),
        "ships": may_all_ship(found.documents, about),
        "documents": dict(sorted(found.documents.items())),
        "characters": found.n_characters,
        "forms": len(table["forms"]),
        "ambiguous": len(found.forms),
        "learned": len(learned),
        "bytes": (folder / TABLE).stat().st_size,
        "scores": {kind: judge(found, learned, kind, settings) for kind in (SILVER, WRITTEN)},
        "notes": judge_gold(
            {**table, "weights": learned},
            [row for row in gold if row.mention.form in found.forms],
            {form: frequent_sense(found, form) for form in learned},
            settings.threshold,
        ),
    }
    write_text(folder / METRICS, srsly.json_dumps(report, indent=1) + "\n")
    return report


def may_all_ship(sources: Iterable[str], about: Mapping[str, Any]) -> bool:
    """Say whether what was learned may ship.

    sources (Iterable[str]): of the text. about (Mapping): `licences` by source, and `inventory`,
        which is "own" unless foreign senses were added.
    RETURNS (bool): False for a source without a licence, or with one that `may_ship` refuses.
    """
    licences = about.get("licences", {})
    own = about.get("inventory", "own") == "own"
    return own and all(may_ship(source, licences.get(source)) for source in sources)


def learn(found: Harvest, form: str, settings: Settings) -> Optional[Weights]:
    """Fit a logistic regression for a form and keep its heaviest words.

    found (Harvest): contexts. form (str): the form. settings (Settings): how to learn.
    RETURNS (Optional[Weights]): senses, bias and words; None if fewer than two senses have
        contexts enough.
    """
    contexts = [*found.of(form, TRAIN, SILVER), *found.of(form, TRAIN, WRITTEN)]
    sizes = Counter(context.sense for context in contexts)
    senses = sorted(sense for sense in sizes if sizes[sense] >= LEAST)
    if len(senses) < 2:
        return None
    kept = [context for context in contexts if context.sense in senses]
    names, rows, bias = fit(kept, senses, settings)
    heavy = sorted(range(len(names)), key=lambda i: (-max(map(abs, rows[i])), names[i]))
    words = {names[i]: [round(x, 2) for x in rows[i]] for i in sorted(heavy[: settings.features])}
    return {"senses": senses, "bias": [round(x, 3) for x in bias], "words": words}


def fit(
    contexts: Sequence[Context], senses: Sequence[int], settings: Settings
) -> Tuple[List[str], List[List[float]], List[float]]:
    """Run scikit-learn's logistic regression over the words of contexts.

    contexts (Sequence[Context]): labelled. senses (Sequence[int]): their labels.
    settings (Settings): strength and seed.
    RETURNS (Tuple): the features, a weight per sense for each, a bias per sense.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = CountVectorizer(analyzer=_features, binary=True, min_df=2)
    matrix = vectorizer.fit_transform(contexts)
    model = LogisticRegression(C=settings.strength, max_iter=500, random_state=settings.seed)
    model.fit(matrix, [context.sense for context in contexts], weigh_contexts(contexts, settings))
    coefficients, bias = model.coef_, model.intercept_
    if len(senses) == 2:  # scikit-learn keeps the second of two classes alone
        coefficients, bias = [-coefficients[0], coefficients[0]], [-bias[0], bias[0]]
        coefficients, bias = [x / 2 for x in coefficients], [x / 2 for x in bias]
    rows = [[float(row[i]) for row in coefficients] for i in range(matrix.shape[1])]
    return list(vectorizer.get_feature_names_out()), rows, [float(x) for x in bias]


def weigh_contexts(contexts: Sequence[Context], settings: Settings) -> List[float]:
    """Weigh contexts so that senses count as they occur in notes, whatever articles prefer.

    contexts (Sequence[Context]): of one form. settings (Settings): `prior` is what every sense
        gets beside its contexts in notes, so that none counts for nothing.
    RETURNS (List[float]): mean 1.
    """
    sizes = Counter(context.sense for context in contexts)
    in_notes = Counter(context.sense for context in contexts if context.source in NOTES)
    total = sum(in_notes.values()) + settings.prior * len(sizes)
    shares = {sense: (in_notes[sense] + settings.prior) / total for sense in sizes}
    return [shares[c.sense] * len(contexts) / sizes[c.sense] for c in contexts]


def judge(
    found: Harvest, weights: Mapping[str, Weights], kind: str, settings: Settings
) -> Dict[str, Any]:
    """Score held-out contexts beside the most frequent sense of the training part.

    found (Harvest): contexts. weights (Mapping): of each learned form. kind (str): of contexts.
    settings (Settings): the threshold.
    RETURNS (Dict[str, Any]): over all contexts, the mean over forms, by form and by source. Every
        sense counts, those that were not learned too.
    """
    by_form = {form: judge_form(found, form, weights[form], kind) for form in sorted(weights)}
    everything = [outcome for outcomes in by_form.values() for outcome in outcomes]
    if not everything:
        return {"all": {"n": 0}, "mean_of_forms": {}, "forms": {}, "sources": {}}
    by_source: DefaultDict[str, List[Outcome]] = defaultdict(list)
    for outcome in everything:
        by_source[outcome.source].append(outcome)
    rows = {form: summarise(x, settings.threshold) for form, x in by_form.items() if x}
    return {
        "all": summarise(everything, settings.threshold),
        "mean_of_forms": {
            key: round(sum(row[key] for row in rows.values()) / len(rows), 4)
            for key in ("accuracy", "most_frequent")
        },
        "forms": rows,
        "sources": {x: summarise(by_source[x], settings.threshold) for x in sorted(by_source)},
    }


class Outcome(NamedTuple):
    """A held-out context.

    gold (int): its sense. guess (int): the one found. score (float): its probability.
    frequent (int): the most frequent sense in the training part. source (str): of the document.
    """

    gold: int
    guess: int
    score: float
    frequent: int
    source: str


def judge_form(found: Harvest, form: str, weights: Weights, kind: str) -> List[Outcome]:
    """Guess the sense of each held-out context of a form. RETURNS (List[Outcome]): of each."""
    frequent = frequent_sense(found, form)
    outcomes = []
    for context in found.of(form, TEST, kind):
        scores = score_features(weights, context.features, len(found.forms[form]))
        guess = max(range(len(scores)), key=scores.__getitem__)
        outcomes.append(Outcome(context.sense, guess, scores[guess], frequent, context.source))
    return outcomes


def frequent_sense(found: Harvest, form: str) -> int:
    """Find the sense with most contexts in the training part. RETURNS (int): its number."""
    train = Counter(c.sense for x in (SILVER, WRITTEN) for c in found.of(form, TRAIN, x))
    return min(train, key=lambda sense: (-train[sense], sense))


def summarise(outcomes: Sequence[Outcome], threshold: float) -> Dict[str, float]:
    """Count outcomes.

    outcomes (Sequence[Outcome]): at least one. threshold (float): for `given`.
    RETURNS (Dict[str, float]): contexts, accuracy, that of the most frequent sense, share over
        the threshold (given) and accuracy among those (0 if there is none).
    """
    given = [x for x in outcomes if x.score >= threshold]
    right = sum(x.guess == x.gold for x in given)
    return {
        "n": len(outcomes),
        "accuracy": round(sum(x.guess == x.gold for x in outcomes) / len(outcomes), 4),
        "most_frequent": round(sum(x.frequent == x.gold for x in outcomes) / len(outcomes), 4),
        "given": round(len(given) / len(outcomes), 4),
        "accuracy_given": round(right / len(given), 4) if given else 0.0,
    }


def _features(context: Context) -> Tuple[str, ...]:
    return context.features
