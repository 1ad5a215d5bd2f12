"""`clinbert.KnowledgeFusion.v1`: a medical lexicon and its graph beside the encoder's text."""

import copy
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, cast

import numpy
import srsly
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from spacy.tokens import Doc
from thinc.api import Model, Optimizer
from thinc.shims import Shim

from .checkpoint import resolve_name
from .lexicon import Lexicon
from .mentions import Knowledge, describe, flag_names

PLACES = ("input", "output")
LEXICON, VECTORS, METRICS = "lexicon.msgpack.gz", "vectors.safetensors", "metrics.json"
KEY = "vectors"
Vectors = NDArray[numpy.int8]  # directions: the largest number of each is 127


class Graph(NamedTuple):
    """What `clinbert build-graph` wrote.

    lexicon (Lexicon): Names of concepts.
    vectors (Optional[Vectors]): Direction of each concept's vector, zeros where there is none.
        Shape (concepts, width).
    sources (List[Dict[str, Any]]): name, licence and the like of each ontology.
    """

    lexicon: Lexicon
    vectors: Optional[Vectors]
    sources: List[Dict[str, Any]]


class GraphShim(Shim):
    """A lexicon and the vectors of its concepts in a thinc model: data, not weights.

    lexicon (Optional[Lexicon]): None until initialised or loaded. Never changed, so copies of
        the model share it.
    vectors (Optional[Vectors]): None for the lexicon alone.
    """

    lexicon: Optional[Lexicon] = None
    vectors: Optional[Vectors] = None

    def finish_update(self, optimizer: Optimizer) -> None:
        """Nothing here learns."""

    def to_device(self, device_type: str, device_id: int) -> None:
        """Names are looked up on the CPU."""

    def __deepcopy__(self, memo: Dict[int, Any]) -> "GraphShim":
        copied = copy.copy(self)
        memo[id(self)] = copied
        return copied

    def to_bytes(self) -> bytes:
        """Serialise lexicon and vectors. RETURNS (bytes): msgpack."""
        lexicon = b"" if self.lexicon is None else self.lexicon.to_bytes()
        vectors = b"" if self.vectors is None else save_safetensors({KEY: self.vectors})
        return srsly.msgpack_dumps({"lexicon": lexicon, "vectors": vectors})

    def from_bytes(self, data: bytes) -> "GraphShim":
        """Restore what `to_bytes` wrote. RETURNS (GraphShim): The same shim."""
        message = srsly.msgpack_loads(data)
        lexicon, vectors = message["lexicon"], message["vectors"]
        self.lexicon = Lexicon.from_bytes(lexicon) if lexicon else None
        self.vectors = load_safetensors(vectors)[KEY] if vectors else None
        return self


def KnowledgeFusion(
    graph: str,
    vectors: bool = True,
    places: List[str] = ["input", "output"],  # noqa: B006 (spaCy configs need plain defaults)
    dropout: float = 0.1,
    lr_scale: float = 10.0,
) -> Model[List[Doc], Knowledge]:
    """Build the `knowledge` of a `clinbert.ClinicalTransformer.v1`.

    The folder is opened by `initialize` alone; a saved pipeline holds all it needs. The weights
    belong to the encoder that this is given to, and are zero at first: training starts from what
    the encoder says of the text alone.

    graph (str): Folder that `clinbert build-graph` wrote, or `python:package/folder`.
    vectors (bool): Bring in the vectors of concepts too; otherwise kinds and borders of names.
    places (List[str]): `input` adds to the wordpiece embeddings, `output` is gated into the
        finished vectors.
    dropout (float): Share of the mentions that training hides, so that the encoder does not lean
        on the lexicon alone.
    lr_scale (float): Learning rate of the weights as a multiple of the optimizer's.
    RETURNS (Model): Docs to `Knowledge`.
    RAISES (ValueError): A setting out of its range.
    """
    if not places or len(set(places)) < len(places) or not set(places) <= set(PLACES):
        raise ValueError(
            f"places = {json.dumps(list(places))} of clinbert.KnowledgeFusion.v1: expected some of "
            f"{json.dumps(PLACES)}, each once. For no knowledge at all set knowledge = null."
        )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"dropout = {dropout} of clinbert.KnowledgeFusion.v1 is no share of mentions: set "
            "0 <= dropout < 1."
        )
    attrs = {
        "graph": graph,
        "vectors": vectors,
        "places": list(places),
        "dropout": dropout,
        "lr_scale": lr_scale,
        "sources": [],
    }
    return Model("knowledge_fusion", forward, init=init, attrs=attrs, shims=[GraphShim(None)])


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Read the graph, unless one is there already."""
    shim = cast(GraphShim, model.shims[0])
    if shim.lexicon is None:
        found = read_graph(model.attrs["graph"], model.attrs["vectors"])
        shim.lexicon, shim.vectors = found.lexicon, found.vectors
        model.attrs["sources"] = found.sources


def forward(
    model: Model[List[Doc], Knowledge], docs: List[Doc], is_train: bool
) -> Tuple[Knowledge, Callable[[Any], List[Doc]]]:
    """Describe the tokens of Docs; nothing flows back, the weights are the encoder's."""
    shim = cast(GraphShim, model.shims[0])
    if shim.lexicon is None:
        raise ValueError(
            "The knowledge fusion has no lexicon: call nlp.initialize() or load a pipeline."
        )
    hidden = model.attrs["dropout"] if is_train else 0.0
    return describe(shim.lexicon, shim.vectors, docs, hidden), lambda _: docs


