"""The commands. Exit codes: 0 done, 1 failed at run time, 2 usage, 78 wrong configuration."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import typer
from rich.console import Console

from inspector import __version__
from inspector.commands import dataset_app, product_app
from inspector.commands.model import app as model_app
from inspector.core import web_proxy
from inspector.core.errors import ConfigurationError, InspectorError
from inspector.ops import standard_error
from inspector.ops.log import configure_logging
from inspector.pipeline.loading import load_station
from inspector.settings.sections import LogSettings
from inspector.settings.settings import Settings

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: the systemd unit does not restart on it."""

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFAULT_CONFIG = Path("config/inspector.toml")
EventStream = Literal["units", "defects", "health", "reviews", "changes", "challenges"]

app = typer.Typer(
    help="One verdict per unit: cameras in, NVIDIA Triton inspects, Redis Streams out.",
    rich_markup_mode="rich" if all(s and s.isatty() for s in (sys.stdout, sys.stderr)) else None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(product_app.app, name="product")
app.add_typer(model_app.app, name="model")
app.add_typer(dataset_app.app, name="dataset")
log = structlog.get_logger()
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The TOML settings file.")]


def main() -> None:
    """Run a command; a user's mistake is one line, never a traceback."""
    web_proxy.keep_the_line_off_it()
    standard_error.take_over()
    code = _exit_code()
    with suppress(OSError):  # the reader of our output may be gone
        sys.stdout.flush()
    standard_error.flush()
    # Not sys.exit: gRPC's polling thread kills a process that Python is taking down around it
    # ("terminate called without an active exception", in 3 of 43 exits measured), and systemd
    # would see SIGABRT instead of 78. What has to be closed was closed before.
    os._exit(code)


def _exit_code() -> int:
    try:
        app()
    except SystemExit as ended:  # typer always ends this way
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except ConfigurationError as error:
        for problem in error.problems:
            errors.print(f"inspector: {problem}", style="red")
        return EXIT_CONFIGURATION
    except InspectorError as error:
        errors.print(f"inspector: {error}", style="red")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,  # noqa: FBT002
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """The service: cameras, Triton, events. SIGTERM drains, SIGHUP reads the settings again."""
    standard_error.let_libraries_never_wait()
    # systemd ends an unresponsive service with SIGABRT: then the log shows where it hangs.
    faulthandler.enable(2)
    settings = load_station(config)
    configure_logging(settings.log, settings.secrets())
    for old_name in settings.old_names:
        log.warning("setting renamed", key=old_name.place, now=old_name.now)
    from inspector.service.service import Service, stop_on_signals  # noqa: PLC0415 - cv2 and grpc load slowly

    async def serve() -> None:
        service = Service(settings, report=errors.print, config=config)
        stop_on_signals(service)
        await service.run()

    _run(serve())


@app.command(short_help="Inspects recorded footage; no frame is dropped.")
def replay(
    source: Annotated[str, typer.Argument(help="A video file or a folder of pictures.")],
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings of the line; else defaults.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the JSON lines go; - for stdout.")
    ] = None,
    pace: Annotated[Literal["recorded", "max"], typer.Option(help="Speed of the footage.")] = "max",
    camera: Annotated[
        str | None, typer.Option(help="The camera whose region and trigger to use; else the first.")
    ] = None,
    commands: Annotated[
        Path | None,
        typer.Option(help="JSON lines: commands as on the stream, each with its after_unit."),
    ] = None,
    changes: Annotated[
        Path | None,
        typer.Option(help="Where the answers to commands go; else among the units' lines."),
    ] = None,
    products: Annotated[
        Path | None,
        typer.Option(help="Read and keep products here; else in a folder that is removed."),
    ] = None,
) -> None:
    """Inspects recorded footage with the same stages; drops no frame, needs no Redis."""
    if commands is None and (changes or products):
        option = "--changes" if changes else "--products"
        raise typer.BadParameter("is for replays with --commands", param_hint=option)
    base = load_station(config) if config else None
    configure_logging(
        base.log if base else LogSettings(level="warning"), base.secrets() if base else ()
    )
    from inspector.commands.replay import Script, replay_command  # noqa: PLC0415

    script = Script(commands=commands, changes=changes, products=products) if commands else None
    raise typer.Exit(replay_command(source, base, out=out, pace=pace, camera=camera, script=script))


@app.command(short_help="A simulated line with Triton and Redis, on this machine.")
def demo(
    source: Annotated[
        str | None, typer.Option(help="A camera or footage to inspect; else a simulated line.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 until Ctrl-C.")] = 60.0,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Of the HTTP side.")] = None,
) -> None:
    """Runs everything on one machine: embedded Triton, embedded Redis, a simulated line."""
    from inspector.commands.demo import run_demo  # noqa: PLC0415

    configure_logging(LogSettings(level="error"))
    _run(run_demo(source, port, seconds))


