"""What the tests of damaged files share: a bound on each input, the damage, and what must hold of what is read."""

import copy
import json
import math
import re
import resource
import signal
import time
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ecg_jax.errors import UserError
from ecg_jax.formatting import visible
from ecg_jax.records import Rejected, quantise

MOST_BYTES = 1_000_000
MOST_MEMORY_KB = 200_000
MOST_SECONDS = 20  # of one input; a hang, not a slow machine
MOST_ADDRESSES = 4_000_000_000  # bytes above the start, so that a fault does not take the machine's memory
LINUX = Path("/proc/self/clear_refs").exists()
inputs, refused, seconds = Counter(), Counter(), Counter()  # by target
before: dict[str, bytes] = {}  # the valid contents of the files that are damaged now


class Hang(BaseException):
    """One input took too long; no handler of ours catches this."""


def _hang(*_):
    raise Hang(f"more than {MOST_SECONDS} s for one input")


@lru_cache
def _open_once(name):
    return Path(f"/proc/self/{name}").open("r+b" if name == "clear_refs" else "rb", buffering=0)


def _memory_kb(name):
    status = _open_once("status")
    status.seek(0)
    return int(status.read().partition(f"{name}:".encode())[2].split()[0])


@contextmanager
def bounded(target):
    """Runs one input: an end within seconds, at most 200 MB more memory, errors of our own in one line."""
    if LINUX:
        _open_once("clear_refs").write(b"5")  # the peak begins here
        before_kb = _memory_kb("VmRSS")
    began = time.perf_counter()
    handler = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    except UserError as refusal:
        assert_one_line(str(refusal))
        refused[target] += 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        inputs[target] += 1
        seconds[target] += time.perf_counter() - began
    if LINUX:
        assert _memory_kb("VmHWM") - before_kb < MOST_MEMORY_KB


def assert_one_line(message):
    assert message.strip()
    assert len(visible(message).splitlines()) == 1


@pytest.fixture(scope="module", autouse=True)
def figures(pytestconfig):
    """Limits the memory of all inputs, and prints the figures of each target at the end of `make fuzz`."""
    before.clear()  # another module has a folder of its own
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (_memory_kb("VmSize") * 1024 + MOST_ADDRESSES, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    if settings.get_current_profile_name() == "fuzz":
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            for target, number in inputs.items():
                share = refused[target] / number
                print(f"\n{target:12} {number:7,} inputs, {share:4.0%} refused, {seconds[target]:6.1f} s", end="")


# ------------------------------------------------------------------ damage

PIECES = [
    *(b"", b"0", b"1", b"-1", b"2", b"7", b"1.5", b"nan", b"inf", b"-inf", b"1e-40", b"1e40", b"1e400", b"-0"),
    *(b"99999", b"32768", b"2147483648", b"9223372036854775808", b"9" * 30, b"9" * 5000, b"1_0", b"0x10", b"100/7(3)"),
    *(b"~", b"..", b"../x", b"/etc/passwd", b"x/y", b".", b"*", b"#", b'"', b"'", b"[]", b"{}", b"[/red]", b"$x$"),
    *(b" ", b"\t", b",", b";", b"\n", b"\r", b"\r\n", b"\x0b", b"\x0c", b"\x00", b"\x1b[1m", b"\x85", b"\xff"),
    *("é", "µV", "\u2028", "\u0661", "\u5fc3", "\U0001d7d8"),
    *(b"16", b"212", b"80", b"310", b"8", b"61", b"508", b"516", b"16x4", b"16:5", b"16+24", b"mmHg", b"None"),
    *(b"\xef\xbb\xbf", b"long" * 300),
]  # fmt: skip
PIECES = [piece.encode() if isinstance(piece, str) else piece for piece in PIECES]
BETWEEN = re.compile(rb"([\s,;:/()+x\[\]{}\"']+)")


class Content(bytes):
    """The bytes of a file, cut short where they are printed."""

    def __repr__(self):
        return bytes.__repr__(self[:400])


@st.composite
def damaged(draw, *valid):
    """One of the valid files with one to three changes: of a word, of a range of words, of a byte, or of the end."""
    parts = re.split(BETWEEN, draw(st.sampled_from(valid)))
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        at = draw(st.integers(0, 2**32)) % len(parts)  # a small range would be drawn at its ends too often
        change = draw(st.sampled_from(("replace", "replace", "replace", "insert", "delete", "repeat", "cut", "byte")))
        if change == "replace":
            parts[at] = draw(st.sampled_from(PIECES))
        elif change == "insert":
            parts.insert(at, draw(st.sampled_from(PIECES)))
        elif change == "delete":
            del parts[at : at + draw(st.integers(1, 12))]
        elif change == "repeat":
            piece = parts[at : at + draw(st.integers(1, 24))]
            parts[at:at] = piece * draw(st.sampled_from((1, 1, 1, 1, 1, 1, 2, 3, 100)))
        elif change == "cut":
            del parts[at:]
        elif parts[at]:
            place, byte = draw(st.integers(0, len(parts[at]) - 1)), draw(st.integers(0, 255))
            parts[at] = parts[at][:place] + bytes([byte]) + parts[at][place + 1 :]
        parts = parts or [b""]
    return Content(b"".join(parts)[:MOST_BYTES])


VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324),
    *(2**31, 2**63, 10**30, 10**400, "", "x", "1", "nan", "auto", "../x", "/etc/passwd", "\x00", "\x1b[31m", "[/red]"),
    *("sqlite:///x", "postgresql://u@h/d", "os:system", [], {}, [1], [0], ["x"], [None], [[1]], {"x": 1}, [1] * 1000),
]  # fmt: skip


