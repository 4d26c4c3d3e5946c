"""Measures what the middleware costs, beside another middleware and beside hashlib.

    pip install ./bindings/python envoys-mcp
    python bindings/python/bench.py [--rounds N] [--requests N]

It prints:

- the whole verification of the same POST of 1 KiB by this middleware and by the ASGI middleware of
  ``envoys-mcp``, in CPU time;
- what a second thread gains for the verification, and for ``hashlib.sha256``;
- how long the event loop is held while a body of 4 MB is judged.

The speed of a shared machine drifts within seconds. So the work is cut into many short rounds, and
each round measures all that is compared, one directly after the other: both middlewares and the bare
application; or one thread and two threads, with the verification and with ``hashlib``. All requests
of a round are signed before its first measurement, and the garbage collector has run. Every other
round goes in the opposite order, so that what changes within a round slows each side as often as the
other. The ratio is taken in each round by itself; printed are its median and quartiles. No round is
left out.

A key may claim 125,000 nonces in a minute, so the number of requests is bounded.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import statistics
import threading
import time
import warnings
from functools import partial

from mcpid_attest import (
    InMemoryNonceStore,
    MCPIdentityMiddleware,
    Request,
    SigningKey,
    Verifier,
    sign_request,
)

ORIGIN = "http://127.0.0.1:8000"
FIELDS = {
    "host": "127.0.0.1:8000",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "gzip, deflate",
    "user-agent": "bench",
    "mcp-protocol-version": "2025-11-25",
}
QUOTA = 125_000


def body_of(length):
    call = {"name": "pay", "arguments": {"note": ""}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    call["arguments"]["note"] = "x" * (length - len(json.dumps(message, separators=(",", ":"))))
    return message, json.dumps(message, separators=(",", ":")).encode()


async def application(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def scope_of(signed):
    fields = [(name.lower().encode(), value.encode()) for name, value in (FIELDS | signed).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "root_path": "",
        "headers": fields,
    }


async def drive(app, scopes, body):
    """Sends the requests one after another, and returns the seconds of CPU time for each of them.

    Nothing here waits, so on an idle machine that is the time that passes. Other programs do not count.
    The list of requests is empty then.
    """
    statuses = set()

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    count, begun = len(scopes), time.process_time()
    while scopes:
        # A server keeps no scope after its request.
        await app(scopes.pop(), receive, send)
    took = time.process_time() - begun
    if statuses != {200}:
        raise SystemExit(f"requests were refused: {statuses}")
    return took / count


def ours():
    key = SigningKey.generate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = MCPIdentityMiddleware(
            application, InMemoryNonceStore(), trust=key.public_key, origin=ORIGIN, dev=True
        )

    def scopes(count, body):
        url = ORIGIN + "/mcp"
        return [scope_of(sign_request(key, "POST", url, FIELDS, body)) for _ in range(count)]

    return app, scopes


def theirs():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from envoys import Envoys, EnvoysConfig
    from envoys_mcp import EnvoysVerifyMiddleware

    secret = Ed25519PrivateKey.generate()
    private = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = secret.public_key()
    public = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    agent = Envoys(EnvoysConfig("bench", "bench@example.com", public, private))

    async def resolve(keyid, guard=None):
        return public

    # The key is at hand, so that no network is measured.
    Envoys.resolve_key_from_keyid = staticmethod(resolve)
    app = EnvoysVerifyMiddleware(application)

    def scopes(count, message):
        return [scope_of(agent.sign_request("POST", "/mcp", message)) for _ in range(count)]

    return app, scopes


def compare(rounds, requests):
    message, body = body_of(1024)
    assert len(body) == 1024
    (app, scopes), (other, other_scopes) = ours(), theirs()
    mine, others, ratios = [], [], []
    for at in range(rounds):
        work = {
            app: scopes(requests, body),
            application: [scope_of({}) for _ in range(requests)],
            other: other_scopes(requests, message),
        }
        took = {}
        gc.collect()
        for each in list(work) if at % 2 else list(work)[::-1]:
            took[each] = asyncio.run(drive(each, work[each], body))
        mine.append(took[app] - took[application])
        others.append(took[other] - took[application])
        ratios.append(mine[-1] / others[-1])
    print(f"this middleware: {statistics.median(mine) * 1e6:.1f} us a request")
    print(f"envoys-mcp: {statistics.median(others) * 1e6:.1f} us a request")
    print(f"ratio: {quartiles(ratios)} (at most 0.3)")


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f}, quartiles {low:.3f} and {high:.3f}"


def rate(lists):
    """Calls in a second by all threads together, each of which works off one of the lists."""
    begin = threading.Barrier(len(lists))
    begun, ended = [], []

    def run(calls):
        begin.wait()
        begun.append(time.perf_counter())
        for call in calls:
            call()
        ended.append(time.perf_counter())

    running = [threading.Thread(target=run, args=(calls,)) for calls in lists]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    # From the first call of any thread to the last: when this thread runs again does not count.
    return sum(len(calls) for calls in lists) / (max(ended) - min(begun))


def threads(rounds, requests):
    """What a second thread gains. The threads share a verifier, and each nonce is claimed."""
    _, body = body_of(1024)
    key, url = SigningKey.generate(), ORIGIN + "/mcp"
    verifier = Verifier(trust=key.public_key, origin=ORIGIN)
    data = b"x" * 48_000

    def verifying():
        signed = (FIELDS | sign_request(key, "POST", url, FIELDS, body) for _ in range(requests))
        return [partial(verifier.verify, Request("POST", url, each, body)) for each in signed]

    def hashing():
        return [partial(hashlib.sha256, data) for _ in range(requests)]

    gains, hash_gains, ratios = [], [], []
    for at in range(rounds):
        work = [[make() for _ in range(count)] for make in (verifying, hashing) for count in (1, 2)]
        gc.collect()
        rates = [rate(lists) for lists in (work if at % 2 else work[::-1])]
        one, two, hash_one, hash_two = rates if at % 2 else rates[::-1]
        gains.append(two / one)
        hash_gains.append(hash_two / hash_one)
        ratios.append(gains[-1] / hash_gains[-1])
    gained, hashed = statistics.median(gains), statistics.median(hash_gains)
    print(f"two threads verify {gained:.2f} times as much as one, hashlib {hashed:.2f} times")
    print(f"ratio: {quartiles(ratios)} (at least 0.95)")


def loop_hold(rounds):
    """The longest time for which a judgement held the event loop, beside an idle loop."""
    _, body = body_of(4_000_000)
    app, scopes = ours()
    size = 65_536
    pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def run(judged):
        longest, ended = 0.0, False

        async def tick():
            nonlocal longest
            before = time.perf_counter()
            while not ended:
                await asyncio.sleep(0)
                now = time.perf_counter()
                longest, before = max(longest, now - before), now

        async def one(scope):
            left = iter(pieces)

            async def receive():
                await asyncio.sleep(0)
                piece = next(left, None)
                return {"type": "http.request", "body": piece or b"", "more_body": bool(piece)}

            async def send(message):
                pass

            await app(scope, receive, send)

        ticking = asyncio.ensure_future(tick())
        for scope in judged:
            await one(scope)
        if not judged:
            await asyncio.sleep(0.2)
        ended = True
        await ticking
        return longest

    held = statistics.median(asyncio.run(run(scopes(1, body))) for _ in range(rounds))
    idle = statistics.median(asyncio.run(run([])) for _ in range(rounds))
    print(f"a body of 4 MB holds the event loop for {held * 1e3:.2f} ms (idle: {idle * 1e3:.2f} ms)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--requests", type=int, default=200)
    given = parser.parse_args()
    if given.rounds < 2:
        raise SystemExit("at least 2 rounds are needed")
    if given.rounds * given.requests >= QUOTA:
        raise SystemExit(f"rounds times requests must stay under {QUOTA}, the quota of a key")
    compare(given.rounds, given.requests)
    threads(given.rounds, given.requests)
    loop_hold(7)


if __name__ == "__main__":
    main()
