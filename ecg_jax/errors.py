"""What a user sees as one line: which record or flag, what is wrong, what to do. Standard library only."""

from dataclasses import dataclass
from pathlib import Path


class UserError(Exception):
    """An error that the user can correct; the command line prints its message without a traceback."""


class ConfigError(UserError):
    """A setting with an impossible value."""


class DataError(UserError):
    """Files or a prepared set that cannot be used as they are."""


class RunError(UserError):
    """A run that cannot continue: another config in the workdir, a loss that is not finite."""


class InUseError(UserError):
    """A folder in which another process is working."""

    def __init__(self, message: str, folder: Path):
        super().__init__(message)
        self.folder = folder


@dataclass(frozen=True)
class Rejected:
    """A recording that is not used: a value, not an exception, so that it can be counted and listed.

    `reason` is "kind" or "kind: detail"; rejections are counted by kind.
    """

    record: str
    reason: str
    remedy: str

    @property
    def kind(self) -> str:
        """The part of the reason before the colon."""
        return self.reason.partition(":")[0]


class Unusable(DataError):
    """Raised while a recording is read: why it cannot be used, and what to do. The caller makes it a `Rejected`."""

    def __init__(self, reason: str, remedy: str):
        """`reason` and `remedy` are those of `Rejected`."""
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def reason_of(error: BaseException) -> str:
    """What an error of Python or of another package says, as a part of one line."""
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return first if len(first) <= 200 else f"{first[:200]}..."
