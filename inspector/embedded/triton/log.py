"""Reads the output of the embedded Triton: log lines, and the reason why it ended. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]

# I1122 17:18:49.020423 10916 model_lifecycle.cc:839] "successfully loaded 'postprocessing'"
_LOG_LINE = re.compile(r"([IWEF])\d{4} [\d:.]+ +\d+ ([^:\s]+:\d+)\] *(.*)")
# [libprotobuf ERROR /…/text_format.cc:337] Error parsing text-format inference.ModelConfig: 2:61: …
_PROTOBUF_LINE = re.compile(r"\[libprotobuf ([EWI])\w+ [^\]\s]*?([^/\]\s]+:\d+)\] *(.*)")
_LEVELS: dict[str, Level] = {"I": "info", "W": "warning", "E": "error", "F": "error"}
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}

# What this server logs on every machine without a GPU, partly as errors.
_HARMLESS = (
    "Unable to allocate pinned system memory",
    "failed to allocate pinned system memory: no pinned memory pool",
    "CUDA memory pool disabled",
    "CudaDriverHelper has not been initialized",
    "unable to create stream for",
    "Failed to initialize NVML",
    "DCGM unable to start",
)

_FAILED_MODEL = "failed to load '"
_UNREADABLE_CONFIG = "Poll failed for model directory"
_BROKEN_ENSEMBLE = "Invalid argument: "
_SUMMARY = "error: creating server: Internal - "
_MOST_TELLING_FIRST = (_FAILED_MODEL, _UNREADABLE_CONFIG, _BROKEN_ENSEMBLE, _SUMMARY)
_PARSE_ERROR = "Error parsing text-format inference.ModelConfig: "


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the server's log."""

    level: Level
    message: str
    """Without Triton's time, process id and quotes; may span lines."""
    where: str = ""
    """Triton's source file and line; empty when something else printed it."""


def parse_log_line(text: str) -> LogLine | None:
    """Return what the line says, or None for an empty line or a part of a printed table."""
    text = text.strip()
    if not text or text[0] in "+|":
        return None
    if parsed := _LOG_LINE.fullmatch(text) or _PROTOBUF_LINE.fullmatch(text):
        level, where = _LEVELS[parsed[1]], parsed[2]
        message = _unquoted(parsed[3])
        if not message:
            return None  # the heading of a table
    else:
        # The server's last lines, or what a Python model printed.
        level, where, message = ("error" if text.startswith("error:") else "info"), "", text
    if any(known in message for known in _HARMLESS):
        level = "debug"
    return LogLine(level, message, where)


def failure_reason(errors: Sequence[str]) -> str:
    """The reason why the server ended, in one line, from its errors; "" if none."""
    for sign in _MOST_TELLING_FIRST:
        for message in errors:
            if message.startswith(sign):
                return _one_line(message.removeprefix(_SUMMARY)) + _place_in_config(sign, errors)
    return _one_line(errors[-1]) if errors else ""


def _place_in_config(sign: str, errors: Sequence[str]) -> str:
    """Line, column and complaint: Triton's own message leaves out what its parser said."""
    if sign != _UNREADABLE_CONFIG:
        return ""
    complaints = [e.removeprefix(_PARSE_ERROR) for e in errors if e.startswith(_PARSE_ERROR)]
    return f": {complaints[0]}" if complaints else ""


def _unquoted(message: str) -> str:
    if len(message) > 1 and message[0] == message[-1] == '"':
        message = message[1:-1]
    return re.sub(r"\\[nt\"\\]", lambda found: _ESCAPES[found[0]], message)


def _one_line(message: str) -> str:
    # After this comes the Python traceback of a model's own code.
    message = message.partition("\n\nAt:\n")[0]
    return " ".join(message.replace("Internal: TritonModelException: ", "").split())
