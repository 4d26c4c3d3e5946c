"""Clients that know nothing of signatures, before a gateway that refuses them: whether one is sent into
an OAuth login, and whether it shows our words. CLIENTS.md holds what was seen; a case compares, and

    python tests/peers/run.py … --write-table

writes it anew.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path

from callers import CLIENTS, inspector, mcp_remote
from servers import HERE, Harness

TABLE = HERE / "CLIENTS.md"
STATUSES = ["403", "401", "200"]
# The answers of the gateway to a request without a signature.
WORDS = "this server wants requests to be signed"
# The two cases: every request is refused, or only calls of the one strict tool.
POLICIES = {
    "connecting": [],
    "calling": ["--mode", "permissive", "--strict", "tools/call:delete_*"],
}
TITLES = {
    "py1": "Python `mcp` 1.x",
    "py2": "Python `mcp` 2.x",
    "py2-legacy": "Python `mcp` 2.x, `mode=\"legacy\"`",
    "ts1": "TypeScript `sdk` 1.x",
    "ts2": "TypeScript `client` 2.x, negotiating",
    "ts2-legacy": "TypeScript `client` 2.x",
    "mcp-remote": "`mcp-remote`",
    "inspector": "Inspector's command line",
}


def seen(harness: Harness, client: str, policy: str, status: str, oauth: bool) -> dict:
    """Returns what `client` does when it is refused: where it fails, what it shows, and which other paths it
    requests."""
    server = harness.server("py2")
    token = f"refused-{client}-{policy}-{status}-{oauth}"
    with harness.gateway(server.urls["stateful-sse"], "--refuse-with", status, *POLICIES[policy]) as gateway:
        if client == "mcp-remote":
            job = mcp_remote(harness, gateway.url)
            answer = harness.client("ts").do(do="try", sdk=1, tool="delete_db", token=token, **job)
            # A bridge that cannot connect writes the reason to its log, which the user sees.
            answer["shown"] += "\n" + Path(job["log"]).read_text()
        elif client == "inspector":
            call = ["--method", "tools/call", "--tool-name", "delete_db", "--tool-arg", f"name={token}"]
            done = inspector(harness, gateway.url, *call)
            assert done.returncode != 0, done
            answer = {"shown": (done.stdout + done.stderr).decode()}
        else:
            process, says = CLIENTS[client]
            job = {"url": gateway.url, "token": token, "oauth": oauth, "tool": "delete_db", **says}
            answer = harness.client(process).do(do="try", **job)
    assert "shown" in answer, f"it was not refused: {answer}"
    assert not server.calls(token), "the call ran"
    stage = {"connecting": "connect", "calling": "call"}[policy]
    assert answer.get("stage", stage) == stage, answer
    return {**answer, "asked": [line["path"] for line in gateway.lines()]}


@cache
def verdict(harness: Harness, client: str, policy: str, status: str, oauth: bool) -> str:
    """Returns the same in words."""
    found = seen(harness, client, policy, status, oauth)
    shown = found["shown"]
    # A client that shows part of the answer's body shows our text.
    ours = WORDS in shown
    parts = ["our words" if ours else "only its own"]
    if any(path.endswith(("/register", "/authorize", "/token")) for path in found["asked"]):
        return "**starts an OAuth login**" + (", shows our words" if ours else "")
    assert ours or not any(part in shown for part in ("-31401", "signature_missing", "jsonrpc")), shown
    if any("/.well-known/" in path for path in found["asked"]):
        parts.append("asks for OAuth metadata")
    return ", ".join(parts)


def rows() -> list[tuple[str, bool]]:
    """Runs every client; those with optional OAuth run with and without it."""
    return [(client, oauth) for client in CLIENTS for oauth in (False, True)] + [("mcp-remote", True), ("inspector", True)]


def table(harness: Harness, policy: str) -> list[str]:
    work = [(client, oauth, status) for client, oauth in rows() for status in STATUSES]
    with ThreadPoolExecutor(3) as pool:
        cells = list(pool.map(lambda w: verdict(harness, w[0], policy, w[2], w[1]), work))
    found = dict(zip(work, cells, strict=True))
    lines = ["| client | 403, the default | 401 | 200 |", "|---|---|---|---|"]
    for client, oauth in rows():
        title = TITLES[client] + (", set up for OAuth" if oauth and client in CLIENTS else "")
        lines.append(f"| {title} | " + " | ".join(found[client, oauth, status] for status in STATUSES) + " |")
    return lines


def versions() -> list[str]:
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    pins = (HERE / "requirements-1.txt").read_text().splitlines()
    one = next(pin.split("==")[1] for pin in pins if pin.startswith("mcp=="))
    scope = "@modelcontextprotocol/"
    npm = [f"`{name}` {packages[name]}" for name in
           (scope + "sdk", scope + "client", "mcp-remote", scope + "inspector")]
    return [f"With Python `mcp` {one} and {version('mcp')}, and of npm {npm[0]}, {npm[1]},", f"{npm[2]} and {npm[3]}."]


def document(harness: Harness) -> str:
    return "\n".join([
        "# What clients do when a gateway refuses them",
        "",
        "What MCP clients that cannot sign showed and did before `mcpid gateway`, by the status of",
        "`--refuse-with`. `tests/peers/run.py --write-table` writes this page, and the same test checks it.",
        "",
        f"- *Our words*: the client showed \"{WORDS}\", `mcp-remote` in its log.",
        "- *Only its own*: the client showed the status of the answer, and no text of the server.",
        "- *Asks for OAuth metadata*: the client sent `GET /.well-known/…`, which passes unsigned.",
        "- *Starts an OAuth login*: the client went on to register itself, or to open a login page.",
        "",
        *versions(),
        "",
        "## Strict for everything: refused while connecting",
        "",
        *table(harness, "connecting"),
        "",
        "## Permissive, strict for one tool: refused while calling it",
        "",
        "`--mode permissive --strict 'tools/call:delete_*'`",
        "",
        *table(harness, "calling"),
        "",
        "With 403 no client starts a login. Where a client hides the text of an error status, 200 shows the",
        "text. 401 is for clients that follow SEP-2752; other clients take it for OAuth if they can.",
        "",
    ])


def cases(harness: Harness):
    def no_login():
        for policy in POLICIES:
            table(harness, policy)
            for client, oauth in rows():
                words = verdict(harness, client, policy, "403", oauth)
                assert "login" not in words, f"{client}, {policy}: {words}"

    def words_at_200():
        for policy in POLICIES:
            for client, oauth in rows():
                words = verdict(harness, client, policy, "200", oauth)
                assert words.startswith("our words") and "login" not in words, f"{client}, {policy}: {words}"

    def as_documented():
        found, kept = document(harness), TABLE.read_text()
        other = [line for line in found.splitlines() if line not in kept.splitlines()]
        assert found == kept, "CLIENTS.md says otherwise; seen was:\n" + "\n".join(other)

    yield "refused clients: with 403 none starts an OAuth login", no_login
    yield "refused clients: with 200 all show our words", words_at_200
    yield "refused clients: what they do is what CLIENTS.md says", as_documented
