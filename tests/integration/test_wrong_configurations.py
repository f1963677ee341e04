"""Wrong settings, each run as a user would: exit code 78 and a line that says what to do."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inspector.journal.file import FolderLock
from tests.kit import tiny_onnx
from tests.kit.inspector_command import CAMERA, STATION, inspector, settings_file
from tests.kit.triton_server import embedded_triton_in_background

CANARY = "hunter2"
"""Every secret in this file; it must never be printed."""

IDENTIFIER = "lower-case letters, digits, - and _, at most 32, a letter or digit first"


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One mistake and every line it leads to. {file}, {folder}, ... stand for this run's own."""

    name: str
    says: tuple[str, ...]
    more: str = ""
    station: str = STATION
    camera: str = CAMERA
    env: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    """The whole file instead; b"" for no file."""
    exit_code: int = 78
    begins: bool = False
    """True where the words behind `says` are the operating system's or Triton's."""


def camera(source: str = "sim:", *, size: str = '"320x240"', more: str = "") -> str:
    return f'[cameras.top]\nsource = "{source}"\nsize = {size}\n{more}\n'


NOT_A_SOURCE = "is not a camera source; accepted are rtsp://…, rtsps://…, v4l2:/dev/video0, genic"
RTSP = "expected rtsp://[user[:password]@]host[:port]/path, the password percent-encoded"
REDIS = (
    "expected redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,…/SERVICE/DB,"
    ' redis+cluster://HOST:PORT,… or "embedded"'
)

