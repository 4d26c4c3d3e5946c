"""Several processes: workers that share a store, and what a forked child may do."""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgi_harness import ORIGIN, URL, Wire, ask, echo, guarded

from mcpid_attest import (
    InMemoryNonceStore,
    MCPIdentityMiddleware,
    NonceStore,
    Request,
    SigningKey,
    Verifier,
)

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


def test_a_nonce_in_sqlite_is_fresh_once_in_two_processes(key, settled_store):
    url = settled_store
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from asgi_harness import *
        from mcpid_attest import PublicKey
        app = MCPIdentityMiddleware(
            echo, {url!r}, origin=ORIGIN, trust=PublicKey.parse({key.did!r})
        )
        print("ready", flush=True)
        for line in sys.stdin:
            wire = Wire(headers=eval(line))
            print(ask(app, wire).status, flush=True)
        """
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for _ in range(20):
            wire = Wire().signed(key)
            for worker in workers:
                worker.stdin.write(f"{wire.headers!r}\n")
                worker.stdin.flush()
            assert sorted(w.stdout.readline() for w in workers) == ["200\n", "403\n"]
    finally:
        for worker in workers:
            worker.stdin.close()
            worker.wait(120)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("url", ["memory:", "sqlite:nonces.db"])
def test_a_store_that_was_opened_before_a_fork_is_refused_in_the_child(
    key, url, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    store = NonceStore.open(url)
    app = guarded(key, nonce_store=store, mode="permissive")
    strict = guarded(key, nonce_store=store)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            identity = ask(app, Wire().signed(key)).scope["mcp_identity"]
            # The store knows why: a claim that waited in vain would have no such reason.
            status = ask(strict, Wire().signed(key)).status
            known = "the store was opened before a fork" in caplog.text
            os.write(write, f"{identity.status} {status} {known}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.read() == "unavailable 503 True"
    os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_key_signs_on_both_sides_of_a_fork(key):
    """Parent and child never use the same nonce."""
    first = Wire().signed(key)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, repr([Wire().signed(key).headers for _ in range(3)]).encode())
        finally:
            os._exit(0)
    os.close(write)
    ours = [first, *(Wire().signed(key) for _ in range(3))]
    with os.fdopen(read) as told:
        theirs = [Wire(headers=headers) for headers in eval(told.read())]
    os.waitpid(child, 0)
    app = guarded(key)
    assert [ask(app, wire).status for wire in ours + theirs] == [200] * 7


def end_of_child(run):
    """Runs ``run`` in a forked child, and returns the child's exit code: 0 if it returned true."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(120)
            os._exit(0 if run() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_while_a_store_is_being_opened_opens_it_itself(key):
    """The thread that opens it does not exist there."""

    def is_unavailable():
        with pytest.raises(ConnectionError):
            guarded(key, nonce_store=store)
        return True

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        store = NonceStore.open(f"redis://127.0.0.1:{server.getsockname()[1]}")
        threads = ThreadPoolExecutor(1)
        opening = threads.submit(is_unavailable)
        connection, _ = server.accept()
        connection.recv(1)
    # Nothing listens any more, so that the child gets its answer at once.
    assert not opening.done()
    assert end_of_child(is_unavailable) == 0
    connection.close()
    assert opening.result()
    threads.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forks_while_threads_open_stores_and_wait_for_them(key, tmp_path):
    """A store's own threads come to the gate, too: none may wait for a fork that waits for it."""
    url = f"sqlite:{tmp_path / 'nonces.db'}"
    store, ended = NonceStore.open(url), threading.Event()
    app = guarded(key, nonce_store=store)

    def use():
        while not ended.is_set():
            guarded(key, nonce_store=store)
            ask(app, Wire().signed(key))

    with ThreadPoolExecutor(3) as threads:
        using = [threads.submit(use) for _ in range(3)]
        try:
            begun = time.monotonic()
            assert {end_of_child(lambda: True) for _ in range(50)} == {0}
            # A fork that waits in vain takes a second.
            assert time.monotonic() - begun < 40
        finally:
            ended.set()
        for used in using:
            used.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_module_that_was_imported_twice_does_not_stop_a_fork(key):
    script = """
import os, sys
import mcpid_attest
for name in [name for name in sys.modules if name.startswith("mcpid_attest")]:
    del sys.modules[name]
import mcpid_attest
child = os.fork()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "7\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_threads_that_judge_and_a_forking_thread_do_not_wait_for_ever(key):
    app, verifier = guarded(key), Verifier(trust=key.public_key, origin=ORIGIN)
    ended = threading.Event()

    def judge(expected):
        wire = Wire().signed(key)
        headers = {name.decode(): value.decode() for name, value in wire.headers}
        verifier.verify(Request(method="POST", target=URL, headers=headers, body=wire.body))
        return ask(app, wire).status == expected

    def judge_until_ended():
        while not ended.is_set():
            assert judge(200)

    with ThreadPoolExecutor(3) as threads:
        judging = [threads.submit(judge_until_ended) for _ in range(3)]
        try:
            # The store is the parent's.
            assert {end_of_child(lambda: judge(503)) for _ in range(50)} == {0}
        finally:
            ended.set()
        for judged in judging:
            judged.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_key_in_a_token_is_refused_in_a_forked_child(token):
    """PKCS #11 2.40 section 5.4: a child has to call C_Initialize itself."""
    key = SigningKey.load(token, passphrase="1234")

    def is_refused():
        with pytest.raises(ValueError, match="loaded before a fork: load the key in each process"):
            Wire().signed(key)
        return True

    assert end_of_child(is_refused) == 0
    Wire().signed(key)


def test_a_memory_store_is_for_one_process(key, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    for store in (InMemoryNonceStore(), "memory:", NonceStore.open("memory:?max=100")):
        with pytest.raises(ValueError, match="WEB_CONCURRENCY is 4"):
            guarded(key, nonce_store=store, dev=False)
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    guarded(key, dev=False)
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    guarded(key, dev=False)


def _make_in_worker(did, origin, kind, results):
    from mcpid_attest import PublicKey

    settings = {"trust": PublicKey.parse(did), "origin": origin, "nonce_store": InMemoryNonceStore()}
    try:
        Verifier(**settings) if kind == "verifier" else MCPIdentityMiddleware(echo, **settings)
        results.send("made")
        results.recv()
    except ValueError as error:
        results.send(str(error))


@pytest.mark.skipif(sys.platform != "linux", reason="the names of sockets that end with a process")
def test_of_the_workers_of_a_server_one_may_have_a_memory_store(key):
    """Workers that a supervisor starts, with no word in the environment."""
    context = multiprocessing.get_context("spawn")
    workers = []

    def begin(origin, kind="middleware"):
        ours, theirs = context.Pipe()
        process = context.Process(target=_make_in_worker, args=(key.did, origin, kind, theirs))
        process.start()
        theirs.close()
        workers.append((process, ours))
        return process, ours

    try:
        other = ORIGIN.replace("8000", "8001")
        begun = [begin(ORIGIN), begin(ORIGIN), begin(ORIGIN, "verifier"), begin(other)]
        said = [ours.recv() for _, ours in begun]
        refused = [text for text in said[:3] if "another worker of this server has one" in text]
        assert sorted(said[:3]).count("made") == 1 and len(refused) == 2, said
        # A server at another origin is another server, and the place of a worker that ended is free.
        assert said[3] == "made"
        for process, ours in begun:
            if process.is_alive():
                with contextlib.suppress(OSError):
                    ours.send("end")
            process.join(120)
        assert begin(ORIGIN)[1].recv() == "made"
    finally:
        for process, _ in workers:
            process.terminate()
            process.join(120)
