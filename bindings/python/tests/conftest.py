"""What the tests share: a key, a signed request, and the time at which it was signed."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
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
    for name in (
        "MCPID_TRUST", "MCPID_KEY", "MCPID_NONCES", "MCPID_PKCS11_MODULE", "SSH_AUTH_SOCK",
    ):
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


@pytest.fixture
def program() -> str:
    """The program ``mcpid``, whose path the variable MCPID_PROGRAM holds."""
    path = os.environ.get("MCPID_PROGRAM")
    if not path:
        pytest.skip("MCPID_PROGRAM does not name the program mcpid")
    return path


SIGN = """\
import base64, json, subprocess, sys
asked = json.load(sys.stdin)
open("base", "wb").write(base64.b64decode(asked["payload"]))
sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", sys.argv[1], "-in", "base"]
signature = subprocess.run(sign, check=True, capture_output=True).stdout
print(json.dumps({"signature": base64.b64encode(signature).decode()}))
"""


@pytest.fixture
def signing_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A reference to a program that signs with a key of openssl, and the file of its public key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sign.py").write_text(SIGN)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key.pem"], check=True)
    public = ["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]
    subprocess.run(public, check=True)
    return f"exec:{sys.executable} sign.py key.pem", tmp_path / "public.pem"


SOFTHSM = [
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
]


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an Ed25519 key in a token of SoftHSM, whose PIN is 1234."""
    module = next((path for path in SOFTHSM if path.exists()), None)
    if not module or not shutil.which("pkcs11-tool"):
        pytest.skip("there is no SoftHSM (softhsm2) and pkcs11-tool (opensc)")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))
    monkeypatch.setenv("MCPID_PKCS11_MODULE", str(module))
    init = "softhsm2-util --init-token --free --label logs --pin 1234 --so-pin 56789012"
    subprocess.run(init.split(), check=True, capture_output=True)
    make = f"pkcs11-tool --module {module} --token-label logs --login --pin 1234 --keypairgen"
    make += " --key-type EC:edwards25519 --id 01 --label audit"
    subprocess.run(make.split(), check=True, capture_output=True)
    return "pkcs11:object=audit"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real ssh-agent with one Ed25519 key, whose comment is "laptop"."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        made = tmp_path / "id"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", made], check=True
        )
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        until = time.monotonic() + 120
        while True:
            added = subprocess.run(["ssh-add", "-q", made], capture_output=True)
            if added.returncode == 0:
                break
            assert time.monotonic() < until, added.stderr
            time.sleep(0.05)
        yield made
    finally:
        process.terminate()
        process.wait(120)
