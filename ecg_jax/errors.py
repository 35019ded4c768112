"""Exceptions that a user sees as one line: which record or flag, what is wrong, what to do."""


class UserError(Exception):
    """An error that the user can correct; the command line prints its message without a traceback."""


class ConfigError(UserError):
    """A setting with an impossible value."""


class DataError(UserError):
    """Files or a prepared set that cannot be used as they are."""


class RunError(UserError):
    """A run that cannot continue: another config in the workdir, a loss that is not finite."""
