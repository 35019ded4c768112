"""The whole way in minutes, on made-up recordings: prepare, look, study eight scales, and read which one they want.

    python tools/demo.py            (what `make demo` runs)

Every command is shown as it would be typed, then run. Started again, it does only what is missing.
"""

import subprocess
import sys
from pathlib import Path

DEMO = Path("demo")
PREPARED, STUDY = DEMO / "synthetic", DEMO / "study"
GRID = "--depths 1 2 --channels 8 16 --kernels 3 9 --seeds 2"
RECIPE = "--base local --data.window-seconds 5 --train.epochs 15 --train.batch-size 32 --train.learning-rate 0.005"


def shown(program: str, command: str) -> None:
    """Shows a command and runs it; leaves with its status if it fails."""
    print(f"\n$ {program} {command}", flush=True)
    line = ["-m", "ecg_jax"] if program == "ecg-jax" else [program.split()[1]]
    done = subprocess.run([sys.executable, *line, *command.split()], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Runs the demonstration below the folder it is started in."""
    DEMO.mkdir(exist_ok=True)
    shown("ecg-jax", f"prepare synthetic --records 400 --to {PREPARED}")
    shown("ecg-jax", f"show {PREPARED}")
    shown("ecg-jax", f"show {PREPARED} --record {first_record()} --out {DEMO / 'ecg.png'}")
    shown("python experiments/scale.py", f"--data {PREPARED} --workdir {STUDY} {GRID} {RECIPE}")
    shown("ecg-jax", f"recommend {STUDY} --max-macs 2e6")
    shown("ecg-jax", f"report {STUDY}")
    print(
        f"""
That is the answer. Look at
  {STUDY / "report.html"}       all of it, in a browser: which scale, how sure, at what cost
  {STUDY / "trials.csv"}        a row a training; beside it analysis.json and figures/ for a paper
  {DEMO / "ecg.png"}                 a recording on ECG paper
Try next
  ecg-jax recommend {STUDY} --label AFIB        the scale for one label
  the same study with --seeds 4                 trains only what is new, and decides more
  README.md, "Your own recordings"              your files instead of ours"""
    )


def first_record() -> str:
    """The id of the prepared set's first record."""
    from ecg_jax.dataset.prepared import open_prepared

    return str(open_prepared(PREPARED).record_ids[0])


if __name__ == "__main__":
    main()
