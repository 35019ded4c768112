"""Which depth, width and kernel suit a data set? All combinations, each at its best learning rate, from several seeds.

    python experiments/scale.py --data prepared/ptb_xl --workdir runs/study --depths 1 2 4 --kernels 3 5 9 15 --seeds 3
    python experiments/scale.py ... --axis model.head gap attention --axis model.dropout 0 0.1 0.3

The same command, started again here or on another machine that shares the workdir, is one more worker; after a stop it
continues. `ecg-jax study WORKDIR` shows the progress of the study. All flags of `ecg-jax train` can be given.
"""

from dataclasses import replace

from ecg_jax.experiment import GridArgs, finished_predictions, run_script, train_study, write_json
from ecg_jax.formatting import change_text
from ecg_jax.terminal import next_step, say


def main(args: GridArgs, runner=None) -> None:
    """Trains what is missing, then writes the report; with `--budget both` compares the effects under both."""
    from ecg_jax.report.write import conclude_study

    if args.budget == "both":
        return compare_budgets(args, runner)
    if (folder := train_study(args, conclude=conclude_study, runner=runner)) is not None:
        allowed = ["--allow-code"] if folder.study.base.functions.named else []
        next_step("ecg-jax", "recommend", folder.path, *allowed)
    return None


def compare_budgets(args: GridArgs, runner=None) -> None:
    """Trains one study of equal epochs and one of equal MACs, in `macs/` below it; writes and prints both effects."""
    from ecg_jax.analysis.effects import claims
    from ecg_jax.report.write import conclude_study

    places, found = {"epochs": args.workdir, "macs": args.workdir / "macs"}, {}
    for budget, workdir in places.items():
        folder = train_study(replace(args, budget=budget, workdir=workdir), conclude=conclude_study, runner=runner)
        if folder is not None:
            found[budget] = claims(finished_predictions(folder))
    if len(found) == len(places):
        same_sign = {}
        for axis, claim in found["epochs"].items():
            both = {"equal epochs": claim, "equal MACs": found["macs"][axis]}
            same_sign[axis] = len({(one.effect or 0.0) > 0 for one in both.values()}) == 1
            texts = (f"{change_text(c.effect, c.low, c.high)} with {budget}" for budget, c in both.items() if c.effect)
            say(f"{axis}: {', '.join(texts)}: {'the same sign' if same_sign[axis] else 'another sign'}")
        write_json(args.workdir / "budget.json", {**found, "same_sign": same_sign})


if __name__ == "__main__":
    run_script(GridArgs, main, __doc__)
