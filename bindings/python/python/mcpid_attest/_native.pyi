import os
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, final

from typing_extensions import disjoint_base

__all__ = [
    "InMemoryNonceStore",
    "Judgement",
    "Layer",
    "MCPIdentity",
    "NonceStore",
    "NotVerified",
    "PublicKey",
    "Rejected",
    "Request",
    "Signer",
    "SigningKey",
    "Unavailable",
    "Verified",
    "Verifier",
    "__version__",
    "did_key",
    "inspect",
    "sign_request",
    "thumbprint",
]

__version__: str

_Path: TypeAlias = str | os.PathLike[str]
_Bytes: TypeAlias = str | bytes
_Headers: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[_Bytes, _Bytes]]

class _HttpxRequest(Protocol):
    """A request of httpx or httpx2, whose body was read."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> Any: ...
    @property
    def headers(self) -> Any: ...
    @property
    def content(self) -> bytes: ...

class NotVerified(Exception):
    """A request is not verified. The subclasses say why: Rejected or Unavailable."""

class Rejected(NotVerified):
    """The request was judged and rejected."""

    step: int
    step_name: str
    code: str
    public_code: str
    message: str
    numbers: dict[str, int | str]

class Unavailable(NotVerified):
    """The request could not be judged: refuse it."""

    message: str
    retry_after: int | None

@final
class PublicKey:
    """A public key: what servers trust."""

    @staticmethod
    def parse(data: _Bytes) -> PublicKey:
        """Reads one public key: a JWK, SPKI PEM, an OpenSSH line, a did:key, or 32 bytes in hex."""

    @property
    def key_id(self) -> str:
        """The key's id: the RFC 7638 thumbprint, 43 characters."""

    @property
    def did(self) -> str:
        """The key as a did:key."""

    @property
    def name(self) -> str | None:
        """The name that came with the key, if one did."""

    def jwk(self) -> str:
        """Returns the key as a JWK (RFC 7517), in JSON."""

    def jwks(self) -> str:
        """Returns a JWK set with this one key, in JSON: a trust file that trusts it."""

    def pem(self) -> str:
        """Returns the key as SPKI PEM (RFC 8410)."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SigningKey:
    """A key that signs requests. Its secret is never shown, and it cannot be copied or pickled."""

    @staticmethod
    def generate(
        *, kind: Literal["ed25519", "p256"] = "ed25519", name: str | None = None
    ) -> SigningKey:
        """Makes a new key from the operating system's random numbers."""

    @staticmethod
    def load(
        path: _Path,
        *,
        passphrase: _Bytes | None = None,
        public_key: PublicKey | None = None,
    ) -> SigningKey:
        """Loads the key that path names: a keyfile, ssh-agent:ID, exec:PROGRAM ARG..., or pkcs11:URI.

        The passphrase of a token is its PIN. The key must be public_key, if that is given; a program
        needs it.
        """

    @staticmethod
    def from_agent(id: str = "") -> SigningKey:
        """Returns the key in the user's ssh-agent with this fingerprint, key id or comment."""

    @staticmethod
    def from_private(data: _Bytes, *, name: str | None = None) -> SigningKey:
        """Reads a private key of another program: JWK, PKCS#8 PEM, OpenSSH, or a seed."""

    def save(
        self,
        path: _Path,
        *,
        passphrase: _Bytes | None = None,
        encrypt: bool = True,
        name: str | None = None,
        replace: bool = False,
    ) -> None:
        """Writes the key into a new keyfile of mode 0600, encrypted with the passphrase."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""

    @property
    def key_id(self) -> str:
        """The key's id: the RFC 7638 thumbprint, 43 characters."""

    @property
    def did(self) -> str:
        """The key as a did:key."""

    @property
    def name(self) -> str | None:
        """The name in the keyfile, or the comment in the agent; None for a key without either."""

    @property
    def signs_elsewhere(self) -> bool:
        """True if another program signs. It may ask a person, so a signature can take minutes."""

    def __reduce__(self) -> NoReturn: ...
    def __reduce_ex__(self, protocol: Any, /) -> NoReturn: ...
    def __copy__(self) -> NoReturn: ...
    def __deepcopy__(self, memo: Any, /) -> NoReturn: ...

