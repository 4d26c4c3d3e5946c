"""AdCP's vector of a key with too many requests (020), by the command line.

A run counts only the nonces that it claims itself, and it claims none at a time of the past. So the vector
gets the times of now, and follows a request of the same key in the same run. Its signature of 64 zeros
stays: the limit is checked before the signature.
"""

import json
import re
import time

import vectors
from harness import Request, Signer

VECTOR = "020-rate-abuse"


def made_now(vector: dict) -> dict:
    headers, now = dict(vector["request"]["headers"]), int(time.time())
    for name, seconds in (("created", now), ("expires", now + 300)):
        headers["Signature-Input"], found = re.subn(rf"{name}=\d+", f"{name}={seconds}", headers["Signature-Input"])
        assert found == 1, headers
    return vector | {"request": vector["request"] | {"headers": headers}}


def check(harness, vector: dict, form: str) -> None:
    first = Request(Signer(vector["test_harness_state"]["replay_cache_per_keyid_cap_hit"]["keyid"])).sign().raw()
    content = dict(vectors.inputs(made_now(vector)))[form]
    paths = [harness.file("first", first), harness.file("second", content)]
    registry = harness.file("trust.json", vectors.trust(vector))
    # A key may have an eighth of a store in memory: one live nonce, then two.
    for room, code in ((8, vector["expected_outcome"]["error_code"]), (16, "request_signature_invalid")):
        done = harness.run("verify", "--json", "--profile", "adcp", "--nonces", f"memory:?max={room}", "-r", registry, *paths)
        accepted, verdict = [json.loads(line) for line in done.stdout.splitlines()]
        assert accepted["verdict"] == "accepted", (form, accepted)
        assert (done.returncode, verdict.get("profile_code")) == (1, code), (form, room, verdict["message"])


def cases(harness):
    path = vectors.FOLDER / f"profile-3.2/negative/{VECTOR}.json"
    vector = json.loads(path.read_text())
    for form, _ in vectors.inputs(vector):
        yield f"vector negative/{VECTOR}, {form}", lambda form=form: check(harness, vector, form)