# --- seen in the settings alone ---
READING = [
    Wrong(
        name="no file",
        content=b"",
        says=("{folder}/line.toml: no such file; expected a TOML file",),
    ),
    Wrong(
        name="not TOML",
        content=b"[station\n",
        says=("{file}: not valid TOML: Expected ']' at the end of a table",),
        begins=True,
    ),
    Wrong(
        name="not UTF-8",
        content=b'[station]\nsite = "K\xf6ln"\n',
        says=("{file}: byte 19 is not UTF-8; expected a TOML file saved as UTF-8",),
    ),
    Wrong(
        name="missing sections",
        content=b"[log]\n",
        says=(
            "{file}: station: missing; expected a section of this name",
            "{file}: cameras: missing; expected a section of this name",
        ),
    ),
    Wrong(
        name="misspelt section",
        more="[infrence]\n",
        says=('{file}: infrence: unknown key "infrence"; did you mean "inference"?',),
    ),
    Wrong(
        name="misspelt key",
        more=f'[redis]\npasword = "{CANARY}"\n',
        says=('{file}: redis.pasword: unknown key "pasword"; did you mean "password"?',),
    ),
    Wrong(
        name="missing key",
        camera='[cameras.top]\nsource = "sim:"\n',
        says=("{file}: cameras.top.size: missing; expected a key of this name",),
    ),
    Wrong(
        name="bad camera id",
        camera=CAMERA.replace("cameras.top", "cameras.Top"),
        says=("{file}: cameras.Top: found 'Top'; expected " + IDENTIFIER,),
    ),
    Wrong(
        name="wrong type",
        more='[batching]\nmax_regions = "four"\n',
        says=("{file}: batching.max_regions: found 'four'; expected a whole number",),
    ),
    *(
        Wrong(
            name=f"impossible size {size}",
            camera=camera(size=f'"{size}"'),
            says=(
                (
                    f"{{file}}: cameras.top.size: found '{size}'; "
                    "expected each side between 16 and 16384 pixels"
                ),
            ),
        )
        for size in ("0x0", "99999x1")
    ),
    Wrong(
        name="unknown camera scheme",
        camera=camera(f"http://viewer:{CANARY}@192.0.2.1/x"),
        says=("{file}: cameras.top.source: 'http://***' " + NOT_A_SOURCE,),
        begins=True,
    ),
    *(
        Wrong(
            name=f"malformed RTSP URL {written}",
            camera=camera(written.replace("***", CANARY)),
            says=(f"{{file}}: cameras.top.source: '{shown}' is not a camera source: {RTSP}",),
        )
        for written, shown in (
            ("rtsp:/viewer:***@192.0.2.1/x", "rtsp:/***"),
            ("rtsp://viewer:***@192.0.2.1:99999/x", "rtsp://***"),
            ("rtsp://viewer:12#***@192.0.2.1/x", "rtsp://***"),
        )
    ),
    Wrong(
        name="unknown option of the simulated line",
        camera=camera("sim:?sped=3"),
        says=(
            (
                "{file}: cameras.top.source: found 'sim:?sped=3'; "
                "a simulated line has no option 'sped'; accepted are seed, view, fps, speed,"
            ),
        ),
        begins=True,
    ),
    Wrong(
        name="region outside the picture",
        camera=camera(more="region = [200, 0, 240, 240]"),
        says=(
            (
                "{file}: cameras.top: region is [200, 0, 240, 240], expected x, y, width and "
                "height of a part of the 320x240 picture, at least 16 pixels wide and high"
            ),
        ),
    ),
    Wrong(
        name="a live camera that waits",
        camera=camera("rtsp://192.0.2.1/x", more='when_full = "wait"'),
        says=(
            (
                '{file}: cameras.top: when_full is "wait", which is for recordings; '
                'a live camera does not wait: expected "drop_oldest"'
            ),
        ),
    ),
    Wrong(
        name="too few buffers",
        camera=camera(more="buffers = 3"),
        says=(
            "{file}: cameras.top.buffers is 3, expected 0 or at least 35, which the pipeline needs",
        ),
    ),
    Wrong(
        name="drain longer than systemd waits",
        more="[shutdown]\ndrain_timeout_s = 19.0\n",
        says=(
            (
                "{file}: shutdown.drain_timeout_s is 19.0, expected at least 2 s below "
                "shutdown.unit_timeout_s (20.0), or systemd kills us while we drain"
            ),
        ),
    ),
    Wrong(
        name="reply timeout above drain",
        more="[inference]\nreply_timeout_s = 9.0\n",
        says=(
            (
                "{file}: inference.reply_timeout_s is 9.0, expected below "
                "shutdown.drain_timeout_s (8.0), or a hung server outlasts the drain"
            ),
        ),
    ),
    Wrong(
        name="age above deadline",
        more="[batching]\nmax_age_ms = 3000\n",
        says=(
            (
                "{file}: batching.max_age_ms is 3000.0, expected at most "
                "inspection.deadline_ms (2000.0)"
            ),
        ),
    ),
    Wrong(
        name="threshold for an unknown code",
        more="[inspection.thresholds]\nshrt = 0.6\n",
        says=(
            (
                "{file}: inspection: thresholds names 'shrt', "
                "expected one of: open, short, mousebite, spur, copper, pin-hole"
            ),
        ),
    ),
    Wrong(
        name="a code twice",
        more='[inspection]\ncodes = ["open", "short", "open"]\n',
        says=("{file}: inspection: codes is open, short, open, expected each code once",),
    ),
    Wrong(
        name="bad Redis URL",
        more=f'[redis]\nurl = "http://:{CANARY}@192.0.2.1"\n',
        says=("{file}: redis.url: found 'http://***'; " + REDIS,),
    ),
    Wrong(
        name="bad Triton URL",
        more='[inference]\nurl = "http://192.0.2.1:8000"\n',
        says=(
            (
                "{file}: inference.url: found 'http://***'; "
                'expected HOST:PORT of Triton\'s gRPC endpoint, or "embedded"'
            ),
        ),
    ),
    Wrong(
        name="open to others without a token",
        more='[http]\nhost = "0.0.0.0"\n',
        says=(
            (
                "{file}: http: host is 0.0.0.0, which others can reach: "
                "expected http.token to be set too"
            ),
        ),
    ),
    Wrong(
        name="port out of range",
        more="[http]\nport = 70000\n",
        says=("{file}: http.port: found 70000; expected at most 65535",),
    ),
    Wrong(
        name="misspelt section in the environment",
        env={"INSPECTOR_REDSI__PASSWORD": CANARY},
        says=(
            'environment: INSPECTOR_REDSI__PASSWORD: unknown key "redsi"; did you mean "redis"?',
        ),
    ),
    Wrong(
        name="one underscore in the environment",
        env={"INSPECTOR_REDIS_URL": f"redis://:{CANARY}@192.0.2.1"},
        says=(
            "environment: INSPECTOR_REDIS_URL: unknown name; did you mean INSPECTOR_REDIS__URL?",
        ),
    ),
    Wrong(
        name="wrong type in the environment",
        env={"INSPECTOR_HTTP__PORT": "http"},
        says=("environment: INSPECTOR_HTTP__PORT: found 'http'; expected a whole number",),
    ),
]

