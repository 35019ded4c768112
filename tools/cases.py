"""Today's answers to a folder of cases: small inputs after public reports, of which the right answer is known.

    python tools/cases.py FOLDER

FOLDER contains `make.py`, which writes the inputs beside itself; a copy of it is run. Prints one line for each case:
number, situation, answer, and whether that is as expected. The exit status is 1 if one is not.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from ecg_jax.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.summary import summary
from ecg_jax.errors import UserError
from ecg_jax.records import STANDARD_LEADS, Record, Rejected, load, read_wfdb
from ecg_jax.sources import PtbXl, WfdbFolder
from ecg_jax.terminal import PlainConsole

FOREIGN = re.compile("wfdb says|Traceback|NoneType|is not in list|can't decode")  # words of other people's exceptions
WIDTH = 160


@dataclass(frozen=True)
class Answer:
    """What the product says to an input: all its text, and the record, set or prediction if there is one."""

    text: str
    value: Any = None


Run = Callable[[Path], Answer]  # from the folder of the case
Judge = Callable[[Answer, Path], tuple[bool, str]]  # whether the answer is as expected, and what was measured


def reads(name: str, *leads: str) -> Run:
    """Reads a record of the folder `rec`."""
    return lambda folder: _of_record(read_wfdb(_path(folder, name), name, leads=leads or None))


def loads(name: str, *leads: str) -> Run:
    """Reads a record as `prepare` and `predict` do: arranged, judged and resampled."""
    wanted = leads or STANDARD_LEADS
    return lambda folder: _of_record(load(_path(folder, name), leads=wanted, rate_hz=100, record_id=name))


def _path(folder: Path, name: str) -> Path:
    return folder / name if "/" in name else folder / "rec" / name


def _of_record(found: Record | Rejected) -> Answer:
    if isinstance(found, Rejected):
        return Answer(f"{found.reason}; {found.remedy}")
    return Answer("; ".join(found.warnings), found)


def prepares(table: str = "", records: str = "rec", **settings: Any) -> Run:
    """Prepares the records of a table, or of PTB-XL; the text is all that is printed, by `show` too, and in tables."""

    def run(folder: Path) -> Answer:
        screen = PlainConsole(file=io.StringIO(), width=1000)
        source = WfdbFolder(folder / records, folder / table) if table else PtbXl(folder / records)
        to = folder / "x[v2]" / f"{records}_{table}_{'_'.join(settings)}"
        to.parent.mkdir(exist_ok=True)
        options: dict[str, Any] = {"folds": 2} | settings if table else {}
        config = PrepareConfig(source, to, workers=1, **options)
        made = None
        try:
            made = prepare(config, screen)
            screen.print(summary(made))
            lines = [path.read_text(encoding="utf-8") for path in to.glob("*.csv")]
        except UserError as error:
            lines = [str(error)]
        return Answer(" ".join([screen.file.getvalue(), *lines]), made)  # pyright: ignore[reportAttributeAccessIssue]

    return run


def legend(folder: Path) -> Answer:
    """The texts in the legend of the ROC curves of `labels.csv`; one that is set as mathematics says so."""
    from matplotlib.cbook import is_math_text

    from ecg_jax.plots.curves import roc

    made = prepares("labels.csv")(folder).value
    figure = roc(made.label, np.random.default_rng(0).random(made.label.shape), made.labels)
    drawn: Any = figure.axes[0].get_legend()
    texts = [(text.get_text(), text.get_parse_math()) for text in drawn.texts]
    return Answer(" | ".join(text + " (mathematics)" * bool(parsed and is_math_text(text)) for text, parsed in texts))


def predicts(name: str) -> Run:
    """Predicts a record with a network of twelve leads; the first of these cases trains it."""

    def run(folder: Path) -> Answer:
        from ecg_jax.inference import load as load_run
        from ecg_jax.training import run as train

        if not (folder / "run/result.json").exists():
            made = prepares("labels.csv", folds=4)(folder).value
            model = ModelConfig(depth=1, channels=2, kernel=3, strides=(2,))
            config = RunConfig(DataConfig(made.path, window_seconds=2), model, TrainConfig(epochs=1, batch_size=4))
            train(config, folder / "run", console=PlainConsole(quiet=True), plots=False)
        answer = load_run(folder / "run").predict(str(folder / "new" / name))
        return Answer("; ".join(filter(None, [answer.get("error"), *answer.get("warnings", ())])), answer)

    return run


def exact(truth: Callable[[Any], Any] = lambda t: t["mv"], *, of: str = ".", quiet: bool = True) -> Judge:
    """The record has the millivolts [T, L] that `truth` makes of `truth.npz`, missing where they are NaN.

    `of`: another case with that truth; if `quiet`, there must be no warning.
    """

    def judge(answer: Answer, folder: Path) -> tuple[bool, str]:
        if not isinstance(answer.value, Record):
            return False, ""
        true_mv = np.asarray(truth(np.load(folder / of / "truth.npz")))
        true_mv = true_mv.reshape(len(true_mv), -1)
        found_mv = np.where(answer.value.missing, np.nan, answer.value.signal_mv)
        if found_mv.shape != true_mv.shape or not np.array_equal(np.isnan(found_mv), np.isnan(true_mv)):
            return False, "other samples are there"
        difference_mv = np.nanmax(np.abs(found_mv - true_mv), initial=0.0)
        right = difference_mv <= 1e-7 * np.nanmax(np.abs(true_mv)) and not (quiet and answer.text)  # float32
        return bool(right), f"difference {difference_mv:.0e} mV"

    return judge


def says(*words: str, never: str = "(?!)", value: bool | None = None) -> Judge:
    """The text has each of these patterns and not `never`; `value`: whether something must have come of the input."""

    def judge(answer: Answer, _: Path) -> tuple[bool, str]:
        found = all(re.search(word, answer.text, re.DOTALL | re.IGNORECASE) for word in words)
        return found and not re.search(never, answer.text) and value in (None, answer.value is not None), ""

    return judge


def holds(claim: Callable[[Any], Any]) -> Judge:
    """Something came of the input, and the claim is true of it."""
    return lambda answer, _: (answer.value is not None and bool(claim(answer.value)), "")


def records(number: int) -> Judge:
    """The set has so many records."""
    return holds(lambda made: len(made) == number)


def either(*judges: Judge) -> Judge:
    """One of several right answers."""

    def judge(answer: Answer, folder: Path) -> tuple[bool, str]:
        judged = [each(answer, folder) for each in judges]
        return next((each for each in judged if each[0]), judged[0])

    return judge


def _late(truth: Any) -> np.ndarray:
    mv = truth["mv"].copy()
    mv[-5:, 1] = np.nan
    return mv


def _in_parts(*names: str) -> Callable[[Any], np.ndarray]:
    return lambda t: np.concatenate([t[name] if name else np.full((100, 2), np.nan) for name in names])


GAP = holds(lambda record: record.missing[100:150, 0].all())
REFUSED, SAID = says(".", value=False), says(".", value=True)  # kept, but not without a word
ROWS: list[tuple[int, str, Run, Judge]] = [
    (1, "path in the record line and the file names", reads("a"), exact()),
    (1, "no path; format 32, baselines of -2e9", reads("b"), exact()),
    (1, "path in the record line alone", reads("c"), exact()),
    (3, "length 0", reads("zero"), exact()),
    (3, "length left out", reads("none"), exact()),
    (4, "format 212, last byte missing", reads("odd212_short"), says("451 of 45[23] bytes")),
    *(
        (4, f"format {name}", reads(name), exact(lambda t, name=name: t[name]))
        for name in (*(f"f{form}" for form in (61, 8, 16, 24, 32, 80, 160, 212, 310, 311)), "odd212", "odd212_c")
    ),
    (4, "one lead of two", reads("f212", "V2"), exact(lambda t: t["f212"][:, 1])),
    (5, "gap as -32768 in format 24", reads("m24"), either(GAP, SAID)),
    (5, "gap as -32768 in format 32", reads("m32"), either(GAP, SAID)),
    (5, "gap as -2^23", reads("m24n"), GAP),
    (5, "gap as -2^31", reads("m32n"), GAP),
    (6, "signal lines lost .mat", reads("A0001"), either(exact(of="../case19"), says(r"A0001\.mat"))),
    (6, "date in the record line, .mat, CRLF", reads("A0002"), exact(of="../case19")),
    (7, "3 segments announced, 2 listed", reads("fewer"), says("segment", "3", "2", value=False)),
    (7, "lengths of segments add up to less", reads("lensum"), says("segment", "300", "400", value=False)),
    (7, "gap in a fixed layout", reads("right"), either(exact(_in_parts("s1", "", "s2")), says("~"))),
    (7, "gap first", reads("nullfirst"), either(exact(_in_parts("", "s1", "s2")), says("~"))),
    (7, "header of a segment absent", reads("away"), says(r"s3\.hea", value=False)),
    (7, "one segment", reads("single"), exact(_in_parts("s1"))),
    (7, "a date", reads("dated"), exact(_in_parts("s1", "s2"))),
    (7, "segment longer than its line says", reads("seglen"), says("s1|segment")),
    (7, "segment shorter than its line says", reads("seglong"), says("s1|segment", value=False)),
    (8, "variable layout", reads("var", "II", "V"), exact(lambda t: np.stack([t["var_ii"], t["var_v"]], 1))),
    (8, "frames of 62.4725 Hz, FLAC", reads("wave", "II"), exact(lambda t: t["wave_ii"])),
    (9, "skew", reads("skew"), exact(_late)),
    (9, "skew and prolog", reads("skewprolog"), exact(_late)),
    *((10, f"comment: {name}", reads(name), exact()) for name in ("degree", "quotes", "crlf", "bom", "formfeed")),
    (11, "ECG1 and ECG2, default leads", prepares("labels_afdb.csv", "afdb"), says("ECG1", "--leads", value=False)),
    (11, "--leads MLII,V5", prepares("labels_mit.csv", "mit", leads=("MLII,V5",)), says("has MLII, V5", "--leads")),
    (11, "MLII and V5, default leads", prepares("labels_mit.csv", "mit"), says("MLII", value=True)),
    (11, "a lead without a name, not asked for", loads("bare/100"), says("without a name", value=False)),
    (11, 'a lead without a name, --leads ""', reads("bare/100", ""), holds(lambda r: len(r.signal_mv) == 1000)),
    (12, "no signals", reads("00735"), says("no signal", never="announces", value=False)),
    *(
        (13, name, prepares(name), either(records(4), says(remedy, value=False)))
        for name, remedy in {
            "semicolon.csv": "separat|comma",
            "semicolon_two.csv": "separat|comma",
            "cp1252.csv": "UTF-8",
            "utf16.txt": "UTF-8|UTF-16",
            "empty_rows.csv": "(?!)",
            "bom_crlf.csv": "(?!)",
            "capitals.csv": "first line|has the columns?",
        }.items()
    ),
    (15, "patient nan", prepares("nan.csv"), holds(lambda made: "nan" not in made.patients)),
    (15, "patients 17 and 17.0", prepares("floats.csv"), holds(lambda made: len(set(made.patients[1::2])) == 1)),
    (15, "zeros lost", prepares("zeros_lost.csv"), either(records(12), says("00001"))),
    (15, "zeros lost, floats", prepares("zeros_lost_float.csv"), either(records(12), says("00001"))),
    (
        15,
        "zeros lost in three rows",
        prepares("zeros_lost_some.csv"),
        either(records(12), says(r"\b10\b.*\b11\b.*\b12\b", value=True)),
    ),
    (15, "Windows paths below the folder", prepares("windows.csv"), records(12)),
    (15, "Windows paths from C:", prepares("windows_absolute.csv"), either(records(12), says("00001"))),
    (15, "a record twice", prepares("twice.csv"), says("second time|twice", value=False)),
    (15, "fold 1.7", prepares("fold_float.csv"), says("whole number", value=False)),
    (16, "a flat lead", loads("flatlead"), says("flat|constant", value=True)),
    (16, "all leads flat", loads("allflat"), says("flat|constant", value=False)),
    (16, "all leads 0", loads("allzero"), says("flat|constant", value=False)),
    (
        16,
        "no sample recorded",
        loads("allmissing"),
        says("no sample|all samples|every sample", never="leads that it has"),
    ),
    (16, "one sample", loads("one"), says("")),
    (16, "three samples at 500 Hz", loads("three500"), says("")),
    (16, "from rail to rail", loads("rail"), says("")),
    (17, "a day at 128 Hz", reads("day", "II", "V5"), holds(lambda r: r.signal_mv.shape == (86400 * 128, 2))),
    (18, "Frank leads there", loads("both"), exact()),
    (18, "Frank leads not downloaded", loads("datonly"), exact()),
    (19, "gain -1000", reads("negative"), exact(lambda t: -t["mv"], quiet=False)),
    (19, "baseline (12.5)", reads("floatbase"), either(exact(lambda t: t["mv"] - 0.0125), says("baseline"))),
    (19, "baseline (0.0)", reads("floatbase0"), either(exact(), says("baseline"))),
    (19, "gain 1000,0/mV", reads("comma"), says("1000,0", value=False)),
    (19, "gain 1000 /mV", reads("space"), either(exact(), says("/mV", value=False))),
    (19, "gain 1000 (0)/mV", reads("spacebase"), either(exact(), says(r"\(0\)/mV", value=False))),
    *((19, f"gain: {name}", reads(name), exact()) for name in ("exponent", "plus", "adczero")),
    (19, "gain 1.0E+03/mV", reads("exponent2"), either(exact(), says(r"1\.0E\+03", value=False))),
    (19, "80 mV of offset", loads("offset", "I", "II"), exact(lambda t: 5 * t["mv"] + 80, quiet=False)),
    (21, "label _AVB in the legend", legend, says("_AVB")),
    (21, "label ST$elev$ in the legend", legend, says("elev", never="mathematics")),
    (21, "label [af]", prepares("brackets2.csv"), says(r"\[af\]", value=True)),
    (12, "folder x[v2], rejected records", prepares("labels.csv"), says(r"listed in \S*x\[v2\]", value=True)),
    (21, "label [/af]", prepares("brackets.csv"), says(r"\[/af\]", value=True)),
    (22, "predict: all in order", predicts("full"), says(r"\A\Z", value=True)),
    (22, "predict: a monitor's II and V", predicts("monitor"), says("lead")),
    (22, "predict: wrong checksum", predicts("badsum"), says("checksum")),
    (22, "predict: all zero", predicts("flat"), says("flat|constant")),
    (22, "predict: a fifth of a second", predicts("short"), says("")),
    *(
        (23, f"record line: {name}", reads(name), exact())
        for name in ("exprate", "v1.2_r1", "renamed", "UPPER", "sub", "subdate")
    ),
    (23, "a blank in the names", reads("with blank"), either(exact(), REFUSED)),
    (23, "a blank and a number in the names", reads("patient 12"), either(exact(of="../case03"), REFUSED)),
    (23, "a null signal", reads("null"), exact(lambda t: t["mv"] * [1, np.nan])),
    (
        23,
        "1 signal announced, 2 described",
        reads("extra"),
        either(exact(lambda t: t["mv"][:, 0], quiet=False), says("1 .*2", value=False)),
    ),
    (23, "two dots in a file name", reads("twodots"), either(exact(), says(r"two\.dots\.dat", value=False))),
    (23, "no gain, no lead names", reads("minimal"), says("gain", value=False)),
    (24, "PTB-XL", prepares(records="root"), records(12)),
    (24, "strat_fold 1.0", prepares(records="floats"), records(12)),
    (24, "Unnamed: 0", prepares(records="unnamed"), either(records(12), says("Unnamed: 0"))),
    (24, "backslashes", prepares(records="backslash"), records(12)),
    *(
        (25, f"leads or units: {name}", loads(name), exact())
        for name in ("upper", "nounit", "uVslash", "micro", "greek")
    ),
    (25, "aVF before aVL", loads("swapped"), exact(lambda t: t["mv"][:, [0, 1, 2, 3, 5, 4, *range(6, 12)]])),
    (
        25,
        "-aVR",
        loads("minus"),
        exact(lambda t: np.insert(np.delete(t["mv"], 3, 1), 3, -t["mv"][:, :2].mean(axis=1), 1), quiet=False),
    ),
    (25, "unit millivolt", loads("millivolt"), either(exact(), says("millivolt", value=False))),
    (25, "unit NU", loads("NU"), says("NU", value=False)),
    (25, "unit undef", loads("undef"), says("undef", value=False)),
    (25, "V5 twice", loads("twice"), says("twice", "V6", value=True)),
    (25, "ECG I, ECG II, ...", loads("ecgI"), either(exact(), says("ECG I", value=False))),
    (25, "Lead I, Lead II, ...", loads("lead"), either(exact(), says("Lead I", value=False))),
    (25, "DI, DII, DIII", loads("french"), either(exact(), says("lead I missing", value=True))),
    (25, "1, 2, 3", loads("numbers"), either(exact(), says("lead I missing", value=True))),
    (26, "an EDF file", reads("./x.edf"), says("prepare folder", value=False)),
]


def answers(folder: Path) -> Iterator[tuple[str, bool]]:
    """A line for each case of the folder, and whether the answer is as expected."""
    with tempfile.TemporaryDirectory() as temporary:
        cases = Path(temporary) / "cases"
        cases.mkdir()
        shutil.copy(folder / "make.py", cases)
        for names in ([], ["case17"]):  # the day is made only if it is named
            subprocess.run([sys.executable, "make.py", *names], cwd=cases, check=True, stdout=subprocess.DEVNULL)
        (cases / "case26").mkdir()
        (cases / "case26/x.edf").write_bytes(b"0".ljust(256))
        for case, situation, run, judge in ROWS:
            folder = cases / f"case{case:02}"
            try:
                answer = run(folder)
                right, measured = judge(answer, folder)
            except Exception as error:  # a traceback is an answer too, and a wrong one
                answer, right, measured = Answer(f"Traceback: {type(error).__name__}: {error}"), False, ""
            right = right and not FOREIGN.search(answer.text)
            text = " ".join(answer.text.replace(str(cases), "").split())[:WIDTH]
            kind = type(answer.value).__name__ if answer.value is not None else "none"
            shown = "; ".join(filter(None, [f"{kind}", measured, text]))
            yield f"{case:<3} {situation:44} {'as expected' if right else 'NOT AS EXPECTED':16} {shown}", right


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Prints today's answer to each case of a folder."""
    wrong = 0
    for line, right in answers(folder):
        print(line, flush=True)
        wrong += not right
    print(f"{len(ROWS) - wrong} of {len(ROWS)} as expected")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    tyro.cli(main)
