"""Bodies: in many messages, too long, broken off, and how they reach the application."""

import asyncio
import hashlib
import threading

import pytest
from asgi_harness import CALL, Wire, ask, call, echo, exchange, guarded

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


def message(body=b"", more=False, **others):
    return {"type": "http.request", "body": body, "more_body": more, **others}


def pieces(body, size):
    return [message(body[at : at + size], True) for at in range(0, len(body), size)]


def padded(length):
    """A request of this many bytes."""
    start, end = CALL[:-1] + b',"x":"', b'"}'
    return start + b"y" * (length - len(start) - len(end)) + end


def test_a_body_in_many_messages_is_joined_and_handed_on_once(key):
    app = guarded(key)
    for parts in (
        pieces(CALL, 1) + [message()],
        pieces(CALL, 7)[:-1] + [message(CALL[len(CALL) - len(CALL) % 7 or -7 :])],
        [message(b"", True)] * 50 + [message(CALL, True), message(b"", True), message()],
        [message(CALL, True), {"type": "http.request"}],
        [{"type": "http.request", "body": CALL}],
        [message(bytearray(CALL))],
        [message(memoryview(CALL))],
        [message(CALL, True), message(None)],
    ):
        answer = ask(app, Wire().signed(key), messages=parts)
        assert (answer.status, answer.body) == (200, CALL)
        assert answer.scope["mcp_identity"].status == "verified"


def test_the_head_is_judged_before_the_body_is_read(key):
    async def never():
        raise AssertionError("the body is read")

    async def run():
        sent = []

        async def send(one):
            sent.append(one)

        wire = Wire(method="GET", body=b"")
        await guarded(key)(wire.scope(), never, send)
        return sent

    assert asyncio.run(run())[0]["status"] == 403


def test_an_announced_length_over_the_limit_is_refused_unread(key):
    wire = Wire().having("content-length", str(5 << 20)).signed(key)
    answer = ask(guarded(key), wire, messages=[AssertionError("the body is read")])
    assert (answer.status, answer.reason) == (413, "too_large")


@pytest.mark.parametrize("lies", ["1", "1000", "abc", "-5", "", "1 1", "+82", "0x10"])
def test_a_content_length_that_lies_is_refused(key, lies):
    for mode in ("strict", "permissive"):
        wire = Wire().having("content-length", lies).signed(key)
        answer = ask(guarded(key, mode=mode), wire)
        assert (answer.status, answer.reason) == (400, "body_broken")


def test_a_true_content_length_is_accepted(key):
    length = str(len(CALL))
    assert ask(guarded(key), Wire().having("content-length", length).signed(key)).status == 200
    twice = Wire().having("content-length", length).having("Content-Length", length).signed(key)
    answer = ask(guarded(key, mode="permissive"), twice)
    assert (answer.status, answer.reason) == (403, "signature_malformed")


def test_a_long_body_keeps_its_bytes(key):
    for length in (16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 3 << 20):
        body = padded(length)
        for parts in ([message(body)], [*pieces(body, 65_536), message()]):
            answer = ask(guarded(key), Wire(body=body).signed(key), messages=parts)
            assert answer.status == 200
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def test_the_limit_is_exact(key):
    app = guarded(key, max_body=1000)
    assert ask(app, Wire(body=padded(1000)).signed(key)).status == 200
    for parts in (None, pieces(padded(1001), 10)):
        answer = ask(app, Wire(body=padded(1001)).signed(key), messages=parts)
        assert (answer.status, answer.reason) == (413, "too_large")


def test_long_unsigned_bodies_share_a_budget(key):
    app = guarded(key, mode="permissive", strict=["tools/list"], budget=16 * 1024)
    answer = ask(app, Wire(body=call("x" * 14_000)))
    assert (answer.status, answer.reason) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    for _ in range(20):
        assert ask(app, Wire(body=call("x" * 4_000))).status == 200


