"""Recordings: leads, resampling, quantisation, checks."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from wfdb_writing import RAMP, write_record

from ecg_jax.errors import DataError
from ecg_jax.records import MISSING, Record, Rejected, load, quantise
from ecg_jax.records.leads import arrange
from ecg_jax.records.resample import ratio, resample
from ecg_jax.records.standardise import READERS


def record_of(signal_mv, missing=None, *, rate_hz=100.0, leads=("I", "II")):
    signal_mv = np.asarray(signal_mv, np.float32)
    missing = np.zeros(signal_mv.shape, bool) if missing is None else missing
    return Record("r", np.where(missing, 0, signal_mv).astype(np.float32), missing, rate_hz, leads)


@given(potentials_mv=arrays(np.float64, (16, 3), elements=st.floats(-5, 5)))
def test_derived_limb_leads_equal_those_measured_at_the_electrodes(potentials_mv):
    ra, la, ll = potentials_mv.T  # right arm, left arm, left leg
    measured = np.stack([ll - la, ra - (la + ll) / 2, la - (ra + ll) / 2, ll - (ra + la) / 2], -1)
    derived = arrange(record_of(np.stack([la - ra, ll - ra], -1)), ("III", "aVR", "aVL", "aVF"))
    np.testing.assert_allclose(derived.signal_mv, measured, rtol=0, atol=1e-5)  # float32 at 10 mV


def test_leads_stand_in_the_order_asked_for_whatever_their_case():
    arranged = arrange(record_of([[1, 2, 3]], leads=("v1", "AVF", "Ii")), ("II", "V1", "aVF"))
    assert arranged.signal_mv.tolist() == [[3, 1, 2]]
    assert arranged.leads == ("II", "V1", "aVF")


def test_a_lead_that_is_recorded_is_not_derived():
    arranged = arrange(record_of([[1, 2, 9]], leads=("I", "II", "III")), ("III",))
    assert arranged.signal_mv.tolist() == [[9]]


def test_a_lead_that_cannot_be_had_is_missing_throughout():
    arranged = arrange(record_of(np.ones((5, 1)), leads=("I",)), ("I", "III", "V1"))
    assert arranged.missing.all(axis=0).tolist() == [False, True, True]


def test_a_derived_lead_is_missing_where_one_of_its_sources_is():
    missing = np.array([[False, False], [True, False], [False, True]])
    arranged = arrange(record_of(np.ones((3, 2)), missing), ("aVR",))
    assert arranged.missing[:, 0].tolist() == [False, True, True]


RATES = st.sampled_from([50.0, 128.0, 257.0, 300.0, 333.33, 360.0, 400.0, 500.0, 1000.0])


@settings(deadline=None)
@given(rate_hz=RATES, frequency_hz=st.floats(0.5, 15), phase=st.floats(0, 6))
def test_resampling_keeps_a_slow_wave_in_size_and_time(rate_hz, frequency_hz, phase):
    def wave(rate):
        return np.sin(2 * np.pi * frequency_hz * np.arange(0, 10, 1 / rate) + phase)[:, None]

    got = resample(record_of(wave(rate_hz), rate_hz=rate_hz, leads=("I",)), 100.0).signal_mv
    inner = slice(100, 900)  # the filter's ends apart
    np.testing.assert_allclose(got[inner], wave(100.0)[inner], atol=0.02)


@pytest.mark.parametrize("frequency_hz", [65, 80, 100, 140, 200])
def test_what_the_new_rate_cannot_carry_does_not_come_back_as_something_slower(frequency_hz):
    fast = np.sin(2 * np.pi * frequency_hz * np.arange(5000) / 500)[:, None]
    got = resample(record_of(fast, rate_hz=500.0, leads=("I",)), 100.0).signal_mv
    assert np.abs(got[50:-50]).max() < 0.01


def test_an_offset_stays_level_to_both_ends():
    got = resample(record_of(np.full((3000, 1), 3.0), rate_hz=300.0, leads=("I",)), 100.0).signal_mv
    np.testing.assert_allclose(got, 3.0, atol=1e-5)


@pytest.mark.parametrize(("rate_hz", "samples", "expected"), [(500, 5000, 1000), (360, 361, 101), (257, 2570, 1000)])
def test_a_record_lasts_as_long_at_its_new_rate(rate_hz, samples, expected):
    assert len(resample(record_of(np.zeros((samples, 2)), rate_hz=float(rate_hz)), 100.0).signal_mv) == expected


@settings(deadline=None)
@given(missing=arrays(bool, 60), rate_hz=st.sampled_from([40.0, 100.0, 128.0, 300.0, 500.0]))
def test_an_output_sample_is_missing_when_an_input_sample_near_it_is(missing, rate_hz):
    got = resample(record_of(np.ones((60, 1)), missing[:, None], rate_hz=rate_hz, leads=("I",)), 100.0)
    reach = max(0.5 / 100, 1 / rate_hz) if rate_hz != 100 else 0.5 / 100
    near = np.abs(np.arange(len(got.missing))[:, None] / 100 - np.arange(60) / rate_hz) < reach * (1 - 1e-9)
    assert (got.missing[:, 0] == (near & missing).any(axis=1)).all()


def test_a_gap_is_bridged_before_the_filter():
    missing = np.zeros((1000, 1), bool)
    missing[400:600] = True
    level = record_of(np.full((1000, 1), 5.0), missing, rate_hz=500.0, leads=("I",))  # 0 in the gap
    got = resample(level, 100.0)
    np.testing.assert_allclose(got.signal_mv[~got.missing], 5.0, atol=1e-4)


@given(rate_hz=RATES, samples=st.integers(1, 4), value=st.floats(-5, 5, width=32))
def test_the_shortest_records_are_finite_at_their_new_rate(rate_hz, samples, value):
    got = resample(record_of(np.full((samples, 2), value), rate_hz=rate_hz), 100.0).signal_mv
    np.testing.assert_allclose(got, value, atol=0.01)


@settings(deadline=None)
@given(rate_hz=RATES, signal_mv=arrays(np.float32, (70, 2), elements=st.floats(-5, 5, width=32)))
def test_resampling_is_that_of_scipy_to_the_bit(rate_hz, signal_mv):
    change = ratio(rate_hz, 100.0)
    wide = signal_mv.astype(np.float64)
    expected = scipy.signal.resample_poly(wide, change.numerator, change.denominator, padtype="line")
    got = resample(record_of(signal_mv, rate_hz=rate_hz), 100.0)
    assert got.signal_mv.tobytes() == expected.astype(np.float32).tobytes()
    assert not got.missing.any()


def test_resampling_a_few_leads_at_a_time_changes_no_bit(monkeypatch):
    generator = np.random.default_rng(5)
    record = record_of(generator.normal(size=(900, 5)), generator.random((900, 5)) < 0.1, rate_hz=257, leads="abcde")
    whole = resample(record, 100.0)
    monkeypatch.setattr(sys.modules[resample.__module__], "BLOCK_SAMPLES", 1800)
    parts = resample(record, 100.0)
    assert (parts.signal_mv == whole.signal_mv).all()
    assert (parts.missing == whole.missing).all()


@given(signal_mv=arrays(np.float32, (20, 2), elements=st.floats(-50, 50, width=32)), missing=arrays(bool, (20, 2)))
def test_quantising_errs_by_half_a_step_at_most_and_marks_what_is_missing(signal_mv, missing):
    record = record_of(signal_mv, missing)
    stored = quantise(record)
    assert stored.signal.dtype == np.int16
    assert stored.scale_mv.dtype == np.float32
    assert ((stored.signal == MISSING) == missing).all()
    back = stored.signal.astype(np.float64) * stored.scale_mv
    allowed = np.maximum(stored.scale_mv * 0.51, 1e-6) + np.abs(record.signal_mv) * 1e-6  # float32 divisions
    assert (np.abs(back - record.signal_mv)[~missing] <= np.broadcast_to(allowed, missing.shape)[~missing]).all()


def test_a_flat_lead_keeps_a_scale_that_can_be_divided_by():
    assert quantise(record_of(np.zeros((5, 2)))).scale_mv.tolist() == [np.float32(0.001)] * 2


def loaded(folder, digital, *, gain="1000/mV", leads=("I", "II"), has=("I", "II")):
    return load(write_record(folder, digital=digital.astype(np.int16), gain=gain, leads=has), leads=leads, rate_hz=100)


@pytest.mark.parametrize("level", [0, 5, -30_000])
def test_a_lead_that_never_changes_is_a_warning_with_its_name(tmp_path, level):
    digital = RAMP.copy()
    digital[:, 1] = level
    result = loaded(tmp_path, digital)
    assert isinstance(result, Record)
    assert result.warnings == ("lead II flat",)


@pytest.mark.parametrize("level", [0, 5, -30_000])
def test_a_record_in_which_no_lead_changes_is_rejected(tmp_path, level):
    result = loaded(tmp_path, np.full((200, 2), level), leads=("I", "aVR", "V1"))
    assert isinstance(result, Rejected)
    assert result.reason == "flat: every sample is the same in I, aVR"


def test_a_flat_lead_is_judged_by_its_recorded_samples(tmp_path):
    digital = RAMP.copy()
    digital[:, 1] = 7
    digital[3:6] = MISSING
    assert loaded(tmp_path, digital).warnings == ("lead II flat",)


def test_a_flat_lead_that_nobody_asked_for_does_no_harm_and_does_no_good(tmp_path):
    digital = RAMP.copy()
    digital[:, 1] = 7
    assert loaded(tmp_path, digital, leads=("I",)).warnings == ()
    assert loaded(tmp_path, digital, leads=("II",)).kind == "flat"


def test_a_flat_lead_is_flat_at_every_rate(tmp_path):
    digital = RAMP.copy()
    digital[:, 1] = 12345
    path = write_record(tmp_path, digital=digital, rate="360", gain="3000/mV")
    assert load(path, leads=("I", "II"), rate_hz=100).warnings == ("lead II flat",)


@pytest.mark.parametrize("leads", [("I", "II"), ("I", "III")])
def test_a_record_of_marks_of_missing_samples_is_rejected_as_such(tmp_path, leads):
    result = loaded(tmp_path, np.full((200, 2), MISSING), leads=leads)
    assert isinstance(result, Rejected)
    assert result.reason == "no sample recorded: all of I, II are marked as missing"


def test_a_lead_that_nobody_asked_for_is_named(tmp_path):
    result = loaded(tmp_path, RAMP, has=("MLII", "V5"), leads=("II", "V5"))
    assert (result.unused_leads, quantise(result).unused_leads) == (("MLII",), ("MLII",))


def test_a_lead_from_which_another_is_derived_is_not_unused(tmp_path):
    assert loaded(tmp_path, RAMP, leads=("aVR",)).unused_leads == ()


@pytest.mark.parametrize(("offset_mv", "kept"), [(49, True), (80, True), (-290, True), (310, False), (-320, False)])
def test_an_electrode_offset_is_read_and_said_until_16_bits_are_too_few(tmp_path, offset_mv, kept):
    signal = np.stack([RAMP[:, 0], offset_mv * 100 + RAMP[:, 1] % 100], axis=1)  # 1 mV of swing
    result = loaded(tmp_path, signal, gain="100/mV")
    if kept:
        np.testing.assert_allclose(result.signal_mv[:, 1], signal[:, 1] / 100, rtol=1e-6)
        assert result.warnings == (("lead II with an offset beyond 50 mV",) if abs(offset_mv) > 50 else ())
    else:
        assert result.kind == "amplitude impossible"


def test_a_swing_beyond_50_mv_is_rejected_whatever_the_offset(tmp_path):
    digital = RAMP + 8000
    digital[7, 1] += 5400
    assert loaded(tmp_path, digital, gain="100/mV").kind == "amplitude impossible"


def test_a_lead_derived_from_numbers_beyond_32_bits_is_rejected(tmp_path, monkeypatch):
    huge = record_of(RAMP, leads=("I", "II"))
    huge.signal_mv[:] = np.float32(3e38)
    huge.signal_mv[5] = [np.inf, np.inf]
    monkeypatch.setitem(READERS, "wfdb", lambda path, key, leads, layout: huge)
    for leads in (("III",), ("aVR",), ("I", "II")):
        assert load(tmp_path, leads=leads, rate_hz=100).kind == "amplitude impossible"


@pytest.mark.parametrize(("top_mv", "fits"), [(49, True), (51, False)])
def test_amplitudes_beyond_50_mv_are_rejected_by_name(tmp_path, top_mv, fits):
    digital = np.zeros((200, 2), np.int16)
    digital[7, 1] = top_mv * 100
    result = load(write_record(tmp_path, digital=digital, gain="100/mV"), leads=("I", "II"), rate_hz=100, record_id="x")
    assert isinstance(result, Record) == fits
    assert fits or (result.record, result.kind) == ("x", "amplitude impossible")


def test_a_record_without_a_sample_of_the_leads_is_rejected_and_told_what_it_has(tmp_path):
    result = load(write_record(tmp_path), leads=("V1", "V2"), rate_hz=100)
    assert isinstance(result, Rejected)
    assert "it has I, II" in result.reason


def test_an_unusable_amplitude_in_a_lead_that_is_not_asked_for_does_no_harm(tmp_path):
    digital = RAMP.copy()
    digital[7, 1] = 32000
    assert isinstance(load(write_record(tmp_path, digital=digital, gain="100/mV"), leads=("I",), rate_hz=100), Record)


def test_a_missing_lead_is_a_counted_warning(tmp_path):
    result = load(write_record(tmp_path, digital=RAMP), leads=("I", "V6"), rate_hz=100)
    assert isinstance(result, Record)
    assert result.warnings == ("lead V6 missing",)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(ZeroDivisionError("x"), "unexpected"), (MemoryError(), "too large"), (KeyError(), "unexpected")],
)
def test_whatever_a_reader_raises_is_the_rejection_of_its_record(monkeypatch, fault, kind):
    def read(path, key, leads, layout):
        raise fault

    monkeypatch.setitem(READERS, "wfdb", read)
    result = load(Path("x"), leads=("I",), rate_hz=100, record_id="name")
    assert (result.record, result.kind) == ("name", kind)
    assert result.remedy


def test_a_rate_that_cannot_be_reached_is_the_rejection_of_its_record(tmp_path):
    result = load(write_record(tmp_path, rate="100000", digital=RAMP), leads=("I",), rate_hz=2)
    assert result.reason == "rate unusable: 100000 Hz cannot be resampled to 2 Hz"


def test_a_full_disk_stops_everything_and_rejects_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"no temporary file can be written: No such .*TMPDIR"):
        load(write_record(tmp_path, form="61"), leads=("I",), rate_hz=100)


@pytest.mark.parametrize("gain", ["1e-40/mV", "1e-38/mV", "1e-300/V", "1e-45/uV"])
def test_a_voltage_that_is_not_finite_is_refused_also_where_it_is_derived(tmp_path, gain):
    path = write_record(tmp_path, digital=np.arange(400).reshape(200, 2), gain=gain)
    for leads in (("I", "II"), ("III",), ("aVR", "V1")):
        assert load(path, leads=leads, rate_hz=100).kind in ("gain unusable", "amplitude impossible")
