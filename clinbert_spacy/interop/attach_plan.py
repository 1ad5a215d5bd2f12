"""What `attach` does, decided before anything changes: which components, how set, in what place."""

import warnings
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set

from spacy.language import Language
from spacy.tokens import Doc
from spacy.ty import ListenedToComponent

from .. import attributes

META_KEY = "clinbert_attached"
SENTENCES = {"token.is_sent_start", "doc.sents"}
# What factories that declare nothing write: scispaCy's and medspaCy's.
UNDECLARED = {
    "pysbd_sentencizer": SENTENCES,
    "medspacy_pyrush": SENTENCES,
    "medspacy_pysbd": SENTENCES,
    "medspacy_target_matcher": {"doc.ents"},
}


def choose_components(nlp: Language, donor: Language, wanted: Optional[Sequence[str]]) -> List[str]:
    """Add to the wanted components what they listen to and need, unless the host gives it.

    nlp (Language): The host. donor (Language): Where they come from.
    wanted (Optional[Sequence[str]]): Names; None for the enabled ones.
    RETURNS (List[str]): In the donor's order.
    RAISES (ValueError): No or an unknown name, or nothing writes what a component needs.
    """
    chosen = set(donor.pipe_names if wanted is None else wanted)
    unknown = sorted(chosen - set(donor.component_names))
    if unknown or not chosen:
        raise ValueError(
            f"components = {list(wanted or ())}: expected some of {named(donor.component_names)}, "
            f"which the source has; unknown: {named(unknown)}."
        )
    # From the last to the first, so that what a needed component needs is seen as well.
    for name in reversed(donor.component_names):
        if name in chosen:
            chosen.update(heard_by(donor, name))
            chosen.update(_needed(nlp, donor, name, chosen))
    return [name for name in donor.component_names if name in chosen]


def _needed(nlp: Language, donor: Language, name: str, chosen: Set[str]) -> Iterator[str]:
    """Components that write what one reads; keys of `doc.spans` are the donor's own."""
    earlier = donor.component_names[: donor.component_names.index(name)]
    for attribute in donor.get_pipe_meta(name).requires:
        # who only adds to it, as a linker to entities, needs it as well
        writers = [
            x for x in earlier
            if attribute in written_by(donor, x)
            and attribute not in donor.get_pipe_meta(x).requires
        ]  # fmt: skip
        at_host = any(attribute in written_by(nlp, x) for x in nlp.pipe_names)
        if attribute == "doc.spans":
            yield from writers
        elif at_host or chosen.intersection(writers):
            continue
        elif not writers:
            raise ValueError(
                f"'{name}' needs {attribute}, which no component of the pipeline and none before "
                "it in the source writes. Add one that does before attach()."
            )
        else:
            yield writers[-1]


def settle_sentences(nlp: Language, donor: Language, names: Sequence[str], sents: str) -> List[str]:
    """Decide between two components that set sentences.

    nlp (Language): The host. donor (Language): The source. names (Sequence[str]): Chosen.
    sents (str): `keep`, `override` or `raise`.
    RETURNS (List[str]): The names, without ours if the host's sentences stay.
    RAISES (ValueError): `raise`, or sentences that a parser set are to be overridden.
    """
    theirs = [x for x in nlp.component_names if written_by(nlp, x) & SENTENCES]
    ours = [x for x in names if written_by(donor, x) & SENTENCES]
    if not theirs or not ours:
        return list(names)
    found = f"{named(theirs)} of the pipeline and {named(ours)} of the source both set sentences"
    if sents == "raise":
        raise ValueError(f"{found}. Choose sents='keep' or sents='override', or remove one.")
    if sents == "keep":
        warnings.warn(
            f"{found}: {named(ours)} is left out. Choose sents='override' for its sentences.",
            stacklevel=3,
        )
        return [x for x in names if x not in ours]
    parsers = [x for x in theirs if "token.dep" in written_by(nlp, x)]
    if parsers:
        raise ValueError(
            f"{found}, and spaCy lets nobody change the sentences of a parse ({named(parsers)}). "
            "Choose sents='keep', or remove the parser."
        )
    return list(names)


def check_fit(nlp: Language, donor: Language, names: Sequence[str]) -> None:
    """Raise if components cannot work in a pipeline.

    nlp (Language): The host. donor (Language): The source. names (Sequence[str]): Chosen.
    RAISES (ValueError): Nothing to add; another language; a name that is taken, of a component or
        an extension; vectors that differ and that a component reads.
    """
    if not names:
        raise ValueError("No component is left to attach: choose others, or sents='override'.")
    if nlp.lang != donor.lang:
        raise ValueError(
            f"The pipeline is for language '{nlp.lang}', the source for '{donor.lang}': expected "
            f"the same. Build the pipeline for '{donor.lang}'."
        )
    taken = [name for name in names if name in nlp.component_names]
    if taken:
        remedy = "Call detach() first" if set(taken) & set(attached(nlp)) else (
            f"Rename it first with nlp.rename_pipe('{taken[0]}', ...)"
        )  # fmt: skip
        raise ValueError(f"The pipeline has a component named {named(taken)} already. {remedy}.")
    attributes.install()
    if Doc.has_extension("trf_data") and Doc.get_extension("trf_data")[2] is not None:
        raise ValueError(
            "Doc._.trf_data is a getter of another package, but the transformer writes it. Remove "
            "that extension first."
        )
    readers = [x for x in names if _reads_vectors(donor.get_pipe(x))]
    if readers and nlp.vocab.vectors != donor.vocab.vectors:
        raise ValueError(
            f"{named(readers)} of the source reads word vectors, and those of the pipeline differ. "
            "Set nlp.vocab.vectors to the source's, or leave these components out."
        )