def test_a_body_after_the_end_does_not_reach_the_application(key):
    seen = []

    async def app(scope, receive, send):
        while (one := await receive())["type"] == "http.request":
            seen.append(one)
            if len(seen) > 10:
                raise AssertionError(seen)
        await echo(scope, replay(b""), send)

    def replay(body):
        async def receive():
            return message(body)

        return receive

    parts = [message(CALL), message(b"smuggled"), message(b"more", True)]
    answer = ask(guarded(key, app), Wire().signed(key), messages=parts)
    assert answer.status == 200
    assert [one["body"] for one in seen] == [CALL, b"", b""]
    assert not any(one["more_body"] for one in seen)


def test_a_disconnect_while_the_body_arrives_ends_the_request(key):
    called = []

    async def app(scope, receive, send):
        called.append(scope)

    answer = ask(guarded(key, app), Wire().signed(key), messages=[message(CALL[:5], True)])
    assert (answer.messages, called) == ([], [])


def test_a_disconnect_after_the_body_reaches_the_application(key):
    seen = []

    async def app(scope, receive, send):
        seen.extend([await receive(), await receive(), await receive()])

    ask(guarded(key, app), Wire().signed(key))
    assert [one["type"] for one in seen] == ["http.request"] + ["http.disconnect"] * 2


def test_an_application_that_never_reads_works(key):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    for wire in (Wire().signed(key), Wire(body=padded(300_000)).signed(key)):
        assert ask(guarded(key, app), wire).status == 204


def test_what_receive_raises_reaches_the_server(key):
    class Broken(Exception):
        pass

    app = guarded(key, budget=16_384)
    for _ in range(50):
        with pytest.raises(Broken):
            ask(app, Wire().signed(key), messages=[message(b"x" * 10_000, True), Broken()])
    # The budget was given back each time.
    assert ask(app, Wire(body=padded(10_000)).signed(key)).status == 200


def test_a_message_of_another_type_is_a_fault_of_the_server(key):
    with pytest.raises(RuntimeError, match="websocket.connect"):
        ask(guarded(key), Wire().signed(key), messages=[{"type": "websocket.connect"}])
    with pytest.raises(TypeError):
        ask(guarded(key), Wire().signed(key), messages=[message("text")])


def test_a_client_that_goes_releases_everything(key):
    app = guarded(key, budget=100_000)

    async def run():
        for _ in range(30):
            waiting = asyncio.Event()

            async def receive():
                if not waiting.is_set():
                    waiting.set()
                    return message(b"x" * 60_000, True)
                await asyncio.sleep(60)

            task = asyncio.ensure_future(app(Wire().signed(key).scope(), receive, None))
            await waiting.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return await exchange(app, Wire(body=padded(60_000)).signed(key))

    assert asyncio.run(run()).status == 200


def test_responses_stream_untouched(key):
    parts = [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")], "z": 1}]
    parts += [{"type": "http.response.body", "body": b"data\n\n", "more_body": True}] * 3
    parts += [{"type": "http.response.body"}, {"type": "http.response.trailers", "headers": []}]

    async def app(scope, receive, send):
        for part in parts:
            await send(part)

    for settings in ({}, {"mode": "permissive", "strict": ["destructive"]}):
        wire = Wire(body=b'{"jsonrpc":"2.0","id":8,"method":"tools/list"}').signed(key)
        assert ask(guarded(key, app, **settings), wire).messages == parts


def test_what_the_application_raises_reaches_the_server(key):
    async def app(scope, receive, send):
        raise LookupError("of the application")

    with pytest.raises(LookupError, match="of the application"):
        ask(guarded(key, app), Wire().signed(key))


def test_a_long_body_does_not_hold_the_event_loop(key):
    """It is judged on a thread of the loop's pool, which stays when its work is done."""
    body = padded(4_000_000)
    wire, app = Wire(body=body).signed(key), guarded(key)

    async def run():
        answer = await exchange(app, wire, messages=[*pieces(body, 65_536), message()])
        return answer.status, {thread.name for thread in threading.enumerate()}

    status, threads = asyncio.run(run())
    assert status == 200
    assert any(name.startswith("asyncio") for name in threads), threads
