"""Add the components of one pipeline to another: to spaCy's, scispaCy's, medspaCy's, or one's own.

spaCy's `nlp.add_pipe(name, source=...)` copies one component and leaves to the caller where it goes
and what it needs. `attach` adds a transformer and its heads as one block, in a place where no other
transformer comes between them, and refuses what would fail or be silently wrong later.
"""

import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import spacy
from spacy.language import Language

from .attach_plan import (
    META_KEY,
    attached,
    check_choice,
    check_fit,
    choose_components,
    find_place,
    heard_by,
    named,
    plan_changes,
    settle_sentences,
    written_by,
)

ENTS_POLICIES = ("replace", "keep", "longest")
SENTS_CHOICES = ("keep", "override", "raise")
TRF_DATA = "doc._.trf_data"


def attach(
    nlp: Language,
    components: Optional[Sequence[str]] = None,
    source: Union[str, Path, Language] = "en_clinbert",
    *,
    ents_policy: Optional[str] = None,
    sents: str = "keep",
    before: Optional[str] = None,
) -> List[str]:
    """Add components of `source` to a pipeline, in its order, with what they listen to and need.

    They share weights with `source`, as spaCy's own sourcing does. The tokenizer stays the
    pipeline's; `clinbert attach-score` measures what that costs.

    nlp (Language): The pipeline; changed in place, and only if every check passes.
    components (Optional[Sequence[str]]): Names in `source`; None takes those that are enabled.
    source (Union[str, Path, Language]): An installed pipeline, a folder, or one in memory.
    ents_policy (Optional[str]): `keep`, `longest` or `replace`, for components that have it; None
        keeps the entities of a pipeline that finds some, and else leaves the setting as it is.
    sents (str): If the pipeline sets sentences already, `keep` those and leave ours out with a
        warning, `override` them, or `raise`.
    before (Optional[str]): Component to come right before; None for the end, but before any
        `doc_cleaner`.
    RETURNS (List[str]): Names of the components added, in order.
    RAISES (ValueError): Something does not fit; says what and the remedy. Nothing was added.
    """
    check_choice("sents", sents, SENTS_CHOICES)
    if ents_policy is not None:
        check_choice("ents_policy", ents_policy, ENTS_POLICIES)
    donor = open_source(source)
    names = choose_components(nlp, donor, components)
    names = settle_sentences(nlp, donor, names, sents)
    check_fit(nlp, donor, names)
    changes = plan_changes(nlp, donor, names, ents_policy, sents)
    place = find_place(nlp, before)
    if any(TRF_DATA in written_by(nlp, name) for name in nlp.pipe_names):
        warnings.warn(
            "The pipeline has a transformer of its own: its components go on reading their data, "
            "but after the pipeline doc._.trf_data holds that of the attached one.",
            stacklevel=2,
        )
    for offset, name in enumerate(names):
        _add(nlp, donor, name, place + offset, changes.get(name, {}))
    nlp.meta[META_KEY] = [*attached(nlp), *names]
    return names


def detach(nlp: Language) -> List[str]:
    """Remove what `attach` added, also from a pipeline that was saved and loaded in between.

    nlp (Language): The pipeline; changed in place.
    RETURNS (List[str]): Names of the components removed.
    RAISES (ValueError): Nothing is attached, or another component listens to what would go.
    """
    names = attached(nlp)
    if not names:
        raise ValueError(
            f"Nothing to detach: the pipeline ({named(nlp.component_names)}) has no component that "
            "attach() added."
        )
    for other in nlp.component_names:
        heard = heard_by(nlp, other) & set(names)
        if heard and other not in names:
            raise ValueError(
                f"'{other}' listens to {named(heard)}, which detach() would remove. Remove it "
                "first, or give it weights of its own with nlp.replace_listeners()."
            )
    for name in reversed(names):
        nlp.remove_pipe(name)
    nlp.meta.pop(META_KEY)
    return names


def open_source(source: Union[str, Path, Language]) -> Language:
    """Load the pipeline to take components from.

    source (Union[str, Path, Language]): Package, folder, or a loaded pipeline.
    RETURNS (Language): The pipeline.
    RAISES (ValueError): There is no such pipeline.
    """
    if isinstance(source, Language):
        return source
    if not spacy.util.is_package(str(source)) and not Path(source).is_dir():
        raise ValueError(
            f"source = {str(source)!r} is neither an installed pipeline nor a folder. Install its "
            "wheel with pip install --no-deps, or give its folder or a loaded Language."
        )
    return spacy.load(source)


def _add(nlp: Language, donor: Language, name: str, place: int, changes: Dict[str, Any]) -> None:
    where: Dict[str, Any] = {"before": place} if place < len(nlp.component_names) else {}
    with warnings.catch_warnings():
        # Vectors may differ: check_fit made sure that nobody reads them.
        warnings.filterwarnings("ignore", message=r"\[W113\]")
        if not changes:
            nlp.add_pipe(name, source=donor, **where)
            return
    # Built anew, so that the setting is saved with the pipeline and the source keeps its own.
    config = {**donor.config.interpolate()["components"][name], **changes}
    pipe = nlp.add_pipe(config.pop("factory"), name=name, config=config, **where)
    if hasattr(pipe, "from_bytes"):
        pipe.from_bytes(donor.get_pipe(name).to_bytes(exclude=["vocab"]), exclude=["vocab"])
