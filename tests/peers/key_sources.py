"""Runs `mcpid connect` between every client and a server with keys that are in no file: behind a program, in
a PKCS #11 token and in an ssh-agent. The clients speak both revisions. Each gets the same as without a bridge,
and every request that reaches the server is verified.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from bridging import both_fronts, redis, until_accepting
from callers import CLIENTS
from matrix import direct, in_threads, statuses
from servers import Harness, executable, until

SERVER, VARIANT = "py2", "stateful-sse"

SIGN_BY_OPENSSL = """#!/bin/sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed 's/.*"payload":"\\([^"]*\\)".*/\\1/' | base64 -d > "$folder/base"
openssl pkeyutl -sign -rawin -inkey "$1" -in "$folder/base" -out "$folder/signature"
printf '{"signature":"%s"}\\n' "$(base64 -w0 "$folder/signature")"
"""
MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"]


@contextlib.contextmanager
def by_program(harness: Harness):
    script, private, public = (harness.folder / name for name in ("sign by openssl", "exec key.pem", "exec.pem"))
    executable(script, SIGN_BY_OPENSSL)
    harness.command("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
    harness.command("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    yield ["-k", f'exec:["{script}","{private}"]', "--public-key", public], {}


@contextlib.contextmanager
def by_token(harness: Harness):
    module = next(path for path in MODULES if Path(path).exists())
    folder = harness.folder / "token"
    (folder / "tokens").mkdir(parents=True)
    (folder / "conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    (folder / "pin").write_text("1234\n")
    environment = {"SOFTHSM2_CONF": str(folder / "conf"), "MCPID_PKCS11_MODULE": module}

    def run(*command: str) -> None:
        subprocess.run(command, env={**harness.environment, **environment}, check=True, capture_output=True)

    run("softhsm2-util", "--init-token", "--free", "--label", "agents", "--pin", "1234", "--so-pin", "56789012")
    run("pkcs11-tool", "--module", module, "--token-label", "agents", "--login", "--pin", "1234", "--keypairgen",
        "--key-type", "EC:edwards25519", "--label", "alice", "--id", "01")
    yield ["-k", "pkcs11:token=agents;object=alice", "--passphrase-file", folder / "pin"], environment


@contextlib.contextmanager
def by_agent(harness: Harness):
    socket, key = harness.folder / "agent", harness.folder / "id_agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        environment = {"SSH_AUTH_SOCK": str(socket)}

        def listens() -> bool:
            # 2 if there is no agent at the socket, and 1 if there is one without keys.
            return subprocess.run(["ssh-add", "-l"], env={**os.environ, **environment}, capture_output=True).returncode == 1

        until(listens, "the agent listens")
        harness.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", key)
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, **environment}, check=True)
        yield ["-k", "ssh-agent:alice"], environment
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(120)


def bridged(harness: Harness, name: str, source) -> None:
    there = harness.server(SERVER)
    # The run without the bridge comes first, because it reaches the server unsigned.
    in_threads([(direct, harness, SERVER, VARIANT, client) for client in CLIENTS])
    store, before_all = redis(harness), dict(harness.environment)
    with source(harness) as (flags, environment):
        key, trust = flags[1], harness.folder / f"{name}.trust.json"
        harness.environment.update(environment)
        try:
            pinned = flags[2:] if "--public-key" in flags else []
            harness.command(harness.tools.mcpid, "trust", "add", "-r", trust, "--name", "alice", key, *pinned)
            until_accepting(harness, store)
            harness.key_flags = flags
            with harness.gateway(there.urls[VARIANT], "--mode", "strict", trust=trust, nonces=store) as gateway:
                before = there.mark()
                both_fronts(harness, SERVER, VARIANT, gateway.url, f"by-{name}")
                assert statuses(there, before) == {("verified",)}, statuses(there, before)
        finally:
            harness.key_flags = None
            harness.environment.clear()
            harness.environment.update(before_all)


def cases(harness: Harness):
    for name, source in [("exec", by_program), ("pkcs11", by_token), ("ssh-agent", by_agent)]:

        def case(name=name, source=source):
            bridged(harness, name, source)

        yield f"connect, {SERVER} {VARIANT}, both fronts: with a key by {name}", case