def _places(tree, path=()):
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _places(value, (*path, key))


@st.composite
def damaged_json(draw, valid):
    """A file of JSON with one to three changes of its values."""
    tree = {"": json.loads(valid)}
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        places = [path for path in _places(tree) if path]
        *path, last = places[draw(st.integers(0, 2**32)) % len(places)]
        parent = tree
        for key in path:
            parent = parent[key]
        change = draw(st.sampled_from(("replace", "replace", "replace", "delete", "add")))
        if change == "delete" and path:
            del parent[last]
        elif change == "add" and isinstance(parent[last], dict):
            parent[last]["unknown"] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        else:
            parent[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return Content(json.dumps(tree[""]).encode())


NO_JSON = {
    "nested list": b"[" * 100_000,
    "nested object": b'{"x":' * 100_000,
    "long number": b"9" * 5000,
    "open string": b'"',
    "UTF-16": b"\xff\xfe",
    "mark and object": b"\xef\xbb\xbf{}",
}


def json_files(valid):
    """A file of JSON that was damaged as values, as text, or is something else."""
    valid = Content(json.dumps(valid).encode() if not isinstance(valid, bytes) else valid)
    other = st.sampled_from(sorted(NO_JSON)).map(lambda name: Content(NO_JSON[name]))
    return st.one_of(damaged_json(valid), damaged_json(valid), damaged(valid), other)


# ------------------------------------------------------------------ what is read


def assert_finite(value):
    json.dumps(value, allow_nan=False, default=str)


def use_record(record):
    """A record without a number that is none; a rejected one is refused."""
    if isinstance(record, Rejected):
        for text in (record.kind, record.reason, record.remedy):
            assert_one_line(text)
        assert record.kind != "unexpected"
        raise UserError(record.reason)
    assert record.signal_mv.shape == record.missing.shape
    assert record.signal_mv.shape[1] == len(record.leads) > 0
    assert np.isfinite(record.signal_mv).all()
    assert math.isfinite(record.rate_hz)
    assert record.rate_hz > 0
    stored = quantise(record)
    assert np.isfinite(stored.scale_mv).all()
    assert (stored.scale_mv > 0).all()


def use_listing(source):
    listing = source.listing(rate_hz=100, seed=0, folder=source.root)
    for ref in listing.refs:
        assert ref.path.resolve().is_relative_to(source.root.resolve())
        assert ref.labels <= set(listing.target.names)
        assert ref.fold is None or abs(ref.fold) < 2**31
        assert len(visible(ref.patient)) < 10_000
        assert math.isnan(ref.age) or 0 <= ref.age <= 130
        assert ref.sex in ("", "female", "male")


def try_input(root, targets, target, content, **others):
    """Puts contents in the place of the target's file, and of others, and reads them as a user would.

    `targets` are those of the module: of each the file that is damaged and what reads it.
    """
    name, use = targets[target]
    contents = {name: content, **others}
    for other in [other for other in before if other not in contents]:
        (root / other).write_bytes(before.pop(other))
    for other, damaged_content in contents.items():
        if other not in before:
            before[other] = (root / other).read_bytes()
        (root / other).write_bytes(damaged_content)
    with bounded(target):
        use(root)


def valid(root, name):
    """The content of a file before it was damaged."""
    return Content(before.get(name) or (root / name).read_bytes())


MEGABYTES = {
    "zeros": bytes(MOST_BYTES),
    "commas": b"," * MOST_BYTES,
    "lines": b"0,1\n" * (MOST_BYTES // 4),
    "lists": b"[" * MOST_BYTES,
    "a list": b"[" + b"1," * (MOST_BYTES // 2 - 2) + b"1]\n",
    "one word": b"r" * MOST_BYTES,
    "comments": b"r 2 100 300\n" + b"# 1\n" * (MOST_BYTES // 4 - 3),
}
