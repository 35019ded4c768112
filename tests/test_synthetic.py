"""The synthetic recordings: wfdb reads the files, the signals agree with the labels, the waves are plausible."""

import csv
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.errors import ConfigError
from ecg_jax.records import STANDARD_LEADS
from ecg_jax.synthetic import LABELS, REACH_SECONDS, write
from ecg_jax.synthetic.cohort import Visit, visits
from ecg_jax.synthetic.heart import Beat, Patient, draw_beats, draw_patient, heart_vector
from ecg_jax.synthetic.recordings import signal_mv

SEEDS = st.integers(0, 2**32 - 1)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("synthetic")
    write(path, records=8, seed=5)
    return path


def test_wfdb_reads_back_the_samples_that_were_drawn(folder):
    for row, visit in zip(rows_of(folder), visits(5), strict=False):
        record = wfdb.rdrecord(str(folder / row["record"]))
        assert (record.fs, record.sig_len, tuple(record.sig_name)) == (500, 5000, STANDARD_LEADS)
        assert set(record.units) == {"mV"}
        np.testing.assert_allclose(record.p_signal, signal_mv(visit, 5), rtol=0, atol=0.000501)  # half a unit of 1 uV


def test_header_states_the_checksum_and_first_sample_that_wfdb_computes(folder):
    for row in rows_of(folder):
        record = wfdb.rdrecord(str(folder / row["record"]), physical=False)
        assert [c % 65536 for c in record.checksum] == [int(c) for c in record.calc_checksum()]
        assert record.init_value == record.d_signal[0].tolist()


def test_the_table_names_every_record_once_with_its_patient_and_labels(folder):
    rows = rows_of(folder)
    assert {f"{row['record']}.hea" for row in rows} == {n for n in bytes_below(folder) if n.endswith(".hea")}
    for row, visit in zip(rows, visits(5), strict=False):
        assert row["labels"].split(";") == sorted(visit.labels)
        assert row["patient"] == f"p{visit.patient:05d}"


def test_the_same_seed_gives_the_same_bytes_and_fewer_records_are_a_part_of_more(folder, tmp_path):
    write(tmp_path, records=3, seed=5)
    fewer, more = bytes_below(tmp_path), bytes_below(folder)
    del fewer["labels.csv"]
    assert {name: more[name] for name in fewer} == fewer
    assert rows_of(tmp_path) == rows_of(folder)[:3]


def test_another_seed_gives_other_recordings(folder, tmp_path):
    write(tmp_path, records=1, seed=6)
    assert bytes_below(tmp_path)["records/s00000.dat"] != bytes_below(folder)["records/s00000.dat"]


@pytest.mark.parametrize(("records", "seed"), [(0, 0), (1, -1), (1, 2**32)])
def test_a_number_of_records_or_a_seed_that_cannot_be_is_refused_by_its_flag(tmp_path, records, seed):
    with pytest.raises(ConfigError, match="--records" if records < 1 else "--seed"):
        write(tmp_path, records=records, seed=seed)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_four_hundred_records_hold_each_label_at_least_25_times(seed):
    some = list(itertools.islice(visits(seed), 400))
    counts = Counter(label for visit in some for label in visit.labels)
    assert set(counts) == set(LABELS)
    assert min(counts.values()) >= 25
    assert 40 <= 400 - len({visit.patient for visit in some}) <= 120  # patients that come twice


IMPOSSIBLE = {  # label: others that no recording has with it, because they contradict or hide each other
    "AFIB": {"1AVB", "SARRH", "SBRAD", "STACH"},  # no P wave, no sinus rhythm
    "STACH": {"SARRH", "SBRAD", "1AVB"},  # one rate; at a fast one the P wave lies in the T wave
    "SBRAD": {"SARRH"},
    "PVC": {"SARRH"},  # both make the RR intervals irregular
    "CLBBB": {"CRBBB", "LVH", "STE_ANT", "STE_INF", "STE_LAT"},  # it changes voltage and ST segment itself
    "LVH": {"STE_ANT", "STE_INF", "STE_LAT"},  # strain changes the ST segment
    "STE_ANT": {"STE_INF", "STE_LAT"},  # each wall lowers the ST segment of another
    "STE_INF": {"STE_LAT"},
}


@pytest.mark.parametrize("seed", range(3))
def test_two_labels_meet_in_a_recording_exactly_if_they_do_not_contradict_each_other(seed):
    pairs = set()
    for visit in itertools.islice(visits(seed), 4000):
        pairs |= set(map(frozenset, itertools.combinations(visit.labels, 2)))
    impossible = {frozenset({label, other}) for label, others in IMPOSSIBLE.items() for other in others}
    abnormal = itertools.combinations(set(LABELS) - {"NORM"}, 2)
    assert pairs == set(map(frozenset, abnormal)) - impossible


def drawn(labels: set[str], number: int, seconds: float = 10) -> tuple[Patient, list[Beat]]:
    patient = draw_patient(np.random.default_rng([1, number]), frozenset(labels))
    return patient, draw_beats(np.random.default_rng([2, number]), patient, seconds)


