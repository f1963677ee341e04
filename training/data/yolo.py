"""Labels as text, the YOLO way: a file per picture, a line per defect, shares of the picture.

    data.yaml     path (optional), train, val, test: folders, lists of folders, or .txt files that
                  list pictures; names: the classes, as a list or as number: name
    images/…      the pictures
    labels/…      beside images/, or beside the pictures themselves, the same names,
                  `class cx cy width height`, or a shape by its corners,
                  `class x1 y1 x2 y2 x3 y3 …`, of which the box around it is taken
    references/…  beside images/, the same names: defect-free pictures (optional; ours)

A picture without a label file, or with an empty one, is a defect-free board. A folder that has
`classes.txt`, as labelling tools write it, works without data.yaml. What is taken otherwise than it
is written is counted in the set's notes; what is wrong is listed as a whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from training.data.boards import Board, DataSet
from training.data.labels import (
    OTHER_PICTURES,
    Label,
    Seen,
    Size,
    board_of,
    checked_names,
    checked_parts,
    class_in,
    held_out,
    numbers_in,
    pictures_in,
    pictures_seen,
    read_text,
)
from training.data.notes import Notes, Taken
from training.data.places import located
from training.errors import WrongInputError

LINE = "class cx cy width height"
_FEWEST_CORNERS = 3
_BEYOND = 0.5
"""Shares further outside than this are no shares: pixels, most likely."""


def description_in(folder: Path) -> Path | None:
    """The file that makes a folder a YOLO data set: data.yaml, the only .yaml, or classes.txt."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return folder / name
    others = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if len(others) == 1:
        return others[0]
    classes = folder / "classes.txt"
    return classes if classes.is_file() else None


def open_yolo(description: Path) -> DataSet:
    """The set that data.yaml, or classes.txt, describes.

    `test` is the part to judge by, else `val`; where both are there `val` joins `train`, because
    nothing is tuned on it here. Without either, a fifth of the boards is held out.
    """
    if description.suffix == ".txt":
        return _open_without_yaml(description)
    content, notes = _yaml(description), Notes()
    names = checked_names(description, _names(description, content, notes))
    root = description.parent / str(content.get("path") or "")
    if not root.is_dir():  # other tools take `path` relative to a folder of their own
        root = description.parent
    if not content.get("train"):
        raise WrongInputError.found(description, "no train", "train: a folder of pictures")
    parts = {}
    for part in ("train", "val", "test"):
        pictures = _pictures(description, root, part, content.get(part), notes)
        if pictures is not None:
            parts[part] = pictures
    return _data_set(description, root, names, parts, notes)


def _open_without_yaml(classes: Path) -> DataSet:
    lines = read_text(classes, "a class name per line").splitlines()
    names = checked_names(classes, [line.strip() for line in lines if line.strip()])
    images = classes.parent / "images"
    if not images.is_dir():
        raise WrongInputError.found(images, "is missing", "a folder of pictures")
    return _data_set(classes, classes.parent, names, {"train": pictures_in(images)}, Notes())


def _data_set(
    description: Path,
    root: Path,
    names: tuple[str, ...],
    parts: dict[str, list[Path]],
    notes: Notes,
) -> DataSet:
    seen = pictures_seen((path for pictures in parts.values() for path in pictures), notes)
    boards = {
        part: [
            _board(root, path, len(names), seen[path], notes) for path in pictures if path in seen
        ]
        for part, pictures in parts.items()
    }
    train, test = boards["train"], boards.get("test", boards.get("val"))
    if "test" in boards:
        train = train + boards.get("val", [])
    chosen_here = test is None
    if test is None:
        train, test = map(list, held_out(train))
    train_part, test_part = checked_parts(description, train, test, notes)
    return DataSet(
        name=root.resolve().name,
        classes=names,
        train=train_part,
        test=test_part,
        held_out=chosen_here,
        notes=notes.lines,
    )


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(read_text(path, "the data set's description"))
    except yaml.YAMLError as error:
        raise WrongInputError.found(path, f"is no YAML ({error})", "train, val, names") from error
    if not isinstance(content, dict):
        raise WrongInputError.found(path, "holds no keys", "train, val, names")
    return content


def _names(path: Path, content: Mapping[str, Any], notes: Notes) -> Sequence[object]:
    names, count = content.get("names"), content.get("nc")
    if names is None and isinstance(count, int) and count > 0:
        notes.take(Taken.NO_NAMES, path)
        names = [f"class_{number}" for number in range(count)]
    if isinstance(names, dict):
        # As others write it, quoted or not: 0: scratch, "1": dent.
        numbered = {str(number).strip(): name for number, name in names.items()}
        if set(numbered) != {str(number) for number in range(len(names))}:
            raise WrongInputError.found(
                path, f"names numbered {', '.join(map(repr, names))}", f"0 to {len(names) - 1}"
            )
        names = [numbered[str(number)] for number in range(len(names))]
    if not isinstance(names, list):
        raise WrongInputError.found(path, "no names", "names: a list of classes")
    if content.get("nc", len(names)) != len(names):
        raise WrongInputError.found(path, f"nc {content['nc']} and {len(names)} names", "as many")
    return names


