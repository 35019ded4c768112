"""What all tests share: where the real recordings are, and two virtual devices."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # a true claim fails on no machine, however busy, and a false one on all
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings beside the checkout; a test that needs it is skipped where it is missing."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root}")
    return root


@pytest.fixture(scope="session")
def synthetic_set(tmp_path_factory) -> Path:
    """A small prepared set of made-up recordings: 100 Hz, 12 leads, ten folds."""
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.request import PrepareRequest

    folder = tmp_path_factory.mktemp("prepared") / "synthetic"
    prepare(PrepareRequest(source="synthetic", to=folder, records=120, workers=1), Console(quiet=True))
    return folder
