"""A small pipeline of most of the components, and all that it writes in plain values."""

from functools import cache
from typing import Any, Dict, List

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.tokens.underscore import Underscore

from tests.conftest import LABELS, MARKED, make_example, parse_marked

TEXTS = [parse_marked(marked)[0] for (marked,) in MARKED]


@cache
def streaming_pipeline(checkpoint: Any) -> Language:
    """Sentences, sections and assertion by rules, and entities learned by heart."""
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    transformer = {
        "@architectures": "clinbert.ClinicalTransformer.v1",
        "name": str(checkpoint),
        "window": 20,
        "context": 4,
        "precision": "float32",
    }
    coverage = {"@annotation_setters": "clinbert.coverage.v1"}
    config = {"model": transformer, "set_extra_annotations": coverage}
    nlp.add_pipe("transformer", name="clinbert_transformer", config=config)
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe(
        "clinbert_sections", config={"model": {"@architectures": "clinbert.HeadingRules.v1"}}
    )
    nlp.add_pipe("clinbert_ner")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    nlp.add_pipe("clinbert_summary", config={"method": "central"})
    _learn(nlp)
    return nlp


def _learn(nlp: Language) -> None:
    with nlp.select_pipes(enable=["clinbert_transformer", "clinbert_ner"]):
        examples = [make_example(nlp, text, LABELS) for (text,) in MARKED]
        optimizer = nlp.initialize(lambda: examples)
        optimizer.learn_rate = 0.005
        for _ in range(30):
            nlp.update(examples, sgd=optimizer)


def all_of(doc: Doc) -> Dict[str, Any]:
    """Text, spans, classes, and every attribute of ours."""
    doc_names = [name for name in Underscore.doc_extensions if name.startswith("clinbert")]
    span_names = [name for name in Underscore.span_extensions if name.startswith("clinbert")]
    return {
        "tokens": [token.text_with_ws for token in doc],
        "sents": [sent.start for sent in doc.sents] if doc.has_annotation("SENT_START") else [],
        "ents": _plain(doc.ents),
        "cats": _plain(doc.cats),
        "spans": {key: (_plain(group), _plain(group.attrs)) for key, group in doc.spans.items()},
        "doc": {name: _plain(doc._.get(name)) for name in doc_names},
        "span": {name: [_plain(e._.get(name)) for e in doc.ents] for name in span_names},
    }


def _plain(value: Any) -> Any:
    """Spans as offsets and labels; floats without the last digits."""
    if isinstance(value, Span):
        return value.start, value.end, value.label_, value.kb_id_
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (str, int, type(None))):
        return value
    return [_plain(one) for one in value] if hasattr(value, "__iter__") else vars(value)


def contents(docs: Any) -> List[Dict[str, Any]]:
    """Of each of the Docs, all that stands in it."""
    return [all_of(doc) for doc in docs]