# --- seen when the service meets its surroundings ---
STARTING = [
    Wrong(
        name="port in use",
        more="[http]\nport = {busy_port}\n",
        says=(
            (
                "http.port: cannot listen on 127.0.0.1:{busy_port}: Address already in use; "
                "expected a free port of 1024 or more, or 0 for any"
            ),
        ),
    ),
    Wrong(
        name="an address of another machine",
        more='[http]\nport = 0\nhost = "192.0.2.1"\ntoken = "hunter2"\n',
        says=(
            (
                "http.host: cannot listen on 192.0.2.1:0: Cannot assign requested address; "
                "expected an address of this machine"
            ),
        ),
    ),
    Wrong(
        name="state folder cannot be made",
        more='[journal]\ndirectory = "/dev/null/state"\n',
        says=("journal.",),
        begins=True,
    ),
    # Not the settings' fault, and it may end by itself: 1, on which systemd tries again.
    Wrong(
        name="another instance has the state folder",
        more='[journal]\ndirectory = "{held}"\n',
        says=("another inspector runs for this station: process {pid} holds {held}/lock",),
        exit_code=1,
    ),
    Wrong(
        name="no model repository",
        more='[inference]\nurl = "embedded"\nrepository = "{folder}/models"\n',
        says=("inference.repository: {folder}/models is no folder; expected a model repository",),
        begins=True,
    ),
    Wrong(
        name="model that does not exist",
        more='[inference]\nurl = "{triton}"\nmodel = "pcb_inspektion"\n',
        says=(
            (
                'inference.model is "pcb_inspektion", but the server has: pcb_detector, '
                "pcb_golden_inspection, pcb_inspection, postprocessing, preprocessing, "
                'unit_features; did you mean "pcb_inspection"?'
            ),
        ),
    ),
    Wrong(
        name="version that does not exist",
        more='[inference]\nurl = "{triton}"\nversion = "7"\n',
        says=('inference.version is "7", but model pcb_inspection has: 1',),
    ),
    Wrong(
        name="wrong input name",
        more='[inference]\nurl = "{triton}"\ninput = "images"\n',
        says=('inference.input is "images", but model pcb_inspection has: image',),
    ),
    Wrong(
        name="codes in another order",
        more='[inspection]\ncodes = ["short", "open", "mousebite", "spur", "copper", "pin-hole"]\n'
        '[inference]\nurl = "{triton}"\n',
        says=(
            (
                "inspection.codes is short, open, mousebite, spur, copper, pin-hole, but model "
                "pcb_inspection was built for: open, short, mousebite, spur, copper, pin-hole"
            ),
        ),
    ),
    Wrong(
        name="wrong class count",
        more='[inspection]\ncodes = ["good", "bad"]\n'
        '[inference]\nurl = "{triton}"\nmodel = "pcb_detector"\n',
        says=(
            (
                "inspection.codes names 2 classes, but model pcb_detector has 6 "
                '(output "output" [-1, 25200, 11])'
            ),
        ),
    ),
    Wrong(
        name="threshold below the model's own",
        more='[inspection.thresholds]\nshort = 0.1\n[inference]\nurl = "{triton}"\n',
        says=(
            (
                "inspection.threshold goes down to 0.1, but model pcb_inspection reports nothing "
                "below 0.25 (its score_threshold)"
            ),
        ),
    ),
    *(
        Wrong(
            name=f"model: {model}",
            more=f'[inference]\nurl = "{{tiny}}"\nmodel = "{model}"\n',
            says=(sentence,),
        )
        for model, sentence in (
            ("dtype", 'model dtype: input "x" is INT64; expected UINT8, FP32 or FP16'),
            (
                "shape",
                (
                    'model shape: input "x" has shape [-1, 5]; expected [N,3,height,width] or '
                    "[N,height,width,3] with fixed height and width"
                ),
            ),
            (
                "head",
                (
                    'inspection.codes names 6 classes, but model head has output "x_out" FP32 '
                    "[-1, 3, 96, 64]; expected an axis of that length (the background is a class)"
                ),
            ),
            ("two_inputs", "model two_inputs has 2 inputs (x, y); expected one picture"),
            (
                "unbatched",
                "model unbatched: takes no batches; expected max_batch_size of 1 or more",
            ),
        )
    ),
]


# --- the models that do not fit ---

KINDS = {tiny_onnx.FLOAT: "TYPE_FP32", tiny_onnx.INT64: "TYPE_INT64"}


def add_echo(
    repository: Path,
    name: str,
    dims: tuple[int, ...],
    *,
    inputs: str = "x",
    kind: int = tiny_onnx.FLOAT,
    batch: bool = True,
) -> None:
    """A model that answers `x_out` with what came in as `x`."""
    graph_dims: list[int | str] = ["n", *dims] if batch else [*dims]
    graph = tiny_onnx.model(
        [tiny_onnx.node("Identity", ["x"], "x_out")],
        [tiny_onnx.tensor(n, kind, *graph_dims) for n in inputs],
        [tiny_onnx.tensor("x_out", kind, *graph_dims)],
    )
    shape = f"data_type: {KINDS[kind]} dims: [ {', '.join(map(str, dims))} ]"
    lines = [f'backend: "onnxruntime" max_batch_size: {8 if batch else 0}']
    lines += [f'input {{ name: "{n}" {shape} }}' for n in inputs]
    lines.append(f'output {{ name: "x_out" {shape} }}')
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text("\n".join(lines))
    (repository / name / "1" / "model.onnx").write_bytes(graph)


