"""What a pipeline says about itself: the meta data that ships with it, and the card made of it."""

import re
from importlib.metadata import requires
from typing import Any, Dict, List, Mapping, Sequence

from packaging.requirements import Requirement
from spacy.cli.package import generate_readme

from clinbert_spacy import __version__

from ..corpora.schema import NEVER_SHIPS, SCHEMAS, may_ship

DISTRIBUTION = "clinbert-spacy"
NEEDED = ("description", "license", "sources", "performance", "intended_use", "limits")
SOURCE_NEEDED = ("name", "url", "license", "origin")
GRAPH_NEEDED = ("name", "license")  # what a knowledge graph states of each of its sources
ORIGINS = {
    "human": "written or annotated by people",
    "machine": "**machine-made: invented text or labels, no patient and no clinician wrote it**",
    "mixed": "**partly machine-made: labels or text were produced or changed by a program**",
}


def complete_meta(
    own: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    name: str,
    version: str,
    graph: Sequence[Mapping[str, Any]] = (),
) -> Dict[str, Any]:
    """Make the meta.json of a pipeline that ships.

    own (Mapping[str, Any]): `nlp.meta`: labels, components, vectors.
    given (Mapping[str, Any]): description, license, sources, performance, intended_use (str),
        limits (List[str]), and any other key of spaCy's meta.json.
    name (str): Package name, with or without the language ("en_clinbert", "clinbert").
    version (str): Its version.
    graph (Sequence[Mapping[str, Any]]): Sources of the knowledge graph in the pipeline: name,
        licence, redistributable. Those that `given` names are taken from there.
    RETURNS (Dict[str, Any]): The meta data.
    RAISES (ValueError): If something needed is missing or a source may not ship.
    """
    missing = [key for key in NEEDED if not given.get(key)]
    if missing:
        raise ValueError(
            f"The meta data of '{name}' lacks {', '.join(missing)}. A package needs all of: "
            f"{', '.join(NEEDED)}."
        )
    meta = {**own, **given, "version": version}
    meta["name"] = name[len(own["lang"]) + 1 :] if name.startswith(f"{own['lang']}_") else name
    named = {source.get("name") for source in given["sources"]}
    added = {one["name"]: one for one in graph if one["name"] not in named}
    meta["sources"] = check_sources(given["sources"])
    meta["sources"] += check_sources(list(added.values()), GRAPH_NEEDED)
    ranges = _declared_ranges()
    transformers = f"spacy-transformers{ranges['spacy-transformers']}"
    meta.setdefault("requirements", [f"{DISTRIBUTION}>={__version__}", transformers])
    meta["spacy_version"] = given.get("spacy_version", ranges["spacy"])
    return meta


def check_sources(
    sources: List[Mapping[str, str]], needed: Sequence[str] = SOURCE_NEEDED
) -> List[Dict[str, str]]:
    """Check where weights come from: everything stated, nothing that may not ship.

    sources (List[Mapping[str, str]]): name, url, license (or licence), origin ("human", "machine",
        "mixed") of each corpus, lexicon and encoder.
    needed (Sequence[str]): What must be stated. An origin that need not be is "human".
    RETURNS (List[Dict[str, str]]): The same, with the key "license".
    RAISES (ValueError): Names the source and what is wrong with it.
    """
    checked = []
    for i, given in enumerate(sources):
        source = {("license" if key == "licence" else key): v for key, v in given.items()}
        missing = [key for key in needed if not source.get(key)]
        if missing:
            label = source.get("name") or f"number {i + 1}"
            raise ValueError(f"Source {label} lacks {', '.join(missing)}. State it in the meta.")
        source = {"url": "", "origin": "human", **source}
        if source["origin"] not in ORIGINS:
            raise ValueError(
                f"Source {source['name']} has origin '{source['origin']}', expected one of: "
                f"{', '.join(ORIGINS)}."
            )
        if not _may_ship(source):
            raise ValueError(
                f"Source {source['name']} ({source['license']}) is not allowed in weights that "
                f"ship. Train without it, or keep this pipeline to yourself."
            )
        # spaCy's schema of a meta.json has room for strings alone
        checked.append({key: v for key, v in source.items() if isinstance(v, str)})
    return checked


def model_card(meta: Mapping[str, Any]) -> str:
    """Write the model card.

    meta (Mapping[str, Any]): What `complete_meta` made.
    RETURNS (str): Markdown.
    """
    rows = [f"| {_linked(s)} | {s['license']} | {ORIGINS[s['origin']]} |" for s in meta["sources"]]
    return "\n".join(
        [
            f"# {meta['lang']}_{meta['name']} {meta['version']}",
            "",
            generate_readme(dict(meta)).strip(),
            "",
            "## Intended use",
            "",
            meta["intended_use"],
            "",
            "## Limits",
            "",
            *[f"- {limit}" for limit in meta["limits"]],
            "",
            "## What it was made from",
            "",
            "| Source | Licence | Origin |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def licence_list(meta: Mapping[str, Any]) -> str:
    """Write the licences of the sources as plain text.

    meta (Mapping[str, Any]): What `complete_meta` made.
    RETURNS (str): A paragraph a source.
    """
    stated = [(one["name"], one["url"], one["license"]) for one in meta["sources"]]
    return "\n".join("\n  ".join(filter(None, lines)) + "\n" for lines in stated)


def _linked(source: Mapping[str, str]) -> str:
    return f"[{source['name']}]({source['url']})" if source["url"] else source["name"]


def _may_ship(source: Mapping[str, Any]) -> bool:
    name = re.sub(r"[^a-z0-9]+", "_", source["name"].lower()).strip("_")
    place = _squash(source["name"] + source["url"])
    banned = any(_squash(entry) in place for entry in NEVER_SHIPS)
    known = name not in SCHEMAS or may_ship(name)
    open_ = source.get("redistributable", True) and may_ship(name, source["license"])
    return bool(not banned and known and open_)


def _squash(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _declared_ranges() -> Dict[str, str]:
    declared = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    return {
        requirement.name: ",".join(sorted(map(str, requirement.specifier), reverse=True))
        for requirement in declared
        if requirement.marker is None
    }
