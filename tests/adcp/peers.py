"""AdCP's own signer and verifier, both ways."""

import json
import time

from adcp.signing import StaticJwksResolver, VerifierCapability, VerifyOptions, sign_request, verify_request_signature
from adcp.signing.errors import SignatureVerificationError

import vectors
from harness import CALL, Signer

URL = "https://seller.example.com/mcp?b=2&a=1"
KIDS = ("test-ed25519-2026", "test-es256-2026")


def theirs_ours(harness, kid: str) -> None:
    signer = Signer(kid)
    headers = {"Content-Type": "application/json", "Host": "seller.example.com"}
    signed = sign_request(
        method="POST", url=URL, headers=headers, body=CALL, private_key=signer.private, key_id=kid, alg=signer.alg,
        signing_profile_version="3.2",
    )
    fields = headers | signed.as_dict()

    def capture(target: str = "/mcp?b=2&a=1", body: bytes = CALL) -> bytes:
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    registry = harness.file("jwks.json", {"keys": [{k: v for k, v in signer.jwk.items() if k != "$comment"}]})

    def verdict(content: bytes) -> dict:
        return json.loads(harness.run("verify", "--json", "--profile", "adcp", "-r", registry, harness.file("theirs", content)).stdout)

    assert verdict(capture())["verdict"] == "accepted", verdict(capture())
    assert verdict(capture("/x/../mcp?b=2&a=1"))["verdict"] == "accepted"
    assert verdict(capture("/mcp?a=1&b=2"))["profile_code"] == "request_signature_invalid"
    assert verdict(capture(body=CALL + b" "))["profile_code"] == "request_signature_digest_mismatch"


def ours_theirs(harness, kid: str, url: str) -> None:
    signer = Signer(kid)
    secret = {k: v for k, v in signer.jwk.items() if k in ("kty", "crv", "x", "y")} | {"d": signer.jwk["_private_d_for_test_only"]}
    key = harness.folder / f"{kid}.json"
    if not key.exists():
        done = harness.run("keygen", "--no-passphrase", "--import", harness.file(f"{kid}.jwk", secret), "-o", key)
        assert done.returncode == 0, done.stderr.decode()
    done = harness.run("sign", "--json", "--profile", "adcp", "--keyid", kid, "-k", key, "--url", url, harness.file("call", CALL))
    assert done.returncode == 0, done.stderr.decode()
    signed = json.loads(done.stdout)
    assert signed["covered"] == ["@method", "@target-uri", "@authority", "content-type", "content-digest"], signed
    headers = dict(signed["headers"])

    def options() -> VerifyOptions:
        return VerifyOptions(
            now=time.time(), operation="create_media_buy", jwks_resolver=StaticJwksResolver(vectors.KEYS),
            capability=VerifierCapability(covers_content_digest="required"), signing_profile_version="3.2",
        )

    verified = verify_request_signature(method="POST", url=signed["target"], headers=headers, body=CALL, options=options())
    assert (verified.key_id, verified.body_authenticated) == (kid, True), verified
    try:
        verify_request_signature(method="POST", url=signed["target"] + "x", headers=headers, body=CALL, options=options())
    except SignatureVerificationError as error:
        assert error.code == "request_signature_invalid", error
    else:
        raise AssertionError("their verifier accepted another target")


def cases(harness):
    for kid in KIDS:
        yield f"their signer, our verifier, {kid}", lambda kid=kid: theirs_ours(harness, kid)
        for url in (URL, "https://Seller.Example.com:443/a/./b/../%7Ec%2fd?x=%7e"):
            yield f"our signer, their verifier, {kid}, {url}", lambda kid=kid, url=url: ours_theirs(harness, kid, url)
