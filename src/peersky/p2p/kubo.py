"""Whether a Kubo daemon answers at an address: what "Test connection" in the settings asks."""

from __future__ import annotations

import ssl
from typing import Any, Final

import httpx

from peersky.core.errors import BackendFailed
from peersky.core.origins import parse_origin

PATIENCE_S: Final = 5.0
_ADVICE: Final = "start the daemon (ipfs daemon), or correct the address"


async def kubo_version(rpc_url: str) -> str:
    """The version of the Kubo daemon whose RPC is at an address.

    Kubo's RPC takes POST only, and tells a browser's ``Origin`` apart; this sends none. See Kubo's documentation of
    ``/api/v0/version``.

    Raises:
        BackendFailed: nobody answers there (``unreachable``), or somebody who is no Kubo (``backend_error``).
    """
    origin = parse_origin(rpc_url)
    url = f"{rpc_url.rstrip('/')}/api/v0/version"
    # Reading the certificates takes a moment, and plain http needs none.
    verify: Any = True if origin.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with httpx.AsyncClient(verify=verify, timeout=PATIENCE_S, trust_env=False) as client:
            reply = await client.post(url)
    except httpx.HTTPError as error:
        raise BackendFailed(f"No Kubo answers at {origin}; {_ADVICE}.") from error
    if reply.status_code in (401, 403):
        raise BackendFailed(f"Kubo at {origin} refuses PeerSky; allow it in Kubo's API settings.", reason="refused")
    try:
        version = reply.json()["Version"] if reply.is_success else None
    except (ValueError, KeyError, TypeError):
        version = None
    if not isinstance(version, str):
        raise BackendFailed(f"What answers at {origin} is no Kubo RPC; {_ADVICE}.", reason="backend_error")
    return version[:40]