@final
class Signer:
    """Signs requests with one key."""

    def __new__(
        cls,
        key: SigningKey,
        *,
        profile: str = "mcp",
        client_id: str | None = None,
        ttl: int | Literal["none"] | None = None,
        label: str | None = None,
        replace: bool = False,
    ) -> Signer: ...
    @property
    def signs_elsewhere(self) -> bool:
        """True if another program signs. It may ask a person, so a signature can take minutes."""

    def sign(
        self,
        method: str,
        url: Any,
        headers: _Headers | None = None,
        body: _Bytes | None = None,
        *,
        created: int | None = None,
    ) -> dict[str, str]:
        """Signs a request, and returns the headers to set on it."""

def sign_request(
    key: SigningKey,
    method: str,
    url: Any,
    headers: _Headers | None = None,
    body: _Bytes | None = None,
    *,
    profile: str = "mcp",
    client_id: str | None = None,
    ttl: int | Literal["none"] | None = None,
    label: str | None = None,
    replace: bool = False,
    created: int | None = None,
) -> dict[str, str]:
    """Signs one request, and returns the headers to set on it."""

@final
class Request:
    """A request as a server received it: method, target, headers, body."""

    def __new__(
        cls,
        method: str,
        target: str,
        headers: _Headers | None = None,
        body: _Bytes | None = None,
    ) -> Request: ...
    @property
    def method(self) -> str:
        """The method, as received."""

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """Names in lower case and values, in the order received."""

    @property
    def body(self) -> bytes:
        """The body."""

@final
class Verifier:
    """Judges requests in twelve steps."""

    def __new__(
        cls,
        *,
        origin: str | Iterable[str],
        trust: _Path | PublicKey | Iterable[_Path] | Iterable[PublicKey] | None = None,
        nonce_store: Any = None,
        profile: str = "mcp",
        timestamp_window_seconds: int | None = None,
        ahead_seconds: int | None = None,
        require: Sequence[str] | None = None,
        allow_uncovered: Sequence[str] | None = None,
        max_body: int | None = None,
        now: int | None = None,
    ) -> Verifier: ...
    def verify(self, request: Request | _Bytes | _HttpxRequest) -> Verified:
        """Judges a request, and returns what was proven. Raises Rejected or Unavailable."""

    def verify_async(
        self, request: Request | _Bytes | _HttpxRequest
    ) -> Coroutine[Any, Any, Verified]:
        """As verify, for asyncio: a thread of its pool waits for the nonce store."""

@final
class Verified:
    """What a request proves: which key signed it, and when."""

    @property
    def status(self) -> Literal["verified"]:
        """Always verified, as in the status of the middleware."""

    @property
    def key_id(self) -> str:
        """The id of the key: the RFC 7638 thumbprint."""

    @property
    def did(self) -> str:
        """The key as a did:key."""

    @property
    def name(self) -> str | None:
        """The name of the key in the trust file."""

    @property
    def tag(self) -> str | None:
        """The stable client id."""

    @property
    def label(self) -> str:
        """The label of the signature, which has no meaning."""

    @property
    def created(self) -> int | None:
        """When the signature was made, in Unix seconds."""

    @property
    def now(self) -> int:
        """As of when the request was judged, in Unix seconds."""

    @property
    def replay(self) -> str:
        """What the nonce store said: fresh, unchecked, replayed or below_floor."""

def inspect(
    request: Request | _Bytes | _HttpxRequest, *, now: int | None = None
) -> list[dict[str, Any]]:
    """Returns what each signature of a request claims. Nothing of it is proven."""

def thumbprint(key: SigningKey | PublicKey | _Bytes) -> str:
    """Returns the id of a key: the RFC 7638 thumbprint."""

def did_key(key: SigningKey | PublicKey | _Bytes) -> str:
    """Returns a key as a did:key."""

