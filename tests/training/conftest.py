from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import numpy
import pytest

from clinbert_spacy.training import checkpoint
from clinbert_spacy.training.loop import train
from clinbert_spacy.training.state import get_weights

from .toy_training import toy_config


@pytest.fixture(scope="session", autouse=True)
def _no_fsync():
    """Flushing protects from power cuts, which no test makes, and takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", lambda descriptor: None)
        yield


@dataclass
class WholeRun:
    output: Path
    weights: Dict[str, numpy.ndarray]
    infos: List[dict]


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> WholeRun:
    """A run of 21 steps that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole")
    infos: List[dict] = []
    nlp = train(toy_config(), output, on_step=lambda info: infos.append(dict(info)))
    return WholeRun(output, get_weights(nlp), infos)
