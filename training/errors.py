"""What can go wrong between a folder of pictures and a model file: one line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 78  # sysexits.h EX_CONFIG, as the service exits for a wrong configuration


class TrainingError(Exception):
    """Base class: the message is one line that says what, where, what was found, what was expected.

    The commands print that line after `error: ` and exit with `exit_code`.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str) -> None:
        # Messages quote foreign exceptions and what stands in files; both may hold line ends.
        super().__init__(" ".join(message.split()))


class WrongInputError(TrainingError):
    """A data set, label, picture, model or checkpoint is not what it must be; exit code 78."""

    exit_code = EXIT_WRONG_INPUT

    @classmethod
    def found(cls, where: Path | str, found: str, expected: str) -> WrongInputError:
        """`<where>: <found>, expected <expected>`; where is a path, or path:line."""
        return cls(f"{where}: {found}, expected {expected}")


class WrongInputsError(WrongInputError):
    """Several things are not what they must be; the message is the first, with their number."""

    def __init__(self, problems: Sequence[WrongInputError]) -> None:
        super().__init__(f"{problems[0]} (and {len(problems) - 1} more)")
        self.lines = tuple(map(str, problems))
