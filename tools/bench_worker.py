"""A process of its own for one side of a benchmark: what it has imported and compiled disturbs no other side.

It executes functions of the benchmarks, one at a time, in this checkout or in another one.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from ecg_jax.errors import UserError

TOOLS = Path(__file__).resolve().parent
KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}


class Worker:
    """A process that waits for calls; it ends with the `with` block."""

    def __init__(self, checkout: Path | None = None, *, imports: Sequence[str] = (), compiled: Path | None = None):
        """Starts the process.

        Args:
            checkout: whose `ecg_jax` and `tools` are imported; by default this one.
            imports: modules that are imported before the first call.
            compiled: folder in which JAX keeps what it compiles, instead of the user's own.
        """
        root = (checkout or TOOLS.parent).resolve()
        paths = (root, root / "tools", TOOLS)
        changed = {"PYTHONPATH": os.pathsep.join(map(str, paths))}
        if compiled is not None:
            changed |= KEEP_ALL | {"JAX_COMPILATION_CACHE_DIR": str(compiled), "XDG_CACHE_HOME": str(compiled)}
        started = [sys.executable, "-P", str(TOOLS / "bench_worker.py"), *imports]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(started, env=os.environ | changed, **pipes)

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Calls `MODULE.FUNCTION` with JSON values; returns its JSON `value` and its `seconds`.

        Raises:
            UserError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([function, arguments], default=str) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise UserError(f"the process for {function} has ended; its message is above")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def take_steps(scale: dict[str, int], batch: int, masked: bool, number: int) -> None:
    """Takes training steps of the `bench.py` of the checkout."""
    _steps(tuple(sorted(scale.items())), batch, masked)(number)


@lru_cache(maxsize=1)
def _steps(scale: tuple[tuple[str, int], ...], batch: int, masked: bool) -> Callable[[int], None]:
    from bench import ours

    from ecg_jax.config import ModelConfig

    levels: dict[str, Any] = dict(scale)
    return ours(ModelConfig(**levels), batch, masked=masked)[0]


def main(imports: Sequence[str]) -> None:
    """Executes calls from standard input; what a function prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in imports:
        importlib.import_module(name)
    for line in sys.stdin:
        function, arguments = json.loads(line)
        module, _, name = function.rpartition(".")
        called = getattr(importlib.import_module(module), name)
        start = time.perf_counter()
        value = called(**arguments)
        seconds = time.perf_counter() - start
        answers.write(json.dumps({"value": value, "seconds": seconds}) + "\n")
        answers.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
