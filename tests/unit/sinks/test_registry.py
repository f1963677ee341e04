from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from inspector.sinks.kind import SinkKind
from inspector.sinks.registry import kind_named


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        (None, "cannot be imported"),
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("class Kind: pass", "is no SinkKind"),
    ],
)
def test_a_kind_that_cannot_be_used_is_refused_in_one_sentence(
    module: str | None, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if module is not None:
        (tmp_path / "broken_sink.py").write_text(module)
    described = tmp_path / "broken_sink-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_sink\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[inspector.sinks]\nbroken = broken_sink:Kind\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=cause) as refusal:
        kind_named("broken")
    assert "\n" not in str(refusal.value)
    assert "broken_sink:Kind" in str(refusal.value)


def test_a_kind_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no kind of sink 'kafka'"):
        kind_named("kafka")


def test_the_secrets_of_a_sink_are_all_its_fields_that_are_secret() -> None:
    class Broker(SinkKind):
        address: str
        password: SecretStr

    broker = Broker(kind="broker", address="here", password=SecretStr("hunter2"))
    assert list(broker.secrets()) == ["hunter2"]
    assert "hunter2" not in repr(broker)
