"""Finds out what an ONNX file is: from its metadata, its tensors, and its answers to pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.commands.model.asking import Reading, findings_in, tensor_of
from inspector.commands.model.entry import (
    LARGEST_BATCH,
    Entry,
    described,
    picture_of,
    shape_for,
    size_of,
)
from inspector.commands.model.pictures import Shown, drawn_pictures
from inspector.core.errors import ConfigurationError, MalformedReplyError
from inspector.core.recipes import HEADS, NOTHING_STATED, Stated
from inspector.core.records import Finding, ModelSpec
from inspector.embedded.triton.environment import EmbeddedEnvironment
from inspector.embedded.triton.onnx_files import Answer, GraphFacts, read_graph, run_graph
from inspector.inference.model_check import ModelNeeds, check_model
from inspector.inference.trial import BLIND_BELOW, range_objection, response, trial_pictures

WRONG_FILES = {
    ".pt": "holds a network of PyTorch; expected an ONNX file: yolo export model={name} "
    "format=onnx",
    ".pth": "holds a network of PyTorch; expected an ONNX file: torch.onnx.export",
    ".ckpt": "holds a training's state; expected an ONNX file: anomalib export --export_type onnx",
    ".engine": "is a TensorRT engine, which only its own GPU reads; expected the ONNX file that it "
    "was built from (deploy/triton/tensorrt_plan serves engines)",
    ".plan": "is a TensorRT engine, which only its own GPU reads; expected the ONNX file that it "
    "was built from (deploy/triton/tensorrt_plan serves engines)",
    ".xml": "is an OpenVINO network; expected an ONNX file",
    ".tflite": "is a TensorFlow Lite network; expected an ONNX file",
}
_MOST_CLASSES = 1000
_LOW = Reading(floor=0.02)
_DTYPES = {"UINT8": np.uint8, "FP16": np.float16, "FP32": np.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person states about the file; everything else is found out, or asked for."""

    name: str
    codes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    """Height and width."""
    stated: Stated = NOTHING_STATED
    enlarge: bool | None = None
    """None: as the exporting program is known to train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A file that is understood."""

    entry: Entry
    codes: tuple[str, ...]
    spec: ModelSpec
    sure: tuple[str, ...]
    """What is known, and how."""
    unsure: tuple[str, ...]
    """What is assumed, and what to do if it is wrong."""


async def understand(
    environment: EmbeddedEnvironment, file: Path, wishes: Wishes, pictures: Sequence[Shown]
) -> Understood:
    """Find out what the file is.

    Raises:
        ConfigurationError: it cannot be used as it is, or somebody has to say something: which
            option says it, or what to export instead, is in the sentence.

    """
    _require_onnx(file)
    return await _Inquiry(environment, file, wishes, pictures).answer()


def _require_onnx(file: Path) -> None:
    if (told := WRONG_FILES.get(file.suffix.lower())) is not None:
        raise ConfigurationError(f"{file}: {told.format(name=file.name)}")
    if not file.is_file():
        raise ConfigurationError(f"{file}: there is no such file")


