"""`python -m foretell`, where the command is not on the path."""

from foretell.cli import main

main()
