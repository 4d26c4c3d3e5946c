"""Nonce stores: one nonce is fresh once, and a store that cannot tell refuses."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from contextlib import nullcontext

import pytest
from asgi_harness import ORIGIN, Wire, ask, exchange, guarded

from mcpid_attest import (
    InMemoryNonceStore,
    NonceStore,
    NonceStoreProtocol,
    Verifier,
)

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


class OwnStore:
    """A store of an application."""

    floor = 0

    def __init__(self):
        self.seen = {}

    async def claim(self, key_id, nonce, until):
        await asyncio.sleep(0)
        return self.seen.setdefault((key_id, nonce), until) is until


def test_a_store_in_python_decides(key):
    store = OwnStore()
    assert isinstance(store, NonceStoreProtocol)
    app = guarded(key, nonce_store=store)
    before = int(time.time())
    wire = Wire().signed(key)
    after = int(time.time())
    assert ask(app, wire).status == 200
    again = ask(app, wire)
    assert (again.status, again.reason) == (403, "nonce_replayed")
    ((known, nonce),) = store.seen
    assert known == key.key_id and len(nonce) >= 16
    assert before + 60 <= store.seen[known, nonce] <= after + 70


def test_a_store_in_python_is_asked_only_for_valid_signatures(key, other):
    store = OwnStore()
    app = guarded(key, nonce_store=store)
    changed = Wire().signed(key)
    changed.body = b"{}"
    for wire in (Wire(), Wire().signed(other), changed, Wire(body=b"{").signed(key)):
        assert ask(app, wire).status == 403
    assert store.seen == {}


def lying_stores():
    async def hang(*_):
        await asyncio.sleep(3600)

    async def cling(*_):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                return True

    async def raise_(*_):
        raise LookupError("secret of the application")

    async def cancelled(*_):
        raise asyncio.CancelledError

    async def fresh(*_):
        return True

    def answering(value):
        async def claim(*_):
            return value

        return claim

    for value in (None, 1, 0, "yes", "", [], object(), 1.0, ...):
        yield f"claim returned {type(value).__name__}", answering(value), 0
    yield "TimeoutError", hang, 0
    yield "TimeoutError", cling, 0
    yield "LookupError", raise_, 0
    yield "claim failed", cancelled, 0
    yield "claim failed: TypeError", lambda *_: True, 0
    yield "claim failed: TypeError", lambda: None, 0
    for floor in (None, "0", 0.0, True, 2**70):
        yield "floor is", fresh, floor


@pytest.mark.parametrize("why, claim, floor", list(lying_stores()))
def test_a_store_in_python_that_lies_hangs_or_raises_refuses(
    key, why, claim, floor, monkeypatch, caplog
):
    # A store that answers is not late, however busy the machine is.
    budget = 0.05 if why == "TimeoutError" else 60
    monkeypatch.setattr("mcpid_attest.own_store._CLAIM_BUDGET", budget)
    store = type("Store", (), {"claim": staticmethod(claim), "floor": floor})()
    answer = ask(guarded(key, nonce_store=store), Wire().signed(key))
    assert (answer.status, answer.reason) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert why in caplog.text
    assert "secret of the application" not in caplog.text
    answer = ask(guarded(key, nonce_store=store, mode="permissive"), Wire().signed(key))
    assert (answer.status, answer.scope["mcp_identity"].status) == (200, "unavailable")
    assert answer.scope["mcp_identity"].did is None


class Panic(BaseException):
    """As a panic of a store in Rust arrives in Python: no ``except Exception`` catches it."""


@pytest.mark.parametrize("mode", ["strict", "permissive"])
@pytest.mark.parametrize("where", ["claim", "floor"])
def test_a_store_that_panics_serves_nothing(key, where, mode):
    served = []

    async def app(scope, receive, send):
        served.append(scope["mcp_identity"].status)

    class Store(OwnStore):
        panics = False

        async def claim(self, *args):
            if self.panics and where == "claim":
                raise Panic
            return await super().claim(*args)

        @property
        def floor(self):
            if self.panics and where == "floor":
                raise Panic
            return 0

    store = Store()
    guard = guarded(key, app, nonce_store=store, mode=mode)
    store.panics = True
    for _ in range(3):
        with pytest.raises(Panic):
            ask(guard, Wire().signed(key))
    assert served == []
    # The next request is judged as ever.
    store.panics = False
    ask(guard, Wire().signed(key))
    assert served == ["verified"]


def test_the_floor_of_a_store_in_python_holds(key):
    store = OwnStore()
    store.floor = int(time.time()) + 1000
    app = guarded(key, nonce_store=store)
    before = int(time.time())
    answer = ask(app, Wire().signed(key))
    after = int(time.time())
    assert answer.status == 503
    assert store.floor - after <= int(answer.headers["retry-after"]) <= store.floor - before + 2


def test_a_cancelled_request_cancels_its_claim(key):
    began, ended = None, []

    class Store(OwnStore):
        async def claim(self, *_):
            began.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(True)

    async def run():
        nonlocal began
        began = asyncio.Event()
        app = guarded(key, nonce_store=Store())
        task = asyncio.ensure_future(exchange(app, Wire().signed(key)))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(run())
    assert ended == [True]


def test_no_class_and_no_half_a_store_is_a_store(key):
    for store in (OwnStore, object(), 7, type("NoFloor", (), {"claim": OwnStore.claim})()):
        with pytest.raises(TypeError, match="nonce_store"):
            guarded(key, nonce_store=store)


def test_a_nonce_is_fresh_once_in_64_threads(key, tmp_path):
    # A trusted key that is younger than the store: dev removes the floor.
    app = guarded(key)
    for _ in range(3):
        wire = Wire().signed(key)
        begin = threading.Barrier(64)
        statuses = []

        def run():
            begin.wait()
            statuses.append(ask(app, wire).status)

        threads = [threading.Thread(target=run) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] + [403] * 63


@pytest.mark.parametrize("first", [True, False])
def test_a_memory_store_is_not_shared_with_another_value_of_dev(key, first):
    store = InMemoryNonceStore()
    guarded(key, nonce_store=store, dev=first)
    with pytest.raises(ValueError, match="in use with another value of dev"):
        guarded(key, nonce_store=store, dev=not first)
    with pytest.raises(ValueError) if first else nullcontext():
        Verifier(trust=key.public_key, origin=ORIGIN, nonce_store=store)
    guarded(key, nonce_store=store, dev=first)


def test_a_memory_store_answers_503_after_its_start(key):
    answer = ask(guarded(key, dev=False), Wire().signed(key))
    assert (answer.status, answer.reason) == (503, "unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 7


def accepted(app, key):
    """Asks until a new request is accepted, and returns that request."""
    until = time.monotonic() + 300
    while True:
        wire = Wire().signed(key)
        if ask(app, wire).status == 200:
            return wire
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_file_that_python_opens_in_this_process_refuses_and_recovers(key, tmp_path):
    path = tmp_path / "nonces.db"
    app = guarded(key, nonce_store=f"sqlite:{path}")
    wire = accepted(app, key)
    # Python has a second SQLite library, which cannot see the locks of ours: when it closes the file, it
    # removes the log that ours is writing.
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM used").fetchone() >= (1,)
    answer = ask(app, wire)
    assert (answer.status, answer.reason) == (503, "unavailable")
    accepted(app, key)
    assert ask(app, wire).status == 403


def test_two_middlewares_share_a_handle(key):
    store = InMemoryNonceStore()
    first, second = (guarded(key, nonce_store=store) for _ in range(2))
    wire = Wire().signed(key)
    assert ask(first, wire).status == 200
    # The second user registered the same retention, so the floor stayed where it was.
    assert ask(second, wire).reason == "nonce_replayed"


@pytest.mark.parametrize(
    "url, why",
    [
        ("nonces.db", "not a nonce store such as memory:"),
        ("sqlite:", "sqlite: takes a path"),
        ("memory:?max=1", "max=N"),
        ("redis://user:secret@host?x=1", "."),
    ],
)
def test_a_wrong_url_is_a_value_error_without_the_password(key, url, why):
    for make in (NonceStore.open, lambda url: guarded(key, nonce_store=url)):
        with pytest.raises(ValueError, match="nonce_store") as caught:
            make(url)
        assert why in str(caught.value) and "secret" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_an_os_error(key, tmp_path):
    with pytest.raises(OSError, match="the nonce store sqlite:"):
        guarded(key, nonce_store=f"sqlite:{tmp_path / 'no' / 'nonces.db'}")
    with pytest.raises(ConnectionError, match="127.0.0.1:1"):
        guarded(key, nonce_store="redis://user:secret@127.0.0.1:1")


def test_a_handle_shows_no_password_and_cannot_be_pickled(key):
    import pickle

    store = NonceStore.open("redis://user:secret@localhost:6379/0")
    assert "secret" not in repr(store) and "redis" in repr(store)
    assert repr(InMemoryNonceStore()) == "<InMemoryNonceStore memory:>"
    for one in (store, InMemoryNonceStore()):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(one)
    with pytest.raises(ValueError, match="at least 8"):
        InMemoryNonceStore(max=7)
    with pytest.raises(ValueError, match="would change nothing"):
        NonceStore.open("memory:", raise_retention=True)


def test_a_full_store_and_a_quota_are_told(key):
    app = guarded(key, nonce_store=InMemoryNonceStore(max=16))
    statuses = [ask(app, Wire().signed(key)).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
