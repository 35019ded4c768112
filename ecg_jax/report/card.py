"""The card of a run: one page on what a model is for, what it expects and how right it is. Reads files, writes one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.config import RunConfig, flags
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import DataError, RunError
from ecg_jax.evaluation.groups import FEWEST
from ecg_jax.evaluation.predicted import n_patients
from ecg_jax.explain.shares import LabelShares, label_shares
from ecg_jax.files import write_text
from ecg_jax.formatting import plural, span
from ecg_jax.inference import Model, load
from ecg_jax.report.calibration_charts import FEWEST_IN_BIN, reliability
from ecg_jax.report.templates import Figure, render
from ecg_jax.report.write import versions
from ecg_jax.terminal import command, shown
from ecg_jax.training.result import RunResult, read_result

EXTERNAL = "result_external_*.json"
METRICS = {
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
}


@dataclass(frozen=True)
class Split:
    """A split of the run's set, for the table of records."""

    name: str
    records: int
    patients: int
    ages: str
    female: str
    positives: tuple[int, ...]  # [K]


@dataclass(frozen=True)
class Card:
    """What the page shows."""

    name: str
    workdir: str
    config: RunConfig
    contract: InputContract
    result: RunResult
    external: tuple[RunResult, ...]
    source: str
    """Of the run's set; empty if it is not at hand."""
    splits: tuple[Split, ...]
    shares: Mapping[str, LabelShares]
    """Of each label; empty if none were computed."""
    not_tested: tuple[str, ...]
    allow_code: bool
    commands: tuple[str, ...]
    versions: tuple[str, ...]


def write_card(workdir: Path, *, data: Path | None = None, explained: int = 0, allow_code: bool = False) -> Path:
    """Writes `card.html` into the folder of an evaluated run, and returns its path.

    Args:
        workdir: of the run.
        data: where its prepared set is now, if it was moved; without the set the page lacks the table of records.
        explained: records of each label, at most, whose explanations are averaged.
        allow_code: as for `inference.load`.

    Raises:
        RunError: the run is not finished, or not evaluated yet.
        DataError: `data` is not the set of the run, or the set to be explained is not at hand.
        ConfigError: the extra [explain] is not installed.
    """
    model = load(workdir, allow_code=allow_code)
    prepared = _own_set(model, data)
    result = _evaluated(model)
    shares: Mapping[str, LabelShares] = {}
    if explained:
        if prepared is None:
            raise DataError(f"{model.config.data.path} is not at hand, so nothing is explained; give --data")
        records = getattr(split_records(prepared, model.config.data), result.split)
        shares = label_shares(model, prepared, records, most=explained)
    external = tuple(
        found
        for path in sorted(workdir.glob(EXTERNAL))
        if (found := read_result(workdir, path.stem.removeprefix("result_"))) is not None
    )
    places = ["--workdir", workdir]
    trained = command("ecg-jax", "train", "--data", model.config.data.path, *places, *flags(model.config))
    card = Card(
        name=workdir.resolve().name,
        workdir=shown(workdir),
        config=model.config,
        contract=model.contract,
        result=result,
        external=external,
        source="" if prepared is None else prepared.source,
        splits=() if prepared is None else _splits(prepared, model.config),
        shares=shares,
        not_tested=tuple(not_tested(result, external, model.contract, prepared)),
        allow_code=allow_code,
        commands=(trained, command("ecg-jax", "evaluate", *places), command("ecg-jax", "card", *places)),
        versions=versions(),
    )
    path = workdir / "card.html"
    write_text(path, card_page(card))
    return path


def card_page(card: Card) -> str:
    """The page."""
    panels = reliability(card.result.calibration or {})
    drawn = {"reliability": Figure(panels, least_rem=15)} if panels else {}
    metrics = METRICS | {name: name for name in card.result.metrics if name not in METRICS}
    return render(
        "card.html",
        drawn,
        card=card,
        answer=answer(card),
        metrics=metrics,
        fewest=FEWEST,
        fewest_in_bin=FEWEST_IN_BIN,
    )


def answer(card: Card) -> list[str]:
    """The main figures in sentences."""
    result, split = card.result, card.result.split
    n_records = next(iter(result.per_label.values()))["records"]
    what = "that took no part in training or in any choice" if split == "test" else "on which its epoch was chosen"
    said = [f"On {plural(n_records, f'{split} record')} {what}, {_figure_text('macro AUROC', result)}."]
    for other in card.external:
        about: dict[str, Any] = other.external or {}
        name, found = other.split.removeprefix("external_"), about["drop"]
        n_records = next(iter(other.per_label.values()))["records"]
        sentence = f"On another set, {name} ({plural(n_records, 'record')}), {_figure_text('macro AUROC', other)}"
        loss = found and found["metrics"].get("macro_auroc")
        if loss and loss["value"] is not None:
            verb = "less" if loss["value"] > 0 else "more"
            low, high = sorted(abs(x) for x in (loss["low"] or 0.0, loss["high"] or 0.0))
            crosses = loss["low"] is None or loss["low"] <= 0 <= loss["high"]
            how = "which may be chance" if crosses else f"95 % {low:.3f} to {high:.3f}"
            sentence += f", {abs(loss['value']):.3f} {verb} than on the own test records ({how})"
            sentence += f"; compared over {', '.join(found['labels'])}"
        said.append(f"{sentence}.")
    return said


