"""The client programs, and the jobs that are sent to them."""

import subprocess

from servers import Stand

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


def walk(stand: Stand, client: str, url: str, token: str, **job) -> dict:
    """Returns what `client` got when it called all tools at `url`."""
    process, says = CLIENTS[client]
    answer = stand.client(process).do(do="walk", url=url, token=token, **{**says, **job})
    if "ok" not in answer:
        raise AssertionError(f"{client} at {url}: {answer}")
    return answer["ok"]


def mcp_remote(stand: Stand, url: str) -> dict:
    """Returns a job for mcp-remote in place of a URL."""
    proxy = stand.tools.npm / "node_modules/mcp-remote/dist/proxy.js"
    command = [stand.tools.node, proxy, url, "--transport", "http-only", "--auth-timeout", "2"]
    return {"stdio": [str(a) for a in command], "env": stand.environment, "log": str(stand.log("mcp-remote"))}


def inspector(stand: Stand, url: str, *more: str) -> subprocess.CompletedProcess:
    launcher = stand.tools.npm / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    command = [stand.tools.node, launcher, "--cli", url, "--transport", "http", *more]
    return stand.command(*command, code=None, stdin=subprocess.DEVNULL)
