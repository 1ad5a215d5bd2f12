"""`python -m clinbert_spacy`: the `clinbert` command of this very environment."""

from .cli import main

if __name__ == "__main__":
    main()
