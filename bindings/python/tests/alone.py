"""The quickstart in an environment that has the package and nothing else: sign, verify, refuse."""

import sys

import mcpid_attest
from mcpid_attest import Rejected, Request, SigningKey, Verifier, sign_request

URL = "https://mcp.example.com/mcp"
BODY = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'

key = SigningKey.generate()
headers = {"Content-Type": "application/json"}
headers |= sign_request(key, "POST", URL, headers, BODY)
verifier = Verifier(origin="https://mcp.example.com", trust=key.public_key)
assert verifier.verify(Request("POST", URL, headers, BODY)).did == key.did
try:
    verifier.verify(Request("POST", URL, headers, BODY + b" "))
    sys.exit("another body was accepted")
except Rejected as error:
    assert (error.step, error.code) == (9, "digest_mismatch"), error
# Without an HTTP library, only the signing clients are missing, and the error says what to do.
try:
    mcpid_attest.SignatureAuth
    sys.exit("SignatureAuth without httpx")
except ImportError as error:
    assert "pip install httpx" in str(error), error
print(f"mcpid_attest {mcpid_attest.__version__} works alone on Python {sys.version.split()[0]}")
