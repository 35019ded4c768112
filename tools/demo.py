"""The whole way in minutes, on made-up recordings: prepare, look, train, evaluate, predict.

    python tools/demo.py            (what `make demo` runs)

Every command is shown as it would be typed, then run. Started again, it does only what is missing.
"""

import shlex
import subprocess
import sys
from pathlib import Path

DEMO = Path("demo")
PREPARED, RUN, WFDB = DEMO / "synthetic", DEMO / "run", DEMO / "wfdb"


def ecg_jax(command: str) -> None:
    """Shows a command of `ecg-jax` and runs it; leaves with its status if it fails."""
    print(f"\n$ ecg-jax {command}", flush=True)
    done = subprocess.run([sys.executable, "-m", "ecg_jax", *shlex.split(command)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Runs the demonstration below the folder it is started in."""
    from ecg_jax.synthetic import write

    DEMO.mkdir(exist_ok=True)
    ecg_jax(f"prepare synthetic --records 400 --to {PREPARED}")
    ecg_jax(f"show {PREPARED}")
    ecg_jax(f"show {PREPARED} --record {first_record()} --out {DEMO / 'ecg.png'}")
    ecg_jax(
        f"train --data {PREPARED} --workdir {RUN} --model.depth 1 --model.channels 16 --model.kernel 5 "
        "--train.epochs 40 --augment.mixup 0.2"
    )
    ecg_jax(f"evaluate --workdir {RUN}")
    if not WFDB.exists():
        write(WFDB, records=3, seed=1)  # recordings that the network has not seen, as files
    records = sorted(str(path.with_suffix("")) for path in WFDB.rglob("*.hea"))[:3]
    ecg_jax(f"predict --workdir {RUN} {' '.join(records)}")
    print(
        f"""
Done. Look at
  {DEMO / "ecg.png"}                     a recording on ECG paper
  {RUN / "training_curves.png"}     how the training went
  {RUN / "roc_test.png"}            ROC curves by label, on records kept from the training
  {RUN / "result_test.json"}        all figures with their 95 % intervals
Try next
  ecg-jax cost --model.depth 4 --model.channels 64 --data {PREPARED}      what a larger scale would cost
  ecg-jax train --data {PREPARED} --workdir demo/short --data.window-seconds 2.5     a network that sees 2.5 s
  README.md, "Your own recordings"                                        your files instead of ours"""
    )


def first_record() -> str:
    """The id of the prepared set's first record."""
    from ecg_jax.dataset.prepared import open_prepared

    return str(open_prepared(PREPARED).record_ids[0])


if __name__ == "__main__":
    main()
