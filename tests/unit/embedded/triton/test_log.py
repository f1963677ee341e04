import pytest

from inspector.embedded.triton.log import LogLine, failure_reason, parse_log_line

# Every line below was written by tritonserver 2.51.


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "I1122 17:18:49.020423 10916 model_lifecycle.cc:839] \"successfully loaded 'pick'\"",
            LogLine("info", "successfully loaded 'pick'", "model_lifecycle.cc:839"),
        ),
        (
            'E1122 17:20:37.4 12115 backend_model.cc:692] "ERROR: no\\n\\nAt:\\n  say \\"x\\""',
            LogLine("error", 'ERROR: no\n\nAt:\n  say "x"', "backend_model.cc:692"),
        ),
        (
            "E1122 17:19:22.632629169   11216 chttp2_server.cc:1060]    UNKNOWN:No address",
            LogLine("error", "UNKNOWN:No address", "chttp2_server.cc:1060"),
        ),
        (
            'W1122 17:18:49.1 10916 other.cc:1] "the disk is slow"',
            LogLine("warning", "the disk is slow", "other.cc:1"),
        ),
        (
            "[libprotobuf ERROR /tmp/b/text_format.cc:337] Error parsing it: 2:61: no",
            LogLine("error", "Error parsing it: 2:61: no", "text_format.cc:337"),
        ),
        (
            "error: creating server: Internal - failed to load all models",
            LogLine("error", "error: creating server: Internal - failed to load all models"),
        ),
        ("a Python model's print", LogLine("info", "a Python model's print")),
    ],
)
def test_a_log_line_keeps_its_level_and_loses_its_prefix(text, line):
    assert parse_log_line(text + "\n") == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+-------+---------+--------+",
        "| pcb_detector   | 1       | READY  |",
        "I1122 17:18:49.169217 10916 server.cc:604] ",
    ],
)
def test_tables_are_not_logged(text):
    assert parse_log_line(text) is None


@pytest.mark.parametrize(
    "text",
    [
        'W1122 17:18:46.4 1 p.cc:273] "Unable to allocate pinned system memory, pinned memory"',
        (
            'W1122 18:28:45.4 1 pinned_memory_manager.cc:170] "failed to allocate pinned system '
            'memory: no pinned memory pool, falling back to non-pinned system memory"'
        ),
        'E1122 17:18:46.4 1 server.cc:241] "CudaDriverHelper has not been initialized."',
        'E1122 17:18:49.1 1 e.cc:1468] "unable to create stream for pcb_inspection: CUDA driver"',
        "Error: Failed to initialize NVML",
        'W1122 17:18:49.1 1 metrics.cc:798] "DCGM unable to start: DCGM initialization error"',
    ],
)
def test_what_every_machine_without_a_gpu_says_is_no_warning(text):
    line = parse_log_line(text)
    assert line is not None
    assert line.level == "debug"


def test_the_model_that_failed_is_the_reason_and_not_the_summary():
    errors = [
        "ERROR: Failed to create instance: TritonModelException: broken",
        "failed to load 'pick' version 1: Internal: TritonModelException: pick: broken\n\nAt:\n  x",
        "error: creating server: Internal - failed to load all models",
    ]
    assert failure_reason(errors) == "failed to load 'pick' version 1: pick: broken"


def test_an_ensemble_whose_steps_do_not_fit_is_the_reason():
    told = (
        "Invalid argument: in ensemble pcb_inspection, ensemble tensor output: inconsistent shape: "
        "[-1,25200,11] is inferred from model pcb_detector while [-1,25200,8] is inferred from "
        "model postprocessing"
    )
    summary = "error: creating server: Internal - failed to load all models"
    assert failure_reason([told, summary]) == told


def test_an_unreadable_configuration_is_the_reason_with_its_line_and_column():
    errors = [
        "Error parsing text-format inference.ModelConfig: 2:61: Expected integer, got: many",
        "Poll failed for model directory 'pick': failed to read text proto from config.pbtxt",
        "error: creating server: Internal - failed to load all models",
    ]
    assert failure_reason(errors) == (
        "Poll failed for model directory 'pick': failed to read text proto from config.pbtxt: "
        "2:61: Expected integer, got: many"
    )


def test_the_summary_is_the_reason_where_nothing_better_is_known():
    summary = "error: creating server: Internal - failed to stat file models"
    assert failure_reason(["something odd", summary]) == "failed to stat file models"
    assert failure_reason(["something odd", "the last"]) == "the last"
    assert failure_reason([]) == ""
