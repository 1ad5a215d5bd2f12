"""Numbers, units, rates and dates as values, and whether a source says them."""

import pytest

from clinbert_spacy.pipeline.quantities import DATE, find_quantities
from clinbert_spacy.pipeline.quantity_match import why_unsupported


def read(text):
    return [(text[q.start : q.end], q.values, q.unit, q.size) for q in find_quantities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two nodules", [("two", (2.0,), "", 1.0)]),
        ("twenty-one days", [("twenty-one days", (21.0,), "days", 1.0)]),
        ("two hundred ml", [("two hundred ml", (200.0,), "volume", 1.0)]),
        ("1,500 mL", [("1,500 mL", (1500.0,), "volume", 1.0)]),
        ("0.5 g and .5g", [("0.5 g", (0.5,), "mass", 1000.0), (".5g", (0.5,), "mass", 1000.0)]),
        ("5-10 mg", [("5", (5.0,), "mass", 1.0), ("10 mg", (10.0,), "mass", 1.0)]),
        ("BP 140/90 mmHg", [("140/90 mmHg", (140.0, 90.0), "pressure", 1.0)]),
        ("a 54-year-old", [("54-year-old", (54.0,), "months", 12.0)]),
        ("12 mg/dL", [("12 mg/dL", (12.0,), "mass/dl", 1.0)]),
        ("5 mg per day", [("5 mg per day", (5.0,), "mass/day", 1.0)]),
        ("BID", [("BID", (2.0,), "times/day", 1.0)]),
        ("three times a day", [("three times a day", (3.0,), "times/day", 1.0)]),
        ("q8h", [("q8h", (8.0,), "every hour", 1.0)]),
        ("T12", [("T12", (12.0,), "code t", 1.0)]),
        ("x3 weeks", [("x3 weeks", (3.0,), "days", 7.0)]),
        ("1. Clear lungs.\n2. No effusion.", []),
        ("no one of the family, one of them", []),
        ("may march on; once more", []),
        ("", []),
    ],
)
def test_numbers_as_values(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2024-03-05", ((2024, 3, 5),)),
        ("03/05/2024", ((2024, 3, 5), (2024, 5, 3))),
        ("25.12.23", ((23, 12, 25),)),
        ("March 5, 2024", ((2024, 3, 5),)),
        ("5th of Mar 2024", ((2024, 3, 5),)),
        ("May 2024", ((2024, 5, None),)),
        ("October", ((None, 10, None),)),
    ],
)
def test_dates(text, days):
    (found,) = find_quantities(text)
    assert found.kind == DATE and found.days == days and text[found.start : found.end] == text


def test_none_inside_another_and_in_order():
    text = "Seen 03/05/2024 at 08:30, 10 mg twice daily for two weeks, INR 9.5, T12, Monday."
    found = find_quantities(text)
    assert len(found) == 8
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


@pytest.mark.parametrize(
    ("text", "source", "reason"),
    [
        ("1 g", "1000 mg", ""),
        ("1 g", "1 mg", "unit"),
        ("5 mcg", "5 mg", "unit"),
        ("20 mg", "10 mg", "number"),
        ("two weeks", "14 days", ""),
        ("two nodules", "2 nodules", ""),
        ("three nodules", "3 mg", "unit"),
        ("three nodules", "two nodules", "number"),
        ("twice daily", "BID", ""),
        ("twice daily", "daily", "number"),
        ("systolic 140", "140/90", ""),
        ("140/95", "140/90", "number"),
        ("T12", "T11 and 12", "number"),
        ("March 2024", "03/05/2024", ""),
        ("in 2024", "03/05/2024", ""),
        ("March 5, 2024", "March 5", "date"),
        ("March 5, 2023", "3/5/24", "date"),
        ("March 5, 2024", "3/5/24", ""),
        ("5 May", "June 5, May 6", "date"),
        ("Monday", "Tuesday", "date"),
        ("Monday", "on monday", ""),
        ("3 days", "03/05/2024", "number"),
    ],
)
def test_what_a_source_says(text, source, reason):
    found = [why_unsupported(one, find_quantities(source)) for one in find_quantities(text)]
    assert found == [reason]