def add_wrong_models(repository: Path) -> None:
    picture = (3, 96, 64)
    add_echo(repository, "dtype", picture, kind=tiny_onnx.INT64)
    add_echo(repository, "shape", (5,))
    add_echo(repository, "head", picture)
    add_echo(repository, "two_inputs", picture, inputs="xy")
    add_echo(repository, "unbatched", picture, batch=False)


# --- running them ---

Run = Future[subprocess.CompletedProcess[str]]


def start(wrong: Wrong, folder: Path, places: Mapping[str, object]) -> Any:
    folder.mkdir()
    if wrong.content is None:
        more = wrong.more
        for word, text in (*places.items(), ("folder", folder)):
            more = more.replace(f"{{{word}}}", str(text))
        file = settings_file(folder, more, station=wrong.station, camera=wrong.camera)
    else:
        file = folder / "line.toml"
        if wrong.content:
            file.write_bytes(wrong.content)
    return inspector("run", "--config", file, env=wrong.env, cwd=folder)


def runs_of(
    request: pytest.FixtureRequest, wrongs: list[Wrong], folder: Path, places: Mapping[str, object]
) -> Iterator[dict[str, Run]]:
    """All that will be asked for, two at a time: most of it is Python starting."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params.get("wrong") for spec in parameters if spec is not None]
    asked = {wrong.name for wrong in chosen if isinstance(wrong, Wrong)}
    with ThreadPoolExecutor(2) as pool:
        yield {
            wrong.name: pool.submit(start, wrong, folder / f"{number}", places)
            for number, wrong in enumerate(wrongs)
            if wrong.name in asked
        }


@pytest.fixture(scope="module")
def reading(request, tmp_path_factory):
    yield from runs_of(request, READING, tmp_path_factory.mktemp("reading"), {})


@pytest.fixture(scope="module")
def places(tmp_path_factory, triton):
    folder = tmp_path_factory.mktemp("places")
    add_wrong_models(folder / "tiny")
    lock = FolderLock(folder / "held")
    holder = (folder / "held" / "lock").read_text().strip()
    with (
        socket.create_server(("127.0.0.1", 0)) as busy,
        embedded_triton_in_background(folder / "tiny") as tiny,
    ):
        yield {
            "busy_port": busy.getsockname()[1],
            "held": folder / "held",
            "pid": holder,
            "triton": triton.grpc_url,
            "tiny": tiny.grpc_url,
        }
    lock.release()


@pytest.fixture(scope="module")
def starting(request, tmp_path_factory, places):
    yield from runs_of(request, STARTING, tmp_path_factory.mktemp("starting"), places)


def assert_refused(wrong: Wrong, ended: Any, told: list[str], places: Mapping[str, object]) -> None:
    file = Path(ended.args[-1])
    expected = list(wrong.says)
    for word, text in {**places, "file": file, "folder": file.parent}.items():
        expected = [line.replace(f"{{{word}}}", str(text)) for line in expected]
    told = [line.removeprefix("inspector: ") for line in told]
    if wrong.begins:
        assert [line[: len(start)] for line, start in zip(told, expected, strict=True)] == expected
    else:
        assert told == expected
    assert ended.returncode == wrong.exit_code
    assert ended.stdout == ""
    assert CANARY not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.parametrize("wrong", READING, ids=lambda wrong: wrong.name)
def test_wrong_settings_are_refused_in_one_line_each(wrong, reading):
    ended = reading[wrong.name].result()
    assert_refused(wrong, ended, ended.stderr.splitlines(), {})
    left = [path.name for path in Path(ended.args[-1]).parent.iterdir()]
    assert left in ([], ["line.toml"]), "nothing is begun before the settings are right"


@pytest.mark.parametrize("wrong", STARTING, ids=lambda wrong: wrong.name)
def test_what_does_not_fit_its_surroundings_is_refused_in_one_line(wrong, starting, places):
    ended = starting[wrong.name].result()
    # The log goes on up to the refusal; its lines are JSON.
    told = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert_refused(wrong, ended, told, places)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    file = settings_file(tmp_path, "[http]\nport = 70000\n")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    ended = inspector("run", "--config", file)
    assert "http.port" in ended.stderr
    assert "TOML" not in ended.stderr


def test_the_default_file_is_named_where_it_is_missing(tmp_path):
    ended = inspector("run", cwd=tmp_path)
    assert ended.returncode == 78
    assert ended.stderr == "inspector: config/inspector.toml: no such file; expected a TOML file\n"
    shutil.rmtree(tmp_path)
