"""Sources whose headers or tables say the labels of WFDB records, on real recordings and on damaged copies of them."""

import csv
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.io import loadmat
from wfdb_writing import RAMP, edit_header, write_record

from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import DataError
from ecg_jax.sources import Chapman, Cinc2021, Cinc2025, Ludb, MimicIvEcg


def listed(source):
    return source.listing(rate_hz=source.default_rate_hz, seed=0, folder=Path())


def made(source, to, **options):
    return prepare(PrepareConfig(source, to, workers=1, **options), Console(quiet=True, stderr=True))


def reasons(prepared, name="rejected"):
    with (prepared.path / f"{name}.csv").open(newline="") as file:
        return {row["record"]: row["reason"] for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def challenge(real_data, unpacked):
    """The folders with records of the Challenges 2020 and 2021."""
    return real_data / "cinc2021" / "training", unpacked("cinc2021_more") / "cinc2021" / "training"


def headers(folder):
    return {path.stem: path.read_text() for path in folder.rglob("*.hea")}


def codes(text):
    return set(re.search(r"^#\s*Dx:\s*(.*)$", text, re.MULTILINE)[1].strip().split(","))


@pytest.fixture(scope="session")
def classes(real_data):
    """The codes of each of the 26 classes, by the header of the official table of weights."""
    with (real_data / "cinc2021" / "weights.csv").open(newline="") as file:
        return [set(column.split("|")) for column in next(csv.reader(file))[1:]]


def test_every_record_of_the_challenges_is_kept_with_the_classes_that_its_header_names(challenge, classes):
    sizes = []
    for folder in challenge:
        texts, listing = headers(folder), listed(Cinc2021(folder))
        assert {ref.record_id for ref in listing.refs} == texts.keys()
        assert (len(listing.target.names), listing.score, listing.left_out) == (26, "cinc2021", ())
        for ref in listing.refs:
            named = [bool(one & codes(texts[ref.record_id])) for one in classes]
            assert [name in ref.labels for name in listing.target.names] == named, ref.record_id
        sizes.append((len(texts), sum(not ref.labels for ref in listing.refs)))
    assert sizes == [(41, 10), (102, 8)]  # records, and those without a scored class, as counted with grep


def test_all_classes_are_the_codes_that_occur_and_rare_ones_are_dropped_when_asked(challenge, tmp_path):
    texts = headers(challenge[0])
    counts = Counter(code for text in texts.values() for code in codes(text))
    listing = listed(Cinc2021(challenge[0], classes="all"))
    found = Counter(name for ref in listing.refs for name in ref.labels)
    assert sorted(found.values()) == sorted(counts.values())
    assert listing.target.names == tuple(sorted(found))
    prepared = made(Cinc2021(challenge[0], "all", ("ptb-xl", "georgia")), tmp_path / "set", folds=2, at_least=3)
    kept = Counter(code for name, text in texts.items() if name[0] in "HE" for code in codes(text))
    assert sorted(prepared.label.sum(axis=0)) == sorted(n for n in kept.values() if n >= 3)
    assert (len(prepared), prepared.score) == (16, None)


def test_a_source_is_known_by_its_folder_and_without_one_by_the_name_of_the_record(challenge, tmp_path):
    by_folder = {ref.record_id: ref.source for ref in listed(Cinc2021(challenge[0])).refs}
    counts = {"chapman_shaoxing": 2, "cpsc_2018": 8, "cpsc_2018_extra": 8, "georgia": 8}
    assert Counter(by_folder.values()) == counts | {"ningbo": 6, "ptb": 1, "ptb-xl": 8}  # as the data's README has it
    for path in challenge[0].rglob("*.hea"):
        shutil.copy(path, tmp_path)
    assert {ref.record_id: ref.source for ref in listed(Cinc2021(tmp_path)).refs} == by_folder


def test_sources_that_are_not_there_are_named_with_those_that_are(challenge):
    with pytest.raises(DataError, match="no record of st_petersburg_incart; found: chapman_shaoxing, cpsc_2018, "):
        listed(Cinc2021(challenge[0], sources=("st_petersburg_incart",)))


def test_folds_of_the_challenges_are_even_in_each_source(challenge, tmp_path):
    prepared = made(Cinc2021(challenge[1]), tmp_path / "set", folds=2)
    assert len(prepared) == 102
    for source in set(prepared.sources):
        in_first = np.count_nonzero(prepared.folds[prepared.sources == source] == 1)
        assert abs(2 * in_first - np.count_nonzero(prepared.sources == source)) <= 4, source


def test_millivolts_ages_and_sexes_of_the_challenges_are_those_of_their_files(challenge, tmp_path):
    texts = headers(challenge[0])
    sources = ("cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb-xl", "chapman_shaoxing")
    prepared = made(Cinc2021(challenge[0], sources=sources), tmp_path / "set", folds=2, rate_hz=500)
    assert (len(prepared), reasons(prepared)) == (40, {})
    paths = {path.stem: path for path in challenge[0].rglob("*.mat")}
    for index, record_id in enumerate(prepared.record_ids):
        expected_mv = loadmat(paths[record_id])["val"].T / 1000  # 1000/mv in all these headers
        signal, scale_mv = prepared.read([index])[0]
        np.testing.assert_allclose(signal * scale_mv, expected_mv, atol=0.51 * scale_mv.max())
        sex = re.search(r"Sex: (\w+)", texts[record_id])[1].lower()
        age = float(re.search(r"Age: (\w+)", texts[record_id])[1])
        assert (prepared.sexes[index], prepared.ages[index]) == (sex, age)


def test_headers_that_name_the_matlab_file_as_the_record_are_read(challenge):
    named = [name for name, text in headers(challenge[0]).items() if text.startswith(f"{name}.mat ")]
    assert len(named) == 7
    assert set(named) <= {ref.record_id for ref in listed(Cinc2021(challenge[0])).refs}


@pytest.fixture
def damaged(challenge, tmp_path):
    """Five records of Georgia, cut, flat, with comments alone, without labels, and sound, and a copy of the last."""
    folder = tmp_path / "from"
    shutil.copytree(challenge[0] / "georgia", folder / "georgia")
    paths = sorted((folder / "georgia").rglob("*.mat"))
    cut, flat, no_header, no_labels, sound, *others = paths
    for path in others:
        path.unlink()
        path.with_suffix(".hea").unlink()
    cut.write_bytes(cut.read_bytes()[:-500])
    flat.write_bytes(flat.read_bytes()[:24] + b"\0" * (flat.stat().st_size - 24))
    no_header.with_suffix(".hea").write_text("#Dx: 426783006\n")
    text = no_labels.with_suffix(".hea").read_text()
    no_labels.with_suffix(".hea").write_text(re.sub("#Dx.*", "#Dx: Unknown", text).replace("#Age:", "# Age:"))
    (folder / "more").mkdir()
    shutil.copy(sound.with_suffix(".hea"), folder / "more")
    return folder, [path.stem for path in (cut, flat, no_header, no_labels, sound)]


def test_cut_flat_and_headless_records_are_rejected_by_name_and_nothing_else_is_lost(damaged, tmp_path):
    folder, (cut, flat, headless, unlabelled, sound) = damaged
    prepared = made(Cinc2021(folder), tmp_path / "set", folds=2)
    assert prepared.record_ids.tolist() == sorted([unlabelled, sound])
    assert not prepared.label[prepared.index_of(unlabelled)].any()
    assert not np.isnan(prepared.ages).any()
    kinds = {record: reason.partition(":")[0] for record, reason in reasons(prepared).items()}
    assert kinds == {cut: "file shortened", flat: "flat", headless: "header unreadable"}
    assert reasons(prepared, "left_out")[sound].startswith("found twice: ")


def test_chapman_is_read_in_its_own_tree_with_every_code_as_a_label(challenge, tmp_path):
    folder = tmp_path / "WFDBRecords" / "01" / "010"
    folder.mkdir(parents=True)
    for path in challenge[1].rglob("JS*.*"):
        shutil.copy(path, folder)
    texts, listing = headers(folder), listed(Chapman(tmp_path))
    assert len(listing.refs) == len(texts) == 52
    assert sum(len(ref.labels) for ref in listing.refs) == sum(len(codes(text)) for text in texts.values())
    by_name = Counter(name for ref in listing.refs for name in ref.labels)
    assert by_name["SB"] == sum("426177001" in text for text in texts.values())
    assert by_name["AF"] == sum("164889003" in text for text in texts.values())
    assert listed(Chapman(tmp_path, classes="scored")).score == "cinc2021"


def test_chagas_labels_sources_and_millivolts_are_those_of_the_headers(real_data, tmp_path):
    prepared = made(Cinc2025(real_data / "cinc2025"), tmp_path / "set", folds=2, rate_hz=400)
    texts = headers(real_data / "cinc2025")
    assert prepared.labels == ("Chagas",)
    assert (prepared.score, set(prepared.sources)) == ("cinc2025", {"CODE-15%"})
    assert prepared.label[:, 0].tolist() == ["label: True" in texts[name] for name in prepared.record_ids]
    assert prepared.label.sum() == 3
    for index, name in enumerate(prepared.record_ids):
        expected_mv = np.fromfile(real_data / "cinc2025" / "code15" / f"{name}.dat", "<i2").reshape(-1, 12) / 1000
        signal, scale_mv = prepared.read([index])[0]
        np.testing.assert_allclose(signal * scale_mv, expected_mv, atol=0.51 * scale_mv.max())


def test_a_record_of_the_chagas_challenge_without_its_label_is_left_out_by_name(tmp_path):
    for name in ("a", "b"):
        path = write_record(tmp_path, name)
        with path.with_name(f"{name}.hea").open("a") as file:
            file.write("# Chagas label: False\n" if name == "a" else "# Age: 50\n")
    listing = listed(Cinc2025(tmp_path))
    assert [ref.record_id for ref in listing.refs] == ["a"]
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [("b", "no Chagas label")]


def ludb_table(folder):
    """The diagnoses, age and sex of each record by `ludb.csv`, whose cells have line breaks."""
    with (folder / "ludb.csv").open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            cells = (row[name] or "" for name in row if name not in ("ID", "Sex", "Age"))
            lines = {line.strip().rstrip(".").strip().lower() for cell in cells for line in cell.split("\n")}
            yield row["ID"].strip(), lines - {""}, row["Age"].strip(), row["Sex"].strip()


def test_the_diagnoses_of_ludb_are_those_of_its_table_which_adds_the_presence_of_a_pacemaker(real_data, unpacked):
    for folder, size in ((real_data / "ludb", 10), (unpacked("ludb") / "ludb", 160)):
        refs = {ref.record_id: ref for ref in listed(Ludb(folder)).refs}
        table = list(ludb_table(folder))
        assert len(refs) == len(table) == size
        for record_id, lines, age, sex in table:
            labels = {label.lower() for label in refs[record_id].labels}
            assert labels == lines - {"pacemaker presence, undefined"}, record_id
            assert refs[record_id].sex == {"M": "male", "F": "female"}[sex]
            assert refs[record_id].age == (90 if age == ">89" else float(age))


def test_millivolts_of_ludb_follow_gain_and_baseline_of_each_lead(real_data, tmp_path):
    folder = real_data / "ludb"
    prepared = made(Ludb(folder), tmp_path / "set", folds=2, rate_hz=500)
    assert len(prepared) == 10
    for index, name in enumerate(prepared.record_ids):
        lines = (folder / "data" / f"{name}.hea").read_text().splitlines()[1:13]
        gain, baseline = np.array([re.search(r"(\d+)\((-?\d+)\)/mV", line).groups() for line in lines], float).T
        digital = np.fromfile(folder / "data" / f"{name}.dat", "<i2").reshape(-1, 12)
        signal, scale_mv = prepared.read([index])[0]
        np.testing.assert_allclose(signal * scale_mv, (digital - baseline) / gain, atol=0.51 * scale_mv.max())


MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", *(f"V{n}" for n in range(1, 7)))
REPORTS = {
    "40689238": "Sinus rhythm,Possible right atrial abnormality.,,",
    "44458630": 'Sinus rhythm,"Abnormal R-wave progression, early transition",,',
    "49036311": ",,,",
}


@pytest.fixture
def mimic(tmp_path):
    """A folder in the form of MIMIC-IV-ECG: three records of two patients, a fourth without file."""
    folder, digital = tmp_path / "mimic", np.arange(500 * 12, dtype=np.int16).reshape(500, 12)
    digital[100:110, 4] = -32768
    lines = ["subject_id,study_id,file_name,ecg_time,path"]
    for patient, study in (("10000032", "40689238"), ("10000032", "44458630"), ("10000117", "49036311")):
        path = f"files/p{patient[:4]}/p{patient}/s{study}/{study}"
        write_record(folder, path, digital=digital, leads=MIMIC_LEADS, rate="500")
        lines.append(f"{patient},{study},{study},2180-07-23 08:44:00,{path}")
    lines.append("10000117,1,1,2181-01-01 00:00:00,files/p1000/p10000117/s1/1")
    (folder / "record_list.csv").write_text("\n".join(lines) + "\n")
    head = "subject_id,study_id,cart_id,report_0,report_1,report_2,report_17\n"
    rows = "".join(f"1,{study},6848296,{report}\n" for study, report in REPORTS.items())
    (folder / "machine_measurements.csv").write_text(head + rows)
    return folder


def test_mimic_has_the_lines_of_the_report_as_labels_and_its_leads_in_our_order(mimic, tmp_path):
    prepared = made(MimicIvEcg(mimic), tmp_path / "set", folds=2, rate_hz=500)
    assert prepared.labels == (
        "Abnormal R-wave progression, early transition",
        "Possible right atrial abnormality",
        "Sinus rhythm",
    )
    assert prepared.label.tolist() == [[0, 1, 1], [1, 0, 1], [0, 0, 0]]
    assert prepared.patients.tolist() == ["10000032", "10000032", "10000117"]
    assert prepared.folds[0] == prepared.folds[1]
    assert reasons(prepared, "left_out")["1"].startswith("no file: ")
    aVL, aVF = (prepared.leads.index(lead) for lead in ("aVL", "aVF"))
    signal_mv = prepared.signal_mv(0)
    assert np.isnan(signal_mv[100:110, aVF]).all()
    np.testing.assert_allclose(signal_mv[:, aVL], (np.arange(500) * 12 + 5) / 1000, atol=2e-4)


def test_labels_of_ones_own_replace_the_report_of_mimic(mimic, tmp_path):
    (tmp_path / "mine.csv").write_text("record,labels,age,sex\n40689238,I48;I10,52,F\n49036311,,300,M\n")
    listing = listed(MimicIvEcg(mimic, tmp_path / "mine.csv"))
    found = [(ref.record_id, ref.labels, ref.age, ref.sex) for ref in listing.refs]
    assert found == [("40689238", {"I48", "I10"}, 52, "female"), ("49036311", set(), 90, "male")]
    assert Counter(left_out.kind for left_out in listing.left_out) == {"no labels": 1, "no file": 1}
    (tmp_path / "mine.csv").write_text("record,labels\n40689238,I48\n40689238,I10\n")
    with pytest.raises(DataError, match=r"mine\.csv line 3 names 40689238 a second time"):
        listed(MimicIvEcg(mimic, tmp_path / "mine.csv"))


@pytest.mark.parametrize("source", [Cinc2021, Chapman, Cinc2025, Ludb])
def test_a_folder_without_headers_says_where_to_get_the_set(source, tmp_path):
    with pytest.raises(DataError, match=r"has no WFDB header .* --from"):
        listed(source(tmp_path))


def test_mimic_without_its_tables_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"machine_measurements\.csv is missing; download it"):
        listed(MimicIvEcg(tmp_path))


def test_a_header_in_another_encoding_or_of_no_text_loses_no_other_record(tmp_path):
    for name in ("A0001", "A0002", "A0003"):
        path = write_record(tmp_path, name, digital=RAMP)
        with path.with_name(f"{name}.hea").open("a") as file:
            file.write("#Age: 50\n#Dx: 426783006\n")
    edit_header(tmp_path / "A0001", "#Age", "#Höhe: 1\n#Age")
    text = (tmp_path / "A0001.hea").read_text(encoding="utf-8")
    (tmp_path / "A0001.hea").write_bytes(text.encode("cp1252"))
    (tmp_path / "A0002.hea").write_bytes(text.encode("utf-16"))
    listing = listed(Cinc2021(tmp_path))
    assert [(ref.record_id, ref.labels, ref.age) for ref in listing.refs] == [
        ("A0001", {"NSR"}, 50),
        ("A0003", {"NSR"}, 50),
    ]
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [("A0002", "header unreadable")]
