"""One benchmark run several times: mean and standard deviation over the seeds."""

import statistics
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Sequence

SAME = ("corpus", "scheme", "protocol", "data_sha256")
SCORES = ("precision", "recall", "f")
MICRO = "all (micro)"


@dataclass(frozen=True)
class Spread:
    """Mean of a score between 0 and 1, and its standard deviation over n - 1."""

    mean: float
    sd: float


@dataclass(frozen=True)
class SeedRow:
    """A label, or all of them together; `n` is its number of gold mentions."""

    label: str
    n: int
    precision: Spread
    recall: Spread
    f: Spread


@dataclass(frozen=True)
class Summary:
    """What `summarise` found. `to_dict` makes it plain for JSON."""

    corpus: str
    scheme: str
    protocol: str
    data_sha256: str
    n_notes: int
    n_seeds: int
    rows: Sequence[SeedRow]
    macro_f: Spread

    def to_dict(self) -> Dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}


def summarise(results: Sequence[Mapping[str, Any]]) -> Summary:
    """Bring several evaluations of the same data together.

    results (Sequence[Mapping]): what `Result.to_dict` gave, one a seed.
    RETURNS (Summary): a row a label and one for all, each score with its spread.
    RAISES (ValueError): fewer than two, or not of the same data, labels and protocol.
    """
    check_comparable(results)
    first = results[0]
    labels = [row["label"] for row in first["labels"]]
    return Summary(
        **{key: str(first[key]) for key in SAME},
        n_notes=first["n_notes"],
        n_seeds=len(results),
        rows=tuple([_micro(results), *(_row(results, label) for label in labels)]),
        macro_f=spread([result["macro_f"]["value"] for result in results]),
    )


def check_comparable(results: Sequence[Mapping[str, Any]]) -> None:
    """Raise if a mean over these evaluations would mean nothing.

    results (Sequence[Mapping]): what `Result.to_dict` gave, one a seed.
    RAISES (ValueError): says what differs.
    """
    if len(results) < 2:
        raise ValueError(f"Found {len(results)} evaluation; expected one per seed, at least two.")
    for key in SAME:
        values = sorted({str(result.get(key)) for result in results})
        if len(values) > 1:
            raise ValueError(
                f"The evaluations differ in {key} ({', '.join(values)}): expected runs of the "
                "same data, labels and protocol. Evaluate them again with one command line."
            )


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation.

    values (Sequence[float]): at least two.
    RETURNS (Spread): with n - 1 in the denominator.
    """
    return Spread(statistics.fmean(values), statistics.stdev(values))


def _micro(results: Sequence[Mapping[str, Any]]) -> SeedRow:
    found = [spread([result[key]["value"] for result in results]) for key in SCORES]
    return SeedRow(MICRO, results[0]["n_mentions"], *found)


def _row(results: Sequence[Mapping[str, Any]], label: str) -> SeedRow:
    rows: List[Mapping[str, Any]] = [
        row for result in results for row in result["labels"] if row["label"] == label
    ]
    found = [spread([row[key] for row in rows]) for key in SCORES]
    return SeedRow(label, rows[0]["n"], *found)
