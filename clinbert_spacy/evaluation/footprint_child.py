"""One measurement of start or memory, in a process of its own; imports nothing before it measures.

Run as a file: a task as JSON on stdin, what was measured as JSON on the last line of stdout.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

TENTHS = 10
KB = 1024


def cold_start(task: Dict[str, Any]) -> Dict[str, Any]:
    """Seconds of everything that stands before the second note of a user."""
    seconds: Dict[str, float] = {}
    held: Dict[str, Any] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = work()
        seconds[name] = time.perf_counter() - start
        return found

    for name in ("spacy", "spacy_transformers", "clinbert_spacy"):
        held[name] = step(f"import {name}", lambda name=name: __import__(name))
    use_machine(task)
    nlp = step("load", lambda: held["spacy"].load(task["pipeline"]))
    first, second = (task["texts"] * 2)[:2]
    step("first note", lambda: nlp(first))
    step("second note", lambda: nlp(second))
    return {"seconds": seconds, "total": sum(seconds.values())}


def peak(task: Dict[str, Any]) -> Dict[str, Any]:
    """Highest resident memory while notes go through a pipeline, and what loading alone took."""
    nlp = load(task)
    loaded = peak_mb()
    for _ in nlp.pipe(task["texts"], batch_size=task["batch_size"]):
        pass
    return {"loaded_mb": loaded, "peak_mb": peak_mb()}


def stream(task: Dict[str, Any]) -> Dict[str, Any]:
    """Resident memory at every tenth of a long stream of notes whose Docs are thrown away."""
    nlp, texts, n_notes = load(task), task["texts"], task["n_notes"]
    marks = {n_notes * (i + 1) // TENTHS for i in range(TENTHS)}
    points: List[Dict[str, float]] = []
    notes = (texts[i % len(texts)] for i in range(n_notes))
    for number, _ in enumerate(nlp.pipe(notes, batch_size=task["batch_size"]), 1):
        if number in marks:
            points.append({"notes": number, "resident_mb": resident_mb()})
    growth = points[-1]["resident_mb"] - points[min(1, len(points) - 1)]["resident_mb"]
    return {"points": points, "growth_mb": growth}


def load(task: Dict[str, Any]) -> Any:
    """Load the pipeline of a task, able to read its longest note."""
    import spacy

    use_machine(task)
    nlp = spacy.load(task["pipeline"])
    nlp.max_length = max([nlp.max_length, *(len(text) + 1 for text in task["texts"])])
    return nlp


def use_machine(task: Dict[str, Any]) -> None:
    """Take the threads and the GPU of a task."""
    if task.get("threads"):
        import torch

        torch.set_num_threads(task["threads"])
    if task.get("gpu_id", -1) >= 0:
        from thinc.api import require_gpu

        require_gpu(task["gpu_id"])


def peak_mb() -> int:
    """Highest resident memory of this process so far, in MB.

    Not from `getrusage` on Linux: there a process starts with the peak of the one it came from.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text("utf8").splitlines()
        return round(int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / KB)
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(found / (KB**2 if sys.platform == "darwin" else KB))


def resident_mb() -> float:
    """Resident memory of this process now, in MB; where no system tells, the highest so far."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return round(int(statm.read_text("utf8").split()[1]) * resource.getpagesize() / KB**2, 1)
    return float(peak_mb())


TASKS: Dict[str, Callable[[Dict[str, Any]], Dict[str, Any]]] = {
    "cold start": cold_start,
    "peak": peak,
    "stream": stream,
}

if __name__ == "__main__":
    given = json.load(sys.stdin)
    measured = json.dumps(TASKS[given["task"]](given))
    sys.stdout.write("\n" + measured + "\n")
