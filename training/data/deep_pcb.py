"""DeepPCB: 1,500 pairs of a board and its defect-free template, 640x640, with the official split.

Two layouts of the same pictures: flat (`NAME_test.png`, `NAME_temp.png`, `NAME.txt` beside
`trainval.txt` and `test.txt`, whose lines are names), and the original repository's, where those
lists stand in `PCBData/` and their lines name a picture and its labels in a folder per group.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.data.boards import Board, DataSet
from training.data.labels import Label, Seen, Size, board_of, class_in, numbers_in, read_text
from training.data.notes import Notes
from training.errors import WrongInputError

CLASSES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""In the order of the labels' numbers, which begin with 1."""
OFFICIAL_COUNTS = {"trainval": 1000, "test": 500}
SEEN = Seen(Size(640, 640), b"")
LICENCE = (
    "DeepPCB: its LICENSE file is MIT, its README says "
    '"You can only use this dataset for research purpose"'
)
LINE = "x1 y1 x2 y2 class"


def root_of(folder: Path) -> Path | None:
    """The folder that holds the two lists, where this is DeepPCB."""
    for candidate in (folder, folder / "PCBData"):
        if (candidate / "trainval.txt").is_file() or (candidate / "test.txt").is_file():
            return candidate
    return None


def open_deep_pcb(root: Path, counts: dict[str, int] | None = None) -> DataSet:
    """The official split; `counts` boards in each list, the official ones unless given."""
    counts = counts or OFFICIAL_COUNTS
    notes = Notes()
    parts = {part: _listed(root, part, count) for part, count in counts.items()}
    shared = {names.name for names in parts["trainval"]} & {names.name for names in parts["test"]}
    if shared:
        raise WrongInputError.found(
            root, f"board {min(shared)} is in trainval.txt and in test.txt", "in one of them"
        )
    train, test = (tuple(_board(f, notes) for f in parts[part]) for part in ("trainval", "test"))
    notes.settle()
    return DataSet(
        name="DeepPCB", classes=CLASSES, train=train, test=test, licence=LICENCE, notes=notes.lines
    )


@dataclass(frozen=True)
class _Files:
    """What belongs to one board."""

    name: str
    picture: Path
    template: Path
    labels: Path


def _listed(root: Path, part: str, count: int) -> list[_Files]:
    path = root / f"{part}.txt"
    lines = [line for line in read_text(path, "the list of boards").splitlines() if line.strip()]
    if len(set(lines)) != count:
        raise WrongInputError.found(path, f"{len(set(lines))} boards", f"{count}")
    return [_files(root, f"{path}:{number}", line) for number, line in enumerate(lines, 1)]


def _files(root: Path, where: str, line: str) -> _Files:
    words = line.split()
    if len(words) == 1:
        name = words[0]
        files = _Files(
            name, root / f"{name}_test.png", root / f"{name}_temp.png", root / f"{name}.txt"
        )
    else:
        # The repository's lists name NAME.jpg; the files are NAME_test.jpg and NAME_temp.jpg.
        listed = root / words[0]
        name = listed.stem
        files = _Files(
            name,
            listed.with_name(f"{name}_test.jpg"),
            listed.with_name(f"{name}_temp.jpg"),
            root / words[1],
        )
    for path in (files.picture, files.template, files.labels):
        if not path.is_file():
            raise WrongInputError.found(where, f"{path.name} is missing", f"it in {path.parent}")
    return files


def _board(files: _Files, notes: Notes) -> Board:
    text = read_text(files.labels, f"labels, a line each: {LINE}")
    labels = [
        _label(f"{files.labels}:{number}", line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    return board_of(files.name, files.picture, labels, SEEN, notes, reference=files.template)


def _label(where: str, line: str) -> Label:
    left, top, right, bottom, number = numbers_in(where, line, LINE)
    index = class_in(where, number, 1, len(CLASSES)) - 1
    return Label(where, (left, top, right, bottom), index)
