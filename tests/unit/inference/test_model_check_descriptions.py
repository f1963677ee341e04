"""What Triton says of itself is read or refused in a line, whatever it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError
from inspector.embedded.triton.log import failure_reason, parse_log_line
from inspector.inference.description import ModelDescription, TensorDescription
from inspector.inference.model_check import check_model
from inspector.pipeline.terms import model_terms
from tests.unit.inference.test_model_check import settings

tensors = st.builds(
    TensorDescription,
    name=st.sampled_from(["image", "boxes", "scores", "classes", "count", "output", ""]),
    dtype=st.sampled_from(["UINT8", "FP32", "INT32", "BYTES", "FP16", "?", ""]),
    shape=st.lists(st.integers(-3, 9000), max_size=5).map(tuple),
)
descriptions = st.builds(
    ModelDescription,
    name=st.text(max_size=5),
    version=st.text(max_size=3),
    inputs=st.lists(tensors, max_size=3),
    outputs=st.lists(tensors, max_size=5),
    max_batch_size=st.integers(-2, 20),
    decoupled=st.booleans(),
    parameters=st.dictionaries(
        st.sampled_from(["score_threshold", "labels", "color", "colour", "x"]),
        st.text(max_size=8),
        max_size=3,
    ),
)
SETTINGS = settings()


@given(descriptions)
def test_any_description_gives_a_usable_model_or_one_sentence(description: ModelDescription):
    try:
        spec = check_model(description, model_terms(SETTINGS).needs)
    except ConfigurationError as refused:
        problems = refused.problems
    else:
        problems = ()
        assert spec.input.most >= 0
        assert min(spec.input.width_px, spec.input.height_px) >= 1
        assert spec.reader.outputs
    assert not [problem for problem in problems if not problem or "\n" in problem]


@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_line_of_its_log_can_be_read(lines: list[str]):
    for line in lines:
        found = parse_log_line(line)
        assert found is None or found.level in ("debug", "info", "warning", "error")
    assert "\n" not in failure_reason(lines)