@final
class MCPIdentity:
    """The verdict on one request, as the application finds it in scope["mcp_identity"]."""

    @property
    def status(self) -> Literal["verified", "unsigned", "unknown_key", "invalid", "unavailable"]:
        """Only "verified" proves a key."""

    @property
    def did(self) -> str | None:
        """The key as a did:key."""

    @property
    def key_id(self) -> str | None:
        """The RFC 7638 thumbprint of the key."""

    @property
    def name(self) -> str | None:
        """The name of the key in the trust file."""

    @property
    def tag(self) -> str | None:
        """The stable client id."""

    @property
    def created(self) -> int | None:
        """When the signature was made, in Unix seconds."""

    @property
    def touch(self) -> Literal["present", "verified"] | None:
        """Whether a person touched a security key for this request; None if not."""

    @property
    def reason(self) -> str | None:
        """Why the request is not verified, such as "expired"; None if it is."""

    @property
    def would_refuse(self) -> bool:
        """Whether strict mode would have refused the request."""

    def __reduce__(self) -> NoReturn: ...

@disjoint_base
class NonceStore:
    """A store of used nonces, by its URL: memory:, sqlite:PATH, redis://HOST."""

    @classmethod
    def open(
        cls, url: str, *, allow_evicting_store: bool = False, raise_retention: bool = False
    ) -> NonceStore:
        """Names the store at a URL. It is opened by its first user."""

    def __reduce__(self) -> NoReturn: ...

@final
class InMemoryNonceStore(NonceStore):
    """Used nonces in the memory of this process, forgotten when it ends. For servers of one process."""

    def __new__(cls, max: int | None = None) -> InMemoryNonceStore: ...

_RefusalParts: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]

@final
class Layer:
    """The verifying layer of one middleware."""

    def __new__(
        cls,
        *,
        trust: Any,
        origin: str | Iterable[str],
        nonce_store: str | NonceStore | None,
        mode: str,
        strict: list[str],
        permissive: list[str],
        touch: list[str],
        profile: str,
        path: str | None,
        max_body: int | None,
        refuse_with: int,
        realm: str | None,
        audit: _Path | None,
        audit_key: _Path | SigningKey | None,
        window: int | None,
        ahead: int | None,
        require: list[str],
        allow_uncovered: list[str],
        target_prefix: str,
        dev: bool,
        budget: int | None,
    ) -> Layer: ...
    @property
    def has_news(self) -> bool:
        """Whether there are warnings for the application's log."""

    def judge(self, scope: Any) -> tuple[int, Judgement] | None:
        """Judges the head of a request; None for a request to another path."""

    def passed(self, judgement: Judgement) -> tuple[MCPIdentity | None, bool]:
        """Returns the identity of a request that got through, and has_news."""

    def unjudged_headers(self, scope: Any) -> list[tuple[bytes, bytes]] | None:
        """Returns the fields without those of a gateway, or None if there are none of these."""

    def is_endpoint(self, scope: Any) -> bool:
        """Whether a websocket at this scope could be for the endpoint."""

    def take_news(self) -> list[str]:
        """Takes the warnings."""

    def close(self) -> None:
        """Writes the last checkpoint of the audit log, and ends it."""

@final
class Judgement:
    """The judgement of one request, which the event loop drives."""

    def needs(self) -> tuple[list[tuple[bytes, bytes]] | None, bool, bool]:
        """Changed fields, whether identity coding is asked for, whether start is."""

    @property
    def checks_answer(self) -> bool:
        """Whether start must be asked about the answer of the application."""

    @property
    def listens(self) -> bool:
        """Whether listen wants the body of the answer."""

    def poll(self) -> int:
        """Goes on, and returns the state."""

    def feed(self, message: Any) -> int:
        """Takes a message of receive, goes on, and returns the state."""

    def wait(self, call_soon: Any, resolve: Any, future: Any) -> bool:
        """Resolves the future when it is worth to poll; False if it is already."""

    def take_claim(self) -> tuple[str, str, int]:
        """Takes the question for the application's own store."""

    def answer_claim(self, fresh: bool, floor: int, error: str | None = None) -> int:
        """Gives the answer of the application's own store, and returns the state."""

    def body(self) -> tuple[bytes, bool] | None:
        """The next part of the body, and whether there is more; None if all was handed on."""

    def start(self, status: int, headers: Any) -> tuple[_RefusalParts | None, str | None]:
        """Decides about the application's answer, and says what became of its session."""

    def listen(self, body: bytes, more: bool) -> None:
        """Reads a part of the answer as it passes."""

    def refusal(self) -> tuple[_RefusalParts, str | None, bool]:
        """The refusal, the line for the log, and whether the request could not be judged."""

    def close(self) -> None:
        """Gives up the request, and frees what it holds."""
