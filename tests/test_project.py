"""project.yml, configs, cards, lock and .ci/run fit each other and the command line."""

import configparser
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import spacy
import srsly
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import DocBin
from spacy.util import registry
from thinc.api import Config, ConfigValidationError
from weasel.util import load_project_config

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.convert import convert
from clinbert_spacy.corpora.fetch import fetch
from clinbert_spacy.corpora.schema import SCHEMAS
from clinbert_spacy.training.card import complete_meta
from clinbert_spacy.training.loop import train
from clinbert_spacy.training.packaging import build_package

ROOT = Path(__file__).parent.parent
CLI = typer.main.get_command(app)
RAW = srsly.read_yaml(ROOT / "project.yml")
PREFIX = "python -m clinbert_spacy "
# Read for sections, classes or summaries: no schema of mentions.
NO_MENTIONS = {
    "mtsamples", "mts_dialog", "aci_bench", "medical_abstracts", "mediqa2021_rrs", "mediqa2021_mas",
}  # fmt: skip
GPU_KEYS = {
    "system.gpu_allocator",
    "nlp.batch_size",
    "components.clinbert_transformer.max_batch_items",
    "components.clinbert_transformer.model.batch_pieces",
}
TOY = {
    "components.clinbert_transformer.model.window": 20,
    "components.clinbert_transformer.model.context": 4,
    "components.clinbert_transformer.model.precision": "float32",
    "training.batcher.size": 200,
    "training.max_steps": 2,
    "training.eval_frequency": 2,
    "training.optimizer.learn_rate.warmup_steps": 1,
}


def project(**overrides):
    return load_project_config(ROOT, overrides={f"vars.{k}": v for k, v in overrides.items()})


def scripts():
    return [(c["name"], line) for c in project()["commands"] for line in c["script"]]


def read_config(name):
    return Config().from_disk(ROOT / "configs" / name, interpolate=False)


