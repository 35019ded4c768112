"""Writes the sets of docs/data_sets.md from the descriptions of the sources and from the facts below.

    python tools/data_sets.py

The rest of the page is kept. A test compares it with what this writes.
"""

import inspect
import sys
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import get_args

from ecg_jax.sources import Source
from ecg_jax.sources.listing import FolderSource

PAGE = Path(__file__).parents[1] / "docs" / "data_sets.md"
BEGIN, END = "<!-- begin: written by tools/data_sets.py -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Facts:
    """What the files and the authors say of a set."""

    title: str
    licence: str
    size: str
    labels: str
    layout: str
    """The files below DIR; `...` stands for more of the same."""


FACTS = {
    "ptb_xl": Facts(
        "PTB-XL",
        "CC BY 4.0",
        "21,799 records of 18,869 patients (1.0.3), 3.1 GB at both rates",
        "5 superclasses; --task chooses 71 statements or another of six groups",
        "ptbxl_database.csv\nscp_statements.csv\n"
        "records100/00000/00001_lr.hea, .dat ...\nrecords500/00000/00001_hr.hea, .dat ...",
    ),
    "cinc2017": Facts(
        "PhysioNet/CinC Challenge 2017",
        "ODC-By 1.0",
        "8,528 records, 0.2 GB",
        "4 classes that exclude each other; mean F1 of A, N and O is the score",
        "REFERENCE-v3.csv\ntraining2017/A00001.hea, .mat ...",
    ),
    "cinc2021": Facts(
        "PhysioNet/CinC Challenges 2020 and 2021",
        "CC BY 4.0",
        "88,253 records, 11 GB",
        "26 scored classes, or all 133 codes; the metric of the Challenge is the score",
        "training/cpsc_2018/g1/A0001.hea, .mat ...\ntraining/georgia/g1/E00001.hea, .mat ...",
    ),
    "chapman": Facts(
        "Chapman-Shaoxing-Ningbo",
        "CC BY 4.0",
        "45,152 records, one a patient, 5.4 GB",
        "each SNOMED CT code that occurs, by its abbreviation; or the 26 scored classes",
        "WFDBRecords/01/010/JS00001.hea, .mat ...",
    ),
    "cpsc2018": Facts(
        "China Physiological Signal Challenge 2018, original files",
        "CC BY 4.0",
        "6,877 records, 5 GB",
        "9; their mean F1 is the score",
        "REFERENCE.csv\nTrainingSet1/A0001.mat ...    (any folder)",
    ),
    "hefei": Facts(
        "Hefei High-tech Cup, Tianchi 2019 (Alibaba)",
        "unclear: ask the organisers",
        "20,036 records (second round), 24,106 (first round), 3 GB each",
        "34 (second round) or 55 (first round), in Chinese",
        "hf_round2_train.txt        (or hf_round1_label.txt)\n"
        "hf_round2_arrythmia.txt    (or hf_round1_arrythmia.txt)\nhf_round2_train/100001.txt ...    (any folder)",
    ),
    "sph": Facts(
        "Shandong Provincial Hospital",
        "CC BY 4.0",
        "25,770 records of 24,666 patients, 2.5 GB",
        "codes of the AHA statements that occur (44 in the whole set); modifiers are no labels",
        "metadata.csv\nrecords/A00001.h5 ...",
    ),
    "code15": Facts(
        "CODE-15 %",
        "CC BY 4.0",
        "345,779 exams of 233,770 patients, 68 GB in 18 parts",
        "6",
        "exams.csv\nexams_part0.hdf5 ... exams_part17.hdf5    (as many as you have)",
    ),
    "cinc2025": Facts(
        "PhysioNet/CinC Challenge 2025 (Chagas disease)",
        "those of its sources (CODE-15 % CC BY 4.0, SaMi-Trop CC BY 4.0, PTB-XL CC BY 4.0)",
        "some 369,000 records, 30 GB as WFDB",
        "1, `Chagas`; the sensitivity within the 5 % with the highest probabilities is the score",
        "code15/100.hea, .dat ...    (any folder)",
    ),
    "mimic_iv_ecg": Facts(
        "MIMIC-IV-ECG",
        "PhysioNet Credentialed Health Data License: registration and a course are needed",
        "800,035 records of 161,352 patients, 96 GB",
        "the lines of the machine's report, or those of your own table (--labels)",
        "record_list.csv\nmachine_measurements.csv\nfiles/p1000/p10000032/s40689238/40689238.hea, .dat ...",
    ),
    "ludb": Facts(
        "Lobachevsky University Database",
        "ODC-By 1.0",
        "200 records, 0.03 GB",
        "each rhythm and diagnosis that occurs",
        "data/1.hea, .dat ...    (any folder)",
    ),
    "mitdb": Facts(
        "MIT-BIH Arrhythmia Database",
        "ODC-By 1.0",
        "48 records of 47 patients, 30 min each, 0.1 GB",
        "rhythms; with --beats the AAMI classes N, S, V, F and Q, which exclude each other",
        "100.hea, .dat, .atr ...    (any folder)",
    ),
}


def sources() -> list[type[FolderSource]]:
    """The sources of named data sets, in the order of `ecg-jax prepare --help`."""
    known = [get_args(annotated)[0] for annotated in get_args(Source)]
    return [source for source in known if getattr(source, "name", "") in FACTS]


def section(source: type[FolderSource]) -> str:
    """The part of the page about one set."""
    name = vars(source)["name"]  # an attribute of each source, not of their base
    facts, module = FACTS[name], sys.modules[source.__module__]
    about = (inspect.getdoc(module) or "").strip().rstrip(".")
    required = [f"--{field.name} FILE" for field in fields(source)[1:] if field.default is MISSING]
    flags = [f"`--{field.name.replace('_', '-')}`" for field in fields(source)[1:]]
    command = " ".join(["ecg-jax prepare", name, "--from DIR", *required, f"--to prepared/{name}"])
    lines = [
        f"## {facts.title}: `{name}`",
        "",
        inspect.getdoc(source) or "",
        "",
        f"- **Publication and page**: {about}",
        f"- **To get it**: {module.REMEDY.partition(' and give')[0]}",
        f"- **Licence**: {facts.licence}",
        f"- **Size**: {facts.size}",
        f"- **Labels**: {facts.labels}",
        f"- **Prepared by default**: at {source.default_rate_hz:g} Hz",
        *([f"- **Its own flags**: {', '.join(flags)}"] if flags else []),
        "",
        "```",
        *(f"DIR/{line}" for line in facts.layout.splitlines()),
        "```",
        "",
        "```sh",
        command,
        "```",
        "",
    ]
    return "\n".join(lines)


def page() -> str:
    """The page with the sets as they are now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return "".join([before, BEGIN, "\n", "\n".join(map(section, sources())), "\n", END, after])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
