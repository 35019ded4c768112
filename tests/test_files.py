"""Files are whole or absent, also on a full disk; a lock ends with its process; JSON of any kind is read or refused."""

import errno
import fcntl
import json
import math
import os
import platform
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.errors import InUseError
from ecg_jax.files import append_line, locked, parse_json, staging, write_bytes, write_new, write_text


@contextmanager
def no_file_larger_than(size):
    """As on a full disk, writing fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [write_text, write_new, append_line])
def test_a_failed_write_names_the_file_and_leaves_nothing_of_it(write, tmp_path):
    path = tmp_path / "result.json"
    with no_file_larger_than(1000), pytest.raises(OSError, match="File too large") as failure:
        write(path, "x" * 2000)
    assert failure.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == (["result.json"] if write is append_line else [])


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "result.json"
    write_bytes(path, b"before")
    with no_file_larger_than(1000), pytest.raises(OSError, match="File too large"):
        write_bytes(path, b"x" * 2000)
    assert path.read_bytes() == b"before"


def test_a_locked_folder_is_refused_with_the_process_and_machine_that_hold_it(tmp_path):
    folder = tmp_path / "run"
    says = f"^it is in use by process {os.getpid()} on {platform.node()}; wait"
    with locked(folder, "it is in use"), pytest.raises(InUseError, match=says), locked(folder, "it is in use"):
        pass
    assert not folder.exists()


HOLD = """
import sys, time
from pathlib import Path
from ecg_jax.files import locked
with locked(Path(sys.argv[1]), "it is in use"):
    print(flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process_even_if_that_was_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(InUseError, match=f"by process {process.pid} on"), locked(tmp_path / "run", "it is in use"):
            pass
        process.kill()
        process.wait()
        with locked(tmp_path / "run", "it is in use") as is_held:
            assert is_held
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]


def test_a_drive_without_locks_is_no_obstacle_and_it_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "run", "it is in use") as is_held:
        assert not is_held
    assert not list(tmp_path.iterdir())


def test_what_was_in_the_folder_stays_when_the_lock_ends(tmp_path):
    write_text(tmp_path / "config.json", "{}")
    with locked(tmp_path, "it is in use"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_staging_folder_is_empty_at_the_start_and_gone_at_the_end(tmp_path):
    left = tmp_path / ".set.preparing"
    (left / "set").mkdir(parents=True)
    (left / "set" / "a").touch()
    (left / "b").touch()
    with staging(tmp_path / "set") as folder:
        assert {path.name for path in folder.iterdir()} <= {".lock"}
    assert not list(tmp_path.iterdir())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.sampled_from(["", "\ufeff"]))
def test_a_json_is_read_as_it_was_written(value, mark):
    assert parse_json((mark + json.dumps(value)).encode()) == value


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()), st.integers(0, 60))
def test_any_bytes_are_a_json_or_refused_in_one_line(content, cut):
    refusal = "it is "
    try:
        parse_json(content[:cut])
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith("it is ")
    assert len(refusal.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"loss": NaN}', "NaN is not a finite number"),
        (b'{"loss": -Infinity}', "-Infinity is not a finite number"),
        (b'{"loss": 1e999}', "1e999 is not a finite number"),
        (b"9" * 5000, "it is not JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(content)


@given(st.floats())
def test_no_number_that_is_not_finite_is_read(number):
    content = json.dumps([number]).encode()
    if math.isfinite(number):
        assert parse_json(content) == [number]
    else:
        with pytest.raises(ValueError, match="is not a finite number"):
            parse_json(content)
