"""The code blocks of README.md run; the comment above each says whether, or why not."""

import re
import shlex
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf8")
BLOCK = re.compile(r"(?:<!-- test: (?P<mark>.+?) -->\n)?```(?P<kind>\w+)\n(?P<code>.+?)```", re.S)
BLOCKS = [match.groupdict() for match in BLOCK.finditer(TEXT)]
MARKS = ("runs", "runs with the shipped pipeline")
WHEELS = sorted((ROOT / "assets").glob("en_clinbert-*.whl"))


def marked(mark):
    chosen = [(i, block) for i, block in enumerate(BLOCKS) if block["mark"] == mark]
    return [pytest.param(block, id=f"{block['kind']}{i}") for i, block in chosen]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that looks like the repository, for what the blocks write."""
    for name in ("assets", "configs", "project.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("corpus", "metrics", "packages", "training"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The shipped wheel, unpacked where Python can find it."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(WHEELS[-1]) as wheel:
        wheel.extractall(target)
    return target


def run_block(block):
    if block["kind"] == "python":
        exec(compile(block["code"], "README.md", "exec"), {"__name__": "readme"})
        return
    for line in block["code"].replace("\\\n", " ").strip().splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "clinbert", "only our own commands run here"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception}"


def test_every_block_is_marked():
    assert len(BLOCKS) >= 8
    for block in BLOCKS:
        mark = block["mark"] or ""
        assert mark in MARKS or re.match(r"not run \(.+\)$", mark), block["code"]
        assert block["kind"] in ("python", "bash", "ini")
        if block["kind"] == "python":
            assert mark in MARKS, "Python blocks always run"
            compile(block["code"], "README.md", "exec")


def test_it_opens_with_the_two_commands():
    assert BLOCKS[0]["code"] == (
        "pip install -r requirements.txt -e . && python -m spacy project run demo\n"
    )
    assert BLOCKS[1]["code"] == "pip install -r requirements.txt -e '.[test]' && python -m pytest\n"


@pytest.mark.parametrize("block", marked("runs"))
def test_block(block, place):
    run_block(block)


@pytest.mark.weights
@pytest.mark.skipif(not WHEELS, reason="no shipped pipeline under assets/")
@pytest.mark.parametrize("block", marked("runs with the shipped pipeline"))
def test_block_with_the_pipeline(block, place, installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    run_block(block)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_files_it_names_exist():
    for name in re.findall(r"`((?:configs|tests|clinbert_spacy|assets/cards)/[\w/]+\.\w+)`", TEXT):
        assert (ROOT / name).is_file(), name


def test_the_project_section_is_up_to_date(tmp_path):
    from weasel.cli.document import project_document

    copy = tmp_path / "README.md"
    copy.write_text(TEXT, "utf8")
    project_document(ROOT, copy)
    assert copy.read_text("utf8") == TEXT, "run: python -m spacy project run document"