@app.command(short_help="What is wrong with this station, and what to do.")
def check(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Checks settings, cameras, Triton, Redis, disk and clock; exit 1 if anything fails."""
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.check import doctor_command  # noqa: PLC0415

    raise typer.Exit(doctor_command(settings, as_json=as_json))


@app.command(short_help="Which cameras can be reached.")
def cameras(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(help="Network cameras to ask as well: a host, or rtsp://host/path."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Which cameras can be reached: USB, GenICam (asked on every network), RTSP by address."""
    from inspector.commands.cameras import list_cameras  # noqa: PLC0415

    configure_logging(LogSettings())
    try:
        list_cameras(addresses or (), as_json=as_json, remark=errors.print)
    except ValueError as refused:
        raise typer.BadParameter(str(refused)) from None


@app.command(short_help="Reads a stream of events as an MES should.")
def events(  # noqa: PLR0917 - options, given by name
    config: ConfigOption = DEFAULT_CONFIG,
    stream: Annotated[EventStream, typer.Option()] = "units",
    group: Annotated[
        str | None, typer.Option(help="Read as a member of this consumer group.")
    ] = None,
    consumer: Annotated[
        str | None,
        typer.Option(help="This member's name; keep it. By default derived from machine and user."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event per line.")] = False,  # noqa: FBT002
    as_cfx: Annotated[  # noqa: FBT002
        bool, typer.Option("--cfx", help="One IPC-CFX UnitsInspected per line; units only.")
    ] = False,
    redis_url: Annotated[
        str | None, typer.Option(help="Instead of the settings' redis.url.")
    ] = None,
) -> None:
    """Reads a stream as an MES should: group, reclaim, dedupe, gap detection."""
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.events import Form, show_events  # noqa: PLC0415

    if as_cfx and stream != "units":
        raise typer.BadParameter(f"--cfx is for units; --stream is {stream}")
    if consumer is not None and not (group and consumer.strip()):
        raise typer.BadParameter("--consumer names a member of a group: give --group, and a name")
    form: Form = "cfx" if as_cfx else "json" if as_json else "text"
    _run(
        show_events(
            settings,
            stream,
            group=group,
            consumer=consumer,
            follow=follow,
            form=form,
            redis_url=redis_url,
        )
    )


@app.command()
def triton(
    repository: Annotated[Path, typer.Option(help="The model repository.")] = Path(
        "model_repository"
    ),
    grpc_port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one.")] = 8001,
    http_port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one.")] = 8000,
    metrics_port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one.")] = 8002,
) -> None:
    """The embedded Triton in the foreground."""
    from inspector.commands.triton import serve_triton  # noqa: PLC0415

    configure_logging(LogSettings())
    _run(
        serve_triton(
            repository,
            grpc=grpc_port,
            http=http_port,
            metrics=metrics_port,
            report=errors.print,
        )
    )


@app.command(short_help="Shows known parts to the running service.")
def challenge(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    set_name: Annotated[
        str | None, typer.Option("--set", help="The set to show; else the one that is due.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="The person who shows the parts; else the current user.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Show the last part again.")] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="End the challenge that is running.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Only list the sets that are due.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = True,
) -> None:
    """Shows known parts to the running service; exit 0 if all were recognised, else 1."""
    if retry + abort + status > 1:
        raise typer.BadParameter("--retry, --abort and --status do not go together")
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands import challenge as command  # noqa: PLC0415
    from inspector.core.challenges import Step  # noqa: PLC0415

    if status:
        raise typer.Exit(command.status(settings))
    step = Step.RETRY if retry else Step.ABORT if abort else Step.BEGIN
    raise typer.Exit(command.challenge(settings, set_name=set_name, step=step, by=by, follow=wait))


@app.command(short_help="What this machine can run, measured.")
def bench(
    config: ConfigOption = DEFAULT_CONFIG,
    seconds: Annotated[
        float, typer.Option(min=1, help="Length of each of about 20 measurements.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Measures this machine: frames/s, added latency, overload, how many cameras."""
    settings = load_station(config)
    configure_logging(LogSettings(level="error"), settings.secrets())
    from inspector.commands.bench import run_bench  # noqa: PLC0415

    _run(run_bench(settings, seconds=seconds, as_json=as_json))


@app.command()
def schema(
    of: Annotated[
        Literal["units", "defects", "health", "reviews", "changes", "challenges", "settings"],
        typer.Argument(help="Of what."),
    ],
) -> None:
    """JSON Schema on standard output."""
    import orjson  # noqa: PLC0415

    from inspector.events.schemas import published_schema  # noqa: PLC0415

    content = Settings.model_json_schema() if of == "settings" else published_schema(of)
    document = {"$schema": JSON_SCHEMA_DIALECT, **content}
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
