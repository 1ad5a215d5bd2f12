"""A note of over a megabyte: read whole, in bounded memory."""

import json
import subprocess
import sys

SCRIPT = """
import json, resource, sys
import spacy

nlp = spacy.load(sys.argv[1])
nlp("the patient takes aspirin daily")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text = "the patient denies fever and nausea after aspirin 10 mg daily\\n" * 20_000
doc = nlp(text)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert doc.text == text
print(json.dumps({"characters": len(text), "peak": peak, **doc._.clinbert_coverage}))
"""


def test_a_note_over_a_megabyte(make_nlp, make_examples, tmp_path):
    nlp = make_nlp(window=62, context=8)
    nlp.config["nlp"]["after_pipeline_creation"] = {"@callbacks": "clinbert.max_length.v1"}
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "nlp")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "nlp")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["characters"] > 1_200_000
    assert found["truncated"] == 0 and found["unknown"] == 0
    assert found["wordpieces"] > 200_000
    # 32 numbers a piece would be 40 MB; a quadratic step anywhere would be gigabytes.
    unit = 1 if sys.platform == "darwin" else 1024
    assert found["peak"] * unit < 1.5e9
