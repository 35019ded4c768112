"""What every source shares: defaults of its own, a look at the first records, rare labels, and who was recorded."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from rich.console import Console
from wfdb_writing import RAMP, write_record

from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import UNKNOWN, open_prepared
from ecg_jax.dataset.summary import summary
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.sources import FunctionSource, Listing, PtbXl, RecordRef, Source, WfdbFolder
from ecg_jax.sources.listing import FolderSource
from ecg_jax.sources.tables import age_years, sex
from ecg_jax.target import Target


@dataclasses.dataclass(frozen=True)
class Joined(FolderSource):
    """Records n00 ... of two collections, the second of which has a rare label."""

    name, default_rate_hz = "joined", 50.0
    sources: tuple[str, ...] = ()
    exclusive: bool = False

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """Two of three records are from `north`; every fourth has the label `rare`."""
        refs = tuple(
            RecordRef(
                path.stem,
                path.with_suffix(""),
                frozenset({"rare" if n % 4 == 3 else "common"}),
                source=("north", "north", "south")[n % 3],
                age=n + 0.5,
                sex=("female", "male")[n % 2],
            )
            for n, path in enumerate(sorted(self.root.glob("*.hea")))
        )
        return Listing(refs, Target("exclusive" if self.exclusive else "multilabel", ("common", "rare")), score="any")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for n in range(24):
        write_record(folder, f"n{n:02}", digital=RAMP)
    return folder


def made(source, to, **options):
    return prepare(PrepareConfig(source, to, workers=1, **options), Console(quiet=True, stderr=True))


def test_without_a_rate_the_set_has_that_of_its_source(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=2)
    assert (prepared.rate_hz, prepared.about["request"]["rate_hz"]) == (50.0, 50.0)
    assert made(Joined(root), tmp_path / "other", folds=2, rate_hz=80).rate_hz == 80.0


@pytest.mark.parametrize("source", get_args(Source), ids=lambda source: str(get_args(source)[1].name))
def test_the_help_of_each_source_says_at_which_rate_it_is_prepared(source):
    kind = get_args(source)[0]
    assert kind is FunctionSource or f"{kind.default_rate_hz:g} Hz" in kind.__doc__


def test_a_look_takes_the_first_records_and_all_labels(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=2, limit=3)
    assert prepared.record_ids.tolist() == ["n00", "n01", "n02"]
    assert prepared.labels == ("common", "rare")


def test_a_rare_label_is_dropped_only_when_asked_and_its_records_stay(root, tmp_path):
    everything = made(Joined(root), tmp_path / "all", folds=2)
    assert (everything.labels, everything.score) == (("common", "rare"), "any")
    prepared = made(Joined(root), tmp_path / "set", folds=2, at_least=7)
    assert (prepared.labels, prepared.score, len(prepared)) == (("common",), None, 24)
    assert prepared.label.sum() == 18


@pytest.mark.parametrize(
    ("exclusive", "at_least", "message"),
    [
        (True, 7, "rare, one of labels that exclude each other, has 6 records; give at most 6"),
        (False, 19, "no label has so many records; give at most 18"),
    ],
)
def test_labels_cannot_be_dropped_until_none_is_left(root, tmp_path, exclusive, at_least, message):
    with pytest.raises(DataError, match=message):
        made(Joined(root, exclusive=exclusive), tmp_path / "set", at_least=at_least)


@pytest.mark.parametrize("option", ["limit", "at_least"])
def test_nothing_is_taken_from_none(root, tmp_path, option):
    with pytest.raises(ConfigError, match="is 0; give 1 or more"):
        PrepareConfig(Joined(root), tmp_path, **{option: 0})


def test_folds_have_the_same_share_of_each_source(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=4)
    counts = [
        [np.sum((prepared.folds == n) & (prepared.sources == s)) for n in (1, 2, 3, 4)] for s in ("north", "south")
    ]
    assert counts == [[4] * 4, [2] * 4]


def test_five_recordings_prepare_with_two_folds(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=2, limit=5)
    assert sorted(prepared.folds.tolist()) in ([1, 1, 1, 2, 2], [1, 1, 2, 2, 2])


def test_who_was_recorded_is_kept_and_shown(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=2)
    assert prepared.ages[[0, 23]].tolist() == [0.5, 23.5]
    assert prepared.sexes[[0, 1]].tolist() == ["female", "male"]
    assert prepared.sources[[0, 2]].tolist() == ["north", "south"]
    assert set(prepared.devices) == {""}
    console = Console(record=True, file=io.StringIO(), width=100)
    console.print(summary(prepared))
    text = console.export_text()
    assert "0.5 to 23.5 years, median 12, 0 unknown" in text
    assert "female 12, male 12" in text
    assert "north 16, south 8" in text


def test_the_fingerprint_does_not_depend_on_who_was_recorded(tmp_path):
    for name in ("x", "y"):
        write_record(tmp_path, name, digital=RAMP)
    found, known = set(), []
    for n, (columns, cells) in enumerate([("", ""), (",age,sex", ",56.0,F"), (",age,sex", ",,Male")]):
        (tmp_path / "labels.csv").write_text(f"record,labels,patient{columns}\nx,AF,p1{cells}\ny,N,p2{cells}\n")
        prepared = made(WfdbFolder(tmp_path, tmp_path / "labels.csv"), tmp_path / f"set{n}", folds=2)
        found.add(prepared.fingerprint)
        known.append((str(prepared.ages[0]), prepared.sexes[0]))
    assert known == [("nan", ""), ("56.0", "female"), ("nan", "male")]
    assert len(found) == 1


def test_a_set_prepared_before_ages_were_kept_opens_with_all_unknown(root, tmp_path):
    prepared = made(Joined(root), tmp_path / "set", folds=2)
    index, about = prepared.path / "index.npz", prepared.path / "prepared.json"
    with np.load(index) as arrays:
        np.savez(index, allow_pickle=False, **{name: arrays[name] for name in arrays.files if name not in UNKNOWN})
    about.write_text(json.dumps(json.loads(about.read_text()) | {"index_sha256": None}))
    older = open_prepared(prepared.path)
    assert older.fingerprint == prepared.fingerprint
    assert np.isnan(older.ages).all()
    assert {name for array in (older.sexes, older.sources, older.devices) for name in array} == {""}
    assert older.ages.shape == older.sexes.shape == (24,)


def test_ptb_xl_keeps_age_sex_and_device_of_its_table(real_data, tmp_path):
    prepared = made(PtbXl(real_data / "ptb_xl"), tmp_path / "set", limit=200)
    with (real_data / "ptb_xl" / "ptbxl_database_present.csv").open(newline="") as file:
        table = {f"{int(row['ecg_id']):05}_lr": row for row in csv.DictReader(file)}
    rows = [table[name] for name in prepared.record_ids]
    np.testing.assert_array_equal(prepared.ages, [float(row["age"] or "nan") for row in rows])
    assert prepared.sexes.tolist() == [{"0": "male", "1": "female"}[row["sex"]] for row in rows]
    assert prepared.devices.tolist() == [row["device"].strip() for row in rows]


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("56.0", 56),
        ("47", 47),
        (" 0 ", 0),
        ("0.5", 0.5),
        ("", None),
        ("NaN", None),
        ("-1", None),
        ("300", 90),
        ("200", None),
    ],
)
def test_an_age_is_a_number_of_years_or_unknown(text, age):
    assert age_years(text) == age if age is not None else np.isnan(age_years(text))


@pytest.mark.parametrize(("text", "name"), [("F", "female"), ("MALE", "male"), ("Unknown", ""), ("", ""), ("1", "")])
def test_a_sex_is_female_male_or_unknown(text, name):
    assert sex(text) == name
