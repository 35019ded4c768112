"""The MIT-BIH source: beats and rhythms on real recordings, and on records with annotations that tests write."""

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from rich.console import Console

from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.sources import Mitdb
from ecg_jax.sources.mitdb import DS1, DS2, PACED

CLASSES = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}  # as the issue of the set has it
RATE_HZ = 360


def listed(source):
    return source.listing(rate_hz=360.0, seed=0, folder=Path())


def made(source, to, console=None, **options):
    return prepare(PrepareConfig(source, to, workers=1, **options), console or Console(quiet=True, stderr=True))


def left_out(prepared):
    with (prepared.path / "left_out.csv").open(newline="") as file:
        return {row["record"]: row["reason"] for row in csv.DictReader(file)}


def write_record(
    folder, name, beats, rhythms=((0, "(N"),), *, samples=7200, leads=("MLII", "V1"), comment="69 M 1 2 x1"
):
    """A record in format 212 of 20 s whose sample n is n modulo 2000, with beats and notes at samples."""
    folder.mkdir(exist_ok=True)
    digital = np.stack([np.arange(samples) % 2000 - 1000] * len(leads), axis=1)
    shared = {"fmt": ["212"] * len(leads), "adc_gain": [200.0] * len(leads), "baseline": [0] * len(leads)}
    wfdb.wrsamp(
        name,
        RATE_HZ,
        ["mV"] * len(leads),
        list(leads),
        d_signal=digital,
        **shared,
        comments=[comment],
        write_dir=str(folder),
    )
    marks = sorted([*((at, symbol, "") for at, symbol in beats), *((at, "+", note) for at, note in rhythms)])
    at, symbols, notes = zip(*marks, strict=True)
    wfdb.wrann(name, "atr", np.array(at), list(symbols), aux_note=list(notes), write_dir=str(folder))


@pytest.fixture(scope="session")
def half(unpacked):
    """The folder of DS1 and the paced records."""
    return unpacked("mitdb") / "mitdb"


@pytest.fixture(scope="session")
def beats(half, tmp_path_factory):
    return made(Mitdb(half, beats=True, split="inter_patient"), tmp_path_factory.mktemp("set") / "beats")


def counted(folder, names, before=360, after=216):
    """The beats of each class by wfdb alone, and those of them whose window leaves the record."""
    class_of = {symbol: name for name, symbols in CLASSES.items() for symbol in symbols}
    whole, leaving = Counter(), Counter()
    for name in names:
        marks = wfdb.rdann(str(folder / str(name)), "atr")
        for sample, symbol in zip(marks.sample, marks.symbol, strict=True):
            if symbol in class_of:
                whole[class_of[symbol]] += 1
                leaving[class_of[symbol]] += not before <= sample <= 650_000 - after
    return whole, +leaving


def test_the_beats_of_ds1_are_those_published_less_those_whose_window_leaves_the_record(half, beats):
    whole, leaving = counted(half, DS1)
    assert whole == {"N": 45_866, "S": 944, "V": 3_788, "F": 415, "Q": 8}  # de Chazal et al. 2004
    assert leaving == {"N": 42, "V": 2, "S": 1, "F": 1}
    found = Counter(dict(zip(beats.labels, beats.label.sum(axis=0).tolist(), strict=True)))
    assert found == whole - leaving
    kinds = Counter(reason.partition(":")[0] for reason in left_out(beats).values())
    assert kinds == {"window leaves the record": 46, "paced": 4, "no file": 22}


def test_the_eight_unclassified_beats_of_ds1_bear_the_symbol_q_and_none_is_paced(half):
    symbols = Counter()
    for name in DS1:
        symbols.update(wfdb.rdann(str(half / str(name)), "atr").symbol)
    assert [symbols[symbol] for symbol in CLASSES["Q"]] == [0, 0, 8]


def test_millivolts_around_a_beat_are_those_of_lead_mlii_by_wfdb(half, beats):
    for name in ("101", "114"):  # in 114 it is the second signal
        record = wfdb.rdrecord(str(half / name))
        signal_mv = record.p_signal[:, record.sig_name.index("MLII")]
        indices = np.flatnonzero(np.char.startswith(beats.record_ids, f"{name}_"))[::50]
        for index in indices:
            peak = int(beats.record_ids[index].partition("_")[2])
            np.testing.assert_allclose(
                beats.signal_mv(index)[:, 0], signal_mv[peak - 360 : peak + 216], atol=0.51 * 5 / 32767
            )


