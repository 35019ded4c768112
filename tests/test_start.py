"""Runs that begin with the variables of another run: what is taken, what stays, and at which rate it learns."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from rich.console import Console
from study_fakes import begun

from ecg_jax.config import AugmentConfig, RunConfig, flags, from_dict, same_run, to_dict, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.models.resnet import build_network
from ecg_jax.scripts.experiment import GridArgs, read_arguments
from ecg_jax.study.design import StartOfTrial, Trial
from ecg_jax.study.workdir import check_compatible
from ecg_jax.target import Target
from ecg_jax.training import run
from ecg_jax.training.checkpoint import read_best
from ecg_jax.training.losses import bce
from ecg_jax.training.optimizer import make_optimizer
from ecg_jax.training.setup import TrainingSetup, make_plan
from ecg_jax.training.start import fitted, read_start, with_start
from ecg_jax.training.step import init_state, make_step
from ecg_jax.training.workdir import CHECKPOINTS

QUIET = Console(quiet=True)


def started_from(config, finished, **train):
    return with_fields(config, {"train.start_from": finished.workdir, **{f"train.{k}": v for k, v in train.items()}})


def first_variables(config, *, seed=1, contract):
    network = build_network(config, len(contract.target.names))
    example = jnp.zeros((1, contract.window_samples, len(contract.leads)))
    return jax.device_get(network.init(jax.random.key(seed), example, train=False))


def begin(finished, config, **changes):
    """The start of a run, with other leads or labels than the earlier run has."""
    start = read_start(finished.workdir)
    contract = replace(start.contract, **changes)
    initial = first_variables(config, contract=contract)
    found = fitted(start, config, contract, initial)
    flat = (flatten_dict(tree, sep="/") for tree in (start.variables, initial, found.variables))
    return (*flat, found)


def test_a_run_of_the_same_network_begins_with_all_best_variables(config, finished):
    config = with_start(started_from(config, finished, seed=9))
    setup = TrainingSetup([make_plan(config, open_prepared(config.data.path))])
    state = jax.tree.map(lambda x: np.asarray(x[0]), setup.initial_state())
    best = read_start(finished.workdir).variables
    for found in (state.averaged, {"params": state.params, "batch_stats": state.batch_stats}):
        jax.tree.map(np.testing.assert_array_equal, found, best)
    start = setup.starts[0]
    assert start is not None
    assert all(jax.tree.leaves(start.taken))


def test_the_stem_takes_the_kernels_of_the_leads_that_are_left(config, finished):
    there, _, found, start = begin(finished, config, leads=("V2", "I"))
    leads = read_start(finished.workdir).contract.leads
    kernel = "params/stem/Conv1D_0/kernel"
    for column, lead in enumerate(("V2", "I")):
        np.testing.assert_array_equal(found[kernel][:, column], there[kernel][:, leads.index(lead)])
    assert all(jax.tree.leaves(start.taken))
    assert "; new" not in start.sentences[0]


def test_with_a_lead_that_the_earlier_run_lacked_the_first_kernel_is_new(config, finished):
    there, initial, found, start = begin(finished, config, leads=("I", "II", "V9"))
    kernel = "params/stem/Conv1D_0/kernel"
    np.testing.assert_array_equal(found[kernel], initial[kernel])
    assert start.sentences[0].endswith("; new: stem/Conv1D_0/kernel")
    assert not start.taken["stem"]["Conv1D_0"]["kernel"]
    for name in found.keys() - {kernel}:
        np.testing.assert_array_equal(found[name], there[name])


def test_other_labels_get_a_new_last_layer_even_if_they_are_as_many(config, finished):
    names = read_start(finished.workdir).contract.target.names
    for other in (names[:2], [f"other {name}" for name in names]):
        there, initial, found, start = begin(finished, config, target=Target("multilabel", tuple(other)))
        new = {"params/head/logits/kernel", "params/head/logits/bias"}
        for name in found:
            np.testing.assert_array_equal(found[name], (initial if name in new else there)[name])
        assert "head/logits/bias, head/logits/kernel" in start.sentences[0]


def test_a_deeper_network_takes_the_blocks_that_it_has_in_common(config, finished):
    deeper = with_fields(config, {"model.depth": 2})
    there, initial, found, _ = begin(finished, deeper)
    for name in found:
        np.testing.assert_array_equal(found[name], (there if name in there else initial)[name])
    assert any("stage1_block2" in name for name in found)


def test_frozen_parts_stay_to_the_bit_and_the_rest_learns(config, finished, tmp_path):
    frozen = started_from(config, finished, freeze=("stem", "stage1"), weight_decay=0.5, learning_rate=0.03)
    run(frozen, tmp_path / "frozen", console=QUIET)
    before = flatten_dict(read_start(finished.workdir).variables, sep="/")
    checkpoint = read_best(tmp_path / "frozen" / CHECKPOINTS)
    assert checkpoint is not None
    for name, array in flatten_dict(checkpoint.best, sep="/").items():
        is_frozen = name.split("/")[1].startswith(("stem", "stage1"))
        assert np.array_equal(array, before[name]) == is_frozen, name


def test_a_frozen_part_works_in_training_as_it_does_in_an_evaluation(config, finished):
    start = read_start(finished.workdir)
    everything = ("stem", "stage1", "stage2", "head")
    network = build_network(with_fields(config, {"train.freeze": everything}), len(start.contract.target.names))
    signal = jax.random.normal(jax.random.key(0), (3, start.contract.window_samples, len(start.contract.leads)))
    evaluated = network.apply(start.variables, signal, train=False)
    trained, changed = network.apply(start.variables, signal, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(trained, evaluated)
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], start.variables["batch_stats"])


def test_the_rate_of_what_was_taken_is_a_factor_of_the_rate(config):
    network = build_network(config, 2)
    optimizer = make_optimizer(config.train)
    from test_step import CONTRACT, batch_of

    state = init_state(network, optimizer, jnp.zeros((1, 120, 3)), seed=0, ema=0.0)
    step = jax.jit(make_step(network, optimizer, bce))
    factors = jax.tree.map(lambda _: np.float32(1), state.params)
    factors["stem"] = jax.tree.map(lambda _: np.float32(0.25), factors["stem"])
    plain, slower = (
        step(state, batch_of(8), CONTRACT.normalisation, 1e-2, given)[0].params for given in (None, factors)
    )
    for part, share in (("stem", 0.25), ("head", 1.0)):
        moved = [jax.tree.map(jnp.subtract, params[part], state.params[part]) for params in (plain, slower)]
        jax.tree.map(lambda a, b, k=share: np.testing.assert_allclose(k * a, b, rtol=1e-3, atol=1e-7), *moved)


def test_runs_that_begin_with_different_runs_are_trained_together_as_alone(config, finished, monkeypatch):
    start, prepared = read_start(finished.workdir), open_prepared(config.data.path)

    def read(folder):
        return replace(start, variables=jax.tree.map(lambda x: float(folder.name) * x, start.variables))

    monkeypatch.setattr("ecg_jax.training.setup.read_start", read)
    fields = {"train.start_rate": 0.1, "train.seed": 7, "augment": AugmentConfig()}
    configs = [with_fields(config, {**fields, "train.start_from": Path(factor)}) for factor in ("1.0", "0.9")]

    def three_steps(configs):
        setup = TrainingSetup([make_plan(each, prepared) for each in configs])
        first = jax.device_get(setup.initial_state().params)
        return first, setup.train(setup.initial_state(), [0] * len(configs), 3, lambda steps: None)[1]

    first, losses = three_steps(configs)
    _, alone = three_steps(configs[1:])
    np.testing.assert_allclose(losses[:, 1], alone[:, 0], rtol=1e-4)
    for number, factor in enumerate((1.0, 0.9)):
        of_run = jax.tree.map(lambda x, n=number: x[n], first)
        jax.tree.map(lambda x, y, f=factor: np.testing.assert_allclose(x, f * y), of_run, start.variables["params"])


def test_a_run_says_what_it_took_and_continues_only_with_the_same_variables(config, finished, tmp_path):
    console = Console(record=True, width=300)
    first = started_from(with_fields(config, {"train.epochs": 1}), finished)
    result = run(first, tmp_path / "run", console=console)
    total = len(jax.tree.leaves(read_start(finished.workdir).variables["params"]))
    assert f"{total} of {total} arrays of parameters are those of {finished.workdir}" in console.export_text()
    assert result.config["train"]["start_sha256"] == read_start(finished.workdir).sha256
    again = run(first, tmp_path / "run", console=QUIET)
    assert again == result
    moved = with_fields(first, {"train.start_from": result.workdir})
    with pytest.raises(RunError, match="start_sha256 was"):
        run(moved, tmp_path / "run", console=QUIET)
    with pytest.raises(RunError, match="its variables are not those with which this run began"):
        with_start(with_fields(from_dict(RunConfig, result.config), {"train.start_from": result.workdir}))


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"freeze": ("stage9",)}, "there is no such part; the network has head, stage1_block1, stage2_block1, stem"),
        ({"freeze": ("stem", "stage1", "stage2", "head")}, "nothing is left to train"),
    ],
)
def test_parts_that_cannot_be_frozen_are_refused(config, finished, tmp_path, train, says):
    with pytest.raises(ConfigError, match=says):
        run(started_from(config, finished, **train), tmp_path, console=QUIET)


def test_a_frozen_part_must_be_taken_as_a_whole(config, finished):
    frozen = with_fields(config, {"train.freeze": ("stem",)})
    with pytest.raises(RunError, match="stem/Conv1D_0/kernel does not come from the earlier run as it is"):
        begin(finished, frozen, leads=("V2", "I"))
    other = with_fields(config, {"model.channels": 5, "model.kernel": 5})
    with pytest.raises(RunError, match="no parameter has the name and shape"):
        begin(finished, other, target=Target("exclusive", ("a",)))


def test_a_start_without_a_run_is_refused(config, finished, tmp_path):
    with pytest.raises(ConfigError, match=r"need --train\.start-from"):
        run(with_fields(config, {"train.freeze": ("stem",)}), tmp_path, console=QUIET)
    with pytest.raises(RunError, match="there is no finished run"):
        run(with_fields(config, {"train.start_from": tmp_path}), tmp_path / "run", console=QUIET)
    own = with_fields(started_from(config, finished, freeze=("stem",)), {"functions.network": "a:b"})
    with pytest.raises(ConfigError, match="parts of ResNet1D alone"):
        with_start(own)


def test_the_key_of_a_trial_has_the_hash_of_the_start_and_not_its_path(larger_set, tmp_path):
    folder = begun(tmp_path, larger_set)
    trial = Trial(next(iter(folder.plan().rates)), 3e-3, 0)

    def study(run, sha256):
        return replace(folder.study, starts=(StartOfTrial(trial.scale.name, tmp_path / run, sha256),))

    key = study("a", "1").trial_key(trial)
    assert study("b", "1").trial_key(trial) == key
    assert len({key, study("a", "2").trial_key(trial), folder.study.trial_key(trial)}) == 3
    again = replace(folder.study, starts=study("a", "1").starts)
    assert type(again).from_dict(again.to_dict()) == again
    check_compatible(replace(folder, study=again), study("b", "1"))
    with pytest.raises(RunError, match="starts was"):
        check_compatible(replace(folder, study=again), study("a", "2"))
    others = [scale for scale in folder.plan().rates if scale != trial.scale]
    with pytest.raises(ConfigError, match="there is no run with which"):
        again.config(others[0])


def test_flags_name_the_run_to_start_from_and_a_restart_may_find_it_elsewhere(finished):
    given = with_start(started_from(RunConfig(), finished, freeze=("stem",), start_rate=0.5))
    args = read_arguments(GridArgs, ["--workdir", "w", *flags(given)])
    assert with_start(args.run).train == given.train
    assert from_dict(RunConfig, to_dict(given)) == given
    assert same_run(with_fields(given, {"train.start_from": None})) == same_run(given)
