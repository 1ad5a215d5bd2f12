"""Mistakes in a training config that spaCy lets pass in silence."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Sequence, Tuple, Union

from spacy.language import Language
from spacy.schemas import ConfigSchemaInit, ConfigSchemaNlp, ConfigSchemaTraining
from spacy.ty import ListenedToComponent
from spacy.util import load_config
from thinc.api import Config

SECTIONS = ("paths", "system", "nlp", "components", "corpora", "training", "initialize")
# spaCy drops unknown keys of these blocks while it fills in defaults
SCHEMAS = {
    "nlp": ConfigSchemaNlp,
    "training": ConfigSchemaTraining,
    "initialize": ConfigSchemaInit,
}


def read_config(config: Union[str, Path, Config], overrides: Mapping[str, Any]) -> Config:
    """Read a config, variables left in place.

    config (Union[str, Path, Config]): Config or its file.
    overrides (Mapping[str, Any]): Settings by dotted name.
    RETURNS (Config): The config.
    RAISES (ValueError): If the file is missing, a section misspelt or an override points nowhere.
    """
    if isinstance(config, (str, Path)) and not Path(config).is_file():
        raise ValueError(f"No config file at '{config}'. Expected a spaCy config (.cfg).")
    if isinstance(config, (str, Path)):
        config = load_config(config, overrides=dict(overrides), interpolate=False)
    else:
        config = Config().from_str(config.to_str(), interpolate=False, overrides=dict(overrides))
    check_sections(config)
    return config


def check_sections(config: Mapping[str, Any]) -> None:
    """Refuse names that spaCy would drop without a word, and train on defaults instead.

    config (Mapping[str, Any]): The config. Sections of your own are fine, unless their name is
        nearly one that spaCy reads.
    RAISES (ValueError): Names the section or key and the likely one.
    """
    for name in config:
        close = get_close_matches(name, SECTIONS, n=1, cutoff=0.8)
        if name not in (*SECTIONS, "pretraining") and close:
            raise ValueError(
                f"Config section [{name}] is not read by spaCy: rename it to [{close[0]}]."
            )
    for section, schema in SCHEMAS.items():
        known = list(getattr(schema, "model_fields", None) or schema.__fields__)
        for key in config.get(section, {}):
            if key not in known:
                raise ValueError(
                    f"Config section [{section}] has no setting '{key}'. Expected some of: "
                    f"{', '.join(get_close_matches(key, known, n=1) or known)}."
                )


def link_listeners(nlp: Language, frozen: Sequence[str]) -> None:
    """Link heads to encoders so that the last listener of an encoder is one that learns.

    spaCy does so while it initialises a pipeline, but links frozen heads again on loading.

    nlp (Language): The pipeline, changed in place. Frozen heads still predict: they read what the
        encoder wrote on the Doc.
    frozen (Sequence[str]): training.frozen_components.
    """
    nlp._link_components()
    for encoder, listening in list(_encoders(nlp)):
        proc = nlp.get_pipe(encoder)
        idle = [name for name in listening if name in frozen]
        if encoder in frozen or len(idle) == len(listening):
            continue
        for name in idle:
            for listener in list(proc.listener_map[name]):
                proc.remove_listener(listener, name)


def check_listeners(nlp: Language, frozen: Sequence[str], annotating: Sequence[str]) -> None:
    """Refuse listeners under which a shared encoder does not learn or heads are fed zeros.

    The listener that comes last triggers the backward pass of its encoder (a component with
    listeners: `transformer`, `tok2vec`). If that component is frozen, the encoder never learns.
    A component that annotates during training reads what its encoder wrote on the Doc: zeros, if
    the encoder does not annotate too.

    nlp (Language): The pipeline with its listeners linked.
    frozen (Sequence[str]): training.frozen_components.
    annotating (Sequence[str]): training.annotating_components.
    RAISES (ValueError): Names the components and the remedy.
    """
    _check_names(nlp, frozen, "frozen_components")
    _check_names(nlp, annotating, "annotating_components")
    for encoder, listening in _encoders(nlp):
        if encoder not in frozen and listening:
            _check_last_listener(encoder, listening, [*frozen, *nlp.disabled])
        for component in listening:
            if component in annotating and encoder not in annotating:
                raise ValueError(
                    f"'{component}' is in training.annotating_components but its encoder "
                    f"'{encoder}' is not: it would predict from zeros. Put '{encoder}' into "
                    f"annotating_components, before '{component}'."
                )


def _check_names(nlp: Language, names: Iterable[str], setting: str) -> None:
    unknown = sorted(set(names) - set(nlp.component_names))
    if unknown:
        raise ValueError(
            f"training.{setting} names {', '.join(unknown)}, not in the pipeline. Expected some "
            f"of: {', '.join(nlp.component_names)}."
        )


def _encoders(nlp: Language) -> Iterator[Tuple[str, Sequence[str]]]:
    for name, proc in nlp.pipeline:
        if isinstance(proc, ListenedToComponent):
            yield name, [c for c in proc.listening_components if c in nlp.component_names]


def _check_last_listener(encoder: str, listening: Sequence[str], idle: Sequence[str]) -> None:
    last = listening[-1]
    if last not in idle:
        return
    active = [name for name in listening if name not in idle]
    move = f"Move '{last}' before '{active[-1]}' in nlp.pipeline, or give" if active else "Give"
    raise ValueError(
        f"'{last}' is frozen or disabled and listens last to '{encoder}': the last listener "
        f"triggers its backward pass, so '{encoder}' would not learn. {move} '{last}' its own "
        f"copy with nlp.replace_listeners('{encoder}', '{last}', ['model.tok2vec']), or put "
        f"'{encoder}' into training.frozen_components too."
    )