def test_patients_ages_and_sexes_of_beats_are_those_of_the_header_of_their_record(half, beats):
    record_of = np.array([record_id.partition("_")[0] for record_id in beats.record_ids])
    for name in map(str, DS1):
        age, sex = re.search(r"^# (\d+) ([MF]) ", (half / f"{name}.hea").read_text(), re.MULTILINE).groups()
        of_record = record_of == name
        assert set(beats.patients[of_record]) == {name}
        assert set(beats.ages[of_record]) == {float(age)}
        assert set(beats.sexes[of_record]) == {{"M": "male", "F": "female"}[sex]}


def test_ds1_is_spread_over_five_folds_by_patient_and_each_class_over_all_of_them(beats):
    assert {len(set(beats.folds[beats.patients == patient])) for patient in np.unique(beats.patients)} == {1}
    assert set(beats.folds) == {1, 2, 3, 4, 5}
    for name in "NSV":
        in_fold = np.bincount(beats.folds[beats.label[:, beats.labels.index(name)] == 1], minlength=6)[1:]
        assert in_fold.min() > 0, name


def test_windows_of_a_rhythm_lie_within_it_and_fill_it(half, tmp_path):
    listing = listed(Mitdb(half, window_seconds=30.0))
    seconds = Counter()
    for name in map(str, (*DS1, *PACED)):
        marks = wfdb.rdann(str(half / name), "atr")
        notes = [(at, note.strip("\0")) for at, note in zip(marks.sample, marks.aux_note, strict=True) if "(" in note]
        for (begin, note), end in zip(notes, [*(at for at, _ in notes[1:]), 650_000], strict=True):
            seconds[note[1:]] += (end - begin) // (30 * RATE_HZ)
    assert Counter(label for ref in listing.refs for label in ref.labels) == +seconds
    assert listing.target.names == tuple(sorted(+seconds))
    assert (listing.target.kind, listing.score) == ("exclusive", None)


@pytest.fixture
def small(tmp_path):
    """Records 100, 201 and 202 of two patients, 102 without MLII, and a record that is not of the set."""
    folder = tmp_path / "mitdb"
    write_record(folder, "100", [(100, "N"), (400, "V"), (3000, "N"), (7100, "A")], [(0, "(N"), (5000, "(AFIB")])
    write_record(folder, "201", [(400, "N"), (900, "S"), (1500, "!"), (2000, "V")])
    write_record(folder, "202", [(400, "N"), (2000, "/")])
    write_record(folder, "101", [(400, "N"), (2000, "F")], comment="-1 F 1 2 x1")
    write_record(folder, "102", [(400, "N")], leads=("V5", "V2"))
    write_record(folder, "x_100", [(400, "N")])
    return folder


def test_a_beat_is_named_by_its_sample_and_one_whose_window_leaves_the_record_is_left_out_by_name(small):
    listing = listed(Mitdb(small, beats=True))
    found = {ref.record_id: (min(ref.labels), ref.patient, ref.key) for ref in listing.refs}
    assert found["100_000400"] == ("V", "100", "40:616")
    assert found["202_002000"] == ("Q", "201", "1640:2216")
    assert len(found) == 2 + 3 + 2 + 2 + 1
    names = {rejected.record: rejected.kind for rejected in listing.left_out if rejected.kind != "no file"}
    assert names == {
        "100_000100": "window leaves the record",
        "100_007100": "window leaves the record",
        "x_100": "not one of the 48 records of the set",
    }
    assert len([rejected for rejected in listing.left_out if rejected.kind == "no file"]) == 48 - 5


def test_flags_change_the_window_around_a_beat(small):
    refs = listed(Mitdb(small, beats=True, before_seconds=0.25, after_seconds=0.25)).refs
    assert {"100_000100": "10:190", "100_007100": "7010:7190"}.items() <= {
        ref.record_id: ref.key for ref in refs
    }.items()


def test_the_first_few_beats_are_of_different_records(small):
    assert {ref.record_id[:3] for ref in listed(Mitdb(small, beats=True)).refs[:5]} == {
        "100",
        "101",
        "102",
        "201",
        "202",
    }


