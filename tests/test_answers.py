"""Answers for many recordings: those of each one alone, in order; of stretches of a recording; as rows of a table."""

import csv
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import called

from ecg_jax.answers import lines, recordings_of
from ecg_jax.dataset.parallel_load import CHUNK, CHUNK_BYTES, read_all
from ecg_jax.inference import load
from ecg_jax.records import MISSING, Quantised
from ecg_jax.sources import RecordRef

N_RECORDS = 70  # more than are read without processes of their own


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    from ecg_jax.synthetic import write

    made = tmp_path_factory.mktemp("asked")
    write(made, records=N_RECORDS, seed=9)
    return made / "records"


@pytest.fixture(scope="module")
def model(finished):
    return load(finished.workdir)


def noise(samples, seed=0):
    """A record of the set's twelve leads."""
    signal = np.random.default_rng(seed).integers(-900, 900, (samples, 12)).astype(np.int16)
    return Quantised(signal, np.full(12, 1e-3, np.float32), ("lead I flat",))


def answered(model, monkeypatch, records, **how):
    monkeypatch.setattr("ecg_jax.inference.read_all", lambda refs, **_: iter(records))
    return list(model.answers([f"r{place}" for place in range(len(records))], **how))


def test_many_recordings_have_the_answers_of_each_one_alone(model, folder):
    paths = recordings_of([str(folder)])
    paths[10:10] = ["nowhere/r1"]
    together = list(model.answers(paths, workers=2))
    assert [answer["record"] for answer in together] == paths
    assert [place for place, answer in enumerate(together) if "error" in answer] == [10]
    for answer in [together[0], together[33], together[-1]]:
        alone = model.predict(answer["record"])
        assert answer["probabilities"] == pytest.approx(alone["probabilities"], abs=2e-6)
        others = ("warnings", "thresholds", "decisions")
        assert [answer[name] for name in others] == [alone[name] for name in others]


def test_a_recording_does_not_wait_for_all_that_follow_it(model, monkeypatch):
    taken = itertools.count()

    def endless(refs, **_):
        for _ in refs:
            next(taken)
            yield noise(1000)

    monkeypatch.setattr("ecg_jax.inference.read_all", endless)
    next(model.answers(["r"] * 10**6))
    assert next(taken) < 100


@given(st.integers(1, 2500), st.sampled_from([1, 1.5, 2, 7, 30]))
def test_stretches_follow_each_other_from_the_first_sample_to_the_last(model, samples, every):
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("ecg_jax.inference.Model._of_windows", lambda self, windows, _: np.zeros((len(windows), 13)))
        found = answered(model, patches, [noise(samples)], every_seconds=every)
    starts, ends = ([answer[name] for answer in found] for name in ("start_seconds", "end_seconds"))
    assert [starts[0], ends[-1]] == [0, samples / 100]
    assert starts[1:] == ends[:-1]
    lengths = np.subtract(ends, starts)
    assert (np.abs(lengths[:-1] - every) <= 0.011).all()  # a sample is 0.01 s
    assert lengths[-1] <= 1.5 * every + 0.01
    assert lengths[-1] >= 0.5 * every - 0.01 or len(found) == 1


@pytest.mark.parametrize("every", [1, 3, 4.5])
def test_the_answer_of_a_stretch_is_that_of_a_recording_which_is_no_longer(model, monkeypatch, every):
    record = noise(1000)
    found = answered(model, monkeypatch, [record], every_seconds=every)
    for answer in (found[0], found[-1]):
        first, end = (round(100 * answer[name]) for name in ("start_seconds", "end_seconds"))
        alone = model.probability(Quantised(record.signal[first:end], record.scale_mv, ()))
        np.testing.assert_allclose(list(answer["probabilities"].values()), alone, atol=2e-6)


def test_a_stretch_without_a_sample_has_no_probabilities_and_the_others_keep_theirs(model, monkeypatch):
    record = noise(1000)
    record.signal[200:400] = MISSING
    found = answered(model, monkeypatch, [record], every_seconds=2)
    assert [bool(answer["probabilities"]) for answer in found] == [True, False, True, True, True]
    assert found[1]["warnings"] == ["lead I flat", "no sample recorded"]
    assert found[1]["decisions"] == []
    assert found[0]["warnings"] == ["lead I flat"]


