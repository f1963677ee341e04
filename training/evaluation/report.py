"""Shows an evaluation: tables for a terminal, Markdown and JSON for the files beside a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from training.evaluation.judging import Evaluation, OnDefects
from training.whole_files import write_whole

Rows = list[list[str]]


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Every table, and the files' facts above them."""
    for line in _facts(evaluation):
        console.print(line)
    for title, rows in _tables(evaluation):
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE)
        for at, heading in enumerate(rows[0]):
            table.add_column(heading, justify="right" if at else "left")
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)


def write_evaluation(evaluation: Evaluation, stem: Path) -> list[Path]:
    """Write STEM.evaluation.json and STEM.evaluation.md, each whole or not at all."""
    content = {
        ".evaluation.json": json.dumps(asdict(evaluation), indent=2) + "\n",
        ".evaluation.md": as_markdown(evaluation),
    }
    written = []
    for suffix, text in content.items():
        target = stem.with_name(stem.name + suffix)
        write_whole(target, text.encode())
        written.append(target)
    return written


def as_markdown(evaluation: Evaluation) -> str:
    """The same tables as Markdown."""
    lines = [f"# Evaluation of {evaluation.model}", ""]
    lines += [f"- {line}" for line in _facts(evaluation)]
    for title, rows in _tables(evaluation):
        lines += ["", f"## {title}", "", _row(rows[0])]
        lines.append("|---|" + "---:|" * (len(rows[0]) - 1))
        lines += [_row(row) for row in rows[1:]]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _facts(evaluation: Evaluation) -> Iterator[str]:
    megabytes = evaluation.model_bytes / 1e6
    yield f"{evaluation.model}: {megabytes:.1f} MB, SHA-256 {evaluation.model_sha256}"
    boards = max((one.boards for one in evaluation.on_defects), default=0)
    part = "a fifth held out by the hash of the names" if evaluation.held_out else "its test part"
    yield f"{evaluation.data_set}: {boards} boards, {part}"
    if evaluation.limit is not None:
        yield f"a quick look: limited to {evaluation.limit} boards"
    if evaluation.licence:
        yield evaluation.licence
    yield (
        f"{evaluation.inference_ms:.0f} ms per 640x640 input (median), {evaluation.runtime}, "
        f"{evaluation.threads} thread{'s' if evaluation.threads > 1 else ''}"
    )


def _tables(evaluation: Evaluation) -> Iterator[tuple[str, Rows]]:
    shown = evaluation.on_defects
    if shown:
        yield "Average precision, %", _precision_rows(evaluation)
        yield "Thresholds to choose from (IoU 0.33), %", _choice_rows(shown)
        yield "At given thresholds (IoU 0.33), %", _point_rows(shown)
        yield "Recall per class (IoU 0.33), %", _recall_rows(evaluation)
    if evaluation.on_good_boards:
        yield "Good boards with a false alarm, %", _alarm_rows(evaluation)


def _precision_rows(evaluation: Evaluation) -> Rows:
    rows = [["", "mAP", *evaluation.classes, "mAP interpolated"]]
    for one in evaluation.on_defects:
        for precisions in (one.deep_pcb, one.common):
            each = [_percent(precision) for precision in precisions.per_class]
            name = f"{one.title}, IoU {precisions.iou:g}"
            mean, interpolated = precisions.mean, precisions.interpolated_mean
            rows.append([name, _percent(mean), *each, _percent(interpolated)])
    return rows


def _choice_rows(shown: list[OnDefects]) -> Rows:
    rows = [["", "threshold", "F", "precision", "recall", "good boards with an alarm"]]
    for one in shown:
        for choice in one.choices:
            point = choice.point
            shares = (point.f_score, point.precision, point.recall, choice.alarms)
            name = f"{one.title}: {choice.rule}"
            rows.append([name, f"{point.threshold:.3f}", *(_percent(share) for share in shares)])
    return rows


def _point_rows(shown: list[OnDefects]) -> Rows:
    rows = [["", *(f"{point.threshold:g}" for point in shown[0].at)]]
    for one in shown:
        for name in ("precision", "recall", "f_score"):
            shares = [_percent(getattr(point, name)) for point in one.at]
            rows.append([f"{one.title}, {name.replace('f_score', 'F')}", *shares])
    return rows


def _recall_rows(evaluation: Evaluation) -> Rows:
    shown = evaluation.on_defects
    rows = [["", *(f"{point.threshold:g}" for point in shown[0].at)]]
    for one in shown:
        for index, name in enumerate(evaluation.classes):
            recalls = [_percent(recalls[index]) for recalls in one.recall_per_class]
            rows.append([f"{one.title}, {name}", *recalls])
    return rows


def _alarm_rows(evaluation: Evaluation) -> Rows:
    shown = evaluation.on_good_boards
    rows = [["", *(f"{alarms.threshold:g}" for alarms in shown[0].at)]]
    for one in shown:
        rows.append([one.title, *(_percent(alarms.boards_share) for alarms in one.at)])
        boxes = [f"{alarms.boxes_per_board:.3f}" for alarms in one.at]
        rows.append([f"{one.title}, boxes per board", *boxes])
    return rows


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
