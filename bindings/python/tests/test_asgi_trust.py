"""The trust files of the middleware: they are read again when they change, before the next request."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgi_harness import ORIGIN, Wire, ask, echo, guarded

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware, SigningKey

LOUD = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


def test_strict_mode_needs_a_trust_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="trust.json"):
        MCPIdentityMiddleware(echo, InMemoryNonceStore(), origin=ORIGIN)
    for mode in ("strict", "permissive"):
        with pytest.raises(FileNotFoundError):
            MCPIdentityMiddleware(
                echo, InMemoryNonceStore(), origin=ORIGIN, mode=mode, trust=tmp_path / "no.json"
            )


@LOUD
def test_a_trust_file_is_read_again_when_it_changes(key, other, tmp_path, caplog):
    path = tmp_path / "trust.json"
    path.write_text(key.public_key.jwks())
    app = guarded(key, trust=[path])
    assert ask(app, Wire().signed(key)).status == 200
    assert ask(app, Wire().signed(other)).reason == "key_unknown"

    def until(changed):
        end = time.monotonic() + 120
        while not changed():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    path.write_text(other.public_key.jwks())
    assert until(lambda: ask(app, Wire().signed(other)).status == 200)
    assert ask(app, Wire().signed(key)).reason == "key_unknown"
    # A file that cannot be read leaves the keys as they were, and says so.
    path.write_text("{")
    assert until(lambda: ask(app, Wire()) and "stays in use" in caplog.text)
    assert ask(app, Wire().signed(other)).status == 200


@LOUD
def test_the_first_request_after_a_quiet_time_is_judged_by_the_new_keys(key, other, tmp_path):
    path = tmp_path / "trust.json"
    path.write_text(key.public_key.jwks())
    app = guarded(key, trust=[path])
    # A new file: one that is written within a tick of the clock of files has the same time as before.
    new = tmp_path / "new.json"
    new.write_text(other.public_key.jwks())
    new.replace(path)
    time.sleep(1.1)
    assert ask(app, Wire().signed(key)).reason == "key_unknown"
    assert ask(app, Wire().signed(other)).status == 200


@LOUD
def test_requests_of_other_threads_wait_until_the_files_are_read(key, other, tmp_path):
    path = tmp_path / "trust.json"
    keys = [json.loads(SigningKey.generate().public_key.jwk()) for _ in range(100)]
    path.write_text(json.dumps({"keys": [json.loads(key.public_key.jwk()), *keys]}))
    app = guarded(key, trust=[path])
    path.write_text(json.dumps({"keys": keys}))
    wires = [Wire().signed(key) for _ in range(8)]
    time.sleep(1.1)
    with ThreadPoolExecutor(len(wires)) as threads:
        answers = list(threads.map(lambda wire: ask(app, wire), wires))
    assert {answer.reason for answer in answers} == {"key_unknown"}


@LOUD
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_worker_forked_while_files_are_read_reads_them_again(key, tmp_path):
    path = tmp_path / "trust.json"
    keys = [json.loads(SigningKey.generate().public_key.jwk()) for _ in range(100)]
    path.write_text(json.dumps({"keys": [json.loads(key.public_key.jwk()), *keys]}))
    app = guarded(key, trust=[path])
    path.write_text(path.read_text() + "\n")
    time.sleep(1.1)
    reader = threading.Thread(target=ask, args=(app, Wire().signed(key)))
    reader.start()
    time.sleep(0.005)
    child = os.fork()
    if child == 0:
        # The store is the parent's and answers 503: only the step before it is of interest.
        try:
            signal.alarm(300)
            known = ask(app, Wire().signed(key)).reason
            path.write_text(json.dumps({"keys": keys}))
            time.sleep(1.1)
            gone = ask(app, Wire().signed(key)).reason
            os._exit(0 if (known, gone) == ("unavailable", "key_unknown") else 1)
        finally:
            os._exit(2)
    reader.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


LEASE = """
import fcntl, os, signal, sys
# The signal says that another process opens the file.
signal.signal(signal.SIGIO, lambda *_: print("asked", flush=True))
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


@LOUD
@pytest.mark.skipif(sys.platform != "linux", reason="leases of files are Linux's")
def test_requests_are_not_judged_by_old_keys_while_reading_takes_too_long(key, tmp_path):
    path = tmp_path / "trust.json"
    path.write_text(key.public_key.jwks())
    app = guarded(key, trust=[path], mode="permissive")
    assert ask(app, Wire().signed(key)).status == 200
    path.write_text(path.read_text() + " ")
    # With this lease of another process, opening the file waits until the lease is given up.
    command = [sys.executable, "-c", LEASE, path]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        time.sleep(1.1)
        with ThreadPoolExecutor(2) as threads:
            reads = threads.submit(ask, app, Wire().signed(key))
            assert holder.stdout.readline() == "asked\n"
            waits = ask(app, Wire().signed(key))
            assert (waits.status, waits.reason) == (503, "unavailable")
            assert not reads.done()
            holder.stdin.close()
            assert reads.result(60).status == 200
    finally:
        holder.kill()
        holder.wait()
    assert ask(app, Wire().signed(key)).status == 200
