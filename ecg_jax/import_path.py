"""Functions of the user's own, recorded as `module:name` and imported again by that name."""

import importlib
from collections.abc import Callable
from typing import Any

from ecg_jax.errors import RunError


def name_of(function: Callable[..., Any], what: str) -> str:
    """The `module:name` of a module-level function; `what` is its purpose, for messages.

    Raises:
        RunError: the function could not be imported again by that name.
    """
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "<unnamed>")
    if module == "__main__" or "<" in name or "." in name:
        raise RunError(
            f"{what} {module}:{name} cannot be imported again by `evaluate` and `predict`; "
            "define it at the top level of a module of its own and import it from there"
        )
    return f"{module}:{name}"


def function_at(name: str, what: str) -> Callable[..., Any]:
    """The function recorded as `module:name`; `what` is its purpose, for messages.

    Raises:
        RunError: the function cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: `.a:b` and `:b`
        raise RunError(
            f"{what} {name} cannot be imported ({error}); put the folder of {module.partition('.')[0]} on PYTHONPATH"
        ) from error
