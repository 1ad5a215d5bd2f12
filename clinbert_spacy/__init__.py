"""Clinical NLP components for spaCy that share one ClinicalBERT pass."""

__version__ = "0.6.0"
