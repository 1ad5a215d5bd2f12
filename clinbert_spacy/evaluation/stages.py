"""Where the time goes when a pipeline reads notes: stages and components."""

import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .checkpoints import TRANSFORMERS, transformer_of

STAGES = (
    "tokenise", "wordpieces", "align", "knowledge", "encode", "heads", "write-back", "rest",
)  # fmt: skip
METHODS = {"predict": "heads", "set_annotations": "write-back"}
STOPWATCH = "stopwatch"
Add = Callable[[str, float], None]


def stage_seconds(nlp: Language, texts: Sequence[str], batch_size: int) -> Dict[str, Any]:
    """Time one pass over notes, batch by batch, one component after another.

    The stages of the encoder come from its model's `stopwatch`; without one the whole transformer
    counts as "encode". "heads" is `predict` of the other components, "write-back" every
    `set_annotations` and the components that have no `predict`, "rest" what is between them.

    nlp (Language): the pipeline, warm; it is as before afterwards. texts (Sequence[str]): notes.
    batch_size (int): notes a batch.
    RETURNS (Dict[str, Any]): "stages" and "components", seconds by name, "tokenizer" first, and
        "total", which is the sum of either.
    """
    stages: Dict[str, float] = dict.fromkeys(STAGES, 0.0)
    components: Dict[str, float] = defaultdict(float, {"tokenizer": 0.0})

    def add(stage: str, seconds: float) -> None:
        stages[stage] = stages.get(stage, 0.0) + seconds

    with ExitStack() as stack:
        whole = _watch(nlp, add, stack)
        for batch in minibatch(texts, batch_size):
            for name, seconds in _pass(nlp, list(batch), batch_size):
                components[name] += seconds
    add("tokenise", components["tokenizer"])
    for name, stage in whole.items():
        add(stage, components[name])
    total = sum(components.values())
    stages["rest"] = max(0.0, total - sum(stages.values()))
    return {"stages": stages, "components": dict(components), "total": total}


@contextmanager
def timed_methods(component: Any, stages: Dict[str, str], add: Add) -> Iterator[None]:
    """Time methods of one object, for the length of a block.

    component (Any): the object. stages (Dict[str, str]): method -> what its seconds are added to.
    add (Callable): called with stage and seconds after each call.
    """
    before = {name: vars(component).get(name) for name in stages}
    try:
        for name, stage in stages.items():
            setattr(component, name, _timed(getattr(component, name), stage, add))
        yield
    finally:
        for name, method in before.items():
            if method is None:
                vars(component).pop(name, None)
            else:
                setattr(component, name, method)


@contextmanager
def stopwatch_on(model: Any, add: Add) -> Iterator[None]:
    """Have the forward pass of our transformer tell its stages, for the length of a block."""
    before = model.attrs[STOPWATCH]
    try:
        model.attrs[STOPWATCH] = add
        yield
    finally:
        model.attrs[STOPWATCH] = before


def _watch(nlp: Language, add: Add, stack: ExitStack) -> Dict[str, str]:
    """Hook into the components. RETURNS: those that count as one stage, with the stage."""
    node = transformer_of(nlp)
    if node is not None and STOPWATCH in node.attrs:
        stack.enter_context(stopwatch_on(node, add))
    whole: Dict[str, str] = {}
    for name, component in nlp.pipeline:
        stages = dict(METHODS)
        if nlp.get_pipe_meta(name).factory in TRANSFORMERS:
            if node is None or STOPWATCH not in node.attrs:
                whole[name] = "encode"
                continue
            del stages["predict"]
        if not all(hasattr(component, method) for method in METHODS):
            whole[name] = "write-back"
        elif not hasattr(component, "__dict__"):  # compiled: nothing can be hung on it
            whole[name] = "heads"
        else:
            stack.enter_context(timed_methods(component, stages, add))
    return whole


def _timed(method: Callable, stage: str, add: Add) -> Callable:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        found = method(*args, **kwargs)
        add(stage, time.perf_counter() - start)
        return found

    return call


def _pass(nlp: Language, texts: List[str], batch_size: int) -> Iterator[Tuple[str, float]]:
    """Run the components over a batch. YIELDS: the name of each with its seconds."""
    start = time.perf_counter()
    docs = [nlp.make_doc(text) for text in texts]
    yield "tokenizer", time.perf_counter() - start
    for name, component in nlp.pipeline:
        start = time.perf_counter()
        docs = _apply(component, docs, batch_size)
        yield name, time.perf_counter() - start


def _apply(component: Any, docs: List[Doc], batch_size: int) -> List[Doc]:
    if hasattr(component, "pipe"):
        return list(component.pipe(docs, batch_size=batch_size))
    return [component(doc) for doc in docs]
