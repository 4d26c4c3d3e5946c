"""What the tests share: a key, a signed request, and the time at which it was signed."""

import importlib
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest

from mcpid_attest import Request, SigningKey, Verifier, sign_request

NOW = 1_795_773_600
ORIGIN = "https://mcp.example.com"
URL = f"{ORIGIN}/mcp"
BODY = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}}
).encode()
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own settings must not decide what a test sees."""
    for name in ("MCPID_TRUST", "MCPID_KEY", "MCPID_NONCES", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey.generate(name="alice")


@pytest.fixture(scope="session", autouse=True)
def new_store(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> tuple[str, float]:
    """A store in a file, made when the tests begin: a new store refuses for some seconds."""
    url = f"sqlite:{tmp_path_factory.mktemp('store') / 'nonces.db'}"
    Verifier(trust=key.public_key, origin=ORIGIN, nonce_store=url)
    return url, time.monotonic()


@pytest.fixture(scope="session")
def settled_store(new_store: tuple[str, float]) -> str:
    """The URL of a store that accepts requests from its first second on. Tests may share it."""
    url, made = new_store
    time.sleep(max(0.0, made + 6.5 - time.monotonic()))
    return url


@pytest.fixture
def trust(tmp_path: Path, key: SigningKey) -> Path:
    path = tmp_path / "trust.json"
    path.write_text(key.public_key.jwks())
    path.chmod(0o644)
    return path


@pytest.fixture
def verifier(trust: Path) -> Verifier:
    return Verifier(trust=trust, origin=ORIGIN, now=NOW + 2)


def signed(key: SigningKey, **changes: object) -> Request:
    """A request that was signed as it stands, and then changed."""
    method, target, headers, body = "POST", URL, dict(HEADERS), BODY
    headers |= sign_request(key, method, URL, headers, body, created=NOW)
    headers |= {"Host": "mcp.example.com"}
    given: dict[str, object] = {"method": method, "target": target, "headers": headers, "body": body}
    return Request(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(params=[name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)])
def library(request: pytest.FixtureRequest) -> Any:
    """An HTTP library that is installed."""
    return importlib.import_module(request.param)


@pytest.fixture(scope="session")
def other() -> SigningKey:
    """A second key, of another client."""
    return SigningKey.generate(name="bob")
