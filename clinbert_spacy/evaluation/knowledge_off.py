"""A pipeline with its knowledge fusion switched off, to see what it costs."""

from typing import Any, Callable, List

from spacy.language import Language

FUSION = "knowledge_fusion"


def knowing_models(nlp: Language) -> List[Any]:
    """Find the encoders of a pipeline that look names up.

    nlp (Language): the pipeline.
    RETURNS (List[Model]): their models; the one layer of each is the fusion.
    """
    models = [getattr(pipe, "model", None) for _, pipe in nlp.pipeline]
    nodes = (node for model in models if hasattr(model, "walk") for node in model.walk())
    return [node for node in nodes if any(layer.name == FUSION for layer in node.layers)]


def without_knowledge(nlp: Language, run: Callable[[], None]) -> Callable[[], None]:
    """Make a function run as if the encoders read the text alone.

    nlp (Language): the pipeline that it runs; its knowledge is there again afterwards.
    run (Callable[[], None]): the function.
    RETURNS (Callable[[], None]): the other function.
    """
    models = knowing_models(nlp)

    def bare() -> None:
        layers = [model._layers for model in models]
        try:
            for model in models:
                model._layers = []
            run()
        finally:
            for model, old in zip(models, layers):
                model._layers = old

    return bare
