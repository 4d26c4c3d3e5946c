"""Verifying: one accepted request, and refusals that each change one thing."""

import asyncio
import pickle
import re
import threading
from pathlib import Path

import pytest
from conftest import BODY, HEADERS, NOW, ORIGIN, URL, signed

from mcpid_attest import (
    NotVerified,
    Rejected,
    Request,
    SigningKey,
    Unavailable,
    Verifier,
    inspect,
    sign_request,
)


def test_a_signed_request_is_verified(verifier: Verifier, key: SigningKey) -> None:
    verified = verifier.verify(signed(key))
    assert (verified.status, verified.key_id, verified.did) == ("verified", key.key_id, key.did)
    assert (verified.tag, verified.label) == (key.key_id, "mcp")
    assert (verified.created, verified.now) == (NOW, NOW + 2)
    assert verified.replay == "unchecked" and verified.name is None


def test_the_same_request_is_accepted_once(verifier: Verifier, key: SigningKey) -> None:
    request = signed(key)
    verifier.verify(request)
    with pytest.raises(Rejected) as refused:
        verifier.verify(request)
    assert (refused.value.step, refused.value.code) == (12, "nonce_replayed")


def headers_without(request: Request, name: str) -> list[tuple[str, bytes]]:
    return [pair for pair in request.headers if pair[0] != name]


REFUSALS = [
    ("the method", {"method": "PUT"}, 8, "signature_invalid"),
    ("the target", {"target": f"{URL}?a=1"}, 8, "signature_invalid"),
    ("the origin", {"target": "https://other.example.com/mcp"}, 1, "target_mismatch"),
    ("the scheme", {"target": "http://mcp.example.com/mcp"}, 1, "target_mismatch"),
    ("the body", {"body": BODY + b" "}, 9, "digest_mismatch"),
    ("no body", {"body": b""}, 9, "digest_mismatch"),
]


