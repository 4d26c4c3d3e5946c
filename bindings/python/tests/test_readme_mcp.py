"""The Python blocks of the README that use MCP packages, as far as these are of this generation."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

from test_docs import blocks

from mcpid_attest import generate_identity, save_identity


def is_here(block: str) -> bool:
    """Whether every package that the block imports is installed."""
    for name in re.findall(r"^(?:from|import) ([\w.]+)", block, re.M):
        try:
            importlib.import_module(name)
        except ImportError:
            return False
    return True


def test_the_examples_of_servers_and_clients_run(tmp_path: Path) -> None:
    identity = generate_identity()
    save_identity(identity, tmp_path / "key.json", "correct horse battery")
    (tmp_path / "trust.json").write_text(identity.public_key.jwks())
    (tmp_path / "trust.json").chmod(0o644)
    run = set()
    for block in blocks("bindings/python/README.md"):
        package = re.search(r"^(?:from|import) (fastmcp|mcp|fastapi)\b", block, re.M)
        if package and is_here(block):
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            run.add(package[1])
    # The block of the `mcp` SDK is that of its first generation.
    first = {"mcp"} if is_here("import mcp.server.fastmcp") else set()
    assert run == {"fastmcp", "fastapi"} | first
