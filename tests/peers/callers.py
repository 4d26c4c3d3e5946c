"""The client programs, and the jobs that are sent to them."""

import subprocess

from servers import Harness

# By name: (process, additional members of its jobs). py2 and ts2 ask for 2026-07-28 first; the legacy clients
# do not.
CLIENTS = {
    "py1": ("py1", {}),
    "py2": ("py2", {"mode": "auto"}),
    "py2-legacy": ("py2", {"mode": "legacy"}),
    "ts1": ("ts", {"sdk": 1}),
    "ts2": ("ts", {"sdk": 2, "mode": "auto"}),
    "ts2-legacy": ("ts", {"sdk": 2, "mode": "legacy"}),
}


def walk(harness: Harness, client: str, url: str, token: str, **job) -> dict:
    """Returns what `client` got when it called all tools at `url`."""
    process, says = CLIENTS[client]
    answer = harness.client(process).do(do="walk", url=url, token=token, **{**says, **job})
    if "ok" not in answer:
        raise AssertionError(f"{client} at {url}: {answer}")
    return answer["ok"]


def mcp_remote(harness: Harness, url: str) -> dict:
    """Returns a job for mcp-remote in place of a URL."""
    proxy = harness.tools.npm / "node_modules/mcp-remote/dist/proxy.js"
    command = [harness.tools.node, proxy, url, "--transport", "http-only", "--auth-timeout", "2"]
    return {"stdio": [str(a) for a in command], "env": harness.environment, "log": str(harness.log("mcp-remote"))}


def inspector(harness: Harness, url: str, *more: str) -> subprocess.CompletedProcess:
    launcher = harness.tools.npm / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    command = [harness.tools.node, launcher, "--cli", url, "--transport", "http", *more]
    return harness.command(*command, code=None, stdin=subprocess.DEVNULL)
