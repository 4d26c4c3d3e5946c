"""Event loops: waiting, cancellation, debug mode, many requests, and the end of the interpreter."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import pytest
from asgi_harness import Wire, ask, echo, exchange, guarded

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


@pytest.fixture
def waiting(key, settled_store):
    """A middleware with a store whose claims wait for a file."""
    return guarded(key, nonce_store=settled_store)


def run_with(loop_factory, coroutine):
    loop = loop_factory()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def uvloop_factory():
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop_factory])
def test_claims_wait_without_blocking_the_loop(key, waiting, factory):

    async def run():
        wires = [Wire().signed(key) for _ in range(100)]
        answers = await asyncio.gather(*(exchange(waiting, wire) for wire in wires + wires))
        return sorted(answer.status for answer in answers)

    assert run_with(factory, run()) == [200] * 100 + [403] * 100


def test_debug_mode_finds_nothing(key, waiting, caplog):

    async def run():
        asyncio.get_running_loop().slow_callback_duration = 60
        await asyncio.gather(*(exchange(waiting, Wire().signed(key)) for _ in range(20)))
        body = Wire().body[:-1] + b',"x":"' + b"y" * 300_000 + b'"}'
        assert (await exchange(waiting, Wire(body=body).signed(key))).status == 200

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(run(), debug=True)
        gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_cancelled_claims_are_released(key, waiting):

    async def run():
        for pause in (0, 0, 0.0001, 0.001, 0.002) * 20:
            task = asyncio.ensure_future(exchange(waiting, Wire().signed(key)))
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await exchange(waiting, Wire().signed(key))

    assert asyncio.run(run()).status == 200


LOCK = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_cancelled_claim_that_waits_for_a_locked_file_holds_nothing(key, waiting, settled_store):
    class Scope(dict):
        pass

    async def run():
        wire = Wire().signed(key)
        scope = Scope(wire.scope())
        held = weakref.ref(scope)
        task = asyncio.ensure_future(exchange(waiting, wire, scope=scope))
        del scope
        # The loop goes on, and the claim waits.
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return held

    # Another process: SQLite's locks are those of a process.
    command = [sys.executable, "-c", LOCK, settled_store.removeprefix("sqlite:")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        held = asyncio.run(run())
        gc.collect()
        assert held() is None
        holder.stdin.close()
    assert ask(waiting, Wire().signed(key)).status == 200


def test_a_loop_that_is_closed_while_a_claim_waits_does_no_harm(key, waiting):
    for _ in range(20):
        loop = asyncio.new_event_loop()
        task = loop.create_task(exchange(waiting, Wire().signed(key)))
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()
    time.sleep(0.05)
    assert ask(waiting, Wire().signed(key)).status == 200


def test_a_request_holds_nothing_after_its_end(key):
    class Scope(dict):
        pass

    app = guarded(key)
    scope = Scope(Wire().signed(key).scope())
    held = weakref.ref(scope)

    def run(scope):
        assert ask(app, Wire(), scope=scope, messages=Wire().messages()).status == 200

    run(scope)
    del scope
    gc.collect()
    assert held() is None


def test_loops_in_many_threads_share_a_middleware(key, waiting):
    failed = []

    async def run():
        wires = [Wire().signed(key) for _ in range(10)]
        answers = await asyncio.gather(*(exchange(waiting, wire) for wire in wires))
        failed.extend(answer.status for answer in answers if answer.status != 200)

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("ending", ["pass", "loop.stop()", "sys.exit(0)", "task.cancel()"])
def test_the_interpreter_ends_with_requests_in_flight(tmp_path, ending):
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from asgi_harness import *

        key = SigningKey.generate()
        app = guarded(key, nonce_store="sqlite:nonces.db", mode="permissive")

        async def one():
            body = Wire().body[:-1] + b',"x":"' + b"y" * 3_000_000 + b'"}}'
            await exchange(app, Wire(body=body).signed(key))

        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(exchange(app, Wire().signed(key))) for _ in range(50)]
        task = loop.create_task(one())
        loop.run_until_complete(asyncio.sleep(0.001))
        {ending}
        """
    )
    command = [sys.executable, "-X", "faulthandler", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for word in ("Fatal", "panicked", "Segmentation"):
        assert word not in done.stderr, done.stderr


def test_the_application_runs_in_the_task_of_the_server(key):
    """Context variables and cancellation scopes of a framework rely on it."""
    seen = []

    async def app(scope, receive, send):
        seen.append(asyncio.current_task())
        await echo(scope, receive, send)

    async def run():
        await exchange(guarded(key, app), Wire().signed(key))
        return asyncio.current_task()

    assert seen == [] and asyncio.run(run()) is seen[0]
