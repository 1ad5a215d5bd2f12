"""Every torch module that lives in a shipped pipeline. Imports torch alone."""