class _Inquiry:
    """One file's questions, in order."""

    def __init__(
        self,
        environment: EmbeddedEnvironment,
        file: Path,
        wishes: Wishes,
        pictures: Sequence[Shown],
    ) -> None:
        self._environment = environment
        self._file = file
        self._wishes = wishes
        self._given = list(pictures)
        self._sure: list[str] = []
        self._unsure: list[str] = []

    async def answer(self) -> Understood:
        file, wishes = self._file.name, self._wishes
        facts = await read_graph(self._environment, self._file)
        picture = picture_of(file, facts)
        height, width = size_of(file, picture, facts.metadata, wishes.size)
        batch, pictures_at_once, shapes = await self._shapes(facts, height, width)
        entry = Entry(
            name=wishes.name,
            facts=facts,
            height_px=height,
            width_px=width,
            max_batch_size=batch,
            pictures=pictures_at_once,
            shapes=shapes,
            stated=replace(wishes.stated, enlarge=self._enlarges(facts)),
            names=wishes.codes,
        )
        entry, codes, spec = await self._layout(entry)
        entry, spec = await self._range(entry, codes, spec)
        self._say_what_is_assumed(entry)
        return Understood(
            entry=entry,
            codes=codes,
            spec=spec,
            sure=tuple(self._sure),
            unsure=tuple(self._unsure),
        )

    def _enlarges(self, facts: GraphFacts) -> bool:
        if self._wishes.enlarge is not None:
            return self._wishes.enlarge
        return facts.metadata.get("author") == "Ultralytics"

    async def _shapes(
        self, facts: GraphFacts, height: int, width: int
    ) -> tuple[int, int, dict[str, tuple[int, ...]]]:
        """The largest batch, the graph's own number of pictures, and its outputs' shapes."""
        (picture,) = facts.inputs
        shape, dtype = shape_for(picture, height, width), _DTYPES[picture.dtype]
        rng = np.random.default_rng(5)
        requests = [np.zeros(shape, dtype), rng.random(shape).astype(dtype)]
        answers, _ = await run_graph(self._environment, self._file, requests)
        shapes = {
            t.name: _common([answer[t.name].shape[1:] for answer in answers], t.shape[1:])
            for t in facts.outputs
        }
        if any(not t.shape for t in facts.outputs):
            raise ConfigurationError(
                f"{self._file.name}: an output has no dimension; expected one row per picture"
            )
        fixed = picture.shape[0]
        if fixed > 0:
            if fixed > 1:
                self._unsure.append(
                    f"it takes exactly {fixed} pictures at once: each request is filled up and "
                    "costs as much as a full one; a dynamic batch, or batch=1, is better"
                )
            return 0, fixed, shapes
        if any(t.shape[0] > 0 for t in facts.outputs):
            return 0, 1, shapes
        two = (2, *shape[1:])
        try:
            (answer,), _ = await run_graph(self._environment, self._file, [np.zeros(two, dtype)])
            is_dynamic = all(answer[t.name].shape[:1] == (2,) for t in facts.outputs)
        except ConfigurationError:
            is_dynamic = False
        if not is_dynamic:
            self._unsure.append("its batch is called dynamic, and two pictures at once fail: one")
            return 1, 1, shapes
        return LARGEST_BATCH, 1, shapes

    async def _layout(self, entry: Entry) -> tuple[Entry, tuple[str, ...], ModelSpec]:
        told = entry.notes.names or _listed(entry.facts.metadata.get("classes", ""))
        if self._wishes.codes:
            self._sure.append(f"codes as you say: {', '.join(self._wishes.codes)}")
        elif told:
            self._sure.append(f"{len(told)} classes, named in its metadata: {', '.join(told[:12])}")
        codes = self._wishes.codes or told
        if not codes:
            codes = self._counted(entry)
        try:
            spec = self._spec(entry, codes)
        except ConfigurationError as refused:
            if entry.stated.head != "auto":
                raise
            entry = await self._by_trial(entry, codes, refused)
            spec = self._spec(entry, codes)
        self._sure.append(f"it answers with {spec.reader.kind}")
        return entry, codes, spec

    def _spec(self, entry: Entry, codes: tuple[str, ...]) -> ModelSpec:
        try:
            return check_model(described(entry), ModelNeeds(codes=codes, lowest_threshold=1.0))
        except ConfigurationError as refused:
            raise ConfigurationError(
                *(_as_options(problem, self._file.name, entry.name) for problem in refused.problems)
            ) from None

    def _counted(self, entry: Entry) -> tuple[str, ...]:
        """Names for unnamed classes, if exactly one number of them fits."""
        lengths = {n for shape in entry.shapes.values() for n in shape if n > 0}
        fitting, refusal = [], None
        for number in sorted({n - less for n in lengths for less in (0, 1, 4, 5, 6, 36)}):
            if not 1 <= number <= _MOST_CLASSES:
                continue
            try:
                self._spec(entry, _numbered(number))
                fitting.append(number)
            except ConfigurationError as refused:
                if refusal is None or "has to be said" in str(refused):
                    refusal = refused
        if len(fitting) == 1:
            self._unsure.append(
                f"its {fitting[0]} classes have no names: give them with --codes, in its order"
            )
            return _numbered(fitting[0])
        if refusal is not None and not fitting:
            raise refusal
        raise ConfigurationError(
            f"{self._file.name}: does not say how many classes it has, nor their names; expected "
            "--codes NAME,NAME,… in its order"
        )

    async def _by_trial(
        self, entry: Entry, codes: tuple[str, ...], refused: ConfigurationError
    ) -> Entry:
        """The only layout that its answers to pictures do not contradict; else what was refused."""
        if "has to be said" not in str(refused):
            raise refused
        fitting = []
        for head in HEADS[1:]:
            candidate = replace(entry, stated=replace(entry.stated, head=head))  # type: ignore[arg-type]
            try:
                spec = self._spec(candidate, codes)
                found = await self._found(candidate, spec)
            except (ConfigurationError, MalformedReplyError):
                continue
            if any(found):
                fitting.append(candidate)
        if len(fitting) != 1:
            raise refused
        told = f'layout "{fitting[0].stated.head}", the only one that its answers to pictures fit'
        self._sure.append(told)
        return fitting[0]

    async def _found(self, entry: Entry, spec: ModelSpec) -> list[list[Finding]]:
        pictures = [*self._given, *drawn_pictures(entry.width_px, entry.height_px)]
        requests = [tensor_of(shown.image, spec.input) for shown in pictures]
        answers, _ = await run_graph(self._environment, self._file, requests)
        return [
            findings_in(as_read(answer), spec, shown.image, _LOW)
            for answer, shown in zip(answers, pictures, strict=True)
        ]

    async def _range(
        self, entry: Entry, codes: tuple[str, ...], spec: ModelSpec
    ) -> tuple[Entry, ModelSpec]:
        """Its pixel range, found by trial if neither the file nor the person states it."""
        if not spec.range_is_assumed:
            if entry.notes.takes_ones and spec.input.dtype != "UINT8":
                entry = replace(entry, stated=replace(entry.stated, pixel_range="0..1"))
                self._sure.append("pictures in 0..1, as Ultralytics' networks take them")
            return entry, self._spec(entry, codes)
        responses = []
        for white in (1.0, 255.0):
            empty = np.zeros((1, *spec.input.shape), np.float32)
            rows = [empty, *trial_pictures(spec.input, white)]
            dtype = _DTYPES[spec.input.dtype]
            requests = [
                np.repeat(row, max(1, spec.input.exactly), axis=0).astype(dtype) for row in rows
            ]
            answers, _ = await run_graph(self._environment, self._file, requests)
            responses.append(response([as_read(answer) for answer in answers]))
        objection = range_objection(entry.name, *responses)
        if not objection and not responses[0] >= BLIND_BELOW:
            objection = (
                f"{self._file.name}: answers nearly alike to trial pictures in 0..1; expected "
                '--pixel-range "0..1" or "0..255", whichever it was trained with'
            )
        if objection:
            raise ConfigurationError(_as_options(objection, self._file.name, entry.name))
        entry = replace(entry, stated=replace(entry.stated, pixel_range="0..1"))
        self._unsure.append(
            "pictures in 0..1: it tells trial pictures apart in that range; --pixel-range 0..255 "
            "otherwise, --mean and --deviation where training took them off"
        )
        return entry, self._spec(entry, codes)

    def _say_what_is_assumed(self, entry: Entry) -> None:
        stated, known = entry.stated, entry.notes.takes_ones
        if known:
            self._sure.append("small pictures are scaled up to its input, as Ultralytics trains")
            return
        if entry.picture.dtype != "UINT8" and stated.colour == "auto":
            self._unsure.append("colours in the order red, green, blue: --colour bgr otherwise")
        if self._wishes.enlarge is None:
            self._unsure.append(
                "pictures smaller than its input are not scaled up: --enlarge if training did so"
            )


