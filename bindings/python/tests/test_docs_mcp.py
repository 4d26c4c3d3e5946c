"""The examples of docs/python.md that make a server are run as they stand."""

import re
from pathlib import Path

import pytest

from mcpid_attest import MCPIdentityMiddleware, SigningKey

PAGE = Path(__file__).parents[3] / "docs" / "python.md"


def blocks():
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def importable(block):
    """Whether the packages that the block imports are installed: mcp 1.x and 2.x exclude each other."""
    for line in re.findall(r"^from .* import .*$", block, re.MULTILINE):
        try:
            exec(line, {})
        except ImportError:
            return False
    return True


def test_the_servers_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trust.json").write_text(SigningKey.generate().public_key.jwks())
    servers = [block for block in blocks() if "MCPIdentityMiddleware" in block]
    assert len(servers) >= 3
    left_out = [block for block in servers if not importable(block)]
    for block in servers:
        if block not in left_out:
            made = {}
            exec(block, made)
            assert isinstance(made["app"], MCPIdentityMiddleware)
    # The block of the `mcp` SDK is that of its first generation.
    assert all("from mcp.server.fastmcp" in block for block in left_out) and len(left_out) <= 1


def test_the_store_of_the_page_is_a_store():
    (block,) = [block for block in blocks() if "async def claim" in block]
    made = {}
    exec(block, made)
    with pytest.warns(RuntimeWarning, match="origin is missing"):
        MCPIdentityMiddleware(print, made["Store"](), mode="permissive", trust=SigningKey.generate().public_key)
