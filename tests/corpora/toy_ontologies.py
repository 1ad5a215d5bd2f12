"""Seven tiny ontologies, invented, in the layouts of the real ones."""

import gzip
import json

ICD_HEADER = "order_number,icd10cm_code,valid_billing_code,icd10cm_long_description"
MONDO_HEADER = "# a comment\nsubject_id\tsubject_label\tpredicate_id\tobject_id\tobject_label"
OBO = """format-version: 1.2

[Term]
id: DOID:1
name: gorbitis
synonym: "Gorb inflammation (disorder)" EXACT [X:1]
synonym: "big gorbitis" NARROW []

[Term]
id: DOID:9
name: old thing
synonym: "older thing" EXACT []
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
RXNORM = [
    {"Name": "zanfolin", "RXCUI": "11", "TTY": "IN", "UNII": "U1", "SCDCs": [{"SCDs": [{"SBDs": [
        {"Name": "zanfolin 5 MG Oral Tablet [Zanpro]"},
        {"Name": "quibrox 2 MG / zanfolin 5 MG Oral Tablet [Zanquib]"},
        {"Name": "quibrox 2 MG Oral Tablet [Elsewhere]"},
    ]}]}]},
    {"Name": "quibrox", "RXCUI": "12", "TTY": "IN"},
    {"Name": "quibrox / zanfolin", "RXCUI": "13", "TTY": "MIN", "SCDCs": [{"SCDs": [{"SBDs": [
        {"Name": "quibrox 2 MG / zanfolin 5 MG Oral Tablet [Zanquib]"},
    ]}]}]},
    {"Name": "zanfolin hydrochloride", "RXCUI": "14", "TTY": "PIN"},
]  # fmt: skip
FILES = {
    "disease_ontology": {
        "HumanDO.tsv": "id\tlabel\tsubClassOf\n"
        '"DOID:1"\t"gorbitis"\t"gorb disease"\n"DOID:2"\t"gorb disease"\t"disease"\n'
        '"DOID:3"\t"acute gorbitis"\t"gorbitis"\n',
        "allXREFinDO.tsv": "id\tlabel\txref\nDOID:1\tgorbitis\tMESH:D101\n"
        "DOID:1\tgorbitis\tICD10CM:K01.1\nDOID:1\tgorbitis\tGARD:5\n",
        "DO-subClassOf-anonymous.tsv": "ID\tLABEL\tSubClass Of [ANON]\n"
        "DOID:1\tgorbitis\t'has symptom' some 'green cough'|'has symptom' some fever|"
        "'disease has location' some gorb|'derives from' some slime\n",
        "doid-2016-03-04.obo": OBO,
    },
    "drugbank_vocabulary": {
        "drugbank_vocabulary.csv": "Column1;Column2;Column3;Column4\n"
        "DrugBank ID;Common name;UNII;Synonyms\n"
        "DB00001;Zanfolin;U1;Zanfoline | (+)-2,3-zan-folin\nDB00002;Aquibrox;;\n",
    },
    "icd10cm": {
        "icd10cm.csv": f"{ICD_HEADER}\n1,K01,0.0,Disorders of gorb\n"
        '2,K011,1.0,"Gorbitis, unspecified"\n3,K0112,1.0,Other gorbitis in diseases elsewhere\n'
        "4,R05,1.0,Rattle\n5,V011,1.0,Hit by a tram\n6,K011234,1.0,Gorbitis of left gorb\n",
    },
    "mesh_2015": {
        "terms.tsv": "mesh_id\tmesh_name\nD101\tGorbitis, Plain\nD102\tGorb Diseases\n"
        "D103\tZanfolin\nD104\tGorb\nD105\tGorbectomy\nD106\tGorbography\nD107\tFever\n"
        "D108\tFans of Gorb\nD005334\tFeverishness\n",
        "tree-numbers.tsv": "mesh_id\tmesh_name\tmesh_tree_number\nD101\tx\tC01.100.200\n"
        "D102\tx\tC01.100\nD103\tx\tD02.100\nD103\tx\tD12.776.100\nD104\tx\tA01.100\n"
        "D105\tx\tE04.100\nD106\tx\tE01.100\nD107\tx\tF01.145.126.100\nD108\tx\tM01.100\n"
        "D005334\tx\tC23.888.119.344\n",
        "symptoms.tsv": "mesh_id\tmesh_name\tin_hsdn\nD107\tFever\t1\n",
    },
    "mondo": {
        "mondo_exactmatch_doid.sssom.tsv": f"{MONDO_HEADER}\n"
        "MONDO:1\tgorbitis (disease)\tskos:exactMatch\tDOID:1\tgorbitis\n",
        "mondo_exactmatch_mesh.sssom.tsv": f"{MONDO_HEADER}\n"
        "MONDO:1\tgorbitis (disease)\tskos:exactMatch\tmesh:D101\tx\n"
        "MONDO:2\tlonely flombosis\tskos:exactMatch\tmesh:C555\tx\n",
        "mondo_exactmatch_icd10cm.sssom.tsv": f"{MONDO_HEADER}\n"
        "MONDO:2\tlonely flombosis\tskos:exactMatch\tICD10CM:Z99\tx\n",
        "mondo_broadmatch_icd10cm.sssom.tsv": f"{MONDO_HEADER}\n"
        "MONDO:2\tlonely flombosis\tskos:broadMatch\tICD10CM:K01\tx\n",
    },
    "pharmacotherapydb": {
        "indications.tsv": "doid_id\tdrugbank_id\tdisease\tdrug\tcategory\n"
        "DOID:1\tDB00001\tgorbitis\tZanfolin\tDM\nDOID:1\tDB00002\tgorbitis\tAquibrox\tSYM\n"
        "DOID:3\tDB00002\tacute gorbitis\tAquibrox\tNOT\n",
    },
    "rxnorm_ingredients": {
        "ingredients.jsonl": "".join(json.dumps(record) + "\n" for record in RXNORM)
    },
}


def write_ontologies(folder, names=tuple(FILES)):
    """Write them, the tables of MeSH and RxNorm compressed. RETURNS: the folder."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for file, text in FILES[name].items():
            if name in ("mesh_2015", "rxnorm_ingredients"):
                (folder / name / f"{file}.gz").write_bytes(gzip.compress(text.encode()))
            else:
                (folder / name / file).write_text(text, encoding="utf8")
    return folder
