"""Tests the binary with real MCP servers and clients, and with the official conformance suite. Prints one
line for each case, and the counts. tests/all peers installs the packages and runs it.

    python tests/peers/run.py --mcpid target/debug/mcpid --sign-proxy target/debug/examples/sign_proxy
        --python1 VENV/bin/python --python2 VENV/bin/python --npm FOLDER [--keep] [PART OF A CASE'S NAME]…

What there is:
  servers/     each package as a server with the same six tools, in four variants (stateful or
               stateless, SSE or JSON). It records every request and call that reached it; the cases
               compare with that record, not with what a client believes. Harness.server(NAME).urls
  clients/     each package as a client: a process that takes jobs ("walk" calls every tool and tells
               what came back) and keeps nothing between them. Harness.client(NAME).do(**job)
  servers.py   the processes, the keys, `mcpid gateway` (Harness.gateway) and a signing proxy
  signing.py   a signer of our profile that shares no code with the binary
  wire.py      HTTP by hand, for what no client would send

To add a matrix: for each server and variant in matrix.SERVERS and servers.VARIANTS, put something
before the URL, send each client of matrix.CLIENTS there with `matrix.walk(harness, client, url, token)`,
and compare with `matrix.direct(harness, server, variant, client)`, the same walk without it. A stdio
bridge is a job with "stdio": [COMMAND, …] in place of "url". What reached the server is in
`harness.server(name).record("request")`, its headers included.

A module of cases has one function `cases(harness)` that yields (name, callable that raises where it
fails); list it in a part below. The folder with all logs is kept if a case failed, or with --keep.
"""

import argparse
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import bodies
import bridging
import conformance
import crowd
import envoy
import faults
import framing
import http2
import key_sources
import matrix
import monitoring
import proxies
import refusing
import resources
import shared_nonces
from servers import Harness, Tools


def gateways(harness: Harness):
    """The cases of the gateway and `authz`."""
    redis = shared_nonces.Story(harness)
    yield "redis: two gateways begin to share a store", redis.begin
    for module in (
        matrix, conformance, refusing, bodies, resources, framing, http2, faults, crowd, envoy, proxies, monitoring,
    ):
        yield from module.cases(harness)
    for step in shared_nonces.STEPS:
        yield f"redis: {step}", lambda step=step: redis.step(step)


def bridges(harness: Harness):
    """The cases of `connect`."""
    yield from bridging.cases(harness)
    yield from key_sources.cases(harness)


# The two parts of the cases, which may run at the same time and take about as long.
PARTS = {"1": gateways, "2": bridges}


def cases(harness: Harness, part: str | None):
    """Returns the cases in order: (name, function that raises an error if the case fails)."""
    for name, all_of_part in PARTS.items():
        if part in (None, name):
            yield from all_of_part(harness)


def report(name: str, error: BaseException) -> None:
    print(f"FAILED {name}", flush=True)
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error}".strip()
    print("    " + f"{Path(last.filename).name}:{last.lineno}: {reason}".replace("\n", "\n    "), flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("mcpid", "sign-proxy", "python1", "python2", "npm"):
        # The path is not resolved: the python of a virtual environment is a link, and must stay one.
        arguments.add_argument(f"--{name}", type=lambda path: Path(path).absolute(), required=True)
    arguments.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    arguments.add_argument("--part", choices=PARTS, help="run one half of the cases")
    arguments.add_argument("--write-table", action="store_true", help="write CLIENTS.md from what is seen, and end")
    arguments.add_argument("only", nargs="*", help="run the cases whose name holds one of these")
    given = arguments.parse_args()
    tools = Tools(given.mcpid, given.sign_proxy, given.python1, given.python2, given.npm)

    passed = failed = 0
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="mcpid-peers-"))
    harness = Harness(tools, folder)
    try:
        if given.write_table:
            refusing.TABLE.write_text(refusing.document(harness))
            passed += 1
        for name, case in [] if given.write_table else cases(harness, given.part):
            if given.only and not any(part in name for part in given.only):
                continue
            before = time.monotonic()
            try:
                case()
            except Exception as error:
                failed += 1
                report(name, error)
            else:
                passed += 1
                took = time.monotonic() - before
                print(f"ok {name}" + (f" ({took:.1f} s)" if took >= 2 else ""), flush=True)
    except Exception as error:
        failed += 1
        report("to make the cases", error)
    finally:
        harness.close()
    if passed + failed == 0:
        print(f"no case is named like {' or '.join(given.only)}")
        failed = 1
    if failed or given.keep:
        print(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{time.monotonic() - begun:.1f} s")
    print(f"peers: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
