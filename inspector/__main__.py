"""`python -m inspector` is the command `inspector`."""

from inspector.cli import main

main()
