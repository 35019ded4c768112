"""Demonstration on synthetic recordings, in minutes: prepare, show, study eight scales, recommend one.

    python tools/demo.py            (what `make demo` runs)

Each command is printed as a user would type it, then run. If started again, it does only what is missing.
"""

import subprocess
import sys
from pathlib import Path

DEMO = Path("demo")
PREPARED, STUDY = DEMO / "synthetic", DEMO / "study"
GRID = "--depths 1 2 --channels 8 16 --kernels 3 9 --seeds 2"
RECIPE = "--base local --data.window-seconds 5 --train.epochs 15 --train.batch-size 32 --train.learning-rate 0.005"


def run(program: str, command: str) -> None:
    """Prints a command and runs it; exits with its status if it fails."""
    print(f"\n$ {program} {command}", flush=True)
    line = ["-m", "ecg_jax"] if program == "ecg-jax" else [program.split()[1]]
    done = subprocess.run([sys.executable, *line, *command.split()], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Runs the demonstration in `demo/` below the current folder."""
    DEMO.mkdir(exist_ok=True)
    run("ecg-jax", f"prepare synthetic --records 400 --to {PREPARED}")
    run("ecg-jax", f"show {PREPARED}")
    run("ecg-jax", f"show {PREPARED} --record {first_record()} --out {DEMO / 'ecg.png'}")
    run("python experiments/scale.py", f"--data {PREPARED} --workdir {STUDY} {GRID} {RECIPE}")
    run("ecg-jax", f"recommend {STUDY} --max-macs 2e6")
    run("ecg-jax", f"report {STUDY}")
    print(
        f"""
The study is finished. Its results:
  {STUDY / "report.html"}       open it in a browser: the best scale, how certain it is, and its cost
  {STUDY / "trials.csv"}        one row for each trial; in the same folder analysis.json, and figures/ for a paper
  {DEMO / "ecg.png"}                 a recording on ECG paper
Next steps:
  ecg-jax recommend {STUDY} --label AFIB        recommends a scale for one label
  the same study with --seeds 4                 trains the new seeds only; more claims are decided
  README.md, "Your own recordings"              the same steps with your own files"""
    )


def first_record() -> str:
    """The id of the first record of the prepared set."""
    from ecg_jax.dataset.prepared import open_prepared

    return str(open_prepared(PREPARED).record_ids[0])


if __name__ == "__main__":
    main()
