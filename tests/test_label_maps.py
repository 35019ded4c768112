"""Label maps: every name in them exists in its set, and two sets of the same recordings agree through them."""

import csv
import json
import re

import pytest

from ecg_jax.errors import ConfigError
from ecg_jax.sources import Ludb, Mitdb, PtbXl
from ecg_jax.sources.cinc2017 import LABELS as OF_CINC2017
from ecg_jax.sources.code15 import LABELS as OF_CODE15
from ecg_jax.sources.label_maps import MAPS, label_map, map_rows


def listed(source):
    return source.listing(rate_hz=100, seed=0, folder=source.root)


@pytest.mark.parametrize("name", MAPS)
def test_each_label_has_one_class_which_exists_and_a_source(name):
    rows = map_rows(name)
    classes = {row["class"] for row in map_rows("snomed")} | {"Normal"}
    assert len(label_map(name)) == len(rows) > 0
    assert {row["class"] for row in rows} <= classes
    assert all(row["source"].strip() for row in rows)


def test_a_map_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(ConfigError, match="no label map icentia; choose from cinc2017, code15, "):
        label_map("icentia")


def test_the_codes_are_those_of_the_official_tables_and_equivalent_codes_have_one_class(real_data):
    official = {}
    for name in ("scored", "unscored"):
        with (real_data / "cinc2021" / f"dx_mapping_{name}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                official[row["SNOMEDCTCode"]] = (row["Abbreviation"], {"scored": "yes", "unscored": "no"}[name])
    rows = {row["code"]: row for row in map_rows("snomed")}
    assert {code: (row["label"], row["scored"]) for code, row in rows.items()} == official
    oracle = json.loads((real_data / "cinc2021" / "score_oracle.json").read_text())["classes"]
    scored = dict.fromkeys(row["class"] for row in rows.values() if row["scored"] == "yes")
    by_class = ["|".join(sorted((c for c in rows if rows[c]["class"] == name), key=str)) for name in scored]
    assert by_class == oracle


def test_names_of_ptb_xl_cinc2017_and_code15_exist_in_the_sets(real_data):
    assert label_map("ptb_xl").keys() <= set(listed(PtbXl(real_data / "ptb_xl", task="all")).target.names)
    assert label_map("cinc2017").keys() <= set(OF_CINC2017)
    assert label_map("code15").keys() == set(OF_CODE15)


def test_every_rhythm_of_the_two_records_of_mitdb_has_a_class(real_data):
    assert set(listed(Mitdb(real_data / "mitdb")).target.names) <= label_map("mitdb").keys()


def test_names_of_ludb_exist_in_the_set(unpacked, real_data):
    folders = real_data / "ludb", unpacked("ludb") / "ludb"
    names = set().union(*(listed(Ludb(folder)).target.names for folder in folders))
    assert label_map("ludb").keys() <= names


def test_names_of_sph_are_codes_that_ptb_xl_gives_the_same_class(real_data):
    """The official table of AHA codes is not at hand; that of PTB-XL has the code of most of its statements."""
    with (real_data / "ptb_xl" / "scp_statements.csv").open(newline="") as file:
        statement_of = {row["AHA code"].partition(".")[0]: row[""] for row in csv.DictReader(file) if row["AHA code"]}
    of_sph, of_ptb_xl = label_map("sph"), label_map("ptb_xl")
    shared = {code: statement_of[code] for code in of_sph if code in statement_of}
    assert {code: of_sph[code] for code in shared} == {code: of_ptb_xl[name] for code, name in shared.items()}
    assert set(of_sph) - set(shared) == {"120", "121", "125", "155"}


def test_recordings_that_are_in_two_sets_have_the_same_classes_in_both(real_data, unpacked):
    """HR00009 of the Challenges is ecg_id 9 of PTB-XL; the axis and some more are not among its statements."""
    with (real_data / "ptb_xl" / "ptbxl_database.csv").open(newline="") as file:
        statements = {
            int(row["ecg_id"]): set(re.findall(r"'([^']+)'", row["scp_codes"])) for row in csv.DictReader(file)
        }
    class_of_code = {row["code"]: row["class"] for row in map_rows("snomed")}
    class_of_statement = label_map("ptb_xl")
    beside = {"NSR", "LAD", "RAD", "Normal", "PVC", "VEB"}  # the Challenge writes NSR for NORM, and VEB for PVC
    compared = 0
    for folder in (real_data / "cinc2021", unpacked("cinc2021_more") / "cinc2021"):
        for path in folder.rglob("HR*.hea"):
            codes = re.search(r"# ?Dx: (.*)", path.read_text())[1].strip().split(",")
            ours = {class_of_statement[name] for name in statements[int(path.stem[2:])] if name in class_of_statement}
            theirs = {class_of_code[code] for code in codes}
            if path.stem != "HR00003":  # its first-degree block stands in the text of the report alone
                assert ours - beside == theirs - beside, path.stem
                compared += 1
    assert compared == 27
