"""A store in Redis: shared by middlewares, and killed under load."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from asgi_harness import Wire, exchange, free_port, guarded

if shutil.which("redis-server") is None:
    pytest.skip("there is no redis-server", allow_module_level=True)


@pytest.fixture
def redis(tmp_path):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    command += ["--save", "", "--maxmemory-policy", "noeviction"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)
    process.url = f"redis://127.0.0.1:{port}"
    yield process
    process.kill()
    process.wait()


def test_a_nonce_is_claimed_once_for_all_and_a_dead_server_refuses(redis, key, caplog):
    first, second = (guarded(key, nonce_store=redis.url) for _ in range(2))

    async def asked(app, wire):
        answer = await exchange(app, wire)
        return answer.status, answer.reason

    async def run():

        async def used():
            # A new server has a floor of 35 s, below which a fresh nonce is 503. A used one is told.
            wire = Wire().signed(key)
            assert await asked(first, wire) == (503, "unavailable")
            assert await asked(second, wire) == (403, "nonce_replayed")
            return wire

        async def load(app, answers):
            while not killed.is_set():
                answers.append(await asked(app, Wire().signed(key)))

        killed, answers = asyncio.Event(), []
        tasks = [asyncio.ensure_future(load(app, answers)) for app in (first, second) * 8]
        while len(answers) <= 20:
            await asyncio.sleep(0.01)
        wire = await used()
        # The server hangs: a claim waits, and the event loop goes on.
        os.kill(redis.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, redis.pid, os.WSTOPPED | os.WNOWAIT)
        waiting, ticks = asyncio.ensure_future(asked(first, Wire().signed(key))), 0
        while not waiting.done():
            await asyncio.sleep(0)
            ticks += 1
        assert await waiting == (503, "unavailable")
        assert ticks > 100, "the event loop was held"
        redis.kill()
        redis.wait()
        # Without the server, a used nonce cannot be told either, so nothing is accepted.
        assert await asked(first, wire) == (503, "unavailable")
        before = len(answers)
        while len(answers) <= before + 20:
            await asyncio.sleep(0.01)
        killed.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 120)
        assert set(answers) == {(503, "unavailable")}
        assert await asked(second, Wire().signed(key)) == (503, "unavailable")
        permissive = await exchange(guarded_permissive, Wire().signed(key))
        assert permissive.status == 200
        assert permissive.scope["mcp_identity"].status == "unavailable"

    guarded_permissive = guarded(key, nonce_store=redis.url, mode="permissive")
    asyncio.run(run())
    assert "requests cannot be judged" in caplog.text
