"""The scripts of `experiments/`: what they train, and what they compare. Nothing is trained."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from study_fakes import GRID, Fakes, begun, with_levels, worked

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.models import preset
from ecg_jax.presets import RUN_PRESETS
from ecg_jax.report.write import commands
from ecg_jax.scripts import timed_study
from ecg_jax.scripts.experiment import finished_predictions, read_arguments
from ecg_jax.study.cost import cost_of
from ecg_jax.study.cross_fit import fold_parts
from ecg_jax.study.design import make_study
from ecg_jax.study.workdir import open_study

SCRIPTS = sorted((Path(__file__).parents[1] / "experiments").glob("*.py"))


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS[0].with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # tyro reads the help of a flag from the source of its module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_one_screen_and_shows_its_flags(path):
    shown = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=True).stdout
    assert (script(path.stem).__doc__ or "").partition("\n")[0] in " ".join(shown.split())
    assert len(path.read_text().splitlines()) <= 60


def arguments(kind, synthetic_set, workdir, *flags):
    given = ["--workdir", str(workdir), "--data", str(synthetic_set), "--data.window-seconds", "2", "--seeds", "2"]
    given += ["--learning-rates", "0.003"]
    return read_arguments(kind, [*given, *flags])


def test_networks_of_equal_size_differ_in_their_receptive_field(synthetic_set):
    kind = script("receptive_field").Args
    args = arguments(kind, synthetic_set, "w")
    study = make_study(args.run, args.axes(), (), open_prepared(synthetic_set))
    scales = [scale for grid in args.grids(study) for scale in grid.scales()]
    assert len(set(scales)) == len(scales) == 21
    for head in ("gap", "attention", "flatten"):
        costs = [cost_of(study, scale) for scale in scales if scale["model.head"] == head]
        parameters = [cost.parameters for cost in costs]
        assert len(costs) == 7
        assert max(parameters) < 1.1 * min(parameters)
        assert len({cost.receptive_field_samples for cost in costs}) == len(costs)
        assert costs[0].receptive_field_samples == 51, "depth 1, kernel 3 on the local base"


def test_receptive_fields_are_compared_with_the_plain_network(larger_set, tmp_path):
    module = script("receptive_field")
    flags = ["--depths", "1", "2", "--channels", "8", "--kernels", "3", "--dilations", "1", "--heads", "gap", "flatten"]
    module.main(arguments(module.Args, larger_set, tmp_path, *flags), Fakes().runner)
    written = json.loads((tmp_path / "receptive_field.json").read_text())
    plain = {"depth": 1, "channels": 8, "kernel": 3, "model.dilation": 1, "model.head": "gap"}
    assert written["reference"] == plain
    by_network = {(row["depth"], row["model.head"]): row for row in written["scales"]}
    assert len(by_network) == 4
    assert by_network[1, "gap"]["difference"] == 0
    predictions = finished_predictions(open_study(tmp_path))
    macro = macro_auroc(predictions)
    assert macro is not None
    means = predictions.mean_weights() @ macro.value
    places = {Scale.of(row, predictions.axes): row for row in written["scales"]}
    first = means[predictions.scales.index(Scale.of(plain, predictions.axes))]
    for place, scale in enumerate(predictions.scales):
        assert places[scale]["difference"] == pytest.approx(means[place] - first)


def test_shares_of_the_patients_are_an_axis_that_is_tested_on_the_same_records(larger_set, tmp_path):
    module, fakes = script("data_size"), Fakes()
    flags = ["--depths", "1", "2", "--channels", "4", "--kernels", "3", "--shares", "0.5", "1"]
    module.main(arguments(module.Args, larger_set, tmp_path, *flags), fakes.runner)
    assert len(fakes.trained) == 2 * 2 * 2
    written = json.loads((tmp_path / "data_size.json").read_text())
    assert [entry["share"] for entry in written["shares"]] == [0.5, 1.0]
    effects = [entry["claims"]["depth"]["effect"] for entry in written["shares"]]
    assert written["changes"]["depth"]["effect"] == pytest.approx(effects[1] - effects[0])
    assert (tmp_path / "report.html").is_file()


def test_a_single_share_is_refused(synthetic_set, tmp_path):
    module = script("data_size")
    with pytest.raises(ConfigError, match="two different shares"):
        module.main(arguments(module.Args, synthetic_set, tmp_path, "--shares", "1"))


def test_published_networks_are_compared_on_the_records_seeds_and_rates_of_the_study(larger_set, tmp_path):
    fakes = Fakes()
    grid = with_levels(GRID, learning_rates=(1e-3, 3e-3))
    worked(begun(tmp_path, larger_set, grid, folds=(2, 5), epochs=7), fakes)
    module = script("published")
    args = module.Args(study=tmp_path, presets=("resnet18_1d", "resnet1d_wang"))
    module.main(args, fakes.runner)
    networks = open_study(tmp_path / "published")
    assert networks.plan().rates == dict.fromkeys(networks.plan().rates, (1e-3, 3e-3))
    for scale in networks.plan().rates:
        config = networks.study.config(scale)
        assert config.model == preset(str(scale["model.preset"]))
        assert config.train.epochs == 7
    written = json.loads((tmp_path / "published.json").read_text())
    assert (written["seeds"], written["margin"]) == (2, 0.005)
    predictions = finished_predictions(open_study(tmp_path))
    on_validation = predictions.mean_weights() @ predictions.validation
    assert written["opponent"]["network"] == predictions.scales[int(on_validation.argmax())].name
    assert {row["network"] for row in written["networks"]} == {"resnet18_1d", "resnet1d_wang"}
    for row in written["networks"]:
        assert row["low"] < row["difference"] < row["high"]
        assert row["outcome"] in ("better", "worse", "equivalent", "not decided")
    trained = len(fakes.trained)
    module.main(args, fakes.runner)
    assert len(fakes.trained) == trained, "nothing is trained twice"


def test_budgets_of_epochs_and_of_macs_are_two_studies_whose_effects_are_compared(larger_set, tmp_path, capsys):
    module, fakes = script("scale"), Fakes()
    flags = ["--depths", "1", "2", "--channels", "4", "8", "--kernels", "3", "--budget", "both", "--train.epochs", "12"]
    module.main(arguments(module.TimedArgs, larger_set, tmp_path, *flags), fakes.runner)
    epochs = {}
    for place in (tmp_path, tmp_path / "macs"):
        folder = open_study(place)
        configs = {scale: folder.study.config(scale) for scale in folder.plan().rates}
        epochs[place.name] = [config.train.epochs for config in configs.values()]
        of_window = [cost_of(folder.study, scale).macs for scale in configs]
        macs = np.multiply(of_window, epochs[place.name])
        assert (place / "report.html").is_file()
    assert epochs[tmp_path.name] == [12] * 4
    assert max(macs) < 1.2 * min(macs)
    assert [epochs["macs"][n] for n in np.argsort(of_window)] == sorted(epochs["macs"], reverse=True)
    written = json.loads((tmp_path / "budget.json").read_text())
    effects = [written[budget]["depth"]["effect"] for budget in ("epochs", "macs")]
    assert written["same_sign"]["depth"] == (effects[0] * effects[1] > 0)
    assert set(written["same_sign"]) == {"depth", "channels"}, "the kernel has one level"
    assert "with equal epochs" in capsys.readouterr().out
    again = arguments(module.TimedArgs, larger_set, tmp_path / "macs", *flags[:-4], "--train.epochs", "12")
    with pytest.raises(RunError, match=r"reference_macs was \d.*, is now None"):
        module.main(again, fakes.runner)


def test_replicates_train_the_corners_on_halves_of_the_patients_and_widen_the_intervals(larger_set, tmp_path, capsys):
    module = script("scale")
    flags = ["--depths", "1", "2", "4", "--channels", "4", "--kernels", "3", "5", "--replicate-training", "3"]
    fakes = Fakes()
    module.main(arguments(module.TimedArgs, larger_set, tmp_path, *flags), fakes.runner)
    of_halves = fakes.trained[12:]
    assert of_halves == [
        f"d{depth}_c4_k{kernel}_data.training_draw={draw}_lr0.003_s0"
        for depth in (1, 4)
        for kernel in (3, 5)
        for draw in (1, 2, 3)
    ]
    folder = open_study(tmp_path / "replicates")
    assert folder.study.base.data.training_share == 0.5
    assert folder.study.base.train.epochs == 2 * open_study(tmp_path).study.base.train.epochs, "as many steps"
    analysis = json.loads((tmp_path / "analysis.json").read_text())
    for axis in ("depth", "kernel"):
        own, others = analysis["claims"][axis], analysis["for_other_training_records"][axis]
        assert others["effect"] == own["effect"]
        assert others["low"] < own["low"] < own["high"] < others["high"]
    assert analysis["for_other_training_records"]["channels"]["effect"] is None
    (warned,) = [warning["text"] for warning in analysis["warnings"] if warning["name"] == "training_records"]
    assert warned.startswith("For other training records the intervals are up to"), "measured, no estimate"
    said = "For other training records of this number, judged from 3 random halves"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "report.html").read_text()

    more = [*flags[:-2], "--extend-epochs", "2"]
    module.main(arguments(module.TimedArgs, larger_set, tmp_path, *more), fakes.runner)
    extended = json.loads((tmp_path / "analysis.json").read_text())
    assert extended["for_other_training_records"] == {}, "halves of the epochs before say nothing of these"
    assert [note for note in extended["notes"] if "replicates/ has other epochs" in note]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--replicate-training", "1"], "give 2 or more"),
        (["--replicate-training", "5", "--hours", "1"], "give no --hours"),
        (
            ["--replicate-training", "5", "--axis", "data.training_share", "0.5", "1"],
            "give no --axis data.training_share",
        ),
        (["--replicate-training", "5", "--axis", "train.epochs", "2", "4"], "give no --axis train.epochs"),
    ],
)
def test_replicates_that_say_nothing_are_refused_before_anything_is_trained(flags, says, synthetic_set, tmp_path):
    module, fakes = script("scale"), Fakes()
    with pytest.raises(ConfigError, match=says):
        module.main(arguments(module.TimedArgs, synthetic_set, tmp_path, *flags), fakes.runner)
    assert fakes.trained == []


def test_the_parts_of_a_cross_fit_test_every_fold_once():
    parts = fold_parts([1, 2, 3, 4, 5, 6], 3)
    assert parts == [((1, 2), 6), ((3, 4), 2), ((5, 6), 4)]
    for number in (4, 0, 1):
        with pytest.raises(ConfigError, match=f"--parts {number}: give a divisor of the set's 6 folds"):
            fold_parts([1, 2, 3, 4, 5, 6], number)
    with pytest.raises(ConfigError, match="takes three folds or more, and the set has 2"):
        fold_parts([1, 2], None)


def test_a_cross_fit_averages_over_parts_and_seeds(synthetic_set, tmp_path):
    module, fakes = script("cross_fit"), Fakes()
    run = with_fields(RunConfig(), {"data.path": synthetic_set, "data.window_seconds": 2.0})
    module.main(module.Args(tmp_path, parts=5, seeds=2, run=run), fakes.runner)
    written = json.loads((tmp_path / "cross_fit.json").read_text())
    assert written["parts"] == 5
    by_seed = []
    for seed in (0, 1):
        files = sorted((tmp_path / f"seed_{seed}").glob("*/result.json"))
        values = [json.loads(file.read_text())["metrics"]["macro_auroc"]["value"] for file in files]
        assert len(values) == 5
        by_seed.append(np.mean(values))
    assert written["validation"]["macro_auroc"]["mean"] == pytest.approx(np.mean(by_seed))
    assert written["validation"]["macro_auroc"]["std"] == pytest.approx(np.std(by_seed, ddof=1))
    assert "test" not in written


def test_with_hours_alone_a_study_is_chosen_shown_and_trained_to_a_report(synthetic_set, tmp_path, capsys):
    module, fakes = script("scale"), Fakes()
    words = ["--workdir", str(tmp_path / "study"), "--data", str(synthetic_set), "--hours", "24", "--seeds", "2"]
    module.main(read_arguments(module.TimedArgs, words), fakes.runner)
    said = capsys.readouterr().out
    folder = open_study(tmp_path / "study")
    config = folder.study.config(next(iter(folder.plan().rates)))
    assert config.model.strides == (1, 2, 2), "the local base"
    assert (config.data.window_seconds, config.train.batch_size, config.train.epochs) == (2.5, 32, 40)
    assert "--depths 1 2 4" in said
    assert set(folder.plan().seeds.values()) == {2}
    assert len(folder.plan().rates) == 27
    assert (tmp_path / "study" / "report.html").is_file()
    module.main(read_arguments(module.TimedArgs, words), fakes.runner)
    assert open_study(tmp_path / "study").plan() == folder.plan(), "started again, the study is what it was"


def test_a_study_for_a_time_with_one_rate_goes_on_by_the_same_command(synthetic_set, tmp_path):
    flags = ["--train.learning-rate", "0.002", "--depths", "1", "--channels", "4", "--kernels", "3", "--seeds", "1"]
    words = ["--workdir", str(tmp_path), "--data", str(synthetic_set), "--hours", "24", *flags]
    module, fakes = script("scale"), Fakes()
    for _ in range(2):
        module.main(read_arguments(module.TimedArgs, words), fakes.runner)
    assert len(open_study(tmp_path).grids()) == 1


def test_the_base_for_a_time_is_that_of_the_window_that_is_given(synthetic_set, tmp_path):
    words = ["--workdir", str(tmp_path), "--data", str(synthetic_set), "--hours", "24"]
    bases = [
        read_arguments(script("scale").TimedArgs, [*words, *w]).base for w in ([], ["--data.window-seconds", "20"])
    ]
    assert bases == ["local", "resnet"]
    with pytest.raises(SystemExit):
        read_arguments(script("scale").TimedArgs, [*words, "--data.window-seconds", "long"])


def test_a_dry_run_of_an_extension_lists_what_the_epochs_that_are_added_cost(synthetic_set, tmp_path, capsys):
    module = script("scale")
    flags = ["--data", str(synthetic_set), "--depths", "1", "--channels", "4", "--kernels", "3", "--seeds", "1"]
    words = ["--workdir", str(tmp_path), *flags, "--learning-rates", "0.003", "--train.epochs", "4"]
    module.main(read_arguments(module.TimedArgs, words), Fakes().runner)
    capsys.readouterr()
    module.main(read_arguments(module.TimedArgs, [*words, "--extend-epochs", "3", "--dry-run"]), Fakes().runner)
    assert "d1_c4_k3" in capsys.readouterr().out
    assert open_study(tmp_path).study.base.train.epochs == 4, "nothing is extended"


def test_flags_override_what_is_chosen_for_the_time(synthetic_set, tmp_path):
    module = script("scale")
    flags = ["--depths", "2", "3", "--train.epochs", "9", "--learning-rates", "0.003", "--seeds", "1", "--folds", "4"]
    words = ["--workdir", str(tmp_path / "study"), "--data", str(synthetic_set), "--hours", "2", *flags]
    module.main(read_arguments(module.TimedArgs, words), Fakes().runner)
    folder = open_study(tmp_path / "study")
    assert {scale["depth"] for scale in folder.plan().rates} == {2, 3}
    assert folder.study.folds == (4,)
    assert folder.study.base.train.epochs == 9
    assert set(folder.plan().rates.values()) == {(0.003,)}


def test_a_time_that_is_too_short_for_any_study_is_refused_with_the_time_of_the_smallest(synthetic_set, tmp_path):
    module = script("scale")
    words = ["--workdir", str(tmp_path / "study"), "--data", str(synthetic_set), "--hours", "0.1"]
    with pytest.raises(ConfigError, match=r"--hours is too short: .* give --hours [0-9.]+ or more"):
        module.main(read_arguments(module.TimedArgs, words), Fakes().runner)
    assert not (tmp_path / "study").exists()


def test_with_a_time_a_preset_keeps_its_own_settings(synthetic_set, tmp_path):
    words = ["--workdir", str(tmp_path), "--data", str(synthetic_set), "--hours", "1", "--preset", "ptb_xl"]
    args = read_arguments(script("scale").TimedArgs, words)
    assert args.run.train == RUN_PRESETS["ptb_xl"]().train
    assert args.run.data.window_seconds == RUN_PRESETS["ptb_xl"]().data.window_seconds


def test_a_study_for_a_time_that_was_killed_before_its_first_grid_begins(synthetic_set, tmp_path):
    module = script("scale")
    flags = ["--depths", "1", "--train.epochs", "9", "--learning-rates", "0.003", "--seeds", "1"]
    words = ["--workdir", str(tmp_path), "--data", str(synthetic_set), "--hours", "24", *flags]
    module.main(read_arguments(module.TimedArgs, words), Fakes().runner)
    for grid in (tmp_path / "grids").iterdir():
        grid.unlink()
    module.main(read_arguments(module.TimedArgs, words), Fakes().runner)
    assert len(open_study(tmp_path).grids()) == 1


def test_when_the_time_is_over_no_trial_is_begun_and_the_report_is_written(
    synthetic_set, tmp_path, capsys, monkeypatch
):
    module, fakes = script("scale"), Fakes()
    words = ["--workdir", str(tmp_path / "study"), "--data", str(synthetic_set), "--hours", "20"]
    args = read_arguments(module.TimedArgs, words)
    monkeypatch.setattr(timed_study, "REPORT_SECONDS", (20 * 3600.0, 0.0))  # nothing is left for training
    module.main(args, fakes.runner)
    assert fakes.trained == []
    assert (tmp_path / "study" / "report.html").is_file()
    assert "the same command goes on" in capsys.readouterr().out


def test_a_study_for_a_time_that_was_extended_is_extended_once_and_is_one_command_in_its_report(
    synthetic_set, tmp_path
):
    module = script("scale")
    flags = ["--depths", "1", "2", "--learning-rates", "0.003", "--seeds", "2"]
    words = ["--workdir", str(tmp_path), "--data", str(synthetic_set), "--hours", "24", *flags]
    for more in ((), ("--extend-epochs", "3"), ("--extend_epochs", "3")):
        module.main(read_arguments(module.TimedArgs, [*words, *more]), Fakes().runner)
    train = open_study(tmp_path).study.base.train
    assert train.restarts == (train.epochs - 3,)
    of_grid, _ = commands(open_study(tmp_path))
    assert "--seeds 2" in of_grid


def test_one_rate_for_all_scales_is_compared_with_the_best_of_each_for_each_parametrisation(larger_set, tmp_path):
    module, fakes = script("one_rate"), Fakes()
    flags = ["--depths", "1", "2", "--channels", "4", "--kernels", "3", "--learning-rates", "0.001", "0.003"]
    flags += ["--base-channels", "0", "4"]
    module.main(arguments(module.Args, larger_set, tmp_path, *flags), fakes.runner)
    assert len(fakes.trained) == 2 * 2 * 2 * 2, "two depths, parametrisations, rates and seeds"
    written = json.loads((tmp_path / "one_rate.json").read_text())
    assert list(written) == ["0", "4"]
    for one in written.values():
        assert one["rate"] in (0.001, 0.003)
        assert len(one["own_rates"]) == 2
        assert one["low"] <= one["effect"] <= one["high"]
        assert one["choice_share"] == 0.5, "two rates beside two seeds, all of the same seconds"


def test_a_single_rate_is_not_compared(synthetic_set, tmp_path):
    module = script("one_rate")
    with pytest.raises(ConfigError, match="two or more"):
        module.main(arguments(module.Args, synthetic_set, tmp_path), Fakes().runner)
