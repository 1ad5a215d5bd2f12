"""Every registered name resolves, without an import by hand, and cheaply."""

import configparser
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# pandas, scikit-learn and jinja2 are imported by transformers and spaCy themselves
HEAVY = ("scispacy", "matplotlib", "openpyxl", "lxml", "bioc", "datasets", "fastapi")
REGISTRIES = {
    "spacy_architectures": "architectures",
    "spacy_tokenizers": "tokenizers",
    "spacy_readers": "readers",
    "spacy_scorers": "scorers",
    "spacy_misc": "misc",
    "spacy_callbacks": "callbacks",
    "spacy_annotation_setters": "annotation_setters",
}


def entry_points():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    return [
        (group, *map(str.strip, line.split("=", 1)))
        for group, lines in config["options.entry_points"].items()
        for line in lines.strip().splitlines()
    ]


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("group", "name", "target"), entry_points())
def test_entry_point_resolves(group, name, target):
    module, _, attribute = target.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_names_are_versioned_and_ours():
    for group, name, target in entry_points():
        assert target.startswith("clinbert_spacy."), name
        if group in REGISTRIES:
            assert name.startswith("clinbert.") and name.rsplit(".", 1)[1][0] == "v", name
        elif group == "spacy_factories":
            assert name.startswith("clinbert_")


def test_registered_without_an_import_by_hand():
    wanted = [(group, name) for group, name, _ in entry_points() if group != "console_scripts"]
    code = f"""
import json, sys
import spacy
nlp = spacy.blank("en")
loaded = set(sys.modules)
from spacy_transformers.util import registry
missing = []
for group, name in {wanted!r}:
    if group == "spacy_factories":
        found = nlp.has_factory(name)
    else:
        found = registry.has({REGISTRIES!r}[group], name)
    if not found:
        missing.append(name)
print(json.dumps([missing, sorted(loaded & set({HEAVY!r}))]))
"""
    missing, heavy = json.loads(run_python(code).splitlines()[-1])
    assert not missing, f"not registered, is the package installed anew? {missing}"
    assert not heavy, f"a blank pipeline imports {heavy}"


def imported_by(statement, names):
    """Which of these modules a statement brings in, in a process of its own."""
    code = f"import sys; {statement}; print(*sorted(set({names!r}) & set(sys.modules)))"
    return run_python(code).split()


def test_importing_the_package_imports_nothing_big():
    big = ("torch", "spacy", "numpy", "transformers", "pandas", "sklearn", "pyarrow", *HEAVY)
    assert not imported_by("import clinbert_spacy", big)
    assert run_python("import clinbert_spacy; print(clinbert_spacy.__version__)").strip()


def test_modules_of_factories_bring_in_spacy_alone():
    """spaCy imports all of them for every pipeline, a blank one too."""
    factories = [target for group, _, target in entry_points() if group == "spacy_factories"]
    modules = ", ".join(sorted({target.partition(":")[0] for target in factories}))
    big = ("transformers", "spacy_transformers", "pandas", "sklearn", "scipy", "pyarrow", "jinja2")
    ours = ("clinbert_spacy.models", "clinbert_spacy.nets", "clinbert_spacy.evaluation")
    with_spacy = set(imported_by("import spacy", big))
    found = imported_by(f"import {modules}", (*big, *HEAVY, *ours))
    assert not set(found) - with_spacy
