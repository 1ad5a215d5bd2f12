"""Start and memory of a pipeline, each measured in a fresh process."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

from .speed_sets import check_positive, count_words, join_to_bytes

LONG_NOTE_BYTES = 1_000_000
CHILD = Path(__file__).with_name("footprint_child.py")
# not `-m`, which would import this package first
START = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
ERROR_KIND = r"^(?:[a-z_]+\.)*[A-Z]\w*(?:Error|Exception|Interrupt)(?=:|$)"


def measure_footprint(
    pipeline: str,
    texts: Sequence[str],
    *,
    batch_size: int = 32,
    memory_notes: Optional[int] = None,
    long_bytes: Optional[int] = None,
    gpu_id: int = -1,
    threads: Optional[int] = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Measure what a pipeline costs before and beside its speed.

    pipeline (str): an installed package or a folder. texts (Sequence[str]): ordinary notes.
    batch_size (int): notes a batch. memory_notes (Optional[int]): length of a stream of notes
        whose memory is looked at every tenth; None: no stream.
    long_bytes (Optional[int]): size of the long note; None: 1 MB.
    gpu_id (int): number of the GPU, -1 for the CPU.
    threads (Optional[int]): None: as many as a new process takes.
    progress (Callable): called with 1 after each process.
    RETURNS (Dict[str, Any]): "cold start" (seconds by step, total), "ordinary" and "long note"
        (loaded_mb, peak_mb), "stream" (points, growth_mb from the 2nd to the last tenth).
    RAISES (ValueError): no word, a number below 1, or a process that failed.
    """
    words = [text for text in texts if text.strip()]
    if not count_words(words):
        raise ValueError(f"No footprint without a word: found {len(texts)} blank notes.")
    shared = {"pipeline": pipeline, "batch_size": batch_size, "gpu_id": gpu_id, "threads": threads}
    long_note = join_to_bytes(words, long_bytes or LONG_NOTE_BYTES)
    tasks: Dict[str, Dict[str, Any]] = {
        "cold start": {"task": "cold start", "texts": words[:2]},
        "ordinary": {"task": "peak", "texts": list(texts)},
        "long note": {"task": "peak", "texts": [long_note]},
    }
    if memory_notes is not None:
        check_positive("notes of the stream", memory_notes)
        tasks["stream"] = {"task": "stream", "texts": list(texts), "n_notes": memory_notes}
    found = {}
    for name, task in tasks.items():
        found[name] = run_task({**task, **shared})
        progress(1)
    found["long note"]["bytes"] = len(long_note.encode("utf8"))
    return found


def run_task(task: Dict[str, Any]) -> Dict[str, Any]:
    """Run a task of `footprint_child` in a fresh process; notes travel through its stdin.

    task (Dict[str, Any]): what `footprint_child` expects. RETURNS (Dict[str, Any]): its figures.
    RAISES (ValueError): the process failed; names the kind of error, as its text may quote a note.
    """
    done = subprocess.run(
        [sys.executable, "-c", START, str(CHILD)], input=json.dumps(task), capture_output=True,
        text=True, encoding="utf8",
    )  # fmt: skip
    if done.returncode:
        raise ValueError(
            f"The process that measured the {task['task']} of {task['pipeline']} ended with code "
            f"{done.returncode} ({error_kind(done.stderr)}). Does `clinbert annotate` run with it?"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def error_kind(stderr: str) -> str:
    """The type of the last error of a traceback, without its message, which may quote a note."""
    kinds = re.findall(ERROR_KIND, stderr, re.MULTILINE)
    return kinds[-1] if kinds else "no error named"
