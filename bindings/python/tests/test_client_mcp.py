"""The signing clients with real MCP packages, through the gateway and through the tower layer.

Run with MCPID_PROGRAM naming the program and MCPID_VERIFY_PROXY the example `verify_proxy`, in an
environment that has mcp 1.x with fastmcp 3, or mcp 2.x with fastmcp 4.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asgi_harness import free_port
from mcp_clients import CLIENTS, PAIRS, VARIANTS, plain_calls

from mcpid_attest import SigningKey

PEERS = Path(__file__).resolve().parents[3] / "tests" / "peers" / "servers"


@dataclass
class Server:
    """A real MCP server in four variants, and a strict gateway or tower layer before each."""

    urls: dict[str, str]
    record: Path

    def statuses(self) -> set[Any]:
        """What the gateway or layer said of each request that reached the endpoint."""
        # A line that is still being written is left out.
        lines = [json.loads(line) for line in self.record.read_text().rpartition("\n")[0].splitlines()]
        heads = [line for line in lines if line["kind"] == "head" and line["target"] == "/mcp"]
        return {value for head in heads for name, value in head["headers"] if name == "mcpid-status"}


def program(variable: str) -> str:
    """The program whose path the variable holds."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} does not name a program")
    return path


@pytest.fixture(scope="module", params=["gateway", "layer"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    key: SigningKey,
    settled_store: str,
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mcp")
    trust, record = folder / "trust.json", folder / "record"
    trust.write_text(key.public_key.jwks())
    trust.chmod(0o644)
    with contextlib.ExitStack() as stack:
        def start(name: str, *command: object, **options: Any) -> subprocess.Popen[bytes]:
            log = stack.enter_context(open(folder / f"{name}.log", "wb"))
            process = subprocess.Popen([str(word) for word in command], stderr=log, cwd=folder, **options)
            stack.callback(process.wait, 120)
            stack.callback(process.terminate)
            return process

        mcp = start("server", sys.executable, PEERS / "server.py", "mcp", record,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert mcp.stdout is not None
        upstreams, urls = json.loads(mcp.stdout.readline()), {}
        for variant in VARIANTS:
            port = free_port()
            urls[variant] = f"http://127.0.0.1:{port}/mcp"
            if request.param == "gateway":
                start(variant, program("MCPID_PROGRAM"), "gateway", "--listen", f"127.0.0.1:{port}",
                      "--upstream", upstreams[variant], "--origin", f"http://127.0.0.1:{port}",
                      "-r", trust, "--nonces", settled_store, stdout=subprocess.DEVNULL)
            else:
                start(variant, program("MCPID_VERIFY_PROXY"), upstreams[variant].removesuffix("/mcp"),
                      trust, settled_store.removeprefix("sqlite:"), port,
                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for url in urls.values():
            for _ in range(2400):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))).close()
                    break
                time.sleep(0.05)
        yield Server(urls, record)


@pytest.mark.parametrize("client, variant", PAIRS)
def test_a_signing_client_gets_what_it_asks_for(
    server: Server, key: SigningKey, client: Any, variant: str
) -> None:
    async def run() -> list[tuple[int, int]]:
        async with client(server.urls[variant], key) as calls:
            return await calls.walk()

    steps = asyncio.run(asyncio.wait_for(run(), 300))
    if variant.endswith("sse"):
        assert steps == [(1, 3), (2, 3), (3, 3)]
    assert server.statuses() == {"verified"}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_key_that_is_not_trusted_gets_nothing(server: Server, client: Any) -> None:
    async def run() -> None:
        async with client(server.urls["stateful-json"], SigningKey.generate()) as calls:
            await calls.call("read_note", {"name": "stranger"})

    with pytest.raises(BaseException):
        asyncio.run(asyncio.wait_for(run(), 300))
    assert "stranger" not in server.record.read_text()


def test_a_plain_client_passes_once_if_it_signs(server: Server, key: SigningKey, other: SigningKey) -> None:
    plain_calls(server.urls["stateless-json"], key, other)
    assert server.statuses() == {"verified"}
