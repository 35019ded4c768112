"""How good is one setting on a whole data set? Each part of the folds is the test part once, from several seeds.

    python experiments/cross_fit.py --data prepared/ptb_xl --workdir runs/ptb_xl --preset ptb_xl --seeds 3 --test

The fold before a test part, cyclically, is the validation fold; the other folds train. Without `--test` only validation
is read: so settings are compared. If started again, the script continues. All flags of `ecg-jax train` can be given.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError
from ecg_jax.scripts.experiment import FLAT, run_script, write_json
from ecg_jax.terminal import PlainConsole, say


@dataclass(frozen=True)
class Args:
    """The flags of this script, with those of `ecg-jax train`."""

    workdir: Path
    """Folder of the runs and of `cross_fit.json` (with `--test` `cross_fit_test.json`)."""
    parts: int | None = None
    """Number of test parts, of consecutive folds; by default each fold is one."""
    seeds: int = 1
    """Number of seeds: 0, 1, ..."""
    test: bool = False
    """Predict the test parts, too, and write their metrics."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the metrics."""
    from ecg_jax.assessment.split import evaluate
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.study.cross_fit import runs_of_seed, summary
    from ecg_jax.study.runner import Runner, successful
    from ecg_jax.training.compiled import compiled_folder
    from ecg_jax.training.result import read_result

    if args.seeds < 1:
        raise ConfigError(f"--seeds is {args.seeds}; give 1 or more")
    runner, prepared = runner or Runner(), open_prepared(args.run.data.path)
    runner.keep_compiled(compiled_folder())
    validation, test, console = [], [], PlainConsole(stderr=True)
    for seed in range(args.seeds):
        runs = runs_of_seed(args.run, args.workdir, prepared, args.parts, seed)
        validation.append(successful(runner.finish(runs, predict=False, console=console, plots=True)))
        if args.test:
            whole = {run: (run / "predictions_test.csv").is_file() and read_result(run, "test") for run in runs}
            test.append([whole[run] or evaluate(run, data=args.run.data.path, allow_code=True) for run in runs])
    write_json(args.workdir / f"cross_fit{'_test' * args.test}.json", found := summary(validation, test, prepared))
    say(*json.dumps({name: value for name, value in found.items() if name != "seeds"}, indent=2).splitlines())


if __name__ == "__main__":
    run_script(Args, main, __doc__)
