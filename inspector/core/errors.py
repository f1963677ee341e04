"""Every error the pipeline raises, grouped by what the caller does next."""

from __future__ import annotations

from inspector.core.plain_text import plain


class InspectorError(Exception):
    """Base class; catch it only at the top of the process.

    Its text is `plain`: it quotes file names, cameras and servers, and is logged, shown and
    published as it is.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(plain(part) if isinstance(part, str) else part for part in said))


class RetryableError(InspectorError):
    """Temporary: back off and try again."""


class CameraUnavailableError(RetryableError):
    """The camera cannot be opened, or stopped delivering frames. Never holds a password."""


class LoginRefusedError(CameraUnavailableError):
    """The camera refused the login; after too many attempts it locks everybody out."""


class InferenceUnavailableError(RetryableError):
    """Triton cannot be reached, has no such model ready, or dropped the stream."""


class SinkUnavailableError(RetryableError):
    """Redis, or another sink, did not accept the events."""


class ItemError(InspectorError):
    """One item is bad: count it, report it, move on."""


class FrameUnreadableError(ItemError):
    """The frame was grabbed, but its picture cannot be decoded."""


class MalformedReplyError(ItemError):
    """Triton answered with something other than a result."""


class EndOfFootageError(InspectorError):
    """A recording has no more frames; this is no failure."""


class FatalError(InspectorError):
    """Trying again cannot help: stop the process with exit code 1."""


class ConfigurationError(FatalError):
    """The settings contradict each other or the deployed model: exit code 78.

    `problems` are complete sentences, one line each, whatever text they quote: the key, what was
    found, what was expected.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(plain(" ".join(problem.splitlines())) for problem in problems)
        super().__init__("; ".join(self.problems))


class DrainTimeoutError(FatalError):
    """Some stages did not finish within the drain deadline."""

    def __init__(self, stage_names: list[str]) -> None:
        super().__init__(f"still running at the drain deadline: {', '.join(stage_names)}")
        self.stage_names = stage_names


class StageVanishedError(FatalError):
    """A stage was cancelled although no cancellation was requested."""
