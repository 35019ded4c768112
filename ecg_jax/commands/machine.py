"""The command on the machine: `doctor`."""

from ecg_jax.terminal import say


def doctor() -> int:
    """Shows versions, devices, memory and disk, tries what a run needs, and names the remedy for what does not work."""
    from ecg_jax.doctor import examined

    faults = 0
    for finding in examined():
        say(f"{finding.name:12}{finding.text}")
        if finding.remedy:
            faults += 1
            say(f"{'':12}fault: {finding.remedy}")
    say("all of it works" if not faults else f"faults: {faults}")
    return int(bool(faults))
