"""Times a run before it begins, and its network on one window. No file is written."""

import statistics
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import UserError
from ecg_jax.models.resnet import build_network
from ecg_jax.training.setup import RunPlan, TrainingSetup, make_plan

CALLS, WARM_UP_CALLS = 100, 10
MEASURED_CALLS = 4
MEASURED_SECONDS = 1.0  # of training steps, about


def fastest_together(configs: Sequence[RunConfig]) -> int:
    """With how many of these runs in one program all of them end soonest: a power of two; 1 on CPU.

    One run is measured, then two, four and so on, while that could save more than it costs: the more runs a program
    has, the longer it takes to compile, and twice as many halve the time of the training at best. A larger number must
    be 5 % faster than the next smaller one, and fit into memory.
    """
    if jax.default_backend() == "cpu" or len(configs) == 1:
        return 1
    prepared = open_prepared(configs[0].data.path)
    try:
        plans = [make_plan(config, prepared) for config in configs]
    except UserError:  # the run itself will say what is wrong
        return 1
    examples = sum(plan.steps_until(plan.config.train.epochs) * plan.batch_size for plan in plans)
    number, best, speed = 1, 1, 0.0
    while number <= len(plans):
        try:
            compiling_seconds, now = _measured(plans[:number])
        except (jax.errors.JaxRuntimeError, UserError):  # memory
            break
        if now < 1.05 * speed:
            break
        number, best, speed = 2 * number, number, now
        if examples / speed / 2 < compiling_seconds:
            break
    return best


def _measured(plans: Sequence[RunPlan]) -> tuple[float, float]:
    """Seconds until the first steps are done, mostly compilation; then examples per second of all runs together."""
    start = time.perf_counter()
    setup = TrainingSetup(plans)
    steps = MEASURED_CALLS * setup.devices.steps_per_call
    state, _ = setup.train(setup.initial_state(), [0] * len(plans), steps, lambda steps: None)
    before, start = time.perf_counter() - start, time.perf_counter()
    setup.train(state, [steps] * len(plans), steps, lambda steps: None)
    return before, len(plans) * steps * setup.batch_size / (time.perf_counter() - start)


def run_seconds(config: RunConfig) -> tuple[float, float]:
    """Seconds that a run will take, and seconds before its first step is done, which are mostly compilation."""
    start = time.perf_counter()
    plan = make_plan(config, open_prepared(config.data.path))
    setup, all_steps = TrainingSetup([plan]), plan.steps_until(config.train.epochs)
    state, _ = setup.train(setup.initial_state(), [0], 1, lambda steps: None)
    setup.validate(state.variables)
    before = time.perf_counter() - start
    timed, steps, first, done = 0.0, 1, 1, 1
    while timed < MEASURED_SECONDS / 2 and first < all_steps:
        start = time.perf_counter()
        state, _ = setup.train(state, [first], steps, lambda steps: None)
        timed, first, done = time.perf_counter() - start, first + steps, steps
        steps *= 2
    step = timed / done if timed else before
    start = time.perf_counter()
    setup.validate(state.variables)
    validation = time.perf_counter() - start
    return all_steps * step + config.train.epochs * validation, before


def latency_ms(config: RunConfig, *, window_samples: int, leads: int, labels: int) -> float:
    """Milliseconds from one window in memory to its logits: the median of 100 calls, after 10 to warm up."""
    network = build_network(config, labels)
    window = jnp.zeros((1, window_samples, leads), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), window)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), shapes)
    forward = jax.jit(lambda variables, window: network.apply(variables, window, train=False))
    taken = []
    for _ in range(WARM_UP_CALLS + CALLS):
        start = time.perf_counter()
        jax.block_until_ready(forward(variables, window))
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[WARM_UP_CALLS:])
