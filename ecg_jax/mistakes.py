"""A mistake of the user as one line on standard error, which says what to do: exit status 1, of wrong flags 2."""

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from ecg_jax.errors import UserError
from ecg_jax.interrupts import exit_status, stoppable
from ecg_jax.terminal import say

REMEDIES = {
    errno.ENOENT: "is not there; check the path",
    errno.EEXIST: "exists already; choose another path",
    errno.EISDIR: "is a folder; give a file",
    errno.ENOTDIR: "cannot exist, because a part of this path is a file; give a folder",
    errno.EACCES: "may not be read or written; change its permissions or choose another path",
    errno.EPERM: "may not be read or written; change its permissions or choose another path",
    errno.EROFS: "cannot be written on a read-only file system; choose another path",
    errno.ENOSPC: "cannot be written, because the disk is full; free some space and start the same command again",
    errno.EDQUOT: "cannot be written, because your quota is used up; free some space and start the same command again",
    errno.EFBIG: "cannot be written, because files may not be so large here; raise `ulimit -f` and start it again",
}
BORDER = re.compile(r"\x1b\[[\d;]*m|[│╭╮╰╯]")
RULE = re.compile(r"^ *[─-]{9,} *$", re.MULTILINE)
REPLACED = {
    r" \(applied to [^)]*\)": "",
    r" Arguments are applied to .*": "",
    r"invalid literal for int\(\) with base 10: ('.*')": r"\1 is not a whole number",
    r"could not convert string to float: ('.*')": r"\1 is not a number",
}
"""Parts of tyro's sentences that its user cannot understand -> what is said instead."""


@contextmanager
def fail_in_one_line(program: str) -> Iterator[None]:
    """Turns an error that the user can correct into one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is no error
    stopped = f"{program}: stopped; the same command continues it"
    try:
        with stoppable(stopped):
            yield
    except BrokenPipeError:  # such as `ecg-jax predict ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        sys.exit(1)
    except UserError as error:
        say(f"{program}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, error.strerror)
        say(f"{program}: {error.filename or 'a file'} {remedy}" if remedy else f"{program}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        say(stopped, file=sys.stderr)
        sys.exit(exit_status(stop))


@contextmanager
def refuse_in_one_line(program: str, help_command: str) -> Iterator[None]:
    """Turns what tyro prints about wrong arguments, a box of many lines, into one line; the exit status stays 2."""
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except SystemExit as end:
        if end.code:
            say(f"{program}: {sentence(printed.getvalue())}; {help_command} shows more", file=sys.stderr)
        raise


def sentence(box: str) -> str:
    """The first part of a box, without its title, and what it suggests."""
    _title, _, rows = box.partition("\n")
    first, *others = [part for part in RULE.split(BORDER.sub(" ", rows)) if part.strip()] or [box]
    first = " ".join(first.split()).rstrip(".")
    for unclear, clear in REPLACED.items():
        first = re.sub(unclear, clear, first)
    parts = [first]
    for other in others:
        text = " ".join(other.split())
        flags = re.findall(r"^ {6,7}(--[\w.-]+)", other, re.MULTILINE)
        if text.startswith(("Available", "Unrecognized")):
            parts.append(text)
        elif text.startswith(("Perhaps", "Arguments similar")) and flags:
            parts.append(f"perhaps {' or '.join(dict.fromkeys(flags))}")
    return "; ".join(parts)
