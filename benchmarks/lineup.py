"""Who takes part in `make bench`."""

from __future__ import annotations

from benchmarks.contest import Contender
from benchmarks.perf_analyzer import Asking

PLAIN = "benchmarks.contenders.plain"
OURS = "benchmarks.contenders.ours"
NULL, SHIPPED = "null_inspection", "pcb_inspection"
"""The model that does nothing, and the ensemble."""


def contenders(null: bool) -> list[Contender]:  # noqa: FBT001 - one of two models
    """Everybody, for the model that does nothing or for the shipped one."""
    model = NULL if null else SHIPPED
    fp32 = "null_fp32" if null else "pcb_detector"
    yolo = "null_yolo" if null else "pcb_yolo"
    # So that each runs for about as long where the client decides.
    slow, medium = (0.1, 0.3) if null else (1.0, 1.0)
    ours = [
        Contender(name=f"inspector, {told}", module=OURS, model=model, way=way, takes_picture=False)
        for way, told in (
            ("shared_memory", "shared memory"),
            ("single", "shared memory, one frame per request"),
            ("inline", "inline"),
        )
    ]
    plain = [
        Contender(name=name, module=PLAIN, model=used, way=way, share=share)
        for name, used, way, share in (
            ("tutorial, gRPC FP32, unary", fp32, "tutorial_grpc_fp32", slow),
            ("async unary, 4 in flight", model, "async_unary_4", medium),
            ("one aio stream, inline", model, "aio_stream_inline", medium),
            ("multiprocessing.Queue", model, "multiprocessing_queue", slow),
        )
    ]
    http = Contender(
        name="tutorial, HTTP FP32",
        module=PLAIN,
        model=fp32,
        way="tutorial_http_fp32",
        environment="tutorial_http",
        http=True,
        share=slow,
    )
    foreign = [
        Contender(
            name=name,
            module=f"benchmarks.contenders.{environment}.contender",
            model=used,
            environment=environment,
            share=share,
        )
        for name, environment, used, share in (
            ("Ultralytics, grpc://", "ultralytics", yolo, slow),
            ("Roboflow InferencePipeline", "roboflow", model, medium),
        )
    ]
    return [*ours, *plain, http, *foreign]


def ceilings(null: bool) -> list[tuple[str, Asking]]:  # noqa: FBT001 - one of two models
    """The load generator, in the ways that may be its best."""
    model, most = (NULL, 8) if null else (SHIPPED, 2)
    ways = [
        ("streaming", True, False, most, 1),
        ("streaming, shared memory", True, True, most, 1),
        ("unary async, shared memory", False, True, most, 1),
        ("streaming, shared memory, batch 4", True, True, 2, 4),
    ]
    return [
        (
            f"perf_analyzer, {told}",
            Asking(model=model, streaming=stream, shared_memory=shared, concurrency=n, batch=batch),
        )
        for told, stream, shared, n, batch in ways
    ]