def flatten(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def lock(name="requirements.txt"):
    lines = (ROOT / name).read_text("utf8").splitlines()
    return [Requirement(x) for x in lines if x.strip() and not x.startswith(("#", "-r"))]


def test_workflows_name_commands():
    names = {command["name"] for command in RAW["commands"]}
    names_of_flows = {"demo", "quick", "all", "out-of-style", "bench-bc5cdr", "bench-ncbi"}
    assert names_of_flows <= set(RAW["workflows"])
    for steps in RAW["workflows"].values():
        assert set(steps) <= names


def test_lists_survive_the_variables():
    for raw, command in zip(RAW["commands"], project()["commands"], strict=True):
        assert command["help"] and command["script"]
        for key in ("deps", "outputs", "script"):
            values = command.get(key) or []
            assert len(values) == len(raw.get(key) or []), command["name"]
            assert not any("${" in value or ", " in value for value in values)


@pytest.mark.parametrize(("name", "line"), scripts())
def test_commands_exist_and_take_these_options(name, line):
    words = shlex.split(line)
    assert not {"|", "&&", ";", ">", "<"} & set(words) and "*" not in line, "no shell runs this"
    assert words[:2] == ["python", "-m"]
    if words[2] != "clinbert_spacy":
        return
    command, rest = CLI.commands[words[3]], words[4:]
    if set(rest[:1]) & set(getattr(command, "commands", ())):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {word for one in command.params for word in (*one.opts, *one.secondary_opts)}
    takes_settings = command.context_settings.get("ignore_unknown_options")
    for word in rest:
        if word.startswith("--") and not (takes_settings and "." in word):
            assert word in known, f"clinbert {words[3]} has no {word}"


def test_overridden_settings_stand_in_the_configs():
    for _, line in scripts():
        words = shlex.split(line)
        if words[2:4] != ["clinbert_spacy", "train"]:
            continue
        settings = dict(flatten(read_config(Path(words[4]).name)))
        dotted = [word[2:] for word in words if word.startswith("--") and "." in word]
        assert set(dotted) <= set(settings)


def test_files_of_the_repository_exist():
    for command in project()["commands"]:
        for path in command.get("deps") or []:
            if path.startswith(("configs/", "assets/cards/", "assets/notes", "assets/splits")):
                assert (ROOT / path).exists(), path


def test_steps_can_be_shortened():
    line = next(c for c in project(steps=20, every=10)["commands"] if c["name"] == "train-quick")
    assert "--training.max_steps 20 --training.eval_frequency 10" in line["script"][0]


def test_installed_wheels_are_what_is_evaluated():
    for _, line in scripts():
        if "clinbert_spacy evaluate" in line and "--data assets/notes/test" in line:
            assert shlex.split(line)[4].startswith("en_clinbert")


def test_every_asset_says_whence_and_under_which_licence():
    by_folder = {"ncbi_disease": "ncbi", "maccrobat2020": "maccrobat", "ade_corpus_v2": "ade"}
    for asset in RAW["assets"]:
        name = Path(asset["dest"]).name
        assert asset["licence"] and asset["description"] and asset["extra"] is True
        if asset.get("on_request"):  # no annotated corpus
            assert asset["digests"] and ("git" in asset) != ("remedy" in asset)
            continue
        if "git" not in asset:
            assert asset["remedy"] and "checksum" not in asset
            continue
        assert re.fullmatch(r"[0-9a-f]{40}", asset["git"]["commit"]) and asset["git"]["path"]
        assert all(re.fullmatch(r"[0-9a-f]{32}", digest) for digest in asset["digests"].values())
        if name not in NO_MENTIONS:
            assert asset["licence"] == SCHEMAS[by_folder.get(name, name)].licence


def test_no_data_goes_into_version_control():
    paths = [f"{asset['dest']}/note.txt" for asset in RAW["assets"]]
    done = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert done.stdout.splitlines() == paths


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
def test_corpora_at_hand_have_the_digests(tmp_path):
    (tmp_path / "project.yml").write_text((ROOT / "project.yml").read_text("utf8"), "utf8")
    results = fetch(tmp_path / "project.yml", from_folder=os.environ["CLINBERT_CORPORA"])
    private = {Path(a["dest"]).name for a in RAW["assets"] if "git" not in a}
    assert {r.name for r in results if r.status == "copied"} == {r.name for r in results} - private


@pytest.mark.parametrize("name", ["product", "bench"])
def test_gpu_configs_differ_in_device_settings_alone(name):
    cpu, gpu = (dict(flatten(read_config(f"{name}_{device}.cfg"))) for device in ("cpu", "gpu"))
    assert set(cpu) == set(gpu)
    assert {key for key in cpu if cpu[key] != gpu[key]} == GPU_KEYS
    assert gpu["system.gpu_allocator"] == "pytorch"


def test_checkpoint_traps_are_set():
    key = "components.clinbert_transformer.model.tokenizer_config"
    for name, encoder, lower in (
        ("bio_clinicalbert.cfg", "emilyalsentzer/Bio_ClinicalBERT", False),
        ("pubmedbert.cfg", "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", True),
    ):
        settings = dict(flatten(read_config(name)))
        assert settings["paths.encoder"] == encoder
        expected = {"use_fast": True, "do_lower_case": lower, "model_max_length": 512}
        assert {k.rsplit(".", 1)[1]: v for k, v in settings.items() if key in k} == expected


# Pretrains, generates, or trains nothing.
OTHER = ("pretrain", "abstractive", "bench_abstractive", "assemble")
PIPELINES = [p for p in (ROOT / "configs").glob("*.cfg") if not p.name.startswith(OTHER)]


@pytest.mark.parametrize("path", sorted(PIPELINES), ids=lambda p: p.name)
def test_configs_build(path, checkpoint, make_nlp, make_examples, tmp_path):
    trained = make_nlp()
    for name in ("clinbert_sentences", "clinbert_sections"):
        trained.add_pipe(name, before="clinbert_ner")
    trained.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    trained.add_pipe("clinbert_side_effects")
    trained.initialize(lambda: make_examples(trained))
    trained.to_disk(tmp_path / "trained")
    headings = spacy.blank("en")
    for name in ("clinbert_sentences", "clinbert_sections"):
        headings.add_pipe(name)
    headings.to_disk(tmp_path / "headings")
    here = {"encoder": str(checkpoint), "start": str(tmp_path / "trained")}
    here["sections"] = str(tmp_path / "headings")
    paths = read_config(path.name)["paths"]
    given = {key: here.get(key, "x") for key in paths if key in here or paths[key] is None}
    overrides = {f"paths.{key}": value for key, value in given.items()}
    config = spacy.util.load_config(path, overrides=overrides)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True, validate=True)
    reading = [
        "clinbert_transformer", "clinbert_sentences", "clinbert_sections", "clinbert_ner",
        "clinbert_assertion",
    ]  # fmt: skip
    relations = [*reading, "clinbert_side_effects"]
    ade = ["clinbert_transformer", "clinbert_sentences", "clinbert_ner", "clinbert_side_effects"]
    expected = {
        "bench_ade_cpu.cfg": ["clinbert_transformer", "textcat"],
        "sections_cpu.cfg": ["clinbert_sentences", "clinbert_sections"],
        "bench_ade_relations_cpu.cfg": ade,
        "quick_cpu.cfg": relations,
        "relations_head_cpu.cfg": relations,
        "joint_cpu.cfg": relations,
        "summary_cpu.cfg": [*relations, "clinbert_summary"],
        "chapters_cpu.cfg": [*relations, "textcat_multilabel"],
        "bench_summary_cpu.cfg": [*relations, "clinbert_summary"],
        "encounter_cpu.cfg": [*relations, "clinbert_encounter"],
        "bench_classes_cpu.cfg": ["clinbert_transformer", "clinbert_sentences", "textcat"],
        "bench_specialties_cpu.cfg": [
            "clinbert_transformer", "clinbert_sentences", "textcat_multilabel",
        ],
        "reading_cpu.cfg": reading,
        "reading_head_cpu.cfg": reading,
    }
    assert nlp.pipe_names == expected.get(path.name, ["clinbert_transformer", "clinbert_ner"])
    filled = nlp.config.interpolate()
    assert registry.resolve(filled["training"], schema=ConfigSchemaTraining)["max_steps"] > 0
    assert set(registry.resolve(filled["corpora"])) == {"train", "dev"}


