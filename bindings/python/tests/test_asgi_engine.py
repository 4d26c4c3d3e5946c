"""The refusal cases of the engine's own tests, as raw bytes: a server with the middleware and
``mcpid gateway`` give the verdict that the engine gives.

The cases are of one second in the past. So this runs in processes of its own, for which the C library's
clock stands still. The variable MCPID_CASES names the file of cases, and MCPID_PROGRAM the program.
"""

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

# Only the wall clock stands still; waiting uses another one.
CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    const char *second = getenv("FIXED_SECOND");
    if (id != CLOCK_REALTIME || !second) return syscall(SYS_clock_gettime, id, now);
    now->tv_sec = atoll(second);
    now->tv_nsec = 0;
    return 0;
}
"""

# Long enough for any machine.
PATIENCE = 300

# The codes of requests that a front refuses by its own rules for HTTP, before the engine judges them.
BY_THE_FRONT = {"content_length", "host", "not_found", "target", "user_information"}

# h11 joins the two lines, and reads as much of the body as they say.
CHANGED_BY_THE_SERVER = {"two lengths"}


def one_variable(name):
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set")
    return value


@pytest.mark.skipif(sys.platform != "linux", reason="the clock is held by LD_PRELOAD")
def test_each_case_has_the_verdict_of_the_engine(tmp_path):
    cases = json.loads(Path(one_variable("MCPID_CASES")).read_text())
    one_variable("MCPID_PROGRAM")
    (tmp_path / "clock.c").write_text(CLOCK)
    clock = tmp_path / "clock.so"
    command = ["cc", "-shared", "-fPIC", "-o", clock, tmp_path / "clock.c"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    judged = {"middleware": 0, "gateway": 0, "same bytes": 0}
    for second in sorted({case["now"] for case in cases}):
        held = tmp_path / f"{second}.json"
        held.write_text(json.dumps([case for case in cases if case["now"] == second]))
        env = os.environ | {"LD_PRELOAD": str(clock), "FIXED_SECOND": str(second)}
        done = subprocess.run(
            [sys.executable, __file__, held],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["wrong"] == [], json.dumps(found["wrong"], indent=1)
        for name, count in found["judged"].items():
            judged[name] += count
    # Some never reach the engine, because a server or a front refuses them by itself.
    assert min(judged.values()) > 0.8 * len(cases), (judged, len(cases))


# ---- the child, whose clock stands still --------------------------------------------------


def on_the_wire(case):
    lines = [f"{case['method']} {case['target']} HTTP/1.1".encode()]
    body = base64.b64decode(case["body"])
    for name, value in case["fields"]:
        lines.append(name.encode() + b": " + base64.b64decode(value))
    names = {name.lower() for name, _ in case["fields"]}
    if not names & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ask(port, raw):
    """Status, fields and body of the answer; None if the server closes without one."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            stream.sendall(raw)
        answer = b""
        while True:
            start, end, body = answer.partition(b"\r\n\r\n")
            status, *lines = start.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            fields = {name.lower(): value.strip() for name, _, value in pairs}
            if end and len(body) >= int(fields.get("content-length", 0)):
                return int(status.split()[1]), fields, body
            try:
                more = stream.recv(65536)
            except OSError:
                return None
            if not more:
                return None
            answer += more


def reason_of(answer):
    """The engine's code for a refusal; None if the server or the front refused by itself."""
    try:
        reason = json.loads(answer[2])["error"]["data"]["reason"]
    except (TypeError, ValueError, KeyError):
        return None
    return None if reason in BY_THE_FRONT else reason


def listening():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def settings_of(case):
    return json.dumps([case["trust"], case["origins"], case["max_body"]])


def write_trust(trust, folder):
    from mcpid_attest import SigningKey

    folder.mkdir(parents=True)
    texts = [json.dumps({"keys": [entry]}) for entry in trust]
    # A server has to trust some key.
    for number, text in enumerate(texts or [SigningKey.generate().public_key.jwks()]):
        path = folder / f"{number}.json"
        path.write_text(text)
        path.chmod(0o644)
    return folder


async def never(scope, receive, send):
    raise AssertionError("a case reached the application")


def serve_middlewares(trusts):
    """Serves one middleware for each settings, each at its own port of one uvicorn."""
    import uvicorn

    from mcpid_attest import MCPIdentityMiddleware

    apps, ports, sockets = {}, {}, []
    for settings, trust in trusts.items():
        _, origins, max_body = json.loads(settings)
        listener = listening()
        port = listener.getsockname()[1]
        apps[port] = MCPIdentityMiddleware(
            never, "memory:", trust=trust, origin=origins, max_body=max_body, path="/mcp"
        )
        ports[settings] = port
        sockets.append(listener)

    async def app(scope, receive, send):
        await apps[scope["server"][1]](scope, receive, send)

    config = uvicorn.Config(app, log_level="critical", lifespan="off", http="h11", loop="asyncio")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True).start()
    return ports


def start_gateway(settings, trust, upstream):
    """Starts a gateway, and returns its process and its port."""
    _, origins, max_body = json.loads(settings)
    command = [os.environ["MCPID_PROGRAM"], "gateway", "--listen", "127.0.0.1:0", "--trust", trust]
    command += ["--upstream", f"http://127.0.0.1:{upstream}/mcp", "--nonces", "memory:"]
    command += ["--max-body", str(max_body)]
    for origin in origins:
        command += ["--origin", origin]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if listens := re.search(r"listening at 127\.0\.0\.1:(\d+)", line):
            # What it says later is not needed, and a full pipe would stop it.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(listens[1])
    raise RuntimeError(f"no gateway: {said}")


def main(path):
    cases, folder = json.loads(Path(path).read_text()), Path(tempfile.mkdtemp(dir="."))
    settings = sorted({settings_of(case) for case in cases})
    trusts = {
        each: write_trust(json.loads(each)[0], folder / str(number))
        for number, each in enumerate(settings)
    }
    middlewares = serve_middlewares(trusts)
    upstream = listening()
    judged, wrong = {"middleware": 0, "gateway": 0, "same bytes": 0}, []
    for each in settings:
        gateway, port = start_gateway(each, trusts[each], upstream.getsockname()[1])
        try:
            for case in cases:
                if settings_of(case) != each or case["why"] in CHANGED_BY_THE_SERVER:
                    continue
                raw = on_the_wire(case)
                ours, theirs = ask(middlewares[each], raw), ask(port, raw)
                reasons = reason_of(ours), reason_of(theirs)
                for name, reason in zip(judged, reasons):
                    judged[name] += reason is not None
                    if reason not in (None, case["code"]):
                        wrong.append([case["why"], name, reason, case["code"]])
                if None not in reasons:
                    if (ours[0], ours[2]) == (theirs[0], theirs[2]):
                        judged["same bytes"] += 1
                    else:
                        wrong.append([case["why"], str(ours), str(theirs)])
        finally:
            gateway.kill()
            gateway.wait()
    print(json.dumps({"judged": judged, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)