def plan_changes(
    nlp: Language, donor: Language, names: Sequence[str], ents_policy: Optional[str], sents: str
) -> Dict[str, Dict[str, Any]]:
    """Decide which settings of components differ from the source's.

    nlp (Language): The host. donor (Language): The source. names (Sequence[str]): Chosen.
    ents_policy (Optional[str]): As `attach` takes it. sents (str): As `attach` takes it.
    RETURNS (Dict[str, Dict[str, Any]]): Component to settings.
    RAISES (ValueError): An entity policy, and no component that has one.
    """
    settings = {name: donor.get_pipe_config(name) for name in names}
    with_policy = [name for name in names if "ents_policy" in settings[name]]
    if ents_policy is not None and not with_policy:
        raise ValueError(
            f"ents_policy = '{ents_policy}', but none of {named(names)} has that setting: leave it "
            "out, or attach a component that finds entities."
        )
    finds = any("doc.ents" in written_by(nlp, name) for name in nlp.component_names)
    policy = ents_policy or ("keep" if finds else None)
    changes: Dict[str, Dict[str, Any]] = {}
    for name in names:
        wanted: Dict[str, Any] = {}
        if policy is not None and name in with_policy:
            wanted["ents_policy"] = policy
        if sents == "override" and written_by(donor, name) & SENTENCES:
            wanted["overwrite"] = True
        changes[name] = {
            key: value
            for key, value in wanted.items()
            if key in settings[name] and settings[name][key] != value
        }
    return changes


def find_place(nlp: Language, before: Optional[str]) -> int:
    """Find where the block goes: behind all that listens, before all that cleans up.

    nlp (Language): The host. before (Optional[str]): Component to come right before.
    RETURNS (int): Index among all components.
    RAISES (ValueError): There is no such place, or `before` is not one.
    """
    names = nlp.component_names
    if before is not None and before not in names:
        raise ValueError(f"before = '{before}': expected one of {named(names)}.")
    last = max((names.index(x) for x in names if _shares_features(nlp.get_pipe(x))), default=-1)
    cleaners = [x for x in names if nlp.get_pipe_meta(x).factory == "doc_cleaner"]
    end = names.index(cleaners[0]) if cleaners else len(names)
    if end <= last:
        raise ValueError(
            f"'{cleaners[0]}' stands before '{names[last]}', which needs what it removes. Move it "
            "to the end of the pipeline."
        )
    place = end if before is None else names.index(before)
    if place <= last:
        raise ValueError(
            f"before = '{before}' is too early: '{names[last]}' behind it shares features of the "
            "pipeline's own, which the attached transformer would replace. Choose a later one."
        )
    if place > end:
        raise ValueError(
            f"before = '{before}' is too late: '{cleaners[0]}' removes the features before it. "
            f"Choose '{cleaners[0]}' or an earlier component."
        )
    return place


def written_by(nlp: Language, name: str) -> Set[str]:
    """Tell what a component writes.

    nlp (Language): A pipeline. name (str): Of its component.
    RETURNS (Set[str]): Such as `doc.ents`, as its factory declares or we know.
    """
    meta = nlp.get_pipe_meta(name)
    return {*meta.assigns, *UNDECLARED.get(meta.factory, ())}


def heard_by(nlp: Language, name: str) -> Set[str]:
    """Find what a component listens to.

    nlp (Language): A pipeline. name (str): Of its component.
    RETURNS (Set[str]): Those it names, and those that its wildcard was bound to.
    """
    by_name = {getattr(node, "upstream_name", "") for node in _nodes(nlp.get_pipe(name))}
    bound = {
        up for up, pipe in nlp.pipeline
        if isinstance(pipe, ListenedToComponent) and name in pipe.listening_components
    }  # fmt: skip
    return (by_name | bound) & set(nlp.component_names)


def _shares_features(pipe: Any) -> bool:
    """Whether a component is listened to, or listens."""
    return isinstance(pipe, ListenedToComponent) or any(
        hasattr(node, "upstream_name") for node in _nodes(pipe)
    )


def _reads_vectors(pipe: Any) -> bool:
    return any(node.name == "static_vectors" for node in _nodes(pipe))


def _nodes(pipe: Any) -> Iterable[Any]:
    model = getattr(pipe, "model", None)
    return model.walk() if hasattr(model, "walk") else ()


def attached(nlp: Language) -> List[str]:
    """List what `attach` added and is still there. RETURNS (List[str]): Names, in order."""
    return [name for name in nlp.meta.get(META_KEY, ()) if name in nlp.component_names]


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Raise if a setting has another value than its choices."""
    if value not in choices:
        raise ValueError(f"{key} = '{value}' is not one of {', '.join(choices)}.")


def named(names: Iterable[str]) -> str:
    """Write names for a message."""
    return ", ".join(f"'{name}'" for name in names) or "none"