def test_the_pipeline_that_ships_is_put_together(make_nlp, make_examples, tmp_path):
    """Its parts come from folders of their own, each with the same encoder."""
    nlp = make_nlp()
    for name in ("clinbert_sentences", "clinbert_sections"):
        nlp.add_pipe(name, before="clinbert_ner")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    nlp.add_pipe("clinbert_side_effects")
    listens = {
        "@architectures": "clinbert.TransformerListener.v1", "upstream": "clinbert_transformer",
        "pooling": {"@layers": "reduce_mean.v1"},
    }  # fmt: skip
    for name, factory in (("textcat_multilabel",) * 2, ("clinbert_encounter", "textcat")):
        model = {
            "@architectures": "clinbert.LongTextCat.v1", "tok2vec": listens,
            "exclusive_classes": factory == "textcat",
            "aggregator": {"@misc": "clinbert.MeanAggregator.v1"},
            "cut": {"@misc": "clinbert.Passages.v1"},
        }  # fmt: skip
        nlp.add_pipe(factory, name=name, config={"model": model})
        labels = {"labels": [f"{name}_a", f"{name}_b"]}
        nlp.config["initialize"]["components"][name] = labels
    nlp.add_pipe("clinbert_summary")
    examples = make_examples(nlp)
    for example in examples:
        example.reference.cats = {
            "textcat_multilabel_a": 0.0, "textcat_multilabel_b": 0.0,
            "clinbert_encounter_a": 1.0, "clinbert_encounter_b": 0.0,
        }
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "parts")
    parts = {key: str(tmp_path / "parts") for key in ("start", "chapters", "encounter", "summary")}
    given = [f"--paths.{key}={value}" for key, value in parts.items()]
    config, output = ROOT / "configs" / "assemble_cpu.cfg", tmp_path / "whole"
    command = [sys.executable, "-m", "spacy", "assemble", str(config), str(output), *given]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    whole = spacy.load(output)
    assert whole.pipe_names[-4:] == [
        "textcat_multilabel", "clinbert_encounter", "clinbert_evidence", "clinbert_summary",
    ]  # fmt: skip
    text = examples[0].reference.text
    doc, expected = whole(text), nlp(text)
    assert doc.cats == pytest.approx(expected.cats, abs=1e-3)
    assert doc.spans["clinbert_evidence"].attrs["decisions"].keys() == doc.cats.keys()
    assert "clinbert_summary" in doc.spans


def test_misspelt_keys_are_refused():
    config = spacy.util.load_config(ROOT / "configs" / "quick_cpu.cfg", interpolate=True)
    config["components"]["clinbert_ner"]["treshold"] = 0.5
    with pytest.raises(ConfigValidationError, match="treshold"):
        spacy.util.load_model_from_config(config, auto_fill=True, validate=True)