@pytest.mark.parametrize(("what", "change", "step", "code"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_a_changed_request_is_refused(
    verifier: Verifier, key: SigningKey, what: str, change: dict[str, object], step: int, code: str
) -> None:
    if "target" in change:
        change = {**change, "headers": headers_without(signed(key), "host")}
    with pytest.raises(Rejected) as refused:
        verifier.verify(signed(key, **change))
    assert (refused.value.step, refused.value.code) == (step, code)
    # The request as it was signed is still good.
    verifier.verify(signed(key))


@pytest.mark.parametrize(
    ("name", "step", "code"),
    [
        ("signature", 2, "signature_missing"),
        ("signature-input", 2, "signature_missing"),
        ("content-digest", 8, "signature_invalid"),
        ("content-type", 8, "signature_invalid"),
    ],
)
def test_a_request_without_one_header_is_refused(
    verifier: Verifier, key: SigningKey, name: str, step: int, code: str
) -> None:
    request = signed(key)
    with pytest.raises(Rejected) as refused:
        verifier.verify(Request("POST", URL, headers_without(request, name), BODY))
    assert (refused.value.step, refused.value.code) == (step, code)


@pytest.mark.parametrize(
    "added",
    [("mcp-session-id", "s"), ("last-event-id", "1"), ("mcp-param-x", "1"), ("content-encoding", "gzip")],
)
def test_an_added_steering_header_is_refused(
    verifier: Verifier, key: SigningKey, added: tuple[str, str]
) -> None:
    request = signed(key)
    with pytest.raises(Rejected, match="step 6") as refused:
        verifier.verify(Request("POST", URL, [*request.headers, added], BODY))
    assert refused.value.code == "coverage_insufficient"


def test_a_rejection_has_numbers(trust: Path, key: SigningKey) -> None:
    late = Verifier(trust=trust, origin=ORIGIN, now=NOW + 31)
    with pytest.raises(Rejected) as refused:
        late.verify(signed(key))
    error = refused.value
    assert (error.step, error.step_name, error.code) == (5, "window", "expired")
    assert error.message == "expired 1 s ago"
    assert error.numbers["expires"] == "2026-11-27T10:00:30Z"
    assert str(error) == f"step 5 (window): {error.message}"
    assert isinstance(error, NotVerified) and not isinstance(error, Unavailable)
    again = pickle.loads(pickle.dumps(error))
    assert (again.step, again.numbers) == (error.step, error.numbers)


def test_a_client_does_not_learn_which_keys_are_trusted(verifier: Verifier) -> None:
    with pytest.raises(Rejected) as refused:
        verifier.verify(signed(SigningKey.generate()))
    assert (refused.value.step, refused.value.code) == (7, "key_unknown")
    with pytest.raises(Rejected) as refused:
        verifier.verify(signed(SigningKey.generate(), method="PUT"))
    assert refused.value.public_code == "key_unknown"


def test_the_window_can_be_set(trust: Path, key: SigningKey) -> None:
    request = sign_request(key, "GET", URL, created=NOW, ttl="none")
    old = Verifier(trust=trust, origin=ORIGIN, timestamp_window_seconds=100, now=NOW + 99)
    assert old.verify(Request("GET", URL, request)).created == NOW
    for now in (NOW + 101, NOW - 6):
        with pytest.raises(Rejected, match="step 5"):
            Verifier(trust=trust, origin=ORIGIN, timestamp_window_seconds=100, now=now).verify(
                Request("GET", URL, request)
            )
    ahead = Verifier(trust=trust, origin=ORIGIN, ahead_seconds=6, now=NOW - 6)
    assert ahead.verify(Request("GET", URL, request)).created == NOW


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"origin": ""}, ValueError, '"" is not an http or https URL'),
        ({"origin": []}, ValueError, "no origin is known to be ours"),
        ({"origin": "mcp.example.com"}, ValueError, "origin mcp.example.com: "),
        ({"origin": f"{ORIGIN}/mcp"}, ValueError, "an origin has no path and no query"),
        ({"origin": [ORIGIN, 5]}, TypeError, "'int'"),
        ({"origin": 5}, TypeError, "origin is a str or a sequence of them, not int"),
        ({"trust": []}, ValueError, "no key would be trusted"),
        ({"trust": "none.json"}, FileNotFoundError, "none.json"),
        ({"trust": 5}, TypeError, "trust is a path"),
        ({"profile": "mpc"}, ValueError, "there are mcp"),
        ({"timestamp_window_seconds": -1}, ValueError, "timestamp_window_seconds -1"),
        ({"timestamp_window_seconds": 10**10}, ValueError, "0 to 315360000"),
        ({"ahead_seconds": -5}, ValueError, "ahead_seconds -5"),
        ({"max_body": -1}, OverflowError, "negative"),
        ({"nonce_store": "redis"}, ValueError, "not a nonce store such as memory:"),
        ({"nonce_store": "sqlite:"}, ValueError, "sqlite: takes a path"),
        ({"nonce_store": "memory:", "now": 5}, ValueError, "cannot be claimed"),
        ({"window": 30}, TypeError, "window"),
    ],
)
def test_a_wrong_setting_is_refused(
    trust: Path, change: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        Verifier(**{"trust": trust, "origin": ORIGIN, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "mode", "error", "words"),
    [
        ("", 0o644, ValueError, "trust.json"),
        ("{}", 0o644, ValueError, "trust.json"),
        ('{"keys":[]}', 0o646, PermissionError, "can be changed by every user: its mode is 0646"),
    ],
)
def test_an_unusable_trust_file_is_refused(
    tmp_path: Path, content: str, mode: int, error: type[Exception], words: str
) -> None:
    path = tmp_path / "trust.json"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(error, match=words):
        Verifier(trust=path, origin=ORIGIN)


def test_trust_is_a_file_files_a_folder_or_keys(tmp_path: Path, trust: Path, key: SigningKey) -> None:
    other = SigningKey.generate().public_key
    for given in (trust, str(trust), [trust], tmp_path, key.public_key, [other, key.public_key]):
        verifier = Verifier(trust=given, origin=[ORIGIN, "http://localhost:1"], now=NOW)
        assert verifier.verify(signed(key)).key_id == key.key_id
    with pytest.raises(ValueError, match="files and keys"):
        Verifier(trust=[trust, other], origin=ORIGIN)  # type: ignore[list-item]


def test_the_default_trust_file_is_that_of_the_command_line(
    trust: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCPID_TRUST", str(trust))
    assert Verifier(origin=ORIGIN, now=NOW).verify(signed(key)).key_id == key.key_id
    monkeypatch.setenv("MCPID_TRUST", "")
    with pytest.raises(ValueError, match="MCPID_TRUST"):
        Verifier(origin=ORIGIN)
    monkeypatch.delenv("MCPID_TRUST")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(trust.parent / "none"))
    with pytest.raises(FileNotFoundError, match="none/mcpid/trust.json"):
        Verifier(origin=ORIGIN)


def test_a_nonce_of_a_store_is_fresh_once(trust: Path, tmp_path: Path, key: SigningKey) -> None:
    url = f"sqlite:{tmp_path}/nonces.db"
    store = Verifier(trust=trust, origin=ORIGIN, nonce_store=url)
    other = Verifier(trust=trust, origin=ORIGIN, nonce_store=url)
    request = Request("GET", URL, sign_request(key, "GET", URL))
    # A new store may have lost nonces of before its start.
    with pytest.raises(Unavailable) as refused:
        store.verify(request)
    assert 0 < (refused.value.retry_after or 0) <= 6
    assert "may have forgotten" in refused.value.message
    for each in (store, other):
        with pytest.raises(NotVerified):
            each.verify(request)


def test_of_64_threads_one_gets_the_nonce(verifier: Verifier, key: SigningKey) -> None:
    request, outcomes = signed(key), []
    barrier = threading.Barrier(64)

    def one() -> None:
        barrier.wait()
        try:
            outcomes.append(verifier.verify(request).status)
        except Rejected as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["nonce_replayed"] * 63 + ["verified"]


def test_a_captured_request_is_judged(verifier: Verifier, key: SigningKey) -> None:
    request = signed(key)
    head = b"POST /mcp HTTP/1.1\r\n" + b"".join(
        name.encode() + b": " + value + b"\r\n" for name, value in request.headers
    )
    capture = head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    assert verifier.verify(capture).key_id == key.key_id
    with pytest.raises(Rejected):
        verifier.verify(capture.replace(b"pay", b"buy"))
    for broken in (b"", b"nonsense", b"{}", capture[:-1], 17):
        with pytest.raises((ValueError, TypeError)):
            verifier.verify(broken)  # type: ignore[arg-type]


def test_a_target_is_what_stood_on_the_line(key: SigningKey, verifier: Verifier) -> None:
    headers = signed(key).headers
    assert verifier.verify(Request("POST", "/mcp", headers, BODY)).key_id == key.key_id
    for target in ("/mcp#part", "mcp", "", "/m cp", "mcp.example.com:443"):
        with pytest.raises(ValueError):
            Request("POST", target, headers, BODY)


def test_inspect_shows_claims_of_any_request(key: SigningKey) -> None:
    (claimed,) = inspect(signed(key), now=NOW + 5)
    assert claimed["key"]["id"] == key.key_id and claimed["verdict"] is None
    assert claimed["base"].startswith('"@method": POST\n') and claimed["signature"]
    (unsigned,) = inspect(Request("GET", URL))
    assert unsigned["status"] == "unsigned" and "base" not in unsigned
    with pytest.raises(ValueError):
        inspect(Request("GET", URL, {"signature": "x", "signature-input": "=" }))


def test_objects_of_one_module_are_used_by_many_threads(trust: Path, key: SigningKey) -> None:
    verifier, faults = Verifier(trust=trust, origin=ORIGIN), []

    def one() -> None:
        try:
            for _ in range(50):
                headers = dict(HEADERS)
                headers |= sign_request(key, "POST", URL, headers, BODY)
                verifier.verify(Request("POST", URL, headers, BODY))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_request_can_be_judged_without_blocking_the_loop(key: SigningKey, trust: Path) -> None:
    verifier = Verifier(trust=trust, origin=ORIGIN, now=NOW + 2)

    async def run() -> None:
        one, two = signed(key), signed(key)
        first, second = await asyncio.gather(*(verifier.verify_async(one) for one in (one, two)))
        assert first.did == second.did == key.did
        with pytest.raises(Rejected, match="step 12"):
            await verifier.verify_async(one)
        with pytest.raises(TypeError):
            await verifier.verify_async(7)  # type: ignore[arg-type]

    asyncio.run(run())


def test_a_verifier_can_demand_more_and_less(key: SigningKey, trust: Path) -> None:
    more = Verifier(trust=trust, origin=ORIGIN, now=NOW + 2, require=["date"])
    with pytest.raises(Rejected, match="date is not covered"):
        more.verify(signed(key))
    less = Verifier(trust=trust, origin=ORIGIN, now=NOW + 2, allow_uncovered=("mcp-name",))
    request = signed(key)
    headers = [*request.headers, ("mcp-name", b"pay")]
    added = Request("POST", URL, headers, BODY)
    assert less.verify(added).did == key.did
    with pytest.raises(ValueError, match="would change nothing"):
        Verifier(trust=trust, origin=ORIGIN, allow_uncovered=["date"])
