"""The command line: parse the arguments, call one verb of `audiogan.workflow`, show one result.

Nothing heavy is imported until a verb runs, so that `--help` answers at once. `--help` lists the commands in the
order of the imports below.
"""

from audiogan.cli import clips, ownership, sounds, training, viewing
from audiogan.cli.program import app, main

__all__ = ["app", "clips", "main", "ownership", "sounds", "training", "viewing"]
