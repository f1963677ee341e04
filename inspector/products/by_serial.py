"""Products by serial: a unit of another product is not judged by the present one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from inspector.core.basics import CameraId
from inspector.core.part_names import shown
from inspector.core.ports import ProductCheck
from inspector.core.recipes import Job, JobState
from inspector.core.records import Result, Serial
from inspector.core.verdicts import Verdict
from inspector.products.change_over import UnknownProductError

IN_A_ROW = 3
"""How many consecutive serials that do not fit are another product, and not misprints."""


class JobsInForce(Protocol):
    """The place where the job in force changes. Event loop only."""

    @property
    def jobs(self) -> Mapping[CameraId, Job]:
        """The job under which each camera's next unit is opened."""

    def shown(self, product: str, cameras: Collection[CameraId]) -> Job:
        """Change the product of these cameras from the next unit on."""


class BySerial(ProductCheck):
    """Compares each unit's serial with the product as which it was opened. Event loop only.

    A unit whose serial belongs to another product changes the product from the next unit on, and is
    not inspected itself. Neither are the units after it that were opened under the old product
    meanwhile. Several consecutive serials that fit no product, or the wrong one, are a fault.
    """

    def __init__(
        self,
        change_over: JobsInForce,
        patterns: Mapping[str, str],
        *,
        reading: Collection[CameraId],
        on_fault: Callable[[CameraId, str], None],
    ) -> None:
        """`patterns`: by product. `reading`: the cameras that read serials; others go with them.

        `on_fault` is called with what is wrong at a camera, and with "" once it is right again.
        """
        self._change_over = change_over
        self._patterns = _compiled(patterns)
        self._reading = set(reading)
        self._on_fault = on_fault
        self._wrong: dict[CameraId, int] = {}
        self._at_fault: set[CameraId] = set()
        self._shown_at: dict[CameraId, tuple[int, int]] = {}
        """The unit whose serial changed the product, and the number of the job then, by camera."""

    def change(self, patterns: Mapping[str, str]) -> None:
        """Compare with other patterns from the next verdict on; the row of misfits begins anew."""
        self._patterns = _compiled(patterns)
        self._wrong.clear()

    def check(self, verdict: Verdict, serial: Serial | None) -> Verdict:
        """The verdict, or that the unit is of another product."""
        text = None if serial is None else serial.text
        if text is None:
            return self._without_serial(verdict)
        camera, job = verdict.unit.camera_id, verdict.unit.under
        if self._fits(text, job):
            self._is_right(camera)
            return verdict
        known = self._product_of(text)
        told = (
            f"serial {shown(text)} is one of product {known}"
            if known is not None
            else f"serial {shown(text)} fits the pattern of no product"
        )
        if job.number == self._change_over.jobs[camera].number:
            # Units that were opened before a change are not expected to fit.
            self._is_wrong(camera, f"{told}; the product in force is {job.recipe.product}")
        if known is None:
            return verdict
        self._change(verdict, known)
        return _of_another(verdict, told)

    def _fits(self, text: str, job: Job) -> bool:
        """Whether it may be a serial of the product; without a pattern any may."""
        if job.state is JobState.NO_PRODUCT:
            return self._product_of(text) is None
        said = self._patterns.get(job.recipe.product)
        if said is None and job.recipe.serial_pattern:
            said = re.compile(job.recipe.serial_pattern)
        if said is not None:
            return said.fullmatch(text) is not None
        return self._product_of(text) is None

    def _product_of(self, text: str) -> str | None:
        return next((name for name, said in self._patterns.items() if said.fullmatch(text)), None)

    def _change(self, verdict: Verdict, product: str) -> None:
        camera = verdict.unit.camera_id
        now = self._change_over.jobs[camera]
        if now.recipe.product == product and now.state is not JobState.NO_PRODUCT:
            return  # said already
        if verdict.unit.under.number < now.number:
            return  # the product was changed otherwise after it was opened
        others = [other for other in self._change_over.jobs if other not in self._reading]
        try:
            job = self._change_over.shown(product, [camera, *(o for o in others if o != camera)])
        except UnknownProductError as unknown:
            self._tell(camera, str(unknown))
            return
        self._shown_at[camera] = (verdict.unit.index, job.number)

    def _without_serial(self, verdict: Verdict) -> Verdict:
        index, number = self._shown_at.get(verdict.unit.camera_id, (-1, -1))
        if verdict.unit.index > index >= 0 and verdict.unit.under.number < number:
            return _of_another(verdict, "it came after a unit whose serial changed the product")
        return verdict

    def _is_right(self, camera: CameraId) -> None:
        self._wrong.pop(camera, None)
        if camera in self._at_fault:
            self._at_fault.discard(camera)
            self._on_fault(camera, "")

    def _is_wrong(self, camera: CameraId, told: str) -> None:
        self._wrong[camera] = self._wrong.get(camera, 0) + 1
        if self._wrong[camera] == IN_A_ROW:
            self._tell(camera, f"{IN_A_ROW} serials in a row do not fit: {told}")

    def _tell(self, camera: CameraId, cause: str) -> None:
        self._at_fault.add(camera)
        self._on_fault(camera, cause)


def _compiled(patterns: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    return {product: re.compile(text) for product, text in patterns.items()}


def _of_another(verdict: Verdict, detail: str) -> Verdict:
    return replace(
        verdict,
        result=Result.NOT_INSPECTED,
        reason=JobState.CHANGING_OVER.value,
        detail=detail,
        defects=(),
    )
