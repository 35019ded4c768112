"""Functions of the user's own, recorded as `module:name` and imported again by that name, if the user allows it."""

import importlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ecg_jax.errors import RunError

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # module:name


def name_of(function: Callable[..., Any], what: str) -> str:
    """The `module:name` of a module-level function; `what` is its purpose, for messages.

    Raises:
        RunError: the function could not be imported again by that name.
    """
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "<unnamed>")
    if module == "__main__" or not NAME.fullmatch(f"{module}:{name}"):
        raise RunError(
            f"{what} {module}:{name} cannot be imported again by `evaluate` and `predict`; "
            "define it at the top level of a module of its own and import it from there"
        )
    return f"{module}:{name}"


def check_allowed(names: Iterable[str], file: Path, *, allow_code: bool) -> None:
    """Refuses functions that a file names, unless they are allowed: somebody else's folder is data, not code.

    Raises:
        RunError: with the names, and the flag that allows them.
    """
    named = [repr(name) for name in names if name]
    if named and not allow_code:
        raise RunError(
            f"{file} names code of its own ({', '.join(named)}), which would run with your rights; "
            "if you trust it, add --allow-code (allow_code=True in Python)"
        )


def function_at(name: str, what: str) -> Callable[..., Any]:
    """The function recorded as `module:name`; `what` is its purpose, for messages.

    Raises:
        RunError: the function cannot be imported.
    """
    if not NAME.fullmatch(name):
        raise RunError(f"{what} {name!r} is not a function; give MODULE:FUNCTION, such as my_module:my_function")
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RunError(
            f"{what} {name} cannot be imported ({error}); put the folder of {module.partition('.')[0]} on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever the module does while it is imported
        raise RunError(f"{what} {name} cannot be imported: {module} ends in {error!r}; mend that module") from error
    if not callable(function):
        raise RunError(f"{what} {name} is not a function; name one of {module}")
    return function


def allow_code_flag(allow_code: bool) -> list[str]:
    """The flag of a following command for a run whose own functions are allowed."""
    return ["--allow-code"] if allow_code else []
