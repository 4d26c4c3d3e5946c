"""AdCP's vectors of profile 3.2 by the command line, each as a capture in two forms and as a request line."""

import base64
import json
from pathlib import Path
from urllib.parse import urlsplit

import adcp

FOLDER = Path(adcp.__file__).parent / "_compliance/3.2.4/test-vectors/request-signing"
KEYS = json.loads((FOLDER / "keys.json").read_text())


def trust(vector: dict) -> dict:
    keys = vector.get("jwks_override", {}).get("keys")
    if keys is None:
        keys = [dict(key) for key in KEYS["keys"] if key["kid"] in vector["jwks_ref"]]
    revoked = vector.get("test_harness_state", {}).get("revocation_list", {}).get("revoked_kids", [])
    for key in keys:
        if key["kid"] in revoked:
            key["mcpid"] = {"revoked_at": "2026-04-18T14:00:00Z"}
    return {"keys": keys}


def inputs(vector: dict):
    """The request in each form that `verify` reads: (name of the form, bytes)."""
    request = vector["request"]
    body, url = request.get("body", "").encode(), request["url"]
    fields = dict(request["headers"])
    split = url.split("/", 3)

    def capture(target: str, host: str | None) -> bytes:
        lines = [f"{request['method']} {target} HTTP/1.1"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in fields.items()]
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    own_host = None if "Host" in fields else split[2]
    yield "origin form", capture("/" + split[3], own_host)
    yield "absolute form", capture(url, own_host)
    line = {
        "method": request["method"],
        "target": url,
        "headers": [[name, value] for name, value in fields.items()],
        "body": base64.b64encode(body).decode(),
    }
    yield "request line", json.dumps(line).encode() + b"\n"


def check(harness, vector: dict, form: str, content: bytes) -> None:
    expected = vector["expected_outcome"]
    registry = harness.file("trust.json", trust(vector))
    paths = [harness.file("one", content)]
    if vector.get("test_harness_state", {}).get("replay_cache_entries"):
        # The vector's own request, once before it: of two equal nonces in one run the second is a replay.
        paths.append(harness.file("again", content))
    done = harness.run(
        "verify", "--json", "--profile", "adcp", "--at", f"@{vector['reference_now']}", "-r", registry, *paths
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(paths), (form, done.stderr.decode())
    verdict = verdicts[-1]
    if expected["success"]:
        assert (done.returncode, verdict["verdict"]) == (0, "accepted"), (form, verdict)
        assert verdict["label"] == expected.get("verified_label", "sig1"), (form, verdict)
        assert "profile_code" not in verdict, verdict
    else:
        found = verdict.get("profile_code")
        assert (done.returncode, found) == (1, expected["error_code"]), (form, found, verdict["message"])
        assert verdict["code"] and verdict["code"] != found, verdict


def cases(harness):
    for kind in ("positive", "negative"):
        for path in sorted((FOLDER / "profile-3.2" / kind).glob("*.json")):
            vector = json.loads(path.read_text())
            if "replay_cache_per_keyid_cap_hit" in vector.get("test_harness_state", {}):
                continue  # in cap.py
            for form, content in inputs(vector):
                yield f"vector {kind}/{path.stem}, {form}", lambda v=vector, f=form, c=content: check(harness, v, f, c)
    canonical = json.loads((FOLDER / "canonicalization.json").read_text())
    for case in canonical["cases"]:
        yield f"canonicalisation {case['name']}", lambda case=case: check_url(harness, case)


def check_url(harness, case: dict) -> None:
    key = harness.folder / "key.json"
    if not key.exists():
        done = harness.run("keygen", "--no-passphrase", "-o", key)
        assert done.returncode == 0, done.stderr
    url = case["input_url"]
    done = harness.run("sign", "--json", "--profile", "adcp", "-k", key, "--url", url, stdin=b"{}")
    if case.get("reject"):
        assert done.returncode == 2, done.stdout
        return
    assert done.returncode == 0, done.stderr.decode()
    base = json.loads(done.stdout)["base"]
    assert f'"@target-uri": {case["expected_target_uri"]}\n' in base, base
    assert f'"@authority": {case["expected_authority"]}\n' in base, base
    assert urlsplit(json.loads(done.stdout)["target"]).netloc == case["expected_authority"], done.stdout
