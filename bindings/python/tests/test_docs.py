"""The Python blocks of the documents run as they stand, one page in one folder, in order."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = ["bindings/python/README.md", "docs/python.md"]
# These blocks are run by test_docs_mcp.py and test_readme_mcp.py.
_PACKAGES = re.compile(r"^(?:from|import) (fastmcp|mcp|fastapi)\b", re.M)


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run_as_they_stand(page: str, tmp_path: Path) -> None:
    found = blocks(page)
    assert len(found) > 1
    for block in found:
        if _PACKAGES.search(block):
            continue
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_each_name_of_the_package_is_in_the_documents() -> None:
    import mcpid_attest

    text = "".join((ROOT / page).read_text("utf-8") for page in PAGES)
    hidden = {"NonceStoreProtocol", "__version__", "NotVerified", "Signer", "Verified", "PublicKey", "thumbprint", "did_key"}
    assert [name for name in mcpid_attest.__all__ if name not in text and name not in hidden] == []