def intervals_of(beats: list[Beat]) -> np.ndarray:
    return np.diff([b.onset_seconds for b in beats if -1 < b.onset_seconds < 10])


@pytest.mark.parametrize("number", range(20))
def test_rates_and_ranges_of_the_rhythms_are_what_their_labels_say(number):
    for label, low, high in (("SBRAD", 35, 60), ("NORM", 60, 100), ("STACH", 100, 160), ("SARRH", 60, 100)):
        rr = intervals_of(drawn({label}, number)[1])
        assert low < 60 / rr.mean() < high, label
        assert (np.ptp(rr) >= 0.12) == (label == "SARRH"), label


def test_fibrillation_is_irregular_from_beat_to_beat_and_has_no_p_wave():
    ratios = []
    for number in range(40):
        beats = drawn({"AFIB"}, number)[1]
        assert all(beat.p_onset_seconds is None for beat in beats)
        rr = intervals_of(beats)
        ratios.append(np.sqrt(np.mean(np.diff(rr) ** 2)) / rr.mean())
    sinus = [
        np.sqrt(np.mean(np.diff(rr) ** 2)) / rr.mean()
        for n in range(40)
        for rr in [intervals_of(drawn({"SARRH"}, n)[1])]
    ]
    assert np.median(ratios) > 1.5 * np.median(sinus)


@pytest.mark.parametrize("rhythm", ["", "AFIB", "SBRAD", "STACH"])
def test_a_premature_beat_comes_early_and_a_pause_makes_up_for_it(rhythm):
    for number in range(40):
        _, beats = drawn({"PVC", rhythm} - {""}, number)
        early = [k for k, beat in enumerate(beats) if beat.ectopic]
        assert len(early) >= 1
        assert all(0 < beats[k].onset_seconds < 9.7 for k in early)
        for k in early:
            before = beats[k].onset_seconds - beats[k - 1].onset_seconds
            assert 0.3 < before < beats[k + 1].onset_seconds - beats[k].onset_seconds


def test_pr_and_qrs_durations_lie_on_the_labels_side_of_their_limits():
    for number in range(60):
        assert drawn({"1AVB"}, number)[0].pr_seconds > 0.2 > drawn({"NORM"}, number)[0].pr_seconds > 0.1
        for label in ("CLBBB", "CRBBB"):
            assert drawn({label}, number)[0].qrs_seconds >= 0.12 > drawn({"NORM"}, number)[0].qrs_seconds


def test_beats_cover_the_recording():
    for number, label in itertools.product(range(30), ("AFIB", "SARRH", "SBRAD", "STACH", "PVC")):
        _, beats = drawn({label}, number)
        assert beats[0].onset_seconds <= 0
        assert beats[-1].onset_seconds >= 10


def stretch_seconds(label: str, patient: Patient, beats: list[Beat]) -> float:
    """The shortest stretch of a recording that shows what defines the label, measured on its beats."""
    seen = [b for b in beats if 0 < b.onset_seconds < 9.8]
    at, qrs = np.array([b.onset_seconds for b in seen]), patient.qrs_seconds
    rr = np.diff(at)
    sinus = [k for k in range(len(rr)) if not seen[k].ectopic and not seen[k + 1].ectopic]
    if label == "1AVB":
        return patient.pr_seconds + qrs / 2
    if label in ("SBRAD", "STACH"):
        return min(rr[k] for k in sinus) + qrs
    if label == "AFIB":
        return min(rr[k] + rr[k + 1] for k in range(len(rr) - 1) if abs(rr[k] - rr[k + 1]) > 0.08) + qrs
    if label == "SARRH":
        return min(at[j + 1] - at[i] for i in sinus for j in sinus if j > i and abs(rr[i] - rr[j]) >= 0.12) + qrs
    if label == "PVC":
        return min(at[k + 1] - at[k - 1] for k in range(1, len(seen) - 1) if seen[k].ectopic) + qrs
    return qrs + 0.15 if label.startswith("STE") else qrs  # ST segment


@pytest.mark.parametrize("label", sorted(set(LABELS) - {"NORM"}))
def test_what_defines_a_label_fits_into_its_reach(label):
    for visit in itertools.islice((v for v in visits(7) if label in v.labels), 60):
        patient, beats = drawn(set(visit.labels), visit.patient)
        assert stretch_seconds(label, patient, beats) <= REACH_SECONDS[label]


def test_labels_need_milliseconds_and_seconds_and_normal_the_most():
    reaches = sorted(REACH_SECONDS.values())
    assert reaches[0] < 0.25
    assert reaches[-1] > 2
    assert REACH_SECONDS["NORM"] == reaches[-1]


def one_beat(labels: set[str], number: int) -> tuple[dict[str, np.ndarray], Patient]:
    """A single beat without noise, lead by lead in mV at 1000 Hz; its QRS begins at 0.5 s."""
    patient = draw_patient(np.random.default_rng([1, number]), frozenset(labels))
    beats = [Beat(0.5, patient.rr_seconds, p_onset_seconds=0.5 - patient.pr_seconds)]
    dipole = heart_vector(np.random.default_rng(0), patient, beats, np.arange(1400) / 1000)
    i, ii, *chest = (dipole @ patient.lead_vectors.T).T
    limbs = {"I": i, "II": ii, "III": ii - i, "aVL": i - ii / 2, "aVF": ii - i / 2}
    return limbs | {f"V{k + 1}": lead for k, lead in enumerate(chest)}, patient


