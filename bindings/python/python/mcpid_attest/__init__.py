"""Proof of who authorised exactly this MCP request: signatures beside OAuth.

A client signs each request with its key (:class:`SignatureAuth`, :func:`sign_request`), and a server
verifies the signature and knows the key (:class:`MCPIdentityMiddleware`, :class:`Verifier`). Every rule
is in the native module, which is the engine of the program ``mcpid``.
"""

from typing import TYPE_CHECKING

from ._native import (
    InMemoryNonceStore,
    MCPIdentity,
    NonceStore,
    NotVerified,
    PublicKey,
    Rejected,
    Request,
    Signer,
    SigningKey,
    Unavailable,
    Verified,
    Verifier,
    __version__,
    did_key,
    inspect,
    sign_request,
    thumbprint,
)
from .asgi import MCPIdentityMiddleware, NonceStoreProtocol
from .identity import generate_identity, load_identity, save_identity

if TYPE_CHECKING:
    from .client import RedirectRefused, SignatureAuth, SigningTransport

__all__ = [
    "InMemoryNonceStore",
    "MCPIdentity",
    "MCPIdentityMiddleware",
    "NonceStore",
    "NonceStoreProtocol",
    "NotVerified",
    "PublicKey",
    "RedirectRefused",
    "Rejected",
    "Request",
    "SignatureAuth",
    "Signer",
    "SigningKey",
    "SigningTransport",
    "Unavailable",
    "Verified",
    "Verifier",
    "__version__",
    "did_key",
    "generate_identity",
    "inspect",
    "load_identity",
    "save_identity",
    "sign_request",
    "thumbprint",
]

# Imported when first used: a server needs no HTTP client.
_CLIENT = frozenset({"RedirectRefused", "SignatureAuth", "SigningTransport"})


def __getattr__(name: str) -> object:
    if name in _CLIENT:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
