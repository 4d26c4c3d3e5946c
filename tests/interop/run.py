"""Tests the binary against other implementations. Prints one line for each case, and the counts.

    python tests/interop/run.py --mcpid target/debug/mcpid --npm FOLDER [PART OF A CASE'S NAME]

tests/all interop installs what this needs and runs it.
"""

import argparse
import tempfile
import time
import traceback
from pathlib import Path

import by_hand
import curl_command
import keyfile
import keys
import p256
import signatures
import ucp
import witnesses
from peers import Node, all_peers
from servers import Harness


def cases(harness: Harness, node: Node, aics: Path | None):
    """Returns all cases in order: (name, function that raises an error if the case fails)."""
    yield from keys.cases(harness)
    yield from keyfile.cases(harness)
    yield from signatures.cases(harness, all_peers(node))
    yield from p256.cases(harness, all_peers(node))
    yield from ucp.cases(harness, all_peers(node)[:2])
    yield from by_hand.cases(harness)
    yield from curl_command.cases(harness)
    yield from witnesses.cases(harness, aics)


def report(line: str, error: Exception) -> None:
    print(line, flush=True)
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error}".strip()
    print("    " + f"{Path(last.filename).name}:{last.lineno}: {reason}".replace("\n", "\n    "))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mcpid", type=Path, required=True)
    arguments.add_argument("--npm", type=Path, required=True, help="the folder that holds node_modules")
    arguments.add_argument("--aics", type=Path, help="the environment that holds aics-witness and aics-tlog")
    arguments.add_argument("only", nargs="?", default="", help="run the cases whose name holds this")
    given = arguments.parse_args()

    passed = failed = 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcpid-interop-") as folder:
        node = Node(given.npm.resolve())
        try:
            for name, case in cases(Harness(given.mcpid.resolve(), Path(folder)), node, given.aics and given.aics.resolve()):
                if given.only not in name:
                    continue
                try:
                    case()
                except Exception as error:
                    failed += 1
                    report(f"FAILED {name}", error)
                else:
                    passed += 1
                    print(f"ok {name}", flush=True)
        except Exception as error:
            failed += 1
            report("FAILED to make the cases", error)
        finally:
            node.close()
    if passed + failed == 0:
        print(f"no case is named like {given.only!r}")
        failed = 1
    print(f"{time.monotonic() - begun:.1f} s")
    print(f"interop: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