def as_read(answer: Answer) -> dict[str, NDArray[Any]]:
    """The tensor as a reply of the server is read: half floats as floats."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in answer.items()
    }


def _common(seen: Sequence[tuple[int, ...]], told: tuple[int, ...]) -> tuple[int, ...]:
    """The file's dimensions, with open ones taken from the answers; -1 if these differ."""
    shape = []
    for place, lengths in enumerate(zip(*seen, strict=True)):
        fixed = told[place] if place < len(told) else -1
        same = lengths[0] if len(set(lengths)) == 1 and lengths[0] > 0 else -1
        shape.append(fixed if fixed > 0 else same)
    return tuple(shape)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _numbered(number: int) -> tuple[str, ...]:
    return tuple(f"class_{n}" for n in range(number))


_OPTIONS: Mapping[str, str] = {
    "[inference] head = ": "--head ",
    "[inference] good = ": "--good ",
    "[inference] pixel_range = ": "--pixel-range ",
    " (of a product's own model: in its file's [model])": "",
    "inspection.codes": "--codes",
    "inference.": "--",
}


def _as_options(sentence: str, file: str, name: str) -> str:
    """A sentence about settings, turned into one about options of the command."""
    for setting, option in _OPTIONS.items():
        sentence = sentence.replace(setting, option)
    return sentence.replace(f"model {name}", file)
