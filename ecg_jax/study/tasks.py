"""Where a study stands: which of its tasks are done, running, failed or free. Pure: from the plan and the claims.

A claim is what the storage holds of one worker's attempt at a trial. A trial is attempted in one of two stages: `rate`
(seed 0, first fold only, where a scale has several rates to choose from) and `whole` (all folds and test predictions).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ecg_jax.study.design import Plan, Scale, Trial, chosen_rate, fit_seconds

LEASE_SECONDS = 60.0
Stage = Literal["rate", "whole"]
State = Literal["done", "running", "failed", "free", "blocked"]


@dataclass(frozen=True)
class Claim:
    """One attempt at a trial, numbered in the order in which they were made.

    A claim that was given up, or whose worker fell silent, is `dropped` and counts for nothing.
    """

    number: int
    trial: str
    stage: Stage
    state: Literal["running", "done", "failed", "dropped"]
    worker: str = ""
    began: float = 0.0
    beat: float = 0.0
    lease: float = LEASE_SECONDS
    """Seconds without a beat after which its worker counts as dead; each worker says it of its own claims."""
    value: float | None = None
    """Validation macro AUROC, mean over the folds."""
    seconds: float = 0.0
    runs: int = 1
    reason: str = ""


@dataclass(frozen=True)
class Task:
    """A trial in one stage, and how it stands; without a rate as long as (or where) none is chosen for its scale."""

    scale: Scale
    rate: float | None
    seed: int
    stage: Stage
    state: State
    claim: Claim | None = None

    @property
    def trial(self) -> Trial:
        """The trial, once its rate is known."""
        if self.rate is None:
            raise ValueError(f"no rate is chosen for {self.scale.name}")
        return Trial(self.scale, self.rate, self.seed)

    @property
    def name(self) -> str:
        """The trial's name, or what is known of it."""
        return f"{self.scale.name}_s{self.seed}" if self.rate is None else self.trial.name


def holds(claim: Claim, claims: Iterable[Claim]) -> bool:
    """Whether a new claim stands: no older one runs in the same folder, or has done the same."""
    older = [c for c in claims if c.number < claim.number and c.trial == claim.trial]
    return not any(c.state == "running" or (c.state == "done" and c.stage == claim.stage) for c in older)


def tasks(plan: Plan, claims: Iterable[Claim], forgiven: frozenset[int] = frozenset()) -> list[Task]:
    """All tasks in the order in which they are taken: the rates of every scale, then seed by seed.

    `forgiven` are the numbers of failed claims that count for nothing.
    """
    held: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.state != "dropped" and claim.number not in forgiven:
            held.setdefault(claim.trial, []).append(claim)

    def standing(trial: Trial, stage: Stage) -> Task:
        found = held.get(trial.name, [])
        done = [claim for claim in found if claim.state == "done" and claim.stage == stage]
        busy = [claim for claim in found if claim.state == "running"]  # in either stage: the folder is one
        failed = [claim for claim in found if claim.state == "failed" and claim.stage == stage]
        parts = (trial.scale, trial.learning_rate, trial.seed, stage)
        kinds: list[tuple[State, list[Claim]]] = [("done", done), ("running", busy), ("failed", failed)]
        for state, those in kinds:
            if those:
                return Task(*parts, state, those[0])
        return Task(*parts, "free")

    listed: list[Task] = []
    chosen: dict[Scale, float | None] = {}  # None where every rate failed; a scale still to be decided is not in it
    for scale, rates in plan.rates.items():
        if len(rates) == 1:
            chosen[scale] = rates[0]
            continue
        tried = [standing(Trial(scale, rate, 0), "rate") for rate in rates]
        listed += tried
        if all(task.state in ("done", "failed") for task in tried):
            chosen[scale] = chosen_rate({task.rate: task.claim.value for task in tried if task.claim and task.rate})
    for seed in range(max(plan.seeds.values(), default=0)):
        for scale in (scale for scale, seeds in plan.seeds.items() if seed < seeds):
            rate = chosen.get(scale)
            if rate is not None:
                listed.append(standing(Trial(scale, rate, seed), "whole"))
            else:
                listed.append(Task(scale, None, seed, "whole", "failed" if scale in chosen else "blocked"))
    return listed


def silent(claim: Claim, now: float) -> bool:
    """Whether a claim's worker has not been heard of for its whole lease, by the clocks of both."""
    return now - claim.beat > claim.lease


def runs_of(task: Task, plan: Plan, folds: int) -> int:
    """How many trainings a task adds; the chosen rate's first fold was trained when the rate was."""
    if task.stage == "rate":
        return 1
    return max(folds, 1) - (task.seed == 0 and len(plan.rates[task.scale]) > 1)


def seconds_left(
    listed: Sequence[Task], plan: Plan, folds: int, macs_of: Callable[[Scale], float], now: float
) -> float | None:
    """Time until all tasks are done, with as many workers as are at work now; None before the first is done."""
    claims = [(task.scale, task.claim) for task in listed if task.state == "done" and task.claim]
    if not claims:
        return None
    each = fit_seconds([(macs_of(scale), claim.seconds / claim.runs) for scale, claim in claims])
    at_work = {c.number for task in listed if (c := task.claim) and task.state == "running" and not silent(c, now)}
    left = 0.0
    for task in listed:
        if task.state in ("free", "blocked", "running"):
            spent = task.claim.beat - task.claim.began if task.claim else 0.0
            left += max(runs_of(task, plan, folds) * each(macs_of(task.scale)) - spent, 0.0)
    return left / max(len(at_work), 1)
