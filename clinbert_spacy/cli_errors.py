"""The border between errors and the terminal: one line, no note content, an exit code."""

import os
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import typer
from confection import ConfigValidationError
from typer.core import TyperGroup

PACKAGE = Path(__file__).parent
AFTER_INTERRUPTION = {
    "train": "To go on from the last evaluation, run it again with --resume, not --overwrite.",
    "pretrain": "To go on from the last state, run it again with --resume, not --overwrite.",
    "train-abstractive": "To go on from the last state, run it again with --resume.",
    "ablate": "To go on, run it again: finished cells are kept.",
}
# newer typer carries its own copy of click, older typer imports it: found through what both have
CLICK_ERROR = next(x for x in typer.BadParameter.__mro__ if x.__name__ == "ClickException")


class SafeGroup(TyperGroup):
    """A command group that turns errors into one line on stderr.

    Exit code 1: what the user gave cannot be used. Exit code 2: an error of the program, or a
    wrong command line.
    """

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command; see the class."""
        warnings.showwarning = show_warning
        try:
            return super().invoke(ctx)
        except (CLICK_ERROR, typer.Abort, typer.Exit):
            raise
        except KeyboardInterrupt:
            remedy = AFTER_INTERRUPTION.get(ctx.invoked_subcommand or "", "")
            typer.echo(f"Interrupted. {remedy}".strip(), err=True)
            raise typer.Exit(130) from None
        except Exception as error:
            typer.echo(f"Error: {explain(error)}", err=True)
            known = is_ours(error) or isinstance(error, (OSError, ConfigValidationError))
            raise typer.Exit(1 if known else 2) from None


def explain(error: BaseException) -> str:
    """One line about an error, without note content.

    Messages of this package are content-free by rule and shown. Those of other packages may quote
    the text they failed on: only type, spaCy's error code and place are shown.
    """
    if isinstance(error, ConfigValidationError) or is_ours(error):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno:
        name = f": {error.filename}" if error.filename else ""
        return f"{os.strerror(error.errno)}{name}"
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {error.name!r} is not installed; install it and run again"
    code = re.match(r"\[[EW]\d+\]", str(error))
    return " ".join(filter(None, [type(error).__name__, code and code.group(), _place(error)]))


def is_ours(error: BaseException) -> bool:
    """Whether a `raise` of this package made the error, so that its message is content-free.

    A ValueError that our line only passed on, such as that of `int(...)`, quotes what it got.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not isinstance(error, ValueError):
        return False
    inside = PACKAGE in Path(frames[-1].filename).parents
    return inside and (frames[-1].line or "").startswith("raise ")


def show_warning(message: Any, category: Any, filename: str, lineno: int, *args: Any) -> None:
    """Show a warning without its text, which may quote a note, unless it is one of ours."""
    ours = PACKAGE in Path(filename).parents
    code = re.match(r"\[W\d+\]", str(message))
    shown = str(message) if ours else f"{code.group() if code else ''} {_short(filename)}:{lineno}"
    print(f"{category.__name__}: {shown.strip()}", file=sys.stderr)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"in {_short(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-2:])
