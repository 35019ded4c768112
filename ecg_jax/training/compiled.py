"""Where JAX keeps what it compiles. JAX is imported only when it is told."""

import os
import platform
from contextlib import suppress
from pathlib import Path


def compiled_folder() -> Path:
    """The user's own cache on this machine: what is in it is executed, so it must not come with anybody's folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ecg_jax" / "compiled" / platform.node()


def keep_compiled(folder: Path) -> None:
    """Lets JAX keep what it compiles in a folder, for later runs of the same scale, if the folder can be written."""
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    with suppress(OSError):  # without the folder everything is compiled again
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        reset_cache()  # JAX decides at its first compilation whether there is a cache
