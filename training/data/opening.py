"""Opens whatever data set a path leads to."""

from __future__ import annotations

from pathlib import Path

from training.data.archive import default_cache, unpack
from training.data.boards import DataSet
from training.data.coco import annotations_in, open_coco
from training.data.deep_pcb import open_deep_pcb, root_of
from training.data.labels import pictures_seen
from training.data.notes import Notes
from training.data.yolo import description_in, open_yolo
from training.errors import WrongInputError

EXPECTED = "DeepPCB (trainval.txt, test.txt), YOLO (data.yaml) or COCO (annotations in JSON)"


def open_data_set(path: Path, cache: Path | None = None) -> DataSet:
    """The boards at `path`: DeepPCB, YOLO text or COCO JSON, as a folder, zip file, YAML or JSON.

    A zip file is unpacked below `cache`, by default in the user's cache folder. Raises
    WrongInputError, one line, for anything that is not a usable data set.
    """
    place = prepare(path, cache)
    if place.suffix.lower() in {".yaml", ".yml"}:
        return open_yolo(place)
    if place.suffix.lower() == ".json":
        return open_coco({"train": place})
    return _open_folder(place)


def prepare(path: Path, cache: Path | None = None) -> Path:
    """Make the set ready to open, and say where: a zip file is unpacked and checked once.

    Folders and files are used where they are.
    """
    if not path.exists():
        raise WrongInputError.found(path, "is missing", EXPECTED)
    if path.is_file() and path.suffix.lower() == ".zip":
        return unpack(path, cache or default_cache(), lambda fresh: _check_fresh(path, fresh))
    if path.is_file() and path.suffix.lower() not in {".yaml", ".yml", ".json"}:
        raise WrongInputError.found(path, "is a file of another kind", f"{EXPECTED}, or a zip file")
    return path


def check_pictures(data_set: DataSet) -> int:
    """Decode every picture and reference, and return how many there are.

    Raises WrongInputError for those that cannot be used, or for the first whose reference is of
    another size: better now than in the middle of a training.
    """
    boards = (*data_set.train, *data_set.test)
    paths = [path for b in boards for path in (b.picture, b.reference) if path is not None]
    notes = Notes()
    sizes = {path: seen.size for path, seen in pictures_seen(paths, notes).items()}
    notes.settle()
    for board in boards:
        if board.reference is not None and sizes[board.reference] != sizes[board.picture]:
            raise WrongInputError.found(
                board.reference,
                f"the reference is {sizes[board.reference]}",
                f"{sizes[board.picture]} as {board.picture.name}",
            )
        right_bottom = board.boxes[:, 2:].max(axis=0, initial=0)
        size = sizes[board.picture]
        if right_bottom[0] > size.width_px or right_bottom[1] > size.height_px:
            raise WrongInputError.found(
                board.picture, f"the picture is {size}", "one that holds its labels' boxes"
            )
    return len(sizes)


def _check_fresh(archive: Path, fresh: Path) -> None:
    try:
        check_pictures(_open_folder(fresh))
    except WrongInputError as error:
        # The folder is about to go: name what the user can look into.
        inside = str(error).replace(f"{fresh}/", f"{archive}/").replace(str(fresh), str(archive))
        raise WrongInputError(inside) from error


def _open_folder(folder: Path) -> DataSet:
    for place in (folder, *_only_folder_in(folder)):
        deep_pcb = root_of(place)
        if deep_pcb is not None:
            return open_deep_pcb(deep_pcb)
        description = description_in(place)
        if description is not None:
            return open_yolo(description)
        annotations = annotations_in(place)
        if annotations:
            return open_coco(annotations)
    raise WrongInputError.found(folder, "holds no data set", EXPECTED)


def _only_folder_in(folder: Path) -> list[Path]:
    """Many archives hold one folder that holds everything."""
    inside = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    return inside if len(inside) == 1 and inside[0].is_dir() else []
