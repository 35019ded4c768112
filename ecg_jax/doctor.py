"""What is installed on this machine, what of it works, and the remedy for what does not. Heavy imports are inside."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ecg_jax.errors import reason_of

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets", "wfdb")
FREE_BYTES = 2**30  # of a disk on which a study can begin
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """What was found of one thing; `remedy` is empty if it works."""

    name: str
    text: str
    remedy: str = ""


def examined() -> Iterator[Finding]:
    """Looks at versions, devices, memory, disk, TensorFlow and the cache of compiled programs, one after the other."""
    for examine in (_versions, _devices, _driver, _step, _memory, _disk, _tensorflow, _cache):
        yield examine()


def _versions() -> Finding:
    found, absent = [f"Python {platform.python_version()}"], []
    for package in ("ecg-jax", *PACKAGES):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            absent.append(package)
    remedy = f"{', '.join(absent)} not installed: pip install -e . in the folder of the project" if absent else ""
    return Finding("versions", ", ".join(found), remedy)


def _devices() -> Finding:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        remedy = "install the jax of this machine: ecg-jax[cuda12], [cuda13] or [tpu]; or set JAX_PLATFORMS=cpu"
        return Finding("devices", f"JAX finds none ({reason_of(error)})", remedy)
    return Finding("devices", f"{len(devices)} {devices[0].platform}: {devices[0].device_kind}")


def _driver() -> Finding:
    """Whether JAX uses an NVIDIA GPU that is there."""
    import jax

    if shutil.which("nvidia-smi") is None:
        return Finding("CUDA", "no NVIDIA driver (nvidia-smi) on this machine")
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    cards = answer.stdout.strip().splitlines()
    if answer.returncode or not cards:
        told = (answer.stderr.strip() or answer.stdout.strip()).partition("\n")[0]
        return Finding("CUDA", f"nvidia-smi finds no GPU ({told})", "install the driver again, or restart")
    text = f"{len(cards)} NVIDIA GPU: {cards[0]}"
    if jax.default_backend() != "gpu":
        return Finding("CUDA", f"{text}, which JAX does not use", "pip install 'ecg-jax[cuda12]' or 'ecg-jax[cuda13]'")
    return Finding("CUDA", text)


def _step() -> Finding:
    """Whether the device computes what it should."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    try:
        x = jnp.arange(12.0).reshape(3, 4)
        wrong = float(jnp.abs(jax.jit(lambda a: a @ a.T)(x) - np.asarray(x) @ np.asarray(x).T).max())
    except jax.errors.JaxRuntimeError as error:
        remedy = "free the memory of the device, or install a build of jax that fits its driver"
        return Finding("computing", f"a compiled step fails ({reason_of(error)})", remedy)
    if wrong > 1:  # of products up to 230, which some devices round to 8 bits
        return Finding("computing", f"a product is wrong by {wrong:g}", "use another device, or set JAX_PLATFORMS=cpu")
    return Finding("computing", "a compiled step gives the right result")


def _memory() -> Finding:
    import jax
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB are free"
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return Finding("memory", text if limit is None else f"{text}; {limit / 2**30:.1f} GiB for JAX on a device")


def _disk() -> Finding:
    here = Path.cwd()
    free = shutil.disk_usage(here).free
    text = f"{free / 2**30:.1f} GiB are free in {here}"
    return Finding("disk", text, "" if free > FREE_BYTES else "free some space, or work in a folder on another disk")


def _tensorflow() -> Finding:
    """Whether TensorFlow, which the host feed needs, can be imported: in another process, since it may crash."""
    code = "import tensorflow; print(tensorflow.__version__)"
    try:
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Finding("TensorFlow", f"is not imported within {TIMEOUT_SECONDS} s", "use --feed resident, without it")
    if answer.returncode:
        told = (answer.stderr.strip().splitlines() or [f"status {answer.returncode}"])[-1]
        return Finding("TensorFlow", f"cannot be imported ({told})", "pip install tensorflow-cpu; or --feed resident")
    return Finding("TensorFlow", f"{answer.stdout.strip()}, for sets that do not fit into memory (--feed host)")


def _cache() -> Finding:
    """Whether compiled programs can be kept for the next command."""
    from ecg_jax.training.compiled import compiled_folder

    folder = compiled_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        size = sum(file.stat().st_size for file in folder.iterdir())
    except OSError as error:
        remedy = "make it writable, or set XDG_CACHE_HOME to a folder that is; else each command compiles again"
        return Finding("cache", f"{folder} cannot be written ({error.strerror})", remedy)
    return Finding("cache", f"{folder}, {size / 2**20:.0f} MiB of compiled programs")