def test_rows_of_csv_say_what_lines_of_json_say(model, monkeypatch):
    records = [noise(1000), noise(700)]
    found = answered(model, monkeypatch, records, every_seconds=2)
    found.append({"record": "a;b,c\n", "start_seconds": 0, "end_seconds": 1, "warnings": [], "error": 'no "x"'})
    labels = model.contract.target.names
    as_json = [json.loads(line) for line in lines(found, "json", labels, timed=True)]
    text = "\n".join(lines(found, "csv", labels, timed=True))
    as_csv = list(csv.DictReader(io.StringIO(text, newline="")))
    assert as_json == found
    assert len(as_csv) == len(found)
    for row, answer in zip(as_csv, found, strict=True):
        assert (row["record"], row["error"]) == (answer["record"], answer.get("error", ""))
        assert [row["decisions"], row["warnings"]] == [
            ";".join(answer.get(name, ())) for name in ("decisions", "warnings")
        ]
        assert [float(row["start_seconds"]), float(row["end_seconds"])] == [
            answer["start_seconds"],
            answer["end_seconds"],
        ]
        numbers = {label: float(row[f"p_{label}"]) for label in labels if row[f"p_{label}"]}
        assert numbers == answer.get("probabilities", {})


def test_a_folder_stands_for_the_wfdb_records_below_it_or_else_for_its_other_files(tmp_path):
    for name in ("b/r2.hea", "r1.hea", "r1.mat", "labels.csv", "d/x.npy", "d/y.edf", "d/.hidden.npy", "d/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "r1").mkdir()  # beside a record of the same name
    below = recordings_of([str(tmp_path), str(tmp_path / "d"), "other", "", str(tmp_path / "r1")])
    assert below[:2] == [str(tmp_path / "b" / "r2"), str(tmp_path / "r1")]
    assert below[2:4] == [str(tmp_path / "d" / "x.npy"), str(tmp_path / "d" / "y.edf")]
    assert below[4:] == ["other", "", str(tmp_path / "r1")]
    assert recordings_of([str(tmp_path / "empty")]) == [str(tmp_path / "empty")]


@pytest.mark.parametrize(("file_bytes", "at_once"), [(1000, CHUNK), (CHUNK_BYTES // 4, 4), (3 * CHUNK_BYTES, 1)])
def test_of_long_records_few_are_read_at_once(tmp_path, monkeypatch, file_bytes, at_once):
    refs = [RecordRef(str(place), tmp_path / str(place), frozenset()) for place in range(CHUNK)]
    for ref in refs:
        with (tmp_path / f"{ref.record_id}.dat").open("wb") as file:
            file.truncate(file_bytes)
    sizes = []
    monkeypatch.setattr(
        "ecg_jax.dataset.parallel_load._read_chunk",
        lambda chunk, **_: sizes.append(len(chunk)) or [noise(1)] * len(chunk),
    )
    assert len(list(read_all(refs, leads=("I",), rate_hz=100, workers=1))) == CHUNK
    assert max(sizes) == at_once


def test_predict_writes_a_table_and_names_how_many_recordings_have_no_answer(
    finished, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    good = recordings_of([str(folder)])[:2]
    flags = ["--workdir", str(finished.workdir), "--format", "csv", "--out", "answers.csv"]
    assert called("predict", *flags, "nowhere", *good) == 1
    assert "1 of 3 recordings" in capsys.readouterr().err
    rows = list(csv.DictReader(io.StringIO(Path("answers.csv").read_text(encoding="utf-8"))))
    assert [bool(row["error"]) for row in rows] == [True, False, False]
    assert called("predict", *flags, *good) == 0
    assert len(list(csv.DictReader(io.StringIO(Path("answers.csv").read_text(encoding="utf-8"))))) == 2


def test_predict_draws_the_answers_over_time(finished, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    flags = ["--every", "2", "--pictures", str(tmp_path / "over time"), "--format", "csv"]
    assert called("predict", "--workdir", str(finished.workdir), "s00000", *flags) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert (tmp_path / "over time" / "s00000.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--every", "0"], "--every is 0; give the seconds of each answer"),
        (["--pictures", "here"], "give the seconds of each answer with --every"),
        (["--out", "nowhere/x.csv"], "nowhere/x.csv is not there"),
    ],
)
def test_wrong_flags_of_predict_are_one_line(finished, folder, flags, says, capsys):
    assert called("predict", "--workdir", str(finished.workdir), str(folder / "s00000"), *flags) == 1
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
