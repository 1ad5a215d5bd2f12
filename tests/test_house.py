"""The house of CONTRIBUTING.md: who may import whom, and what no tracked file may say."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from thinc.api import Config

from clinbert_spacy.corpora.schema import NEVER_SHIPS, SCHEMAS, may_ship

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "clinbert_spacy"
TEXT = {".py", ".md", ".yml", ".cfg", ".toml", ".txt", ".json", ".html"}
PATHS = re.compile(r"(?<![\w./])/(?:work|tmp)/\w|\.\./shared")
HOSTS = re.compile("|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", r"whl/" + "c(?:pu|u1)")))
MAY_NAME_PATHS = {"CONTRIBUTING.md", ".ci/run", "tests/test_house.py"}


def read_arrows():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf8")
    block = re.search(r"<!-- arrows -->\n```\n(.+?)```", text, re.S).group(1)
    pairs = (line.partition("->") for line in block.strip().splitlines())
    return {room.strip(): set(allowed.split()) for room, _, allowed in pairs}


ARROWS = read_arrows()


def room_of(name):
    """The room a first name under the package belongs to."""
    return "cli" if re.fullmatch(r"cli(_\w+)?|__main__", name) else name


def imported(path):
    """Modules of ours that a file imports, as names below the package."""
    package = ["clinbert_spacy", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [
                [*base, *(node.module or "").split("."), alias.name] for alias in node.names
            ]
        else:
            continue
        for name in names:
            parts = [part for part in name if part]
            if parts[0] == "clinbert_spacy" and len(parts) > 1:
                yield ".".join(parts[1:])


def modules():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows(path):
    room = room_of(path.relative_to(PACKAGE).with_suffix("").parts[0])
    assert room in ARROWS or room == "resources", f"{room} is not a room of CONTRIBUTING.md"
    for name in imported(path):
        target = room_of(name.split(".")[0])
        allowed = {room, "__version__", *ARROWS.get(room, ())}
        fits = any(f"{name}.".startswith(f"{door}.") for door in allowed)
        assert target == room or fits, f"{room} may not import {name}"


def test_the_arrows_bite(tmp_path):
    path = PACKAGE / "nets" / "crf.py"
    assert "models.ner" not in ARROWS["nets"] and ARROWS["nets"] == set()
    files = ("record", "schema", "layers", "checks")
    doors = {"attributes", *(f"corpora.{name}" for name in files)}
    assert ARROWS["evaluation"] == doors
    assert not list(imported(path))
    assert "evaluation.evaluate.evaluate" not in set(imported(PACKAGE / "corpora" / "readers.py"))
    assert "corpora.record.AnnotatedNote" in set(imported(PACKAGE / "corpora" / "readers.py"))


@pytest.mark.parametrize("path", sorted((PACKAGE / "nets").glob("*.py")), ids=lambda p: p.name)
def test_nets_know_torch_alone(path):
    tree = ast.parse(path.read_text("utf8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        )
    }  # fmt: skip
    assert names <= {"torch", "typing", "math", "dataclasses"}


def tracked():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    names = done.stdout.splitlines()
    return [n for n in names if (Path(n).suffix in TEXT or n == ".ci/run") and (ROOT / n).is_file()]


def test_no_machine_path_and_no_package_index():
    found = []
    for name in tracked():
        if name.startswith("assets/notes/"):
            continue
        for number, line in enumerate((ROOT / name).read_text("utf8").splitlines(), 1):
            if PATHS.search(line) and name not in MAY_NAME_PATHS or HOSTS.search(line):
                found.append(f"{name}:{number}")
    assert not found


def readers(config):
    """Blocks with sources: corpora of a pipeline, annotated corpora of a pretraining."""
    return [*config.get("corpora", {}).values(), config.get("objectives", {}).get("gold_tags", {})]


def sources(config):
    return [
        (block.get("corpus", name), block.get("licence"))
        for corpus in readers(Config().from_disk(config, interpolate=False))
        for name, block in corpus.get("sources", {}).items()
    ]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.cfg")), ids=lambda p: p.name)
def test_weights_that_ship_see_only_what_may_ship(config):
    ours = config.name.startswith(("product", "quick", "bio_", "pubmed", "pretrain_cpu"))
    names = sources(config)
    assert names or not ours
    for name, licence in names:
        if not name.startswith("$"):
            assert (licence or name in SCHEMAS) and may_ship(name, licence)


def test_banned_sources_are_refused():
    for name in (*NEVER_SHIPS, "unknown corpus"):
        assert not may_ship(name)
    for licence in ("CC BY-NC 4.0", "non-commercial use only", "CC-BY-NC-SA"):
        assert not may_ship("another", licence)


def test_one_version():
    import clinbert_spacy

    assert f"[{clinbert_spacy.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf8")
    project = (ROOT / "project.yml").read_text("utf8")
    assert f'version: "{clinbert_spacy.__version__}"' in project
