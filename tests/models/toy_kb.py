"""A knowledge base of a few invented concepts, as `clinbert build-kb` writes it."""

from pathlib import Path

from clinbert_spacy.training.kb import read_source, write_base

TABLE = """id,name,synonyms,type,comment
X:1,gorbitis,gorb inflammation|Gorb Disease,disease,a
X:2,acute gorbitis,,disease,b
X:3,zanfolin,zanfolin hydrochloride|Zanpro,drug,c
X:4,green cough,viridial cough,symptom,d
X:5,multiple gorb sclerosis,MGS,disease,e
X:6,gorb,,anatomy,f
"""


def write_table(path: Path, text: str = TABLE) -> Path:
    path.write_text(text, "utf8")
    return path


def write_kb(folder: Path) -> Path:
    """Write the toy base into a folder. RETURNS (Path): the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = write_table(folder.parent / "concepts.csv")
    write_base(read_source(table), folder)
    return folder
