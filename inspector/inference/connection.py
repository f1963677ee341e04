"""Connections to Triton: address, TLS, login, and the text of its errors."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from inspector.settings.sections import AUTHORIZATION, InferenceSettings

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    # Without this gRPC sends every call through the `http_proxy` of the environment, even those to
    # 127.0.0.1, and a company's proxy answers in place of Triton.
    ("grpc.enable_http_proxy", 0),
    # Else a new client may get the TCP connection of the one before, which a firewall forgot.
    ("grpc.use_local_subchannel_pool", 1),
    # tritonclient's own options, which ours replace: a batch is larger than gRPC's 4 MB.
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
]


def connect_to(url: str, inference: InferenceSettings) -> Any:
    """Make a separate client for each connection. Event loop only."""
    ca = str(inference.tls_ca) if inference.tls_ca else None
    return InferenceServerClient(
        url, ssl=inference.tls, root_certificates=ca, channel_args=CHANNEL_OPTIONS
    )


def login_of(inference: InferenceSettings) -> dict[str, str] | None:
    """The headers of every call; None if no token is set."""
    if inference.token is None:
        return None
    token, header = inference.token.get_secret_value(), inference.token_header
    return {header: f"Bearer {token}" if header == AUTHORIZATION else token}


def server_words(error: Exception) -> str:
    """The message of a server that refused or failed, on one line."""
    if isinstance(error, InferenceServerException):
        text = error.message() or error.status() or ""
    else:
        details = getattr(error, "details", None)
        text = details() if callable(details) else str(error)
    return " ".join(str(text or type(error).__name__).split())