def test_quick_config_trains(checkpoint, tmp_path):
    paths = {"paths.encoder": str(checkpoint), "paths.notes": str(ROOT / "assets" / "notes")}
    train(ROOT / "configs" / "quick_cpu.cfg", tmp_path / "out", overrides={**TOY, **paths})
    about = srsly.read_yaml(ROOT / "assets" / "cards" / "quick.yml")
    wheel = build_package(
        tmp_path / "out" / "model-best", tmp_path, name="en_toy", version="0.1.0",
        meta={**about, "performance": {"ents_f": 0.1}},
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    nlp = spacy.load(next((tmp_path / "installed" / "en_toy").glob("en_toy-*")))
    assert len(nlp.get_pipe("clinbert_ner").labels) == 13
    assert nlp("Aspirin.")._.clinbert_coverage["tokens"] == 2


def test_own_labels_config_trains(checkpoint, tmp_path):
    paths = {"paths.encoder": str(checkpoint)}
    for part in ("train", "dev"):
        paths[f"paths.{part}"] = str(tmp_path / f"{part}.spacy")
        convert(ROOT / "assets" / "notes" / "dev", "brat", paths[f"paths.{part}"], scheme="own")
    n_notes = len(list((ROOT / "assets" / "notes" / "dev").glob("*.ann")))
    assert len(DocBin().from_disk(paths["paths.dev"])) == n_notes
    train(ROOT / "configs" / "own_labels_cpu.cfg", tmp_path / "out", overrides={**TOY, **paths})
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert "DRUG" in nlp.get_pipe("clinbert_ner").labels


def test_cards_say_what_the_configs_train_on():
    product = (
        "product_cpu.cfg", "sections_cpu.cfg", "reading_head_cpu.cfg", "relations_head_cpu.cfg",
        "joint_cpu.cfg", "chapters_cpu.cfg", "encounter_cpu.cfg", "summary_cpu.cfg",
    )  # fmt: skip
    for card, names in (("en_clinbert", product), ("quick", ["quick_cpu.cfg"])):
        about = srsly.read_yaml(ROOT / "assets" / "cards" / f"{card}.yml")
        assert "performance" not in about, "figures come from files, not from the card"
        sources = {source["name"]: source for source in about["sources"]}
        trained = [read_config(name)["corpora"]["train"]["sources"].items() for name in names]
        corpora = {block.get("corpus", key) for blocks in trained for key, block in blocks}
        assert set(sources) == corpora | {"clinbert-mini", "all-MiniLM-L6-v2"}
        known = corpora & set(SCHEMAS)
        assert all(sources[corpus]["license"] == SCHEMAS[corpus].licence for corpus in known)
        public = {Path(asset["dest"]).name: asset["licence"] for asset in RAW["assets"]}
        others = (corpora - known) & set(public)
        assert all(sources[corpus]["license"] == public[corpus] for corpus in others)
        given = {**about, "performance": {"f": 1}}
        meta = complete_meta({"lang": "en"}, given, name="x", version="1")
        assert "Not a medical device" in meta["intended_use"]


def test_the_lock_is_exact_and_within_the_ranges():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    pins = {}
    for requirement in [*lock(), *lock("requirements-train.txt")]:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and "+" not in specifier.version and not requirement.url
        pins.setdefault(canonicalize_name(requirement.name), []).append(specifier.version)
    ranges = config["options"]["install_requires"]
    for extra in ("train", "test"):
        ranges += config["options.extras_require"][extra]
    for line in filter(None, map(str.strip, ranges.splitlines())):
        wanted = Requirement(line)
        for version in pins[canonicalize_name(wanted.name)]:
            assert wanted.specifier.contains(version), line


def test_the_lock_names_no_index():
    for name in ("requirements.txt", "requirements-train.txt"):
        for line in (ROOT / name).read_text("utf8").splitlines():
            assert "://" not in line and not line.startswith(("--", "-i", "-f"))


def test_ci_runs_the_two_commands_of_the_readme():
    blocks = re.findall(r"```bash\n(.+?)\n```", (ROOT / "README.md").read_text("utf8"), re.S)
    lines = (ROOT / ".ci" / "run").read_text("utf8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for command in blocks[:2]:
        assert f"\n{command} || exit 1\n" in lines
