"""A toy ADE corpus: positive sentences say "rash", so that they can be told from the others."""

from pathlib import Path
from typing import List

DRUGS = ["aspirin", "lisinopril"]


def write_ade(folder: Path, n_papers: int = 40) -> Path:
    """Write DRUG-AE.rel and ADE-NEG.txt: of each paper one positive and two other sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    positive: List[str] = []
    negative: List[str] = []
    for number in range(n_papers):
        name, drug = str(10001 + number), DRUGS[number % 2]
        sentence = f"The patient number {number} has rash after {drug}."
        at = sentence.index(drug)
        place = sentence.index("rash")
        positive.append(f"{name}|{sentence}|rash|{place}|{place + 4}|{drug}|{at}|{at + len(drug)}")
        negative.append(f"{name} NEG The patient number {number} takes {drug} daily.")
        negative.append(f"{name} NEG Number {number} was given {drug} for hypertension.")
    (folder / "DRUG-AE.rel").write_text("\n".join(positive) + "\n")
    (folder / "ADE-NEG.txt").write_text("\n".join(negative) + "\n")
    return folder