def median_over_patients(measure, labels: set[str], patients: int = 60) -> float:
    return float(np.median([measure(*one_beat(labels, number)) for number in range(patients)]))


def st_level(lead: str):
    """ST level 40 ms after the end of QRS, in mV."""
    return lambda leads, patient: leads[lead][500 + round(1000 * patient.qrs_seconds) + 40]


def test_r_grows_and_s_shrinks_from_v1_to_v5_in_normal_hearts():
    share = [
        median_over_patients(lambda x, _, v=v: x[v].max() / np.ptp(x[v][480:600]), {"NORM"}) for v in ("V1", "V3", "V5")
    ]
    assert share[0] < 0.35 < share[1] < 0.65 < share[2]


@pytest.mark.parametrize(
    ("label", "raised", "lowered"),
    [
        ("STE_ANT", ("V2", "V3"), "III"),
        ("STE_INF", ("II", "III", "aVF"), "aVL"),
        ("STE_LAT", ("I", "aVL", "V6"), "III"),
    ],
)
def test_st_rises_over_the_injured_wall_and_falls_opposite(label, raised, lowered):
    for lead in raised:
        assert median_over_patients(st_level(lead), {label}) > 0.1, lead
        assert abs(median_over_patients(st_level(lead), {"NORM"})) < 0.08, lead
    assert median_over_patients(st_level(lowered), {label}) < -0.04


def test_bundle_branch_blocks_turn_the_end_of_qrs_as_textbooks_say():
    def late(lead: str):  # mean of the last two fifths of QRS
        def measure(leads, patient):
            end = 500 + 1000 * patient.qrs_seconds
            return leads[lead][round(end - 400 * patient.qrs_seconds) : round(end)].mean()

        return measure

    assert median_over_patients(late("V1"), {"CRBBB"}) > 0.1  # R' on the right
    assert median_over_patients(late("I"), {"CRBBB"}) < -0.05  # wide S on the left
    assert median_over_patients(late("V1"), {"CLBBB"}) < -0.3
    assert median_over_patients(late("V6"), {"CLBBB"}) > 0.2
    assert median_over_patients(lambda x, _: x["V6"][700:950].sum(), {"CLBBB"}) < 0  # T against QRS


def test_hypertrophy_reaches_the_voltage_of_sokolow_and_lyon_and_normal_hearts_do_not():
    def sokolow_lyon(leads, _):  # S in V1 and the taller R of V5 and V6
        return -leads["V1"].min() + max(leads["V5"].max(), leads["V6"].max())

    assert median_over_patients(sokolow_lyon, {"LVH"}) > 3.5 > 3.0 > median_over_patients(sokolow_lyon, {"NORM"})


def test_limb_leads_obey_einthoven_and_goldberger_in_the_presence_of_noise():
    signal = dict(zip(STANDARD_LEADS, signal_mv(Visit(3, 0, frozenset({"AFIB"})), 9).T, strict=True))
    np.testing.assert_allclose(signal["I"] + signal["III"], signal["II"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(signal["aVR"] + signal["aVL"] + signal["aVF"], 0, rtol=0, atol=1e-12)


def test_a_patient_comes_again_with_the_same_heart_but_not_the_same_recording():
    twice = next(visit for visit in visits(0) if visit.number == 1)
    first, second = (signal_mv(Visit(twice.patient, n, twice.labels), 0) for n in (0, 1))
    assert abs(first - second).max() > 0.1
    heights = np.percentile(first, 99.5, axis=0), np.percentile(second, 99.5, axis=0)
    assert np.corrcoef(*heights)[0, 1] > 0.9


def test_normal_recordings_are_as_tall_as_real_ones(real_data):
    with (real_data / "ptb_xl" / "ptbxl_database_present.csv").open(newline="", encoding="utf-8") as file:
        normal = [row["filename_lr"] for row in csv.DictReader(file) if "'NORM': 100" in row["scp_codes"]][:60]
    real = [np.fromfile(real_data / "ptb_xl" / f"{name}.dat", "<i2").reshape(-1, 12) / 1000 for name in normal]
    ours = [signal_mv(v, 0)[::5] for v in itertools.islice((v for v in visits(0) if v.labels == {"NORM"}), 60)]
    for percent in (0.5, 99.5):  # S and R
        tall = [np.median([np.percentile(x - np.median(x, 0), percent, 0) for x in some], 0) for some in (real, ours)]
        np.testing.assert_allclose(tall[1], tall[0], rtol=0.35, atol=0.1)  # of medians that span 0.1 to 1.3 mV


def test_the_generator_loads_no_jax():
    code = "import sys, ecg_jax.synthetic; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jax", "tensorflow"} & set(loaded)
