"""Demonstration on synthetic recordings, in minutes: prepare, show, a study for a given time, recommend a scale.

    python tools/demo.py            (what `make demo` runs)

Each command is printed as a user would type it, then run. If started again, it does only what is missing.
"""

import subprocess
import sys
from pathlib import Path

DEMO = Path("demo")
PREPARED, STUDY = DEMO / "synthetic", DEMO / "study"
TIME = "--hours 0.07 --learning-rates 0.009"  # one rate, since a pilot that chooses among four takes minutes


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
    run("python experiments/scale.py", f"--data {PREPARED} --workdir {STUDY} {TIME}")
    run("ecg-jax", f"recommend {STUDY}")
    print(
        f"""
The study is finished. Its results:
  {STUDY / "report.html"}       open it in a browser: the best scale, how certain it is, and its cost
  {STUDY / "trials.csv"}        one row for each trial; in the same folder analysis.json, and figures/ for a paper
  {DEMO / "ecg.png"}                 a recording on ECG paper
Next steps:
  ecg-jax recommend {STUDY} --label AFIB        recommends a scale for one label
  the same study with --hours 1                 goes on with more seeds; more claims are decided
  ecg-jax plan --data {PREPARED}      which effects a study of these recordings can find, and what it costs
  README.md, "Your own recordings"              the same steps with your own files"""
    )


def first_record() -> str:
    """The id of the first record of the prepared set."""
    from ecg_jax.dataset.prepared import open_prepared

    return str(open_prepared(PREPARED).record_ids[0])


if __name__ == "__main__":
    main()
