"""The design of a study: its axes, scales and trials, what they are called, and what they cost."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from study_fakes import GRID, Fakes, begun, list_trials, make_scale_grid, scale_of, with_levels, worked

from ecg_jax.analysis.axes import READY_MADE, Axis, Scale
from ecg_jax.config import (
    DataConfig,
    Functions,
    ModelConfig,
    RunConfig,
    extended,
    flags,
    from_dict,
    get_field,
    to_dict,
    with_fields,
)
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import ConfigError, RunError, UserError
from ecg_jax.models import cost, preset
from ecg_jax.scripts.experiment import GridArgs, read_arguments, train_study
from ecg_jax.study.axis_flag import read_axis
from ecg_jax.study.cost import cost_of, fit_seconds, marks, middle_macs, window_samples
from ecg_jax.study.design import (
    PILOT_SEED,
    Study,
    Trial,
    chosen_rate,
    default_rates,
    make_grid,
    make_study,
    merge_grids,
    rate_beyond,
    read_grid,
    without_stem_pool,
)
from ecg_jax.study.dry_run import estimate_seconds, trials_table
from ecg_jax.study.storage import StorageAway, given_storage, without_password
from ecg_jax.study.workdir import StudyFolder, create_or_open, open_study

SCALES = make_scale_grid((1, 2), (4,), (3, 15), 2, (1e-3,))
TRIAL = Trial(scale_of(1, 16, 3), 3e-3, 0)
HEAD = Axis("model.head", ("gap", "attention"), "categorical")


@pytest.fixture(scope="module")
def study_of(synthetic_set):
    prepared = open_prepared(synthetic_set)

    def make(base=None, folds=(), fingerprint="f", axes=READY_MADE, paired_seeds=False) -> Study:
        about = {"prepared": replace(prepared, fingerprint=fingerprint), "paired_seeds": paired_seeds}
        return make_study(base or RunConfig(), axes, folds, **about)

    return make


def test_the_local_base_sees_51_samples_at_depth_1_and_kernel_3():
    model = replace(without_stem_pool(ModelConfig()), depth=1, kernel=3)
    known = cost(model, leads=12, labels=5, window_samples=1000, rate_hz=100)
    assert (known.receptive_field_samples, known.total_stride, len(model.strides)) == (51, 8, 3)


def test_a_trial_has_a_readable_name_and_no_two_have_the_same():
    assert TRIAL.name == "d1_c16_k3_lr0.003_s0"
    rates = (1e-3, 1e-3 + 1e-12, 1e-5)
    trials = [Trial(scale, rate, seed) for scale in SCALES.scales() for rate in rates for seed in (0, 1, 10)]
    assert len({trial.name for trial in trials}) == len(trials)


@pytest.mark.parametrize(
    "same",
    [
        RunConfig(data=DataConfig(path=Path("elsewhere"))),
        RunConfig(data=DataConfig(feed="host")),
        replace(RunConfig(), train=replace(RunConfig().train, parallel="pmap")),
        replace(RunConfig(), model=ModelConfig(depth=4, channels=5, kernel=6)),  # the trial sets these itself
    ],
)
def test_a_key_does_not_depend_on_path_feed_and_parallel_mode(same, study_of):
    assert study_of(same).trial_key(TRIAL) == study_of().trial_key(TRIAL)


def test_a_key_depends_on_everything_else(study_of):
    longer = replace(RunConfig(), train=replace(RunConfig().train, epochs=31))
    others = [
        study_of(longer).trial_key(TRIAL),
        study_of(fingerprint="g").trial_key(TRIAL),
        study_of(folds=(1,)).trial_key(TRIAL),
        study_of(folds=(1, 2)).trial_key(TRIAL),
        study_of(paired_seeds=True).trial_key(TRIAL),
        study_of().trial_key(replace(TRIAL, seed=1)),
        study_of().trial_key(replace(TRIAL, learning_rate=4e-3)),
        study_of().trial_key(replace(TRIAL, scale=scale_of(1, 16, 5))),
    ]
    assert len({study_of().trial_key(TRIAL), *others}) == 9


def test_keys_are_those_of_the_first_version(study_of):
    """Literals from that version, so that the trials of its studies are found again."""
    base = RunConfig(model=replace(ModelConfig(), dropout=0.1))
    assert study_of(base, paired_seeds=True).trial_key(TRIAL) == "d1521880c4f52ab2"
    cross_fitted = study_of(base, folds=(1, 4), paired_seeds=True)
    assert cross_fitted.trial_key(Trial(scale_of(2, 8, 5), 1e-2, 3)) == "5b370cad7ad72630"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.normalise", "record"),
        ("data.training_draw", 1),
        ("train.label_smoothing", 0.1),
        ("augment.stretch", 0.1),
        ("train.start_rate", 0.1),
        ("train.freeze", ("stem",)),
        ("train.start_sha256", "a"),
    ],
)
def test_a_setting_that_came_later_is_in_the_key_where_it_is_used(name, value, study_of):
    assert study_of(with_fields(RunConfig(), {name: value})).trial_key(TRIAL) != study_of().trial_key(TRIAL)


def test_each_scale_is_trained_from_seeds_of_its_own_and_in_all_folds_from_the_same(study_of):
    study = study_of(folds=(1, 2))
    trials = [Trial(scale, 1e-3, seed) for scale in SCALES.scales() for seed in range(5)]
    seeds = [{config.train.seed for config in study.runs(trial).values()} for trial in trials]
    assert [len(of_trial) for of_trial in seeds] == [1] * len(trials)
    assert len(set.union(*seeds)) == len(trials)
    assert study.runs(trials[0]) == study_of(folds=(1, 2)).runs(trials[0])


def test_paired_seeds_are_the_same_at_every_scale(study_of):
    study = study_of(paired_seeds=True)
    assert {study.config(scale, seed=3).train.seed for scale in SCALES.scales()} == {3}


def test_the_axes_of_a_study_decide_its_runs(study_of):
    axes = (Axis("model.stem_kernel"), HEAD, Axis("data.training_share"), Axis("train.weight_decay"))
    study = study_of(axes=axes, paired_seeds=True)
    scale = Scale.of(
        {"model.stem_kernel": 15, "model.head": "flatten", "data.training_share": 0.5, "train.weight_decay": 0.1}, axes
    )
    config = study.config(scale, 1e-2, 4)
    fields = {**scale.to_dict(), "train.learning_rate": 1e-2, "train.seed": 4}
    assert {name: get_field(config, name) for name in fields} == fields
    assert config == with_fields(RunConfig(), fields)


@given(st.integers(1, 200), st.lists(st.integers(1, 100), max_size=2))
def test_with_equal_macs_trainings_take_as_many_up_to_half_an_epoch(study_of, epochs, more):
    base = extended(with_fields(RunConfig(), {"train.epochs": epochs}), more)
    grid = make_scale_grid((1, 4), (8, 32), (3, 15), 1, (1e-3,))
    study = study_of(base)
    middle = middle_macs(study, [grid])
    equal = replace(study, reference_macs=middle)
    for scale in grid.scales():
        macs, train = cost_of(study, scale).macs, equal.config(scale).train
        least = len(train.restarts) + 1
        assert len(train.restarts) == len(more)
        within = abs(train.epochs * macs - base.train.epochs * middle) <= macs / 2 * (1 + 1e-9)
        assert within or base.train.epochs * middle < (least + 0.5) * macs or more, "at least one epoch a cycle"
    macs = [cost_of(study, scale).macs for scale in grid.scales()]
    assert min(macs) < middle < max(macs)


def test_a_preset_replaces_the_whole_model_and_leaves_the_rest(study_of):
    base = with_fields(RunConfig(), {"model.dropout": 0.3, "train.epochs": 7})
    axis = Axis("model.preset", ("resnet1d_wang", "resnet18_1d"), "categorical")
    study = study_of(base, axes=(axis,))
    config = study.config(Scale(("model.preset",), ("resnet1d_wang",)))
    assert config.model == preset("resnet1d_wang")
    assert config.train.epochs == 7


def test_a_window_that_is_an_axis_is_the_window_of_the_costs(study_of):
    study = study_of(axes=(Axis("data.window_seconds"),))
    short, long = (Scale(("data.window_seconds",), (seconds,)) for seconds in (1.0, 4.0))
    assert [window_samples(study, scale) for scale in (short, long)] == [100, 400]
    assert cost_of(study, short).macs < cost_of(study, long).macs


def test_the_fold_before_a_test_fold_validates_cyclically_among_those_present(study_of):
    runs = study_of(folds=(1, 4)).runs(TRIAL)
    present = np.array([1, 2, 4, 7])
    splits = {name: split_by_folds(present, config.data).folds for name, config in runs.items()}
    assert splits["fold_1"] == {"training": (2, 4), "validation": (7,), "test": (1,)}
    assert splits["fold_4"] == {"training": (1, 7), "validation": (2,), "test": (4,)}


def test_folds_are_not_given_twice(study_of):
    with pytest.raises(ConfigError, match="--folds"):
        study_of(RunConfig(data=DataConfig(test_folds=(3,))), folds=(1, 2))


def test_a_wider_grid_adds_only_its_new_points():
    wider = make_scale_grid((1,), (4, 8), (3,), 3, (1e-3, 1e-2))
    plan, before = merge_grids([SCALES, wider]), merge_grids([SCALES])
    assert set(plan.rates) == {*SCALES.scales(), scale_of(1, 8, 3)}
    assert plan.rates[scale_of(1, 4, 3)] == (1e-3, 1e-2)
    assert plan.seeds[scale_of(1, 4, 3)] == 3
    assert plan.rates[scale_of(2, 4, 15)] == before.rates[scale_of(2, 4, 15)]
    assert merge_grids([wider, SCALES]) == plan


def test_a_grid_of_depth_channels_and_kernel_is_written_as_it_always_was():
    grid = make_scale_grid((2, 1), (16,), (7, 3, 3), 2, (1e-3,))
    written = '{"depths": [1, 2], "channels": [16], "kernels": [3, 7], "seeds": 2, "learning_rates": [0.001]}'
    assert json.dumps(grid.to_dict()) == written
    assert read_grid(READY_MADE, **json.loads(written)) == grid


@pytest.mark.parametrize("changed", [{"axes": {"model.head": ["gap"]}}, {"depth": [1]}, {"kernels": []}])
def test_a_grid_with_other_axes_or_keys_is_refused(changed):
    with pytest.raises(ConfigError, match=r"its axes are .*, those of the study|has no levels"):
        read_grid(READY_MADE, **{**SCALES.to_dict(), **changed})


levels = {
    "model.depth": st.integers(1, 8),
    "model.head": st.sampled_from(["gap", "attention", "flatten"]),
    "model.dropout": st.floats(0, 0.9),
    "model.stem_pool": st.booleans(),
    "data.window_seconds": st.floats(0.5, 20),
}


@st.composite
def grids(draw):
    fields = draw(st.lists(st.sampled_from(list(levels)), min_size=1, unique=True))
    given_levels = {name: tuple(draw(st.lists(levels[name], min_size=1, max_size=3))) for name in fields}
    words = [[name, *map(str, values)] for name, values in given_levels.items() if name != "model.depth"]
    axes = [read_axis(axis) for axis in words]
    if draw(st.booleans()):
        axes = [replace(axis, kind="categorical") for axis in axes]
    if "model.depth" in given_levels:
        axes.append(replace(READY_MADE[0], levels=given_levels["model.depth"]))
    return make_grid(axes, draw(st.integers(1, 3)), draw(st.lists(st.sampled_from([1e-3, 1e-2]), min_size=1)))


@given(grids())
def test_a_grid_is_read_as_it_was_written_by_flags_and_by_json(grid):
    assert read_grid(grid.axes, **json.loads(json.dumps(grid.to_dict()))) == grid
    for axis in grid.axes:
        if axis.field != "model.depth":
            words = grid.flags()
            (place,) = (i for i, word in enumerate(words) if word.partition(":")[0] == axis.field)
            assert read_axis(words[place : place + 1 + len(axis.levels)]) == axis


@given(grids())
def test_every_scale_of_a_grid_has_a_name_of_its_own(grid):
    scales = grid.scales()
    assert len({scale.name for scale in scales}) == len(scales) == np.prod([len(axis.levels) for axis in grid.axes])


@pytest.mark.parametrize(
    ("words", "axis"),
    [
        (["model.head", "gap", "attention"], Axis("model.head", ("gap", "attention"), "categorical")),
        (["model.dropout", "0", "0.1"], Axis("model.dropout", (0.0, 0.1), "linear")),
        (["train.weight_decay", "0.1", "1"], Axis("train.weight_decay", (0.1, 1.0), "log2")),
        (["model.stem_kernel", "7", "15"], Axis("model.stem_kernel", (7, 15), "log2")),
        (["model.stem_kernel:categorical", "7", "15"], Axis("model.stem_kernel", (7, 15), "categorical")),
        (["model.stem_pool", "true", "false"], Axis("model.stem_pool", (True, False), "categorical")),
        (["model.preset", "resnet18_1d"], Axis("model.preset", ("resnet18_1d",), "categorical")),
    ],
)
def test_levels_have_the_type_of_their_field_and_the_kind_that_fits_them(words, axis):
    read = read_axis(words)
    assert read == axis
    assert [type(level) for level in read.levels] == [type(level) for level in axis.levels]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.head"], "give a field and its levels"),
        (["model.heads", "gap"], "--axis model.heads: a run has no such field"),
        (["model", "gap"], "a run has no such field"),
        (["functions.network", "m:f"], "a run has no such field"),
        (["model.head", "gap", "mean"], "--axis model.head: mean is not a level; choose from gap, concat"),
        (["model.dropout", "some"], "--axis model.dropout: some is not a level; give a number"),
        (["model.stem_kernel", "7.5"], "--axis model.stem_kernel: 7.5 is not a level; give a whole number"),
        (["model.stem_pool", "1"], "choose from true, false"),
        (["model.preset", "resnet"], "choose from resnet18_1d"),
        (["model.strides", "1", "2"], "--axis model.strides: one value of it is several numbers"),
        (["data.test_folds", "1"], "one value of it is several numbers"),
        (["train.seed", "1"], "give --seeds instead"),
        (["train.learning_rate", "1"], "give --learning-rates instead"),
        (["model.depth", "1"], "give --depths instead"),
        (["data.path", "x"], "it does not change what a network learns"),
        (["train.parallel", "jit"], "it does not change what a network learns"),
        (["model.dropout:cubic", "0"], "the kind cubic is not known; choose from log2, linear, categorical"),
        (["model.dropout:log2", "0", "0.1"], "axis model.dropout must be a number above 0; got 0.0"),
        (["model.dropout", "nan"], "axis model.dropout"),
    ],
)
def test_what_cannot_be_an_axis_is_one_line_that_names_it(words, message):
    with pytest.raises(ConfigError) as refused:
        read_axis(words)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [0, 7])
def test_a_study_has_one_to_six_axes(number):
    names = ("stem_kernel", "stem_stride", "dilation", "dropout", "head_dropout", "head_hidden", "growth")
    axes = [Axis(f"model.{name}", (1,)) for name in names[:number]]
    with pytest.raises(ConfigError, match="1 to 6 axes"):
        make_grid(axes, 1, (1e-3,))


OLD_STUDY = {  # as the first version wrote it, shortened to what is not a default
    "name": "study-1a2b3c4d",
    "storage": "journal.log",
    "study": {
        "base": {"data": {"path": "prepared/x"}, "model": {"growth": 1.0}, "train": {"epochs": 3}},
        "folds": [2, 5],
        "fingerprint": "f",
        "rate_hz": 100.0,
        "leads": 12,
        "labels": 5,
    },
}


def test_a_study_of_the_first_version_has_the_three_ready_made_axes(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps(OLD_STUDY))
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "1.json").write_text(json.dumps(SCALES.to_dict()))
    folder = open_study(tmp_path)
    assert folder.study.axes == READY_MADE
    assert folder.study.base.model.growth == 1.0
    assert folder.study.paired_seeds
    assert folder.plan() == merge_grids([SCALES])


@pytest.mark.parametrize(("then", "now"), [(None, []), (True, []), (True, ["--paired-seeds"]), (False, [])])
def test_a_study_keeps_the_seeds_that_it_was_begun_with(then, now, synthetic_set, tmp_path):
    given_flags = ["--depths", "1", "--channels", "4", "--kernels", "3", "--seeds", "2", "--data", str(synthetic_set)]
    args = read_arguments(GridArgs, ["--workdir", str(tmp_path), *given_flags, *now])
    paired = then is not False
    assert train_study(replace(args, paired_seeds=paired), conclude=list_trials, runner=Fakes().runner) is not None
    if then is None:  # as earlier versions wrote it, whose seeds were paired
        values = json.loads((tmp_path / "study.json").read_text())
        del values["study"]["paired_seeds"]
        (tmp_path / "study.json").write_text(json.dumps(values))
    again = Fakes()
    folder = train_study(args, conclude=list_trials, runner=again.runner)
    assert folder is not None
    assert folder.study.paired_seeds is paired
    assert again.trained == [], "the keys of its trials are those of before"


def test_a_study_with_seeds_of_its_own_for_each_scale_is_not_continued_with_paired_ones(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    with pytest.raises(RunError, match="paired_seeds was False, is now True"):
        create_or_open(tmp_path, replace(folder.study, paired_seeds=True))


def test_study_json_does_not_hold_what_the_trials_set_themselves(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, make_grid([HEAD, Axis("data.window_seconds", (1.0, 2.0))], 1, (1e-3,)))
    base = json.loads((tmp_path / "study.json").read_text())["study"]["base"]
    assert "head" not in base["model"]
    assert "window_seconds" not in base["data"]
    assert not {"seed", "learning_rate"} & set(base["train"])
    assert base["model"]["depth"] == ModelConfig().depth
    assert open_study(tmp_path) == folder


def test_other_axes_in_the_same_folder_are_refused_with_both_sides(synthetic_set, tmp_path, study_of):
    folder = begun(tmp_path, synthetic_set)
    with pytest.raises(RunError, match=r"axes.depth was 'log2', is now None.*axes.model.head was None, is now 'cate"):
        create_or_open(tmp_path, replace(folder.study, axes=(*READY_MADE[1:], HEAD)))


def test_axes_in_another_order_are_the_same_study(synthetic_set, tmp_path):
    dropout = Axis("model.dropout", (0.0, 0.1), "linear")
    one, other = (make_grid(axes, 1, (1e-3,)) for axes in ([HEAD, dropout], [dropout, HEAD]))
    first, second = (begun(tmp_path, synthetic_set, grid) for grid in (one, other))
    assert first.plan() == second.plan() == second.plan(other) == replace(merge_grids([one]), rate_seed=PILOT_SEED)


def test_a_category_that_is_added_later_comes_after_those_that_were_there(synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set, make_grid([HEAD], 1, (1e-3,)))
    later = make_grid([replace(HEAD, levels=("flatten", "attention", "gap"))], 1, (1e-3,))
    (axis,) = begun(tmp_path, synthetic_set, later).study.axes
    assert axis.levels == ("gap", "attention")
    assert len(open_study(tmp_path).plan().rates) == 3


@pytest.mark.parametrize(
    ("tried", "chosen"),
    [
        ({1e-3: 0.8, 1e-2: 0.9}, 1e-2),
        ({1e-3: 0.9, 1e-2: 0.9, 1e-4: 0.9}, 1e-4),
        ({1e-3: None, 1e-2: 0.5}, 1e-2),
        ({1e-3: None, 1e-2: None}, None),
    ],
)
def test_the_best_rate_is_chosen_and_of_equal_ones_the_smaller(tried, chosen):
    assert chosen_rate(tried) == chosen


def test_by_default_there_are_four_rates_spaced_by_three(study_of):
    assert default_rates(3e-3) == (1e-3, 3e-3, 9e-3, 0.027)
    args = read_arguments(GridArgs, ["--workdir", "w", "--train.learning-rate", "0.006"])
    assert args.grids(study_of())[0].learning_rates == (0.002, 0.006, 0.018, 0.054)
    before = replace(study_of(), rate_seed=0)
    assert args.grids(before)[0].learning_rates == (0.006,), "a study that began with the rate of its run"


@given(
    st.lists(st.sampled_from([10.0**n for n in range(-6, 3)]), min_size=1, max_size=5, unique=True),
    st.floats(-12, 9),
)
def test_a_rate_is_sought_until_the_best_is_inside_or_three_steps_beyond_what_was_given(given_rates, optimum):
    tried = {rate: -abs(np.log10(rate) - optimum) for rate in given_rates}
    while (rate := rate_beyond(tried, given_rates)) is not None:
        assert rate not in tried
        tried[rate] = -abs(np.log10(rate) - optimum)
    best, order = chosen_rate(tried), sorted(tried)
    beyond = [rate for rate in order if not min(given_rates) <= rate <= max(given_rates)]
    assert len(beyond) <= 4, "beyond one edge, and one step back where that turns out to be no better"
    inside = best not in (order[0], order[-1])
    assert inside or len(given_rates) == 1 or len(beyond) == 3 or order[-1] ** 2 / order[-2] > 1000


def test_scales_that_see_beyond_the_window_or_outgrow_the_last_stage_are_marked(study_of):
    def marked(seconds: float, scale: Scale) -> list[str]:
        base = RunConfig(data=DataConfig(window_seconds=seconds), model=without_stem_pool(ModelConfig()))
        return marks(study_of(base), scale)

    sees_51 = scale_of(1, 4, 3)
    assert marked(0.51, sees_51) == []
    assert marked(0.50, sees_51) == ["its receptive field exceeds the window of 50 samples"]
    assert "its kernel exceeds the last stage of 32 samples" in marked(2.5, scale_of(1, 4, 33))
    assert not any("kernel" in mark for mark in marked(2.5, scale_of(1, 4, 32)))


def test_the_receptive_field_of_a_network_of_ones_own_is_unknown_and_its_costs_are_counted(study_of):
    own = study_of(replace(RunConfig(), functions=Functions(network="ecg_jax.models.resnet:ResNet1D")))
    scale = scale_of(1, 4, 3)
    known, counted = cost_of(study_of(), scale), cost_of(own, scale)
    assert counted.receptive_field_samples is None
    assert counted.parameters == known.parameters
    assert counted.macs == pytest.approx(known.macs, rel=0.02)
    assert marks(own, scale) == []
    lines = lines_of(
        StudyFolder(Path("nowhere"), "", "", own), merge_grids([make_scale_grid((1,), (4,), (3,), 1, (1,))])
    )
    assert any("unknown" in line for line in lines)


def test_time_is_a_fixed_part_and_one_for_each_operation():
    seconds = fit_seconds([(1e6, 3.0), (2e6, 4.0), (8e6, 10.0)])
    assert seconds(4e6) == pytest.approx(6.0)
    assert fit_seconds([(1e6, 3.0), (2e6, 2.0)])(4e6) > 0  # noise must not make time negative
    assert fit_seconds([(1e6, 3.0)])(2e6) == pytest.approx(6.0)


def lines_of(folder: StudyFolder, plan) -> list[str]:
    seconds = estimate_seconds(folder.study, list(plan.rates), Fakes().runner)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(trials_table(folder, plan, seconds))
    return console.export_text().splitlines()


def test_a_dry_run_lists_every_trial_and_the_sum_of_their_times(tmp_path, study_of):
    grid = with_levels(SCALES, learning_rates=(1e-3, 1e-2))
    lines = lines_of(StudyFolder(tmp_path, "", "", study_of(folds=(1, 2, 3))), merge_grids([grid]))
    for scale in grid.scales():
        assert sum(line.startswith(f"│ {scale.name}_") for line in lines) == 2 + 2, "two rates, two seeds"
    runs = 4 * (2 * 1 + 2 + 3)  # each scale: two rates on one fold; the two folds left of seed 0; three of seed 1
    assert any(line.startswith("│ all") and f"{runs} min 00 s" in line for line in lines)
    assert any("15 (150 ms)" in line for line in lines)


def test_the_time_of_a_run_has_a_part_for_each_epoch_beside_steps_and_validations(study_of):
    study = study_of()
    runner = replace(Fakes().runner, measure_rest=lambda config: (2.0, 0.5))
    for run, _ in estimate_seconds(study, SCALES.scales(), runner).values():
        assert run == pytest.approx(60 + 2 + 0.5 * study.base.train.epochs)


def test_a_dry_run_of_a_finished_study_has_nothing_left(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, learning_rates=(1e-3, 3e-3)), folds=(1, 2))
    worked(folder, Fakes())
    (last,) = (line for line in lines_of(folder, folder.plan()) if line.startswith("│ all"))
    assert last.split("│")[-2].strip() == "0 s"


def test_a_password_is_not_written_down():
    assert without_password("postgresql://me:secret@host:5/data") == "postgresql://me@host:5/data"
    assert without_password("postgresql:///data") == "postgresql:///data"
    assert without_password("journal.log") == "journal.log"
    secret = ("password=secret", "sslpassword=secret", "passfile=/secret", "options=-c%20role%3Dsecret", "secret=1")
    for url in ("postgresql://me:se/cret@host/data", *(f"postgresql+psycopg://me:s%23@host/data?{s}" for s in secret)):
        assert without_password(url) == "postgresql://me@host/data"
    assert without_password("postgresql://me@host/data?sslmode=require") == "postgresql://me@host/data?sslmode=require"
    with pytest.raises(ConfigError, match="--storage cannot be read") as refused:
        without_password("postgresql://me:secret@host:port/data")
    assert "secret" not in str(refused.value)


def test_a_url_with_a_password_comes_from_a_file_and_one_on_the_command_line_is_warned_of(tmp_path, capsys):
    url = "postgresql://me:secret@host/data"
    (tmp_path / "url").write_text(f"{url}\n")
    assert given_storage("", tmp_path / "url") == url
    assert given_storage("postgresql://me@host/data", None) == "postgresql://me@host/data"
    assert capsys.readouterr().err == ""
    for on_the_line in (url, "postgresql://me@host/data?sslpassword=secret"):
        assert given_storage(on_the_line, None) == on_the_line
        said = capsys.readouterr().err
        assert "a file with the URL (--storage-file), the variable PGPASSWORD or ~/.pgpass" in said
        assert "secret" not in said


def test_a_server_that_wants_a_password_is_told_apart_from_one_that_is_away():
    said = [str(StorageAway(reason)) for reason in ("fe_sendauth: no password supplied", "connection refused")]
    assert "its password belongs in a file with the URL (--storage-file)" in said[0]
    assert "check the server, then the same command continues" in said[1]


@pytest.mark.parametrize(
    ("storage", "content", "message"),
    [
        ("postgresql://h/d", b"postgresql://h/d", "give --storage or --storage-file, not both"),
        ("", None, "--storage-file .*url cannot be read: No such file"),
        ("", b"", "--storage-file .*url is empty"),
        ("", b"\xff\xfe", "--storage-file .*url cannot be read: it is not UTF-8"),
        ("", b"sqlite:///secret.db", "--storage sqlite: give postgresql://"),
        ("", b"secret", "--storage is not a URL: give postgresql://"),
        ("postgresql", None, "--storage is not a URL: give postgresql://"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_its_text(storage, content, message, tmp_path):
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refused:
        given_storage(storage, None if storage == "postgresql" else tmp_path / "url")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given_flags", "message"),
    [
        ([], "--data is missing"),
        (["--data", "nowhere", "--model.depth", "3"], "give --depths"),
        (["--data", "nowhere", "--train.seed", "3"], "give --seeds"),
        (["--data", "nowhere", "--train.learning-rate", ".1", "--learning-rates", ".2"], "not both"),
        (["--data", "nowhere", "--storage", "sqlite:///study.db"], "may give one trial to two workers"),
        (["--data", "nowhere", "--kernels", "0"], "axis kernel must be a whole number from 1 up; got 0"),
        (["--data", "SET", "--learning-rates", "nan"], "--learning-rates is [nan]"),
        (["--data", "SET", "--learning-rates", "2000"], "--learning-rates is [2000.0]"),
        (["--data", "SET", "--axis", "model.dropout", "0", "1.5"], "--model.dropout is 1.5"),
        (["--data", "nowhere", "--lease-seconds", "-5"], "--lease-seconds is -5"),
        (["--data", "nowhere", "--lease-seconds", "inf"], "--lease-seconds is inf"),
        (["--data", "SET", "--folds", "99"], "--folds 99: the set has the folds 1, 2"),
        (["--data", "nowhere"], "nowhere is not a prepared set"),
        (["--axis", "model.head", "gap", "--model.head", "flatten"], "--model.head is varied by the study"),
        (["--axis", "model.head", "gap", "--axis", "model.head", "concat"], "--axis model.head is given twice"),
        (["--axis", "model.preset", "resnet18_1d", "--depths", "1"], "leave out their flags"),
        (["--axis", "model.preset", "resnet18_1d", "--model.dropout", ".1"], "--model is varied by the study"),
    ],
)
def test_a_mistake_is_one_line(given_flags, message, tmp_path, synthetic_set):
    given_flags = [flag.replace("SET", str(synthetic_set)) for flag in given_flags]
    with pytest.raises(UserError) as raised:
        train_study(read_arguments(GridArgs, ["--workdir", str(tmp_path / "study"), *given_flags]))
    assert message in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_presets_bases_and_flags_go_together_and_flags_win():
    given_flags = ["--workdir", "w", "--preset", "cinc2017", "--base", "local", "--model.strides", "2", "2", "2"]
    args = read_arguments(GridArgs, given_flags)
    assert args.run.model.strides == (2, 2, 2)
    assert args.run.model.stem_pool is False
    assert args.run.train.loss == "weighted"
    assert args.run.train.learning_rate == 6e-3
    assert read_arguments(GridArgs, given_flags[:6]).run.model.strides == (1, 2, 2)


def test_axes_of_the_command_line_come_after_depth_channels_and_kernel():
    words = ["--workdir", "w", "--depths", "1", "--axis", "model.head", "gap", "concat", "--axis", "model.dropout", "0"]
    axes = read_arguments(GridArgs, words).axes()
    assert [(axis.name, axis.levels) for axis in axes] == [
        ("depth", (1,)),
        ("channels", (16, 32, 64)),
        ("kernel", (3, 5, 9, 15)),
        ("model.head", ("gap", "concat")),
        ("model.dropout", (0.0,)),
    ]
    (only,) = read_arguments(GridArgs, ["--workdir", "w", "--axis", "model.preset", "resnet18_1d"]).axes()
    assert only.levels == ("resnet18_1d",)


def test_flags_make_a_config_from_the_default_one():
    config = with_fields(preset_run(), {"data.test_folds": (1, 2), "train.tensorboard": True})
    args = read_arguments(GridArgs, ["--workdir", "w", *flags(config)])
    assert args.run == config


def preset_run() -> RunConfig:
    """A run that differs from the default one in texts, numbers, several numbers and a switch that is off."""
    changes = {"model.head": "concat", "model.strides": (1, 2, 2), "model.stem_pool": False, "train.ema": 0.9}
    return with_fields(RunConfig(), changes)


def test_fields_are_changed_by_dotted_names_and_the_rest_stays():
    changed = with_fields(RunConfig(), {"model.head": "gap", "model.dropout": 0.5, "train.epochs": 3})
    assert get_field(changed, "model.dropout") == 0.5
    assert with_fields(changed, {"model.dropout": 0.0, "train.epochs": 30}) == RunConfig()
    assert from_dict(RunConfig, to_dict(changed)) == changed
    with pytest.raises(ConfigError, match=r"--model.dropout is 2"):
        with_fields(RunConfig(), {"model.dropout": 2.0})


def test_plan_status_and_files_of_a_study_load_neither_jax_nor_optuna():
    modules = "ecg_jax.study.design, ecg_jax.study.tasks, ecg_jax.study.status, ecg_jax.study.workdir"
    code = f"import sys, {modules}, ecg_jax.study.runner, ecg_jax.scripts.experiment; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"jax", "optuna", "tensorflow", "matplotlib"} & set(loaded.split())