def _pictures(
    description: Path, root: Path, part: str, entry: object, notes: Notes
) -> list[Path] | None:
    """The pictures of a part; None where there is none, or its folder was never made."""
    entries = [str(one) for one in (entry if isinstance(entry, list) else [entry]) if one]
    places = {
        one: located(one, (root, description.parent), notes, where=description) for one in entries
    }
    if part != "train" and not any(places.values()):
        # An export that was made without this share names it all the same.
        if entries:
            notes.take(Taken.NO_PART, f"{description}: {part}: {', '.join(entries)}")
        return None
    found = [
        path
        for written, place in places.items()
        for path in _pictures_of(description, root, f"{part}: {written}", place, notes)
    ]
    if not found:
        raise WrongInputError.found(
            description,
            f"{part}: {entry} holds no picture{_others(places.values())}",
            "one or more",
        )
    return list(dict.fromkeys(found))


def _others(places: Iterable[Path | None]) -> str:
    """What lies there instead, in words."""
    folders = [place for place in places if place is not None and place.is_dir()]
    suffixes = Counter(path.suffix.lower() for folder in folders for path in folder.rglob("*"))
    kinds = [f"{suffixes[kind]} {kind}" for kind in sorted(OTHER_PICTURES) if suffixes[kind]]
    return f" that can be read, but {', '.join(kinds)}" if kinds else ""


def _pictures_of(
    description: Path, root: Path, written: str, place: Path | None, notes: Notes
) -> list[Path]:
    if place is not None and place.is_dir():
        return pictures_in(place)
    if place is not None and place.suffix == ".txt":
        return _listed(root, place, notes)
    raise WrongInputError.found(
        description, f"{written} is missing", "a folder of pictures, or a .txt file"
    )


def _listed(root: Path, path: Path, notes: Notes) -> list[Path]:
    pictures = []
    for number, line in enumerate(read_text(path, "a picture per line").splitlines(), 1):
        if not line.strip():
            continue
        bases = (path.parent, root) if line.startswith("./") else (root, path.parent)
        picture = located(line, bases, notes, where=f"{path}:{number}")
        with notes.collecting():
            if picture is None or not picture.is_file():
                missing = bases[0] / line.strip()
                raise WrongInputError.found(
                    f"{path}:{number}", f"{missing} is missing", "a picture"
                )
            pictures.append(picture)
    return pictures


def _board(root: Path, picture: Path, class_count: int, seen: Seen, notes: Notes) -> Board:
    path = _beside_images(picture, "labels").with_suffix(".txt")
    if not path.is_file():
        path = picture.with_suffix(".txt")
    labels = []
    with notes.collecting():
        lines = []
        if path.is_file():
            lines = read_text(path, f"labels, a line each: {LINE}").splitlines()
        for number, line in enumerate(lines, 1):
            with notes.collecting():
                if line.strip():
                    where = f"{path}:{number}"
                    labels.append(_label(where, line, class_count, seen.size, notes))
    reference = _beside_images(picture, "references")
    has_reference = reference != picture and reference.is_file()
    name = os.path.relpath(picture.with_suffix(""), root).replace(os.sep, "/")
    return board_of(
        name, picture, labels, seen, notes, reference=reference if has_reference else None
    )


def _beside_images(picture: Path, folder: str) -> Path:
    """The path with its last `images` folder replaced; the picture's own where it has none."""
    parts = list(picture.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = folder
            return Path(*parts)
    return picture


def _label(where: str, line: str, class_count: int, size: Size, notes: Notes) -> Label:
    words = line.replace(",", " ").split()
    corners = (len(words) - 1) / 2
    is_shape = corners >= _FEWEST_CORNERS and corners == int(corners)
    expected = f"class {'x y ' * int(corners)}" if is_shape else LINE
    number, *shares = numbers_in(where, line, expected)
    index = class_in(where, number, 0, class_count - 1)
    for share in shares:
        if not -_BEYOND <= share <= 1 + _BEYOND:
            raise WrongInputError.found(
                where, f"{share:g}", f"shares of the picture, 0 to 1: {LINE}"
            )
    if is_shape:
        notes.take(Taken.SHAPE, where)
    box = _around(shares) if is_shape else _by_middle(shares)
    left, right = box[0] * size.width_px, box[2] * size.width_px
    top, bottom = box[1] * size.height_px, box[3] * size.height_px
    return Label(where, (left, top, right, bottom), index)


def _by_middle(shares: Sequence[float]) -> tuple[float, float, float, float]:
    cx, cy, width, height = shares
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def _around(shares: Sequence[float]) -> tuple[float, float, float, float]:
    xs, ys = shares[::2], shares[1::2]
    return min(xs), min(ys), max(xs), max(ys)
