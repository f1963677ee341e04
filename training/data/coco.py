"""Labels as COCO JSON: images, annotations with `bbox` [left, top, width, height], categories.

Three places they are found in: one JSON file; a folder with a file per part in `annotations/`
(instances_train2017.json and the like); a folder per part, with _annotations.coco.json beside its
pictures. An image without annotations is a defect-free board. Crowd regions are left out. Where an
annotation has no `bbox`, the box around its polygons is taken. What is taken otherwise than it is
written is counted in the set's notes; what is wrong is listed as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.boards import Board, DataSet
from training.data.labels import (
    Label,
    Seen,
    Size,
    board_of,
    checked_names,
    checked_parts,
    held_out,
    pictures_seen,
    read_text,
)
from training.data.notes import Notes, Taken
from training.data.places import located
from training.errors import WrongInputError

PARTS = ("train", "val", "test")
_FEWEST_CORNERS = 3


def annotations_in(folder: Path) -> dict[str, Path]:
    """The JSON file of each part, by train, val, test; empty where this is no COCO folder."""
    found: dict[str, Path] = {}
    for part, folders in (("train", ("train",)), ("val", ("valid", "val")), ("test", ("test",))):
        for name in folders:
            path = folder / name / "_annotations.coco.json"
            if path.is_file():
                found[part] = path
    if found:
        return found
    files = sorted((folder / "annotations").glob("*.json")) or sorted(folder.glob("*.json"))
    if len(files) == 1:
        return {"train": files[0]}
    for path in files:
        for part in PARTS:
            # person_keypoints_ and captions_ lie beside instances_ in COCO's own folder.
            if part in path.stem and not path.stem.startswith(("person_", "captions_")):
                found[part] = path
    return found


def open_coco(files: Mapping[str, Path]) -> DataSet:
    """The set of these files, one per part; `test`, `val` and holding out as for YOLO."""
    first = files.get("train")
    if first is None:
        where = next(iter(files.values()))
        raise WrongInputError.found(where, "no annotations to train with beside it", "train")
    sheets = {part: _Sheet.read(path) for part, path in files.items()}
    names = sheets["train"].names
    for sheet in sheets.values():
        if sheet.names != names:
            raise WrongInputError.found(
                sheet.path, f"classes {', '.join(sheet.names)}", f"{', '.join(names)} as in {first}"
            )
    notes = Notes()
    boards = {part: sheet.boards(notes) for part, sheet in sheets.items()}
    train, test = boards["train"], boards.get("test", boards.get("val"))
    if "test" in boards:
        train = train + boards.get("val", [])
    chosen_here = test is None
    if test is None:
        train, test = map(list, held_out(train))
    train_part, test_part = checked_parts(first, train, test, notes)
    return DataSet(
        name=_name_of(first),
        classes=names,
        train=train_part,
        test=test_part,
        licence=sheets["train"].licence,
        held_out=chosen_here,
        notes=notes.lines,
    )


def _name_of(path: Path) -> str:
    folder = path.resolve().parent
    return folder.parent.name if folder.name in {"annotations", "train"} else folder.name


@dataclass(frozen=True)
class _Sheet:
    """One JSON file, its structure checked."""

    path: Path
    images: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]
    class_indices: Mapping[Any, int]
    names: tuple[str, ...]
    licence: str

    @classmethod
    def read(cls, path: Path) -> _Sheet:
        try:
            content = json.loads(read_text(path, "COCO JSON"))
        except json.JSONDecodeError as error:
            raise WrongInputError.found(
                f"{path}:{error.lineno}", f"is no JSON ({error.msg})", "COCO JSON"
            ) from error
        lists = {}
        for key in ("images", "annotations", "categories"):
            entries = content.get(key) if isinstance(content, dict) else None
            if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                raise WrongInputError.found(
                    path, f"no list {key}", "images, annotations, categories"
                )
            lists[key] = entries
        categories = _used_categories(lists["categories"], lists["annotations"])
        licences = content.get("licenses")
        return cls(
            path=path,
            images=lists["images"],
            annotations=lists["annotations"],
            class_indices={category.get("id"): at for at, category in enumerate(categories)},
            names=checked_names(path, [category.get("name") for category in categories]),
            licence=_licence(licences if isinstance(licences, list) else []),
        )

    def boards(self, notes: Notes) -> list[Board]:
        """One per image, its labels checked against the picture itself."""
        labels = self._labels_by_image(notes)
        numbers: set[Any] = set()
        files: dict[Any, Path] = {}
        for at, image in enumerate(self.images):
            with notes.collecting():
                where = f"{self.path}: images[{at}]"
                name, number = image.get("file_name"), image.get("id")
                if not isinstance(name, str) or number is None or number in numbers:
                    raise WrongInputError.found(where, "no id and file_name of its own", "both")
                numbers.add(number)
                files[number] = self._find(where, name, notes)
        for number, of_image in labels.items():
            with notes.collecting():
                if number not in numbers:
                    raise WrongInputError.found(
                        of_image[0].where, f"image_id {number}", "an image's id"
                    )
        seen = pictures_seen(files.values(), notes)
        boards = []
        for image in self.images:
            picture = files.get(image.get("id"))
            if picture is None or picture not in seen:
                continue
            with notes.collecting():
                self._check_size(image, picture, seen[picture].size)
                boards.append(self._board(image, picture, labels, seen[picture], notes))
        return boards

    def _board(
        self,
        image: Mapping[str, Any],
        picture: Path,
        labels: Mapping[Any, list[Label]],
        seen: Seen,
        notes: Notes,
    ) -> Board:
        written = Path(image["file_name"].replace("\\", "/")).with_suffix("")
        name = f"{self._prefix()}{written.as_posix()}"
        return board_of(name, picture, labels.get(image["id"], []), seen, notes)

    def _prefix(self) -> str:
        # Parts in folders of their own may use the same file names.
        return f"{self.path.parent.name}/" if self.path.name == "_annotations.coco.json" else ""

    def _labels_by_image(self, notes: Notes) -> dict[Any, list[Label]]:
        labels: dict[Any, list[Label]] = {}
        for at, annotation in enumerate(self.annotations):
            where = f"{self.path}: annotations[{at}]"
            if annotation.get("iscrowd"):
                notes.take(Taken.CROWD, where)
                continue
            with notes.collecting():
                label = self._label(where, annotation, notes)
                labels.setdefault(annotation.get("image_id"), []).append(label)
        return labels

    def _label(self, where: str, annotation: Mapping[str, Any], notes: Notes) -> Label:
        box = annotation.get("bbox")
        if not box and (around := _around(annotation.get("segmentation"))) is not None:
            notes.take(Taken.SHAPE, where)
            box = around
        numbers = box if isinstance(box, list) else []
        if len(numbers) != 4 or not all(  # noqa: PLR2004 - a box has four numbers
            isinstance(n, int | float) and abs(n) < float("inf") for n in numbers
        ):
            raise WrongInputError.found(where, f"bbox {box!r}", "[left, top, width, height]")
        left, top, width, height = map(float, numbers)
        category = annotation.get("category_id")
        if category not in self.class_indices:
            known = ", ".join(map(str, self.class_indices))
            raise WrongInputError.found(where, f"category_id {category!r}", f"one of {known}")
        corners = (left, top, left + width, top + height)
        return Label(where, corners, self.class_indices[category])

    def _find(self, where: str, name: str, notes: Notes) -> Path:
        beside = self.path.parent
        parts = [part for part in PARTS if part in self.path.stem]
        folders = [beside, beside / "images", beside.parent, beside.parent / "images"]
        folders += [beside.parent / f"{part}{year}" for part in parts for year in ("", "2017")]
        folders += [beside.parent / "images" / part for part in parts]
        found = located(name, folders, notes, where=where)
        if found is not None and found.is_file():
            return found
        raise WrongInputError.found(where, f"{name} is missing", f"it in {beside} or images/")

    @staticmethod
    def _check_size(image: Mapping[str, Any], picture: Path, size: Size) -> None:
        claimed = Size(image.get("width", size.width_px), image.get("height", size.height_px))
        if claimed != size:
            raise WrongInputError.found(picture, f"the picture is {size}", f"{claimed} as labelled")


def _around(segmentation: object) -> list[float] | None:
    """[left, top, width, height] around polygons, [[x, y, x, y, …], …]; None for anything else."""
    if not isinstance(segmentation, list):
        return None
    numbers = [n for polygon in segmentation if isinstance(polygon, list) for n in polygon]
    if len(numbers) < 2 * _FEWEST_CORNERS or len(numbers) % 2:
        return None
    if not all(isinstance(n, int | float) for n in numbers):
        return None
    xs, ys = numbers[::2], numbers[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _used_categories(
    categories: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Without those that only group others, as some exports put one first."""
    used = {annotation.get("category_id") for annotation in annotations}
    groups = {category.get("supercategory") for category in categories}
    return [c for c in categories if c.get("id") in used or c.get("name") not in groups]


def _licence(licences: Sequence[Any]) -> str:
    return "; ".join(
        str(one["name"]) for one in licences if isinstance(one, dict) and one.get("name")
    )
