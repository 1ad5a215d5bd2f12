"""One table per corpus: what its labels mean for us, what it covers, under which licence."""
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional, Tuple

from .files import CorpusError
from .harmonise import REST
from .record import LabelScheme

PRODUCT_LABELS = (
    "DISEASE", "SYMPTOM", "DRUG", "STRENGTH", "DOSAGE", "FORM", "ROUTE", "FREQUENCY", "DURATION",
    "TEST", "LAB_VALUE", "PROCEDURE", "ANATOMY",
)  # fmt: skip

# Never in shipped weights: real notes with unclear rights, share-alike or no licence,
# synthetic names under share-alike, lists for non-commercial use.
NEVER_SHIPS = (
    "negex", "mediqa2021", "mediqa2021_mas", "mediqa2021_rrs", "medical_abstracts",
    "presidio_synth", "vanderbilt_abbreviations",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """What becomes of one of a corpus' own labels.

    product (Tuple[str, ...]): product labels it may stand for; empty: not taken.
    reason (str): why it is not taken, or mapped so.
    unknown (bool): not taken, and its text is neither gold nor known to be outside.
    """

    product: Tuple[str, ...] = ()
    reason: str = ""
    unknown: bool = False


@dataclass(frozen=True)
class CorpusSchema:
    """One corpus.

    name (str): the name used in configs and on the command line.
    format (str): which reader.
    source (str): name and article, for cards; addresses stand in project.yml.
    licence (str): what its source, or who else, states, and whether that was verified.
    ships (bool): whether it may train weights that are shipped.
    covered (Tuple[str, ...]): product labels that it marks exhaustively. Empty: its mentions are
        true, but an unmarked token says nothing.
    rules (Mapping[str, Rule]): every own label.
    own (Mapping[str, str]): labels of its own protocol where they differ from the file's.
    parts (Mapping[str, str]): official part to file name.
    """

    name: str
    format: str
    source: str
    licence: str
    ships: bool
    covered: Tuple[str, ...]
    rules: Mapping[str, Rule]
    own: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def scheme(self, name: str = "product") -> LabelScheme:
        """Build the label scheme for a task.

        name (str): "product", or "own" for the corpus' own labels, all of them covered.
        RETURNS (LabelScheme): for record.to_doc.
        """
        if name == "own":
            labels = {label: (self.own.get(label, label),) for label in self.rules}
            return LabelScheme(labels, tuple(sorted({own for (own,) in labels.values()})))
        if name != "product":
            raise CorpusError(f"Unknown scheme {name!r}: expected 'product' or 'own'.")
        labels = {label: rule.product or None for label, rule in self.rules.items()}
        # What harmonise.to_product has already resolved, or could not.
        labels.update({label: (label,) for label in PRODUCT_LABELS})
        labels[REST] = None
        unknown = frozenset(label for label, rule in self.rules.items() if rule.unknown) | {REST}
        return LabelScheme(labels, self.covered, unknown)


def _to(*labels: str, why: str = "") -> Rule:
    return Rule(labels, why)


def _skip(reason: str) -> Rule:
    return Rule((), reason)


def _unknown(reason: str) -> Rule:
    return Rule((), reason, unknown=True)


def _each(rule: Rule, labels: str) -> Dict[str, Rule]:
    return {label: rule for label in labels.split()}


_PROBLEM = _to("DISEASE", "SYMPTOM", why="the corpus does not tell findings from diseases")
_OUTSIDE = _skip("no product label; never an entity of ours")
_BC5CDR = CorpusSchema(
    "bc5cdr", "pubtator", "BioCreative V CDR (Li et al. 2016)",
    "public domain mark 1.0 as its bigbio card states (a work of NCBI/NLM; none in the mirror; "
    "abstracts as in PubMed)", True,
    ("DISEASE", "SYMPTOM", "DRUG"),
    {"Chemical": _to("DRUG"), "Disease": _PROBLEM},
    parts={
        "train": "CDR_TrainingSet.PubTator.txt",
        "dev": "CDR_DevelopmentSet.PubTator.txt",
        "test": "CDR_TestSet.PubTator.txt",
    },
)  # fmt: skip
_NCBI = CorpusSchema(
    "ncbi", "pubtator", "NCBI disease corpus (Dogan et al. 2014)",
    "public domain notice, United States Government work (the LICENSE beside the corpus)", True,
    # Symptoms are marked less than exhaustively; yet left open, they would cost a head nothing, and
    # it then learns to call half of an abstract on genetics a symptom.
    ("DISEASE", "SYMPTOM"),
    _each(_PROBLEM, "SpecificDisease Modifier DiseaseClass CompositeMention"),
    own=dict.fromkeys(
        ("SpecificDisease", "Modifier", "DiseaseClass", "CompositeMention"), "Disease"
    ),
    parts={
        "train": "NCBItrainset_corpus.txt",
        "dev": "NCBIdevelopset_corpus.txt",
        "test": "NCBItestset_corpus.txt",
    },
)  # fmt: skip
_BIORED = CorpusSchema(
    "biored", "pubtator", "BioRED (Luo et al. 2022)",
    "not stated: none in the mirror, 'unknown' on its bigbio card (a work of NCBI, normally under "
    "its public domain notice)", True,
    ("DISEASE", "SYMPTOM", "DRUG"),
    {
        "DiseaseOrPhenotypicFeature": _PROBLEM,
        "ChemicalEntity": _to("DRUG"),
        "GeneOrGeneProduct": _unknown("a protein may be a drug or a test in a note (insulin)"),
        **_each(_OUTSIDE, "OrganismTaxon SequenceVariant CellLine"),
    },
    parts={"train": "Train.PubTator", "dev": "Dev.PubTator", "test": "Test.PubTator"},
)  # fmt: skip
_DOSE = _to("DOSAGE", "FREQUENCY", "STRENGTH", why="one string for strength, amount, frequency")
_MACCROBAT = CorpusSchema(
    "maccrobat", "brat", "MACCROBAT2020 (Caufield et al.)",
    "CC BY 4.0 as far as known (its figshare record 9764942, not verified; none in the mirror; "
    "texts from PMC open access)", True,
    (
        "DISEASE", "SYMPTOM", "DRUG", "STRENGTH", "DOSAGE", "ROUTE", "FREQUENCY", "DURATION",
        "TEST", "LAB_VALUE", "PROCEDURE", "ANATOMY",
    ),
    {
        "Disease_disorder": _to("DISEASE"),
        "Sign_symptom": _to("SYMPTOM"),
        "Medication": _to("DRUG"),
        "Dosage": _DOSE,
        "Frequency": _to("FREQUENCY"),
        "Duration": _to("DURATION"),
        "Administration": _to("FORM", "ROUTE", why="route and form share the label"),
        "Diagnostic_procedure": _to("TEST"),
        "Lab_value": _to("LAB_VALUE"),
        "Therapeutic_procedure": _to("PROCEDURE"),
        "Biological_structure": _to("ANATOMY"),
        **_each(_unknown("may stand for a problem, a drug or a procedure"),
                "Coreference History Family_history Other_event Other_entity"),
        **_each(_unknown("a measure that may be a result"),
                "Volume Distance Area Mass Weight Height Quantitative_concept "
                "Qualitative_concept Biological_attribute"),
        **_each(_OUTSIDE,
                "Detailed_description Severity Date Time Clinical_event Nonbiological_location "
                "Age Sex Activity Subject Personal_background Shape Texture Color Outcome "
                "Occupation"),
    },
)  # fmt: skip
_CHIA = CorpusSchema(
    "chia", "brat", "Chia (Kury et al. 2020)",
    "CC BY 4.0 as its bigbio card states (none in the mirror)", True,
    ("DISEASE", "SYMPTOM", "DRUG", "TEST", "PROCEDURE"),
    {
        "Condition": _PROBLEM,
        "Drug": _to("DRUG"),
        "Procedure": _to("PROCEDURE", "TEST", why="diagnostic and therapeutic share the label"),
        "Measurement": _to("TEST"),
        "Value": _skip("thresholds of criteria, not results; results are unknown here"),
        "Multiplier": _skip("counts and rates, not only of drugs; unknown here"),
        "Temporal": _skip("times, not only of treatments; unknown here"),
        **_each(_unknown("may be a procedure or a finding"), "Device Observation Qualifier"),
        **_each(_unknown("a long stretch that was not annotated inside"),
                "Non-query-able Non-representable Post-eligibility Competing_trial Line "
                "Parsing_Error Context_Error Grammar_Error Not_a_criteria Undefined_semantics "
                "Pregnancy_considerations Informed_consent Intoxication_considerations "
                "Subjective_judgement c-Requires_causality"),
        **_each(_OUTSIDE, "Person Reference_point Negation Mood Visit Scope"),
    },
)  # fmt: skip
_LCT = CorpusSchema(
    "lct", "brat", "Leaf Clinical Trials (Dobbins et al. 2022)",
    "CC BY 4.0 as far as known (its figshare record 17209610, not verified; none in its "
    "repository)", True,
    ("DISEASE", "SYMPTOM", "DRUG", "PROCEDURE"),
    {
        "Condition-Name": _PROBLEM,
        "Drug-Name": _to("DRUG"),
        "Procedure-Name": _to("PROCEDURE", "TEST", why="diagnostic and therapeutic share it"),
        **_each(_unknown("the trigger; its -Name carries the span, elsewhere it is generic"),
                "Condition Drug Procedure Observation"),
        **_each(_unknown("tests, findings and abilities share the label"),
                "Observation-Name Modifier Allergy Allergy-Name Immunization "
                "Immunization-Name Organism Organism-Name Specimen Coreference"),
        **_each(_skip("thresholds of criteria; unknown here"),
                "Eq-Comparison Eq-Value Eq-Operator Eq-Unit Eq-Temporal-Period "
                "Eq-Temporal-Unit Eq-Temporal-Recency"),
        **_each(_OUTSIDE,
                "Assertion Negation Study Life-Stage-And-Gender Age Severity Stability Location "
                "Polarity Encounter Other Acuteness Language Contraindication Family-Member "
                "Exception Risk Provider Indication Ethnicity Death Criteria-Count Birth "
                "Insurance Code Condition-Type"),
    },
)  # fmt: skip
_ADE = CorpusSchema(
    "ade", "ade", "ADE corpus v2 (Gurulingappa et al. 2012)",
    "not stated: 'unknown' on its Hugging Face card (its README asks to cite Gurulingappa et al. "
    "2012; texts are not redistributed)", True,
    (),  # only drugs and effects that stand in a relation are marked
    {"Drug": _to("DRUG"), "Adverse-Effect": _PROBLEM, "Dose": _DOSE},
)  # fmt: skip
_PSYTAR = CorpusSchema(
    "psytar", "psytar", "PsyTAR (Zolnoori et al. 2019)",
    "CC BY 4.0 (README of the mirror and License sheet of the workbook)", True,
    (),  # what the patient says of others or denies is not marked
    _each(_PROBLEM, "ADR WD SSI DI"),
)  # fmt: skip
_SPL_ADR = CorpusSchema(
    "spl_adr", "spl_adr", "SPL-ADR-200db (Demner-Fushman et al. 2018)",
    "CC0 1.0 as its bigbio card states (texts and spans; MedDRA terms are left out)", True,
    (),  # positive and normalised reactions only, each once per section
    {"AdverseReaction": _PROBLEM},
)  # fmt: skip
_NOTES = CorpusSchema(
    "notes", "notes", "invented example notes of this project",
    "CC BY 4.0", True, PRODUCT_LABELS,
    {
        **{label: _to(label) for label in PRODUCT_LABELS},
        **_each(_OUTSIDE, "PHI_NAME PHI_DATE PHI_AGE PHI_CONTACT PHI_ID PHI_LOCATION"),
    },
)  # fmt: skip
_SNIPPETS = CorpusSchema(
    "snippets", "snippets", "invented snippets of this project: what is said of problems and drugs",
    "CC BY 4.0", True, ("DISEASE", "SYMPTOM", "DRUG"),
    {label: _to(label) for label in ("DISEASE", "SYMPTOM", "DRUG")},
)  # fmt: skip
_PAIRS = CorpusSchema(
    "pairs", "snippets", "invented snippets of this project: which drug did what",
    "CC BY 4.0", True, ("DISEASE", "SYMPTOM", "DRUG", "TEST", "LAB_VALUE"),
    {label: _to(label) for label in ("DISEASE", "SYMPTOM", "DRUG", "TEST", "LAB_VALUE")},
)  # fmt: skip
_EXCERPTS = CorpusSchema(
    "excerpts", "snippets", "invented excerpts of this project, marked in full",
    "CC BY 4.0", True, PRODUCT_LABELS, {label: _to(label) for label in PRODUCT_LABELS},
)  # fmt: skip
_ENCOUNTERS = CorpusSchema(
    "encounters", "snippets", "invented short notes of this project: their encounter and summary",
    "CC BY 4.0", True, (), {},
)  # fmt: skip
_PROBLEM_NAMES = CorpusSchema(
    "problem_names", "csv", "names of problems with their ICD-10 chapters, by this project",
    "CC BY 4.0", True, (), {},
)  # fmt: skip

SCHEMAS: Dict[str, CorpusSchema] = {
    schema.name: schema
    for schema in (
        _BC5CDR, _NCBI, _BIORED, _MACCROBAT, _CHIA, _LCT, _ADE, _PSYTAR, _SPL_ADR, _NOTES,
        _SNIPPETS, _PAIRS, _EXCERPTS, _ENCOUNTERS, _PROBLEM_NAMES,
    )
}  # fmt: skip


def get_schema(name: str) -> CorpusSchema:
    """Look a corpus up.

    name (str): e.g. "bc5cdr".
    RETURNS (CorpusSchema): its table.
    Raises CorpusError for a name that is not served.
    """
    if name not in SCHEMAS:
        raise CorpusError(f"Unknown corpus {name!r}: expected one of {sorted(SCHEMAS)}.")
    return SCHEMAS[name]


def may_ship(name: str, licence: Optional[str] = None) -> bool:
    """Say whether a corpus may train weights that are shipped.

    name (str): name of a corpus, served or not.
    licence (Optional[str]): its licence, where the table does not have it.
    RETURNS (bool): False for the listed ones, non-commercial licences and unknown names.
    """
    schema = SCHEMAS.get(name)
    terms = licence if licence is not None else (schema.licence if schema else "")
    if name in NEVER_SHIPS or _non_commercial(terms):
        return False
    return schema.ships if schema else licence is not None


def _non_commercial(licence: str) -> bool:
    words = re.findall(r"[A-Z]+", unicodedata.normalize("NFKC", licence).upper())
    return any(word == "NC" or "BYNC" in word or "COMMERCIAL" in word for word in words)
