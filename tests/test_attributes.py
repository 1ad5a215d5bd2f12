"""Attributes: idempotent, and never over somebody else's."""

import pytest
from spacy.tokens import Doc

from clinbert_spacy import attributes


def test_install_twice():
    attributes.install()
    attributes.install()
    assert Doc.has_extension("clinbert_coverage")


def test_a_clash_is_an_error():
    attributes.install()
    Doc.set_extension("clinbert_coverage", default=1, force=True)
    with pytest.raises(ValueError, match="Doc._.clinbert_coverage is already defined"):
        attributes.install()
    Doc.remove_extension("clinbert_coverage")
    attributes.install()


def test_every_attribute_says_what_it_means():
    assert all(attribute.meaning for attribute in attributes.ATTRIBUTES)
    assert all(attribute.name.startswith("clinbert_") for attribute in attributes.ATTRIBUTES)
