"""Graphs that follow each other become one, with the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from inspector.embedded.triton.one_graph import GraphStep, NotOneGraphError, one_graph

SIDE = 8
WHITE = np.array(255, np.float32)


def tensor(name: str, kind: int = TensorProto.FLOAT, channels: int = 3) -> Any:
    return helper.make_tensor_value_info(name, kind, ["n", channels, SIDE, SIDE])


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], opset: int = 13, **constants: Any
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "part",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def preprocessing() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["picture"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["images"]),
    ]
    return model(nodes, [tensor("picture", TensorProto.UINT8)], [tensor("images")], white=WHITE)


def network(*, step: float = 1 / 255, kind: Any = np.uint8, read_twice: bool = False) -> Any:
    """Quantises its input; its tensors are named as some of the other parts are inside."""
    nodes = [
        helper.make_node("QuantizeLinear", ["seen", "step", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["white"]),
        helper.make_node("Mul", ["white", "factor"], ["raw"]),
    ]
    if read_twice:
        nodes[2] = helper.make_node("Mul", ["white", "seen"], ["raw"])
    constants = {
        "step": np.float32(step),
        "zero": np.array(0, kind),
        "factor": np.array([0.5, 3, 0.1], np.float32).reshape(3, 1, 1),
    }
    return model(nodes, [tensor("seen")], [tensor("raw")], 17, **constants)


def postprocessing() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Softmax", ["raw"], ["levels"], axis=1),
        helper.make_node("ReduceMax", ["levels"], ["best"], axes=[1], keepdims=1),
    ]
    return model(nodes, [tensor("raw")], [tensor("levels"), tensor("best", channels=1)])


def steps(seen: onnx.ModelProto | None = None) -> list[GraphStep]:
    return [
        GraphStep(
            name="before",
            model=preprocessing(),
            inputs={"picture": "image"},
            outputs={"images": "between"},
        ),
        GraphStep(
            name="network",
            model=seen or network(),
            inputs={"seen": "between"},
            outputs={"raw": "candidates"},
        ),
        GraphStep(
            name="after",
            model=postprocessing(),
            inputs={"raw": "candidates"},
            outputs={"best": "score"},
        ),
    ]


def run(graph: onnx.ModelProto, outputs: list[str], **inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(outputs, inputs))


def one_after_another(parts: list[GraphStep], picture: Any) -> Any:
    [images] = run(parts[0].model, ["images"], picture=picture)
    [raw] = run(parts[1].model, ["raw"], seen=images)
    return run(parts[2].model, ["best"], raw=raw)[0]


def kinds(graph: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in graph.graph.node]


@pytest.fixture
def picture() -> Any:
    every = np.arange(256, dtype=np.uint8)
    return np.resize(every, (2, 3, SIDE, SIDE))


def test_it_computes_what_the_steps_compute_under_the_names_between_them(picture):
    whole = one_graph(steps())
    onnx.checker.check_model(whole)
    assert [t.name for t in whole.graph.input] == ["image"]
    assert [t.name for t in whole.graph.output] == ["score"]
    [found] = run(whole, ["score"], image=picture)
    assert found.tobytes() == one_after_another(steps(), picture).tobytes()


def test_the_steps_stay_as_they_are():
    parts = steps()
    before = [part.model.SerializeToString() for part in parts]
    one_graph(parts)
    assert [part.model.SerializeToString() for part in parts] == before


def test_bytes_enter_a_network_that_quantises_them_to_what_they_were(picture):
    whole = one_graph(steps())
    assert not {"Cast", "Div", "QuantizeLinear"} & set(kinds(whole))
    assert "before/white" not in {constant.name for constant in whole.graph.initializer}
    [found] = run(whole, ["score"], image=picture)
    assert found.tobytes() == one_after_another(steps(), picture).tobytes()


@pytest.mark.parametrize(
    "seen",
    [network(step=1 / 254), network(kind=np.int8), network(read_twice=True)],
    ids=["another step", "signed", "read by another node"],
)
def test_any_other_beginning_of_a_network_stays(seen, picture):
    whole = one_graph(steps(seen))
    assert {"Cast", "Div", "QuantizeLinear"} <= set(kinds(whole))
    [found] = run(whole, ["score"], image=picture)
    assert found.tobytes() == one_after_another(steps(seen), picture).tobytes()


def test_floats_of_an_input_are_no_bytes():
    graph = preprocessing()
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    parts = steps()
    parts[0] = GraphStep(
        name="before", model=graph, inputs={"picture": "image"}, outputs={"images": "between"}
    )
    assert "QuantizeLinear" in kinds(one_graph(parts))


def test_a_step_that_needs_more_than_the_one_before_gives_is_refused():
    parts = steps()
    parts[2] = GraphStep(
        name="after", model=postprocessing(), inputs={"raw": "image"}, outputs={"best": "score"}
    )
    with pytest.raises(NotOneGraphError, match="after needs image, which the step before"):
        one_graph(parts)


def test_tensors_that_a_graph_does_not_have_are_refused():
    parts = steps()
    parts[1] = GraphStep(
        name="network", model=network(), inputs={"seem": "between"}, outputs={"raw": "candidates"}
    )
    with pytest.raises(
        NotOneGraphError, match="the inputs of network are seen, but it is given seem"
    ):
        one_graph(parts)
    parts[1] = GraphStep(
        name="network", model=network(), inputs={"seen": "between"}, outputs={"row": "candidates"}
    )
    with pytest.raises(NotOneGraphError, match="network has no output row"):
        one_graph(parts)


def test_weights_in_files_of_their_own_are_refused():
    seen = network()
    set_external_data(seen.graph.initializer[2], "weights.bin")
    with pytest.raises(NotOneGraphError, match="network keeps its weights in files of their own"):
        one_graph(steps(seen))