def test_an_age_of_minus_1_is_unknown(small):
    ref = next(ref for ref in listed(Mitdb(small)).refs if ref.record_id.startswith("101"))
    assert np.isnan(ref.age)
    assert ref.sex == "female"


def test_the_published_division_keeps_one_patient_on_both_sides_and_says_so(small, tmp_path):
    console = Console(record=True, width=300, stderr=True, quiet=False, file=(tmp_path / "said").open("w"))
    prepared = made(Mitdb(small, beats=True, split="inter_patient"), tmp_path / "set", console, folds=2)
    folds = {record_id[:3]: fold for record_id, fold in zip(prepared.record_ids, prepared.folds, strict=True)}
    assert {folds["101"], folds["201"]} == {1, 2}
    assert (folds["100"], folds["202"]) == (6, 6)
    assert "102" not in folds
    said = [line for line in console.export_text().splitlines() if line.startswith("patient ")]
    assert said == [f"patient 201 is in folds {folds['201']}, 6: the published division, which is kept, has it so"]


def test_every_other_division_keeps_that_patient_in_one_fold(small, tmp_path):
    console = Console(record=True, width=300, stderr=True, file=(tmp_path / "said").open("w"))
    prepared = made(Mitdb(small, beats=True), tmp_path / "set", console, folds=3)
    of_patient = prepared.folds[prepared.patients == "201"]
    assert len(of_patient) == 5
    assert len(set(of_patient)) == 1
    assert "published division" not in console.export_text()


def test_more_folds_than_the_division_leaves_room_for_are_refused(tmp_path):
    for name in (*DS1[:6], DS2[0]):
        write_record(tmp_path / "from", str(name), [(400, "N")])
    with pytest.raises(DataError, match="--folds 6 would make fold 6, which the source has already"):
        made(Mitdb(tmp_path / "from", beats=True, split="inter_patient"), tmp_path / "set", folds=6)


def test_a_record_without_the_lead_is_rejected_and_one_with_it_second_is_read(small, tmp_path):
    write_record(small, "114", [(400, "N")], leads=("V5", "MLII"))
    prepared = made(Mitdb(small, beats=True), tmp_path / "set", folds=2)
    with (prepared.path / "rejected.csv").open(newline="") as file:
        assert [(row["record"], row["reason"][:12]) for row in csv.DictReader(file)] == [("102_000400", "leads absent")]
    expected_mv = (np.arange(40, 616) % 2000 - 1000) / 200
    np.testing.assert_allclose(prepared.signal_mv(prepared.index_of("114_000400"))[:, 0], expected_mv, atol=1e-4)


def test_damaged_and_absent_annotations_lose_no_other_record(small, tmp_path):
    (small / "201.atr").write_bytes(b"\x00\x03\x01")
    (small / "202.atr").unlink()
    (small / "101.hea").write_text("101 2 360 7200\n101.dat 212\n")
    listing = listed(Mitdb(small, beats=True))
    assert {ref.record_id[:3] for ref in listing.refs} == {"100", "102"}
    kinds = {rejected.record: rejected.kind for rejected in listing.left_out}
    assert kinds["202"] == "no annotations"
    assert kinds["101"] == "header unreadable"


def test_a_signal_file_that_ends_early_rejects_the_windows_of_its_record_alone(small, tmp_path):
    data = (small / "201.dat").read_bytes()
    (small / "201.dat").write_bytes(data[: len(data) // 2])
    prepared = made(Mitdb(small, beats=True), tmp_path / "set", folds=2)
    with (prepared.path / "rejected.csv").open(newline="") as file:
        assert {row["record"][:3] for row in csv.DictReader(file)} == {"102", "201"}
    assert {record_id[:3] for record_id in prepared.record_ids} == {"100", "101", "202"}


def test_stretches_follow_files_that_change_while_a_process_runs(small, tmp_path):
    first = made(Mitdb(small, beats=True), tmp_path / "first", folds=2)
    write_record(small, "100", [(400, "V")], leads=("V1", "MLII"), samples=9000)
    second = made(Mitdb(small, beats=True), tmp_path / "second", folds=2)
    assert (first.index_of("100_003000"), len(first)) == (1, 9)
    assert len(second) == 8


@pytest.mark.parametrize("flag", ["window_seconds", "before_seconds", "after_seconds"])
def test_a_window_without_length_is_refused_by_its_flag(flag):
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')} is 0; give"):
        Mitdb(Path(), **{flag: 0.0})
