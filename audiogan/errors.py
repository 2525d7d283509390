"""Every error that audiogan raises on purpose: one sentence for the user, one reason code for programs.

`AudioganError` and its children are the only exceptions that may leave the package for a bad file, recipe, checkpoint
or option. Anything else that escapes is a bug. Reason codes for input files are the closed list of the ingest gate
(`audiogan.corpus.gate`); the others name the part that refused.
"""


class AudioganError(Exception):
    """State what was found, what was expected and where, in one line.

    Args:
        message: One sentence for the user.
        reason: Machine-readable code, for example `"not_midi"`.
    """

    exit_code = 1

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UsageError(AudioganError):
    """An option or argument that cannot be carried out (exit code 2)."""

    exit_code = 2

    def __init__(self, message: str, reason: str = "usage") -> None:
        super().__init__(message, reason)


class RecipeError(AudioganError):
    """A recipe that cannot be read or does not fit its model (exit code 2)."""

    exit_code = 2

    def __init__(self, message: str, reason: str = "bad_config") -> None:
        super().__init__(message, reason)


class UnsupportedError(AudioganError):
    """A verb that this pipeline or model does not offer (exit code 2)."""

    exit_code = 2

    def __init__(self, message: str, reason: str = "unsupported") -> None:
        super().__init__(message, reason)


class CorpusError(AudioganError):
    """An input file or folder refused by the gate (exit code 3)."""

    exit_code = 3


class TrainingError(AudioganError):
    """Training stopped before its budget: diverged or collapsed (exit code 4)."""

    exit_code = 4

    def __init__(self, message: str, reason: str = "diverged") -> None:
        super().__init__(message, reason)


class CheckpointError(AudioganError):
    """A checkpoint or model folder that is missing, damaged or of another version (exit code 65)."""

    exit_code = 65

    def __init__(self, message: str, reason: str = "bad_checkpoint") -> None:
        super().__init__(message, reason)


class OutputError(AudioganError):
    """A place that cannot be written: it exists already, is read-only or full (exit code 73)."""

    exit_code = 73

    def __init__(self, message: str, reason: str = "output") -> None:
        super().__init__(message, reason)
