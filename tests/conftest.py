"""Shared by all tests: the folder of the real recordings, and two virtual devices."""

import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["assessed"]
settings.register_profile("untimed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("untimed"), max_examples=10_000, derandomize=False)  # make fuzz
settings.load_profile("untimed")  # a true claim fails on no machine, however busy, and a false one on all
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the matrices are small: threads only wait for each other
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> None:
    """What the commands of the tests compile is kept for this session, and not in the user's own cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings beside the checkout; a test that needs it is skipped where it is missing."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root}")
    return root


@pytest.fixture(scope="session")
def unpacked(real_data, tmp_path_factory) -> Callable[[str], Path]:
    """A function from the name of an archive of real recordings to a folder with its content."""

    @functools.cache
    def folder_of(name: str) -> Path:
        archive = real_data / f"{name}.tar.xz"
        if not archive.is_file():
            pytest.skip(f"no archive {archive}")
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        return folder

    return folder_of


@pytest.fixture(scope="session")
def synthetic_set(tmp_path_factory) -> Path:
    """A small prepared set of made-up recordings: 100 Hz, 12 leads, ten folds."""
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.sources import Synthetic

    folder = tmp_path_factory.mktemp("prepared") / "synthetic"
    prepare(PrepareConfig(Synthetic(records=120), folder, workers=1), Console(quiet=True))
    return folder


@pytest.fixture(scope="session")
def config(synthetic_set):
    """Three short epochs of a tiny network, with all that draws at random switched on."""
    from ecg_jax.config import AugmentConfig, DataConfig, EvaluateConfig, ModelConfig, RunConfig, TrainConfig

    return RunConfig(
        data=DataConfig(path=synthetic_set, window_seconds=2.0),
        model=ModelConfig(depth=1, channels=4, kernel=3, strides=(1, 2), dropout=0.1),
        train=TrainConfig(epochs=3, batch_size=16),
        augment=AugmentConfig(gain=0.1, lead_drop=0.1, mixup=0.3),
        evaluate=EvaluateConfig(resamples=50),
    )


@pytest.fixture(scope="session")
def larger_set(tmp_path_factory) -> Path:
    """The same with 400 recordings: the labels of a fold have five records of each class, as a metric needs."""
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.sources import Synthetic

    folder = tmp_path_factory.mktemp("prepared") / "larger"
    prepare(PrepareConfig(Synthetic(records=400), folder, workers=1), Console(quiet=True))
    return folder


@pytest.fixture(scope="session")
def finished(config, tmp_path_factory):
    """The result of a run of that config, with a checkpoint after each epoch."""
    from rich.console import Console

    from ecg_jax.training import run
    from ecg_jax.training.saving import BackgroundSaves

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(BackgroundSaves, "is_due", lambda saves, run: True)
        return run(config, tmp_path_factory.mktemp("runs") / "finished", console=Console(quiet=True))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server of our own on loopback; a test that needs it is skipped where none is installed."""
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ["PATH"].split(os.pathsep))]
    programs = next((folder for folder in candidates if (folder / "initdb").exists()), None)
    if programs is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL server is installed, or no psycopg")
    as_other = {}
    folder = Path(tempfile.mkdtemp(prefix="postgresql_"))
    if os.geteuid() == 0:  # a server does not run as root
        as_other = {"user": "nobody"}
        shutil.chown(folder, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **as_other}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "ecg"], check=True, **quiet)
    flags = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    server = subprocess.Popen([programs / "postgres", "-D", folder / "data", *flags], **quiet)
    try:
        for _ in range(100):
            time.sleep(0.1)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"postgresql://ecg@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # do not wait for clients
        server.wait()
        shutil.rmtree(folder)
