"""The command `ecg-jax`: parses the arguments and calls a function of `commands`. Imports nothing heavy."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import tyro

from ecg_jax.commands.answers import explain, predict
from ecg_jax.commands.evidence import card, evaluate
from ecg_jax.commands.exports import export
from ecg_jax.commands.hand_on import features, pack
from ecg_jax.commands.machine import doctor
from ecg_jax.commands.planning import plan
from ecg_jax.commands.runs import cost, train
from ecg_jax.commands.sets import prepare, show
from ecg_jax.commands.studies import recommend, report, study
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError
from ecg_jax.mistakes import fail_in_one_line, refuse_in_one_line
from ecg_jax.terminal import say

COMMANDS: dict[str, Callable[..., int | None]] = {
    command.__name__: command
    for command in (
        prepare,
        show,
        cost,
        train,
        evaluate,
        card,
        predict,
        explain,
        features,
        export,
        pack,
        plan,
        study,
        report,
        recommend,
        doctor,
    )
}

COMPLETION, SHELLS = ("--tyro-print-completion", "--tyro-write-completion"), ("bash", "zsh", "fish", "tcsh")
"""Flags of tyro that write what completes the commands and flags in a shell."""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name and exits with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    command, program = arguments[0], f"ecg-jax {arguments[0]}" if arguments[0] in COMMANDS else "ecg-jax"
    with fail_in_one_line(program):
        if command == "--version":
            say(f"ecg-jax {_version()}")
            sys.exit()
        if command in COMPLETION and arguments[1:2] not in [[shell] for shell in SHELLS]:
            raise ConfigError(f"{command} needs a shell, one of {', '.join(SHELLS)}, and then the file to write")
        if not (command in COMMANDS or command.startswith("-")):
            say(f"ecg-jax: there is no command {command}; choose from {', '.join(COMMANDS)}", file=sys.stderr)
            sys.exit(2)
        with refuse_in_one_line(program, f"{program} --help"):
            commands = {name: _deferred(function) for name, function in COMMANDS.items()}
            if command in ("cost", "train"):
                base, arguments = base_run(arguments)
                commands["cost"] = partial(commands["cost"], model=base.model)
                commands["train"] = partial(commands["train"], run=base)
            if command == "prepare" and ":" in "".join(arguments[1:2]):
                arguments.insert(1, "module:function")
            settings = {"prog": "ecg-jax", "config": (tyro.conf.CascadeSubcommandArgs,)}
            chosen = tyro.extras.subcommand_cli_from_dict(commands, args=arguments, **settings)
        sys.exit(chosen())


def _deferred(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command as a function that only keeps its arguments: reading them is apart from running it."""

    @wraps(command)
    def keep(*arguments: Any, **flags: Any) -> Callable[[], Any]:
        return partial(command, *arguments, **flags)

    return keep


@dataclass(frozen=True)
class _Presets:
    run: Annotated[str | None, tyro.conf.arg(name="preset")] = None
    model: Annotated[str | None, tyro.conf.arg(name="model.preset")] = None


def base_run(arguments: Sequence[str]) -> tuple[RunConfig, list[str]]:
    """The run that `--preset` and `--model.preset` name, and the other arguments, which are changes of it.

    Raises:
        ConfigError: there is no such preset.
    """
    from ecg_jax.presets import RUN_PRESETS

    names, others = tyro.cli(_Presets, args=arguments, add_help=False, return_unknown_args=True)
    if names.run is not None and names.run not in RUN_PRESETS:
        raise ConfigError(f"--preset {names.run}: there is no such preset; choose from {', '.join(RUN_PRESETS)}")
    base = RunConfig() if names.run is None else RUN_PRESETS[names.run]()
    if names.model is None:
        return base, others
    from ecg_jax.models import preset

    return replace(base, model=preset(names.model)), others


def _version() -> str:
    try:
        return version("ecg-jax")
    except PackageNotFoundError as error:
        raise ConfigError("it runs from its source, which has no version; pip install -e . makes one") from error
