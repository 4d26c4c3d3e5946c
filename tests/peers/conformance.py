"""Runs the official suite against a fixture server, directly and through a gateway. The totals of every
scenario must be the same in both runs.
"""

import re
from functools import cache

from servers import Harness

# By name: (package, arguments).
SUITES = {
    "0.1.x": ("@modelcontextprotocol/conformance", ["--suite", "all"]),
    "0.2 alpha, all": ("conformance-2026", ["--suite", "all"]),
    "0.2 alpha, 2026-07-28": ("conformance-2026", ["--requirements", "2026-07-28"]),
}


def totals(harness: Harness, suite: str, url: str) -> dict[str, tuple[int, int]]:
    """Returns passed and failed checks by scenario, and the sum as "Total"."""
    package, arguments = SUITES[suite]
    index = harness.tools.npm / "node_modules" / package / "dist/index.js"
    # The exit code is 1 if any check failed. The failed checks are compared instead.
    done = harness.command(harness.tools.node, index, "server", "--url", url, *arguments, code=None)
    text = done.stdout.decode()
    harness.log("conformance").write_bytes(done.stdout + done.stderr)
    assert "=== SUMMARY ===" in text, f"exit {done.returncode}: {text[-2000:]}{done.stderr.decode()[-2000:]}"
    summary = text.split("=== SUMMARY ===")[1]
    found = {
        name: (int(passed), int(failed))
        for name, passed, failed in re.findall(r"^(?:[✓✗~⚠] )?([\w/-]+): (\d+) passed, (\d+) failed", summary, re.M)
    }
    assert len(found) > 30 and "Total" in found, summary
    assert found["Total"][0] > 30, f"the fixture itself is broken: {summary}"
    return found


@cache
def direct(harness: Harness, suite: str) -> dict[str, tuple[int, int]]:
    return totals(harness, suite, harness.server("conformance").urls["stateful-sse"])


def compare(harness: Harness, suite: str, url: str) -> None:
    """Runs the suite at `url` in front of the fixture server, and compares the results."""
    bare, between = direct(harness, suite), totals(harness, suite, url)
    if bare != between:
        # Some checks fail on a busy machine because of their timing. They run once more, both ways.
        bare = totals(harness, suite, harness.server("conformance").urls["stateful-sse"])
        between = totals(harness, suite, url)
    other = [f"{name}: {bare.get(name)} directly, {between.get(name)} here"
             for name in sorted(bare.keys() | between.keys()) if bare.get(name) != between.get(name)]
    assert not other, "\n".join(other)


def cases(harness: Harness):
    for suite in SUITES:
        yield f"conformance {suite}: directly", lambda suite=suite: direct(harness, suite)

        def permissive(suite=suite):
            with harness.gateway(harness.server("conformance").urls["stateful-sse"], "--mode", "permissive") as gateway:
                compare(harness, suite, gateway.url)

        yield f"conformance {suite}: the same totals through a permissive gateway", permissive
