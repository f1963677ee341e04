"""How Triton is reached: address, TLS, login."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc.aio import InferenceServerClient

from inspector.sections import AUTHORIZATION, InferenceSettings


def connect_to(url: str, inference: InferenceSettings) -> Any:
    """A client of its own for each connection. Event loop only."""
    ca = str(inference.tls_ca) if inference.tls_ca else None
    return InferenceServerClient(url, ssl=inference.tls, root_certificates=ca)


def login_of(inference: InferenceSettings) -> dict[str, str] | None:
    """What goes with every call; None where no token is set."""
    if inference.token is None:
        return None
    token, header = inference.token.get_secret_value(), inference.token_header
    return {header: f"Bearer {token}" if header == AUTHORIZATION else token}
