"""Sends different spellings of one resource to real servers: Python's `mcp` 1.x (pydantic `AnyUrl`),
TypeScript's `sdk` 1.x (`new URL`) and the 2.x of both. A server that reads a spelling as `file:///priv/a`
must not get it from a gateway that is strict for that resource, nor with a key that may only read
`file:///pub/*`, nor from a bridge that asks first. Ordinary URIs must be read.
"""

import json
import subprocess

from bridging import command
from servers import Server, Harness, executable
from wire import ACCEPT, JSON, Answer, post

SERVERS = ["py1", "py2", "fastmcp", "ts1", "ts2"]
PROTECTED, PATTERN, OTHERS = "file:///priv/a", "resources/read:file:///priv/*", "resources/read:file:///pub/*"
HONEST = [
    "file:///pub/a",
    "file:///C:/x",
    "memo://Insights",
    "postgres://user@Host/db",
    "ui://Widget/x?y=1",
    "note://notes/नोट",
    "note://notes/한국어",
]
SPELLINGS = [
    PROTECTED,
    "FILE:///priv/a",
    "File:///priv/a",
    "file:////priv/a",
    "file://///priv/a",
    "file:/priv/a",
    "file:priv/a",
    "file://localhost/priv/a",
    "file://LOCALHOST/priv/a",
    "file:///pub/../priv/a",
    "file:///pub/x/../../priv/a",
    "file:///pub/./../priv/a",
    "file:///pub/%2e%2e/priv/a",
    "file:///pub/.%2E/priv/a",
    "file:///pub/..%2fpriv%2fa",
    "file:///pub/%252e%252e/priv/a",
    "file:///pub//../../priv/a",
    "file:///pub/..\\priv/a",
    "file:\\\\\\priv\\a",
    "file:///%70riv/a",
    "file:///priv/%61",
    "file:///priv/./a",
    "file:///priv//a",
    "file:///priv/b/../a",
    " file:///priv/a",
    "file:///priv/a ",
    "file:///pr\tiv/a",
    "fi\nle:///priv/a",
    "file:///priv/a\x00",
    "\ufefffile:///priv/a",
    "file:///pri\u200bv/a",
    "file:///priv/a\u200b",
]
# How many spellings each SDK reads as the protected resource, at least.
AT_LEAST = {"py1": 15, "ts1": 10}


def honest(name: str) -> list[str]:
    """Returns the spellings that the server can find: fastmcp registers a URI encoded, and looks it up as
    sent."""
    return [uri for uri in HONEST if name != "fastmcp" or uri.isascii()]


def reading(uri: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}).encode()


def reads(server: Server, after: int) -> list[str]:
    return [line["arguments"]["name"] for line in server.record("call", after) if line["tool"] == "resource"]


def sent(port: int, uri: str, sign=None) -> Answer:
    """Sends one request. `sign`, a pair of key and URL, signs it if given."""
    body = reading(uri)
    more = []
    if sign:
        key, url = sign
        more = key.sign("POST", url, [JSON, ACCEPT], body)
    return post(port, "/mcp", body, more)


def directly(server: Server, name: str) -> dict[str, list[str]]:
    """Returns what each spelling reads without a gateway."""
    port = int(server.urls["stateless-json"].split(":")[2].split("/")[0])
    found = {}
    for uri in [*SPELLINGS, *honest(name)]:
        mark = server.mark()
        sent(port, uri)
        found[uri] = reads(server, mark)
    return found


def truth(harness: Harness, name: str) -> None:
    """Checks that the server reads the resource by these spellings."""
    found = directly(harness.server(name), name)
    same = [uri for uri in SPELLINGS if found[uri] == [PROTECTED]]
    assert PROTECTED in same and len(same) >= AT_LEAST.get(name, 1), same
    for uri in honest(name):
        assert found[uri] == [uri], (uri, found[uri])


def strict(harness: Harness, name: str) -> None:
    server = harness.server(name)
    with harness.gateway(server.urls["stateless-json"], "--mode", "permissive", "--strict", PATTERN) as gateway:
        mark = server.mark()
        for uri in SPELLINGS:
            answer = sent(gateway.port, uri)
            assert answer.status == 403 and answer.reason == "signature_missing", (uri, answer)
        assert reads(server, mark) == [], reads(server, mark)
        for uri in honest(name):
            assert sent(gateway.port, uri).status == 200, uri
        assert reads(server, mark) == honest(name)


def allowed(harness: Harness, name: str) -> None:
    server, key = harness.server(name), harness.new_key(f"limited-{name}")
    trust = harness.folder / f"limited-{name}.json"
    allow = [flag for uri in honest(name)[1:] for flag in ("--allow", f"resources/read:{uri}")]
    harness.command(harness.tools.mcpid, "trust", "add", "-r", trust, "--allow", OTHERS, *allow, key.file)
    with harness.gateway(server.urls["stateless-json"], trust=trust) as gateway:
        mark = server.mark()
        for uri in SPELLINGS:
            answer = sent(gateway.port, uri, (key, gateway.url))
            assert answer.status == 403 and answer.reason == "not_allowed", (uri, answer)
        assert reads(server, mark) == [], reads(server, mark)
        for uri in honest(name):
            answer = sent(gateway.port, uri, (key, gateway.url))
            assert answer.status == 200, (uri, answer)
        assert reads(server, mark) == honest(name)


def permissive(harness: Harness, name: str) -> None:
    server = harness.server(name)
    flags = [flag for uri in [OTHERS, *(f"resources/read:{uri}" for uri in honest(name)[1:])] for flag in ("--permissive", uri)]
    with harness.gateway(server.urls["stateless-json"], *flags) as gateway:
        mark = server.mark()
        for uri in SPELLINGS:
            assert sent(gateway.port, uri).status == 403, uri
        for uri in honest(name):
            assert sent(gateway.port, uri).status == 200, uri
        assert reads(server, mark) == honest(name)


def asked(harness: Harness, name: str) -> None:
    """The bridge asks a person about every spelling, and gets a no. It does not ask about ordinary URIs."""
    server = harness.server(name)
    questions = harness.folder / f"asked-{name}"
    no = executable(harness.folder / f"say-no-{name}.sh", f'#!/bin/sh\necho asked >>"{questions}"\nexit 1\n')
    uris = [*SPELLINGS, *honest(name)]
    lines = [json.loads(reading(uri)) | {"id": number} for number, uri in enumerate(uris)]
    mark = server.mark()
    done = subprocess.run(
        command(harness, server.urls["stateless-json"], "--confirm", PATTERN, "--confirm-via", "askpass"),
        input="".join(json.dumps(line) + "\n" for line in lines).encode(), capture_output=True, timeout=300,
        env={**harness.environment, "MCPID_ASKPASS": str(no)},
    )
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines()) if "id" in answer}
    for number, uri in enumerate(uris):
        assert ("result" in answers[number]) == (uri in honest(name)), (uri, answers[number], done.stderr[-2000:])
    assert sorted(reads(server, mark)) == sorted(honest(name))
    assert len(questions.read_text().splitlines()) == len(SPELLINGS)


def cases(harness: Harness):
    for name in SERVERS:
        for case in (truth, strict, allowed, permissive, asked):
            yield f"resources: {case.__name__} before {name}", lambda case=case, name=name: case(harness, name)
