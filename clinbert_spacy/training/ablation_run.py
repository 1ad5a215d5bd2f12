"""Fill the table of an ablation: a process a cell, results kept as they come."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from .ablation import Cell
from .ablation_encoders import Encoder

LAUNCHER = (sys.executable, "-m", "clinbert_spacy")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOG = "log.txt"
Outcome = Tuple[Cell, Optional[Dict[str, Any]], str]


def read_results(path: Path) -> Dict[str, Dict[str, Any]]:
    """Read what earlier runs found.

    path (Path): JSON lines; need not exist. A last line that a kill cut short does not count.
    RETURNS (Dict[str, Dict[str, Any]]): records by the key of their cell.
    RAISES (ValueError): another line is no record.
    """
    if not path.is_file():
        return {}
    lines = path.read_text("utf8").split("\n")
    # what follows the last line end was not written to its end
    found = [(number, _read_record(line)) for number, line in enumerate(lines[:-1], 1) if line]
    for number, record in found:
        if record is None:
            raise ValueError(f"{path}:{number}: expected a result of `clinbert ablate`.")
    return {record["key"]: record for _, record in found if record}


def _read_record(line: str) -> Optional[Dict[str, Any]]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    fits = isinstance(record, dict) and {"key", "result"} <= set(record)
    return record if fits else None


def append_result(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record to the results, on the disk when this returns.

    path (Path): JSON lines; made if it is not there. record (Mapping[str, Any]): what it holds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_short(path)
    with path.open("a", encoding="utf8", newline="\n") as file_:
        file_.write(json.dumps(record, ensure_ascii=False) + "\n")
        file_.flush()
        os.fsync(file_.fileno())


def cut_short(path: Path) -> None:
    """Take off what a kill left after the last line end."""
    if path.is_file():
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(path, whole)


class Runner:
    """Trains and scores cells in processes of their own.

    work (Path): a folder a cell is made here. threads (int): of each process.
    gpu_id (int): number of the GPU, -1 for the CPU.
    """

    def __init__(self, work: Path, threads: int = 1, gpu_id: int = -1) -> None:
        self.work, self.gpu_id = work, gpu_id
        self.environment = make_environment(threads)
        self._live: Set[subprocess.Popen] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run_all(self, cells: Sequence[Cell], parallel: int = 1) -> Iterator[Outcome]:
        """Run cells, several at a time; those that fail do not stop the others.

        cells (Sequence[Cell]): no key twice. parallel (int): how many at a time.
        YIELDS (Outcome): cell, its record (None if it failed) and why it failed, as they end.
        """
        pool = ThreadPoolExecutor(parallel)
        futures: Dict[Future, Cell] = {pool.submit(self.run, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                error = future.exception()
                record = None if error else future.result()
                yield futures[future], record, " ".join(str(error or "").split())
        finally:
            self.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def run(self, cell: Cell) -> Dict[str, Any]:
        """Train a cell and score it; a training that was interrupted goes on.

        cell (Cell): the cell.
        RETURNS (Dict[str, Any]): its record: place, key, config, seconds and result.
        RAISES (ValueError): a process failed; names the cell, its last line and its log.
        """
        folder, start = self.folder(cell), time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        config, result = folder / "config.cfg", folder / "result.json"
        config.write_text(cell.config, "utf8")
        model, device = folder / "model", ["--gpu-id", str(self.gpu_id)]
        train = ["train", str(config), "--output", str(model), "--resume", *device]
        self._call(cell.name, folder, train)
        command, *options = cell.evaluate
        given = [command, str(model / cell.weights), *options, *device]
        self._call(cell.name, folder, [*given, "--output", str(result)])
        return {
            "key": cell.key,
            "row": cell.row,
            "set": cell.set,
            "seed": cell.seed,
            "seconds": round(time.monotonic() - start),
            "weights": cell.weights,
            "evaluate": list(cell.evaluate),
            "config": cell.config,
            "result": json.loads(result.read_text("utf8")),
        }

    def pretrain(self, encoder: Encoder) -> None:
        """Make an encoder; a pretraining that was interrupted goes on.

        encoder (Encoder): what to make.
        RAISES (ValueError): the process failed; names the encoder, its last line and its log.
        """
        folder = encoder.folder
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.cfg"
        config.write_text(encoder.config, "utf8")
        device = "cpu" if self.gpu_id < 0 else f"cuda:{self.gpu_id}"
        words = ["pretrain", str(config), "--output", str(folder), "--resume", "--no-plot"]
        words += ["--training.device", device]
        self._call(f"encoder {encoder.name}", folder, words)

    def folder(self, cell: Cell) -> Path:
        """Where a cell is trained."""
        return self.work / cell.key

    def clean(self, cell: Cell) -> None:
        """Delete what a cell left in its folder."""
        shutil.rmtree(self.folder(cell), ignore_errors=True)

    def stop(self) -> None:
        """End the processes that still run; no other one begins."""
        with self._lock:
            self._stopped = True
            for process in self._live:
                process.terminate()

    def _call(self, name: str, folder: Path, words: List[str]) -> None:
        log = folder / LOG
        with log.open("a", encoding="utf8") as file_:
            process = self._start(name, words, file_)
            code = process.wait()
        with self._lock:
            self._live.discard(process)
        if code:
            lines = log.read_text("utf8", errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "nothing")
            raise ValueError(
                f"{name}: `clinbert {words[0]}` ended with code {code}, its last line: "
                f"{last.strip()[:300]!r}. See {log}, and run again to go on."
            )

    def _start(self, name: str, words: List[str], log: IO[str]) -> subprocess.Popen:
        # under the lock: a process begins before stop() or not at all
        with self._lock:
            if self._stopped:
                raise ValueError(f"{name}: stopped before `{words[0]}`. Run again to go on.")
            command = [*LAUNCHER, *words]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)
            self._live.add(process)
        return process


def make_environment(threads: int) -> Dict[str, str]:
    """The environment of a cell: so many threads, and no settings that its key does not hold.

    threads (int): threads of each numerical library.
    RETURNS (Dict[str, str]): variables by name.
    """
    ours = {**dict.fromkeys(THREADS, str(threads)), "TOKENIZERS_PARALLELISM": "false"}
    kept = {key: value for key, value in os.environ.items() if key != "SPACY_CONFIG_OVERRIDES"}
    return {**kept, **ours}
