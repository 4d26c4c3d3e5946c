"""AdCP's vectors and SDK against the program: one line per case, and the counts.

    python tests/adcp/run.py --mcpid target/debug/mcpid --npm target/adcp/npm [PART OF A CASE'S NAME]

tests/all adcp installs what this needs and runs it.
"""

import argparse
import tempfile
import traceback
from pathlib import Path

import cap
import gateway
import grader
import peers
import vectors
from harness import Harness


def cases(harness: Harness, npm: Path):
    """All cases: (name, callable that raises where it fails)."""
    yield from vectors.cases(harness)
    yield from cap.cases(harness)
    yield from peers.cases(harness)
    yield from gateway.cases(harness)
    yield from grader.cases(harness, npm)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mcpid", type=Path)
    arguments.add_argument("--npm", type=Path, help="the folder where the packages of package.json are installed")
    arguments.add_argument("--where", action="store_true", help="print the folder of the vectors")
    arguments.add_argument("only", nargs="?", default="", help="run the cases whose name holds this")
    given = arguments.parse_args()
    if given.where:
        print(vectors.FOLDER)
        return 0

    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="mcpid-adcp-") as folder:
        harness = Harness(given.mcpid.resolve(), Path(folder))
        try:
            for name, case in cases(harness, given.npm.resolve()):
                if given.only not in name:
                    continue
                try:
                    case()
                except Exception as error:
                    failed += 1
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    reason = f"{type(error).__name__}: {error}".strip().replace("\n", "\n    ")
                    print(f"FAILED {name}\n    {Path(last.filename).name}:{last.lineno}: {reason}", flush=True)
                else:
                    passed += 1
                    print(f"ok {name}", flush=True)
        finally:
            harness.close()
    if passed + failed == 0:
        print(f"no case is named like {given.only!r}")
        failed = 1
    print(f"adcp: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
