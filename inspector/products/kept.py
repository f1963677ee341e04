"""What the journal keeps of the jobs in force, so that a power cut changes no product: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.core.basics import CameraId
from inspector.core.recipes import Job, JobState

JOBS_NOTE = "jobs"
"""The journal's note of the jobs in force."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class KeptJob(_Part):
    """A job without its recipe, which is read again from the product's file."""

    number: Annotated[int, Field(ge=0)]
    product: str
    order: str | None = None
    lot: str | None = None
    context: str | None = None
    state: JobState = JobState.INSPECTING
    detail: str = ""


class KeptChange(_Part):
    """A change-over in progress: its command is read and not answered yet."""

    name: str
    fields: dict[str, str]
    by: str
    entry: str | None = None


class KeptJobs(_Part):
    """The jobs in force."""

    format: Literal["inspector.jobs/1"] = "inspector.jobs/1"
    last_number: Annotated[int, Field(ge=0)]
    """The highest number of a job so far, so that none is given twice."""
    cameras: dict[str, KeptJob]
    before: dict[str, KeptJob] = Field(default_factory=dict)
    """The jobs that a refusal goes back to while a change-over is in progress."""
    change: KeptChange | None = None

    def text(self) -> str:
        """The text that the journal keeps."""
        return self.model_dump_json()


def read_kept(note: str | None) -> KeptJobs | None:
    """The jobs in a note; None if there is none, or if it cannot be read."""
    try:
        return None if note is None else KeptJobs.model_validate_json(note)
    except ValidationError:
        return None


def kept_job(job: Job) -> KeptJob:
    """The part of a job that is kept."""
    return KeptJob(
        number=job.number,
        product=job.recipe.product,
        order=job.order,
        lot=job.lot,
        context=job.context,
        state=job.state,
        detail=job.detail,
    )


def kept_jobs(jobs: Mapping[CameraId, Job]) -> dict[str, KeptJob]:
    """The parts of all cameras' jobs that are kept."""
    return {str(camera): kept_job(job) for camera, job in jobs.items()}