def _figure_text(name: str, result: RunResult) -> str:
    found = result.metrics["macro_auroc"]
    if found["value"] is None:
        return f"{name} is not defined"
    return f"{name} is {found['value']:.3f} {span(found['low'], found['high'])}"


def not_tested(
    result: RunResult, external: Sequence[RunResult], contract: InputContract, prepared: PreparedSet | None
) -> list[str]:
    """What the figures say nothing about, from what is known of the records."""
    said = []
    if result.split != "test":
        said.append("The run keeps no test records: its epoch was chosen on the records of these figures.")
    undefined = [name for name, found in result.per_label.items() if found["auroc"]["value"] is None]
    if undefined:
        said.append(f"{_list(undefined)}: the records lack one of the two classes.")
    few = {
        name: found["positives"]
        for name, found in result.per_label.items()
        if name not in undefined and found["positives"] < FEWEST
    }
    if few:
        counts = ", ".join(f"{name} ({n})" for name, n in few.items())
        said.append(f"Labels that fewer than {FEWEST} of the records have, so that their figures are rough: {counts}.")
    said += _people(prepared, result)
    if not external:
        said.append("Recordings of other sets, hospitals and devices: no other set was evaluated.")
    for other in external:
        without = (other.external or {})["run_labels_without_pair"]
        if without:
            said.append(
                f"{_list(without)} on {other.split.removeprefix('external_')}, of which no label is paired with them."
            )
    n_leads = len(contract.leads)
    some = f"Recordings that lack some of the {n_leads} leads, by themselves." if n_leads > 1 else ""
    said.append(some or f"Other leads than {contract.leads[0]}.")
    said.append("Any benefit or harm to patients: these are figures on recordings of archives.")
    return said


def _people(prepared: PreparedSet | None, result: RunResult) -> list[str]:
    if prepared is None:
        return ["Ages and sexes: the set of the run is not at hand."]
    said = []
    known = prepared.ages[~np.isnan(prepared.ages)]
    if known.size:
        said.append(f"Patients younger than {known.min():g} or older than {known.max():g}: the set has none.")
    else:
        said.append("Any age by itself: the set does not say the ages.")
    if not any(prepared.sexes):
        said.append("Women and men by themselves: the set does not say the sex.")
    for axis, found in (result.groups or {}).items():
        small = [name for name, group in found["groups"].items() if not group["metrics"]]
        if small:
            said.append(f"Groups by {axis} in which every label is too rare: {', '.join(small)}.")
    return said


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _own_set(model: Model, data: Path | None) -> PreparedSet | None:
    """The set of the run, or None if it is no longer where it was.

    Raises:
        DataError: `data` is another set.
    """
    try:
        prepared = open_prepared(data or model.config.data.path)
    except DataError:
        if data is not None:
            raise
        return None
    if prepared.fingerprint == model.result.data_fingerprint:
        return prepared
    if data is not None:
        raise DataError(f"{data} is not the set that the run was trained on; give that one, or no --data")
    return None


def _evaluated(model: Model) -> RunResult:
    """The result on the test folds or, if the run keeps none, on validation.

    Raises:
        RunError: there is none with groups and operating points.
    """
    workdir = model.result.workdir
    split = "validation" if model.config.data.test_folds == () else "test"
    result = read_result(workdir, split)
    if result is None or result.calibration is None:
        more = ["--split", split] if split == "validation" else []
        code = ["--allow-code"] if model.config.functions.named else []
        again = command("ecg-jax", "evaluate", "--workdir", workdir, *more, *code)
        raise RunError(f"the run in {workdir} is not evaluated on its {split} folds yet; do it first: {again}")
    return result


def _splits(prepared: PreparedSet, config: RunConfig) -> tuple[Split, ...]:
    splits = split_records(prepared, config.data)
    every: Mapping[str, np.ndarray] = {name: getattr(splits, name) for name in ("training", "validation", "test")}
    return tuple(
        Split(
            name,
            len(indices),
            n_patients(prepared.patients[indices]),
            _ages(prepared.ages[indices]),
            _female(prepared.sexes[indices]),
            tuple(prepared.label[indices].sum(axis=0, dtype=int).tolist()),
        )
        for name, indices in every.items()
        if len(indices)
    )


def _ages(ages: np.ndarray) -> str:
    known = ages[~np.isnan(ages)]
    if not known.size:
        return "unknown"
    youngest, median, oldest = np.quantile(known, [0, 0.5, 1])
    return f"{median:g} ({youngest:g} to {oldest:g})"


def _female(sexes: np.ndarray) -> str:
    known = sexes[sexes != ""]
    return f"{np.mean(known == 'female'):.0%}".replace("%", " %") if known.size else "unknown"
