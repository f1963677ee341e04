"""Where settings come from, which place wins, and the words for what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from inspector.core.errors import ConfigurationError
from inspector.settings.load import load_settings
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.unit_sections import SerialSettings

CONFIG = Path(__file__).parents[3] / "config"
CANARY = "hunter2"
STATION = '[station]\nsite = "plant1"\nline = "smt2"\nname = "aoi"\n'
CAMERA = '[cameras.top]\nsource = "rtsp://viewer@192.0.2.1/x"\nsize = "1280x720"\n'


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path):
    def write(more: str = "", *, station: str = STATION, camera: str = CAMERA) -> Path:
        file: Path = tmp_path / "line.toml"
        file.write_text(station + camera + more)
        return file

    return write


@pytest.fixture
def secret_files(tmp_path, monkeypatch):
    def write(**files: str) -> Path:
        folder: Path = tmp_path / "credentials"
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        return folder

    return write


def problems_of(file: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    return tuple(line.removeprefix(f"{file}: ") for line in refused.value.problems)


# --- which place wins ---


def test_the_environment_is_stronger_than_secret_files_and_those_than_the_file(
    write, secret_files, monkeypatch
):
    file = write('[redis]\nurl = "redis://file:1"\nusername = "file"\npassword = "file"\n')
    secret_files(redis__url="redis://secret:1", redis__username="secret")
    monkeypatch.setenv("INSPECTOR_REDIS__URL", "redis://environment:1")
    redis = load_settings(file).redis
    assert redis.url.get_secret_value() == "redis://environment:1"
    assert redis.username == "secret"
    assert redis.secret() == "file"


def test_what_a_command_says_is_stronger_than_all(write, monkeypatch):
    monkeypatch.setenv("INSPECTOR_HTTP__PORT", "1111")
    file = write("[http]\nport = 2222\n")
    assert load_settings(file).http.port == 1111
    assert load_settings(file, {"http": {"port": 3333}}).http.port == 3333


def test_secret_files_give_every_password_and_token(write, secret_files):
    secret_files(
        redis__password="one\n",
        cameras__top__password="two\r\n",
        http__token="three",
        inference__token="four\n",
        somebody_elses="five",
    )
    settings = load_settings(write())
    assert settings.redis.secret() == "one"
    assert settings.secrets() == {"one", "two", "three", "four"}


def test_the_environment_speaks_of_lists_and_sections_in_json(write, monkeypatch):
    monkeypatch.setenv("INSPECTOR_CAMERAS__TOP__REGION", "[0, 0, 100, 200]")
    monkeypatch.setenv("INSPECTOR_INSPECTION__THRESHOLDS", '{"pin-hole": 0.7}')
    monkeypatch.setenv("INSPECTOR_REDIS__PASSWORD", "[1]")
    settings = load_settings(write())
    assert settings.cameras["top"].region == (0, 0, 100, 200)
    assert settings.inspection.threshold_of("pin-hole") == 0.7
    assert settings.redis.secret() == "[1]", "a password is what it is"


def test_the_environment_can_add_a_camera(write, monkeypatch):
    monkeypatch.setenv("INSPECTOR_CAMERAS__SIDE__SOURCE", "sim:")
    monkeypatch.setenv("INSPECTOR_CAMERAS__SIDE__SIZE", "640x480")
    assert set(load_settings(write()).cameras) == {"side", "top"}


def test_names_of_other_programs_are_left_alone(write, monkeypatch):
    monkeypatch.setenv("INSPECTOR_CACHE", "/var/cache/inspector")
    monkeypatch.setenv("INSPECTOR_PORT_8090_TCP_ADDR", "10.0.0.1")  # Kubernetes makes such
    assert load_settings(write()).station.id == "plant1.smt2.aoi"


def test_a_byte_order_mark_is_skipped(write):
    file = write()
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_settings(file).station.id == "plant1.smt2.aoi"


# --- what is wrong, and where ---


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("REDIS__PASWORD", CANARY, 'unknown key "pasword"; did you mean "password"?'),
        ("STATION", "plant1", "found 'plant1'; expected a section of its own"),
        ("HTTP__PORT", "http", "found 'http'; expected a whole number"),
        (
            "INSPECTION__CODES",
            "open,short",
            'found \'open,short\'; expected a list, such as ["open", "short"]',
        ),
        (
            "CAMERAS__TOP__REGION",
            "0,0,1,1",
            "found '0,0,1,1'; expected four whole numbers in pixels: [x, y, width, height]",
        ),
        ("REDIS_URL", CANARY, "unknown name; did you mean INSPECTOR_REDIS__URL?"),
        ("REDSI__URL", CANARY, 'unknown key "redsi"; did you mean "redis"?'),
    ],
)
def test_a_wrong_variable_is_named_as_it_was_written(write, monkeypatch, variable, text, problem):
    monkeypatch.setenv(f"INSPECTOR_{variable}", text)
    assert problems_of(write()) == (f"environment: INSPECTOR_{variable}: {problem}",)


def test_a_wrong_secret_file_is_named_and_not_quoted(write, secret_files):
    folder = secret_files(redis__pasword=CANARY, http__token="\n", inference__url=f"a:{CANARY}@b")
    assert set(problems_of(write())) == {
        f'{folder}/redis.pasword: unknown key "pasword"; did you mean "password"?',
        f"{folder}/http.token: found nothing; expected a secret",
        (
            f"{folder}/inference.url: found 'a:***@b'; "
            'expected HOST:PORT of Triton\'s gRPC endpoint, or "embedded"'
        ),
    }


def test_secret_files_that_cannot_be_read_are_named(write, tmp_path, monkeypatch):
    file = write()
    end = "; expected a secret, named by $CREDENTIALS_DIRECTORY"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nowhere"))
    assert problems_of(file) == (
        f"{tmp_path}/nowhere: cannot be read: No such file or directory{end}",
    )
    (tmp_path / "http.token").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert problems_of(file) == (f"{tmp_path}/http.token: cannot be read: it is not UTF-8{end}",)


IDENTIFIER = "lower-case letters, digits, - and _, at most 32, a letter or digit first"
REGION = "expected four whole numbers in pixels: [x, y, width, height]"
REDIS = (
    "expected redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,…/SERVICE/DB,"
    ' redis+cluster://HOST:PORT,… or "embedded"'
)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            "[health]\nstalled_after_s = 5\n",
            ("health.stalled_after_s is 5.0, expected above inference.reply_timeout_s (5.0)"),
        ),
        ("[inspection]\nthreshold = 50\n", "inspection.threshold: found 50; expected at most 1"),
        ("[inspection]\nthreshold = nan\n", "inspection.threshold: found nan; expected at most 1"),
        ("[inspection]\ncodes = []\n", "inspection.codes: found []; expected at least 1 entry"),
        (
            "[inference]\ntransport = 'http'\n",
            "inference.transport: found 'http'; expected 'stream' or 'unary'",
        ),
        *(
            (
                f"[inference]\nurl = 'admin:12{mark}{CANARY}@192.0.2.1:8001'\n",
                (
                    "inference.url: found 'admin:***@192.0.2.1:8001'; "
                    'expected HOST:PORT of Triton\'s gRPC endpoint, or "embedded"'
                ),
            )
            for mark in "#/?"
        ),
        (
            "[inference]\nversion = 'latest'\n",
            "inference.version: found 'latest'; expected a number, or nothing for the newest",
        ),
        ("[inference]\nmodel = ''\n", "inference.model: found ''; expected at least 1 character"),
        (
            "[inference]\ntls = 'perhaps'\n",
            "inference.tls: found 'perhaps'; expected true or false",
        ),
        (
            "[inference]\nreply_timeout_s = 0\n",
            "inference.reply_timeout_s: found 0; expected more than 0",
        ),
        ("[http]\nport = 80.5\n", "http.port: found 80.5; expected a whole number"),
        ("[http]\nhost = '0.0.0.0'\ntoken = ''\n", "http.token: found nothing; expected a secret"),
        (
            f"[redis]\nurl = 'redis://:{CANARY}@h:port'\n",
            f"redis.url: found 'redis://***'; {REDIS}",
        ),
        (f"[redis]\nurl = 'redis//:{CANARY}@h'\n", f"redis.url: found 'redis//***'; {REDIS}"),
        (
            '[cameras.side]\nsource = 7\nsize = "64x64"\n',
            'cameras.side.source: found 7; expected text in quotes, such as "v4l2:/dev/video0"',
        ),
        (
            "[redis]\npassword = 20250101\n",
            "redis.password: found a secret; expected text in quotes",
        ),
        ("[journal]\ndirectory = 7\n", "journal.directory: found 7; expected a path in quotes"),
    ],
)
def test_a_wrong_value_is_told_in_words_of_the_line(write, more, problem):
    assert problems_of(write(more)) == (problem,)


@pytest.mark.parametrize(
    ("camera", "problem"),
    [
        (
            '[cameras]\nsource = "sim:"\n',
            (
                "cameras.source: found 'sim:'; expected a section for each"
                " camera, such as [cameras.top]"
            ),
        ),
        ("[cameras]\n", "cameras: found {}; expected at least 1 entry"),
        (
            "[[cameras]]\n",
            ("cameras: found [{}]; expected a section for each camera, such as [cameras.top]"),
        ),
        (CAMERA + "region = [0, 0, 240]\n", f"cameras.top.region: found [0, 0, 240]; {REGION}"),
        (
            CAMERA + "region = [0, 0, 240, '9']\n",
            f"cameras.top.region: found [0, 0, 240, '9']; {REGION}",
        ),
        (
            CAMERA + "reconnect_first_s = 9\n",
            ("cameras.top: reconnect_first_s is 9.0, expected at most reconnect_max_s (2.0)"),
        ),
        (
            CAMERA.replace('"1280x720"', "1280"),
            ('cameras.top.size: found 1280; expected WIDTHxHEIGHT in pixels, such as "1280x720"'),
        ),
        (
            CAMERA.replace("top", "a" * 33),
            f"cameras.{'a' * 33}: found '{'a' * 33}'; expected {IDENTIFIER}",
        ),
    ],
)
def test_a_wrong_camera_is_told_in_words_of_the_line(write, camera, problem):
    assert problems_of(write(camera=camera)) == (problem,)


@pytest.mark.parametrize(
    "source",
    [
        f"rtsp:/viewer:{CANARY}@192.0.2.1/x",
        f"rtsp:viewer:{CANARY}@192.0.2.1/x",
        f"rtsp://viewer:{CANARY} and more@192.0.2.1/x",
        f"rtsp://viewer:a@{CANARY}@192.0.2.1:99999/x",
        f"viewer:{CANARY}@192.0.2.1/x",
        f"http://viewer:{CANARY}@192.0.2.1/x",
        f"sim:?seed=1&password={CANARY}",
        f"rtsp://192.0.2.1:99999/x?user=viewer&pwd={CANARY}",
    ],
)
def test_no_refusal_shows_a_password(write, source):
    told = problems_of(write(camera=CAMERA.replace("rtsp://viewer@192.0.2.1/x", source)))
    assert len(told) == 1
    assert CANARY not in told[0]
    assert told[0].startswith("cameras.top.source: ")


def test_a_problem_is_one_line_whatever_was_written(write):
    (told,) = problems_of(write('[log]\nlevel = """very\nloud"""\n'))
    assert told == "log.level: found 'very\\nloud'; expected 'debug', 'info', 'warning' or 'error'"


# --- the files we ship ---


def keys_of(content: dict[str, Any], model: Any = Settings, prefix: str = "") -> set[str]:
    """Every key that the settings have, dotted; a camera's id is written as `top`."""
    found = set()
    for name, field in model.model_fields.items():
        annotation = str(field.annotation)
        inner = content.get(name)
        if name == "cameras":
            found |= keys_of({}, CameraSettings, "cameras.top.")
        elif name == "serial":
            found |= keys_of({}, SerialSettings, f"{prefix}serial.")
        elif "Settings" in annotation:
            found |= keys_of(inner or {}, field.annotation, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def uncommented(text: str) -> str:
    """The file with its commented-out keys and sections as if they were not."""
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_key = bare.split(" = ")[0].isidentifier() and " = " in bare
        lines.append(bare if is_key or bare.startswith("[") else line)
    return "\n".join(lines)


TABLES_OF_THE_USER = {
    "cameras.top.features",
    "inspection.codes_of",
    "inspection.thresholds",
    "products.by_serial",
}


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """By dotted key."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        is_table_of_the_user = f"{prefix}{name}" in TABLES_OF_THE_USER
        if isinstance(value, dict) and not is_table_of_the_user:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


WITHOUT_DEFAULT = {
    "station.site", "station.line", "station.name", "cameras.top.source", "cameras.top.size",
}  # fmt: skip
SHOWN_AS_EXAMPLE = {
    "cameras.top.password", "cameras.top.tls_ca", "cameras.top.region", "inference.input",
    "inference.mean", "inference.deviation", "inference.padding",
    "inference.tls_ca", "inference.token", "inspection.codes_of", "inspection.thresholds",
    "redis.username", "redis.password", "redis.sentinel_username", "redis.sentinel_password",
    "redis.tls_ca", "cameras.top.optics.mark",
    "http.token", "evidence.directory", "products.by_serial", "products.directory",
    "challenge.directory", "products.models",
}  # fmt: skip
"""Keys whose default is nothing."""


def test_the_settings_file_we_ship_loads_as_it_is():
    settings = load_settings(CONFIG / "inspector.toml")
    assert settings.redis == Settings.model_fields["redis"].default
    assert settings.inspection == Settings.model_fields["inspection"].default


def test_the_settings_file_we_ship_shows_every_key_with_its_default():
    text = (CONFIG / "inspector.toml").read_text(encoding="utf-8")
    shown = flat(tomllib.loads(uncommented(text)))
    assert "# [sinks]" in text  # whose sections have the keys of kinds that are installed apart
    assert shown.keys() == keys_of({}) - {"sinks"}
    settings = load_settings(CONFIG / "inspector.toml")
    # Without its section no serial is looked for; with it, these are the defaults.
    serial = {"serial": SerialSettings().model_dump(mode="json")}
    real = flat(settings.model_dump(mode="json")) | flat({"cameras": {"top": serial}})
    for key in shown.keys() - WITHOUT_DEFAULT - SHOWN_AS_EXAMPLE:
        is_secret = key == "redis.url"
        default = settings.redis.url.get_secret_value() if is_secret else real[key]
        assert shown[key] == default, key
        # 4 and 4.0 are equal, but a reader should see which kind a key takes.
        assert type(shown[key]) is type(default), key
    for key in SHOWN_AS_EXAMPLE:
        assert real[key] in (None, {}), f"{key} has a default"


def test_every_example_in_the_settings_file_we_ship_is_accepted(tmp_path):
    text = (CONFIG / "inspector.toml").read_text(encoding="utf-8")
    file = tmp_path / "all.toml"
    file.write_text(uncommented(text), encoding="utf-8")
    settings = load_settings(file)
    assert settings.cameras["top"].region == (280, 0, 720, 720)
    assert settings.inspection.threshold_of("short") == 0.6


def test_the_demo_needs_nothing_but_this_machine():
    settings = load_settings(CONFIG / "demo.toml")
    assert settings.inference.url == "embedded"
    assert settings.redis.is_embedded
    assert settings.cameras["top"].source.traits.simulated
