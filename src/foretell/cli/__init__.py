"""The command line: typed commands that print for people, or with --json for programs."""

import sys
import warnings

from foretell.cli.commands import app as app


def main() -> None:
    """The entry point `foretell`. Warnings are sentences, without the line of code that gave them."""
    warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
    app()
