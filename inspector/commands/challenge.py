"""`inspector challenge`: begins a check with known parts on the running service and follows it."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Mapping
from typing import Any

from inspector.commands.running_service import RunningService
from inspector.core.challenges import Step
from inspector.core.errors import FatalError
from inspector.settings.settings import Settings

ASK_EVERY_S = 0.5


def challenge(
    settings: Settings, *, set_name: str | None, step: Step, by: str | None, follow: bool
) -> int:
    """Begin a challenge and report each part as it is shown; returns 0 if it succeeded.

    Raises:
        FatalError: no service of this station runs here.
        CommandRefusedError: it refuses, or went away.

    """
    service = _service(settings)
    told = {"command": "challenge", "step": step.value, "by": by or _who()}
    if set_name is not None:
        told["set"] = set_name
    answer = service.command(told)
    _say(f"{step.value}: accepted{_from(answer['effective'])}")
    if step is not Step.BEGIN or not follow:
        return 0
    return _follow(service)


def status(settings: Settings) -> int:
    """Print which sets are due; returns 1 if one is."""
    found = _service(settings).challenge()
    for one in found["sets"]:
        due = f"due since {one['due_since']} ({', '.join(one['due'])})" if one["due"] else "not due"
        _say(f"{one['name']}: {due}; held last: {one['held'] or 'never'}")
    if not found["sets"]:
        _say("there is no set of known parts for the product in force")
    return int(any(one["due"] for one in found["sets"]))


def _service(settings: Settings) -> RunningService:
    service = RunningService.of(settings)
    if service is None:
        raise FatalError(
            "no service of this station answers at http.host and http.port; expected it to run"
        )
    return service


def _follow(service: RunningService) -> int:
    """Report until the check has ended."""
    told, asked_for = 0, ""
    while True:
        found = service.challenge()
        running, last = found["running"], found["last"]
        now = running or last
        for part in now["parts"][told:]:
            seen = "as expected" if part["as_expected"] else "; ".join(part["differences"])
            _say(f"{part['name']} ({part['unit_id']}): {seen}")
        told = len(now["parts"])
        if running is None:
            _say(f"{last['result']}{': ' if last['problem'] else ''}{last['problem']}")
            return int(last["result"] != "held")
        wanted = _wanted(running, found["sets"])
        if wanted != asked_for:
            asked_for = wanted
            _say(wanted)
        time.sleep(ASK_EVERY_S)


def _wanted(running: Mapping[str, Any], sets: list[Mapping[str, Any]]) -> str:
    if running["phase"] == "differs":
        return "it was not seen as expected: --retry shows it again, --abort ends the challenge"
    parts: list[Mapping[str, Any]] = next(
        (one["parts"] for one in sets if one["name"] == running["set"]), []
    )
    if running["next"] is None:
        left = [p["name"] for n, p in enumerate(parts, 1) if n not in running["recognised"]]
        return f"show one of: {', '.join(left)}"
    return f"show part {running['next']} of {len(parts)}: {parts[running['next'] - 1]['name']}"


def _from(effective: Mapping[str, int]) -> str:
    first = ", ".join(f"{number} of {camera}" for camera, number in effective.items())
    return f", from unit {first} on" if first else ""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return "somebody"