def sizes(model: Model[List[Doc], Knowledge]) -> Tuple[int, int]:
    """Tell the sizes of an initialised model. RETURNS (Tuple[int, int]): Flags, vector width."""
    shim = cast(GraphShim, model.shims[0])
    n_flags = len(flag_names(cast(Lexicon, shim.lexicon).kinds))
    return n_flags, 0 if shim.vectors is None else shim.vectors.shape[1]


def read_graph(graph: str, with_vectors: bool) -> Graph:
    """Read a folder of `clinbert build-graph`.

    graph (str): The folder, or `python:package/folder`.
    with_vectors (bool): Whether to read the vectors.
    RETURNS (Graph): What it holds.
    RAISES (ValueError): A file is missing, or vectors do not fit the lexicon.
    """
    folder = Path(resolve_name(graph))
    if not folder.is_dir():
        raise ValueError(
            f"No knowledge graph at '{graph}'. Make one with `clinbert build-graph`, and set "
            "[components.clinbert_transformer.model.knowledge] graph to its folder."
        )
    lexicon = Lexicon.from_disk(folder / LEXICON)
    vectors = read_vectors(folder / VECTORS, len(lexicon.concepts)) if with_vectors else None
    return Graph(lexicon, vectors, read_sources(folder / METRICS))


def read_vectors(path: Path, n_concepts: int) -> Vectors:
    """Read the vectors of concepts as directions in 8 bits, which a wheel has room for.

    path (Path): A safetensors file with the key `vectors`.
    n_concepts (int): Rows that it should have.
    RETURNS (Vectors): Shape (n_concepts, width). The angle to the vector in the file is about
        a hundredth; a row of zeros stays.
    RAISES (ValueError): There is no such file, or the array is another.
    """
    remedy = "Make the graph anew with `clinbert build-graph`, or set vectors = false."
    if not path.is_file():
        raise ValueError(f"No vectors at '{path}'. {remedy}")
    with safe_open(path, framework="np") as opened:
        found = opened.get_tensor(KEY) if KEY in opened.keys() else numpy.zeros(())  # noqa: SIM118
    rows = found.astype("float32")
    if rows.ndim != 2 or len(rows) != n_concepts or not rows.shape[1]:
        raise ValueError(
            f"'{path}' holds '{KEY}' of shape {rows.shape}, expected one row for each of the "
            f"{n_concepts} concepts of the lexicon beside it. {remedy}"
        )
    if not numpy.isfinite(rows).all():
        raise ValueError(f"'{path}' holds vectors that are not finite. {remedy}")
    peaks = numpy.abs(rows).max(axis=1, keepdims=True, initial=0)
    return numpy.rint(127 * rows / numpy.where(peaks > 0, peaks, 1)).astype("int8")


def read_sources(path: Path) -> List[Dict[str, Any]]:
    """Read what a graph was made from, for the card of a pipeline that holds it.

    path (Path): JSON with the key `sources`: of each source, by a short name, title and licence.
    RETURNS (List[Dict[str, Any]]): name, licence and what else is stated of each source.
    RAISES (ValueError): They are not stated.
    """
    stated = json.loads(path.read_text("utf8")).get("sources") if path.is_file() else None
    sources = [{"name": one.get("title"), **one} for one in (stated or {}).values()]
    if not sources or not all(one["name"] and one.get("licence") for one in sources):
        raise ValueError(
            f"'{path}' does not state the sources of the graph: expected the key 'sources' with "
            "title and licence of each. `clinbert build-graph` writes it."
        )
    return [{key: value for key, value in one.items() if key != "title"} for one in sources]
