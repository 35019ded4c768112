"""Where a run begins: with the best variables of another run, as far as they fit. Imports nothing that a run names."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import unflatten_dict

from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.batch import InputContract
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.models.layout import is_part
from ecg_jax.training.checkpoint import described, read_best
from ecg_jax.training.pack import read_pack
from ecg_jax.training.result import read_result
from ecg_jax.training.variables import by_name, shapes_by_name
from ecg_jax.training.workdir import CHECKPOINTS

SHOWN = 8  # names of arrays in a sentence


@dataclass(frozen=True)
class Start:
    """The best variables of a finished run, and the input and labels that they are for."""

    run: Path
    contract: InputContract
    variables: Any
    sha256: str


@dataclass(frozen=True)
class Fitted:
    """The first variables of a run.

    Attributes:
        variables: of the network.
        taken: a tree like the parameters: whether each was taken.
        sentences: what was taken and what is new, for the user.
    """

    variables: Any
    taken: Any
    sentences: tuple[str, ...]


def read_start(run: Path) -> Start:
    """Reads what another run can begin with: from a workdir, or from a file of `ecg-jax pack`, with the same hash.

    Raises:
        RunError: the run is not finished, no checkpoint can be read, or the file is damaged.
    """
    if run.is_file():
        packed = read_pack(run)
        return Start(run, packed.contract, packed.variables, _sha256(packed.variables))
    if read_result(run) is None:
        raise RunError(f"--train.start-from {run}: there is no finished run; give the workdir of one")
    checkpoint = read_best(run / CHECKPOINTS)
    if checkpoint is None:
        raise RunError(f"--train.start-from {run}: it has no checkpoint that names its arrays; train it again")
    return Start(run, checkpoint.contract, checkpoint.best, _sha256(checkpoint.best))


def _sha256(variables: Any) -> str:
    digest = hashlib.sha256(json.dumps(described(variables)).encode())
    for array in jax.tree.leaves(variables):
        digest.update(array.tobytes())
    return digest.hexdigest()


def with_start(config: RunConfig) -> RunConfig:
    """The config with the hash of the variables that it starts from, by which they are known wherever they lie.

    Raises:
        ConfigError: flags about a start are given without one, or a part of one's own network is frozen.
        RunError: the run to start from cannot be read, or has other variables than before.
    """
    train = config.train
    if train.start_from is None:
        if train.freeze or train.start_rate != 1:
            raise ConfigError("--train.freeze and --train.start-rate need --train.start-from")
        return config
    if train.freeze and config.functions.network:
        raise ConfigError("--train.freeze knows the parts of ResNet1D alone; freeze those of your network in its code")
    start = read_start(train.start_from)
    if train.start_sha256 not in ("", start.sha256):
        raise RunError(
            f"--train.start-from {train.start_from}: its variables are not those with which this run began; put them "
            "back, or use another --workdir"
        )
    fields = {"train.start_from": train.start_from.resolve(), "train.start_sha256": start.sha256}
    return with_fields(config, fields)


def fitted(start: Start, config: RunConfig, contract: InputContract, initial: Any) -> Fitted:
    """The variables of a start in place of the initial ones, as far as name and shape fit.

    Arrays whose shape follows from the number of labels are taken only if the labels are the same ones. Of arrays
    whose shape follows from the leads, the part of this run's leads is taken if the earlier run had them all.

    Args:
        start: of an earlier run.
        config: of this run.
        contract: of this run.
        initial: its variables with random values, as NumPy arrays.

    Raises:
        ConfigError: a part is frozen that the network does not have, or nothing is left to train.
        RunError: nothing fits, or a frozen part does not fit as a whole.
    """
    arrays, there = by_name(initial), by_name(start.variables)
    of_leads, of_labels = _axes(config, contract, more_leads=1), _axes(config, contract, more_labels=1)
    columns = _columns(start.contract.leads, contract.leads)
    chosen = {}
    for name, array in arrays.items():
        found = there.get(name)
        if found is None or (name in of_labels and start.contract.target != contract.target):
            continue
        if name in of_leads:
            axis, leads = of_leads[name], len(start.contract.leads)
            if columns is None or found.ndim != array.ndim or found.shape[axis] != leads:
                continue
            found = found.take(columns, axis=axis)
        if found.shape == array.shape:
            chosen[name] = found.astype(array.dtype)
    params = [name for name in arrays if name.startswith("params/")]
    new = [name for name in params if name not in chosen]
    if len(new) == len(params):
        raise RunError(f"--train.start-from {start.run}: no parameter has the name and shape of one of this network")
    other_leads = () if columns == [*range(len(start.contract.leads))] else of_leads
    _check_frozen(config.train.freeze, arrays, {name for name in chosen if name not in other_leads})
    taken = {name.removeprefix("params/"): name in chosen for name in params}
    return Fitted(
        variables={**initial, **unflatten_dict({**arrays, **chosen}, sep="/")},
        taken=unflatten_dict(taken, sep="/"),
        sentences=_sentences(start, contract, len(params), new),
    )


def _axes(config: RunConfig, contract: InputContract, *, more_leads: int = 0, more_labels: int = 0) -> dict[str, int]:
    """The arrays whose shape depends on the number of leads or labels, each with the axis that does."""
    plain = shapes_by_name(config, contract)
    other = shapes_by_name(config, contract, more_leads=more_leads, more_labels=more_labels)
    return {
        name: next(axis for axis, (one, two) in enumerate(zip(shape, other[name], strict=True)) if one != two)
        for name, shape in plain.items()
        if name in other and other[name] != shape
    }


def _columns(there: Sequence[str], here: Sequence[str]) -> list[int] | None:
    """The places of leads among those of an earlier run; None if it lacked one. A single lead may have any name."""
    if len(there) == len(here) == 1:
        return [0]
    return [there.index(lead) for lead in here] if set(here) <= set(there) else None


def check_parts(freeze: Sequence[str], arrays: Mapping[str, Any], flag: str = "--train.freeze") -> None:
    """Refuses the name of a part that the network with these arrays does not have.

    Raises:
        ConfigError: a part is not there.
    """
    modules = dict.fromkeys(name.split("/")[1] for name in arrays)
    for part in freeze:
        if not any(is_part(module, [part]) for module in modules):
            raise ConfigError(f"{flag} {part}: there is no such part; the network has {', '.join(modules)}")


def _check_frozen(freeze: Sequence[str], arrays: Mapping[str, Any], whole: set[str]) -> None:
    check_parts(freeze, arrays)
    frozen = [name for name in arrays if is_part(name.split("/")[1], freeze)]
    if lacking := [name for name in frozen if name not in whole]:
        raise RunError(
            f"--train.freeze {' '.join(freeze)}: {lacking[0]} does not come from the earlier run as it is; leave that "
            "part out"
        )
    if len(frozen) == len(arrays):
        raise ConfigError(f"--train.freeze {' '.join(freeze)}: nothing is left to train; leave out head")


def _sentences(start: Start, contract: InputContract, total: int, new: Sequence[str]) -> tuple[str, ...]:
    names = [name.removeprefix("params/") for name in new]
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    told = f"; new: {', '.join(names[:SHOWN])}{rest}" if names else ""
    found = [f"{total - len(new)} of {total} arrays of parameters are those of {start.run}{told}"]
    if start.contract.rate_hz != contract.rate_hz:
        found.append(
            f"{start.run} was trained at {start.contract.rate_hz:g} Hz, this set has {contract.rate_hz:g} Hz: its "
            "kernels have another length in time here"
        )
    return tuple(found)
