"""Files of devices, in mV: each is written after its standard, or by the package that defines it."""

import sys

import numpy as np
import pytest
from file_writing import aecg, ishne

from ecg_jax.errors import DataError
from ecg_jax.file_layout import reader_of
from ecg_jax.records import Record, load

DIGITAL = np.random.default_rng(0).integers(-400, 400, (1000, 3))
LEADS = ("I", "II", "V1")


def dicom(path, *, unit="uV"):
    pydicom = pytest.importorskip("pydicom")
    codes = {"I": "2:1", "II": "2:2", "V1": "2:3"}
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.TwelveLeadECGWaveformStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.Modality, data.PatientAge, data.PatientSex = "ECG", "056Y", "F"
    wave = pydicom.Dataset()
    wave.MultiplexGroupTimeOffset, wave.WaveformOriginality, wave.SamplingFrequency = 0, "ORIGINAL", 500
    wave.NumberOfWaveformChannels, wave.NumberOfWaveformSamples = DIGITAL.shape[1], len(DIGITAL)
    channels = []
    for lead in LEADS:
        channel, source, units = (pydicom.Dataset() for _ in range(3))
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = codes[lead], "MDC", f"Lead {lead}"
        units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [source], [units]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = 2.5, 1
        channel.ChannelBaseline, channel.WaveformBitsStored = 0, 16
        channels.append(channel)
    wave.ChannelDefinitionSequence = channels
    wave.WaveformBitsAllocated, wave.WaveformSampleInterpretation = 16, "SS"
    wave.add_new((0x5400, 0x1010), "OW", DIGITAL.astype("<i2").tobytes())
    data.WaveformSequence = [wave]
    pydicom.dcmwrite(path, data, enforce_file_format=True)


WRITERS = {
    ".dcm": dicom,
    ".ecg": lambda path: path.write_bytes(ishne(DIGITAL)),
    ".xml": lambda path: path.write_text(aecg(DIGITAL, LEADS)),
}


def read(path, **options):
    return load(path, leads=LEADS, rate_hz=500, reader=reader_of(path), record_id="r1", **options)


@pytest.mark.parametrize("suffix", WRITERS)
def test_millivolts_are_samples_times_the_gain_of_the_file(tmp_path, suffix):
    pytest.importorskip("ecgdatakit")
    path = tmp_path / f"r1{suffix}"
    WRITERS[suffix](path)
    record = read(path)
    assert isinstance(record, Record), record
    assert record.leads == LEADS
    np.testing.assert_allclose(record.signal_mv, DIGITAL * 2.5e-3, atol=1e-6)
    if suffix == ".dcm":
        assert record.person == ("56", "F")


@pytest.mark.parametrize("suffix", [*WRITERS, ".scp"])
@pytest.mark.parametrize("damage", ["empty", "other", "cut"])
def test_a_damaged_file_is_rejected_in_one_line_by_name(tmp_path, suffix, damage):
    pytest.importorskip("ecgdatakit")
    path = tmp_path / f"r1{suffix}"
    WRITERS.get(suffix, WRITERS[".ecg"])(path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "other": b"\x00\xff" * 900, "cut": content[:400]}[damage])
    result = read(path)
    assert (result.record, result.kind) == ("r1", "file unreadable")
    assert "\n" not in f"{result.reason}{result.remedy}"


def test_a_file_that_does_not_tell_the_voltage_is_rejected(tmp_path):
    pytest.importorskip("ecgdatakit")
    path = tmp_path / "r1.xml"
    path.write_text(aecg(DIGITAL, LEADS, unit="bar"))
    assert read(path).kind == "unit unknown"


def test_without_the_extra_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    with pytest.raises(DataError, match=r"r1\.xml needs the extra \[formats\]; pip install 'ecg-jax\[formats\]'"):
        read(tmp_path / "r1.xml")
