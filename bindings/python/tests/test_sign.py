"""Signing: what is covered, and what is refused before it is signed."""

import re

import pytest
from conftest import BODY, HEADERS, NOW, URL

from mcpid_attest import Request, Signer, SigningKey, inspect, sign_request


def claims(key: SigningKey, headers: object = None, **more: object) -> dict[str, object]:
    """What the signature of a request claims."""
    given: dict[str, object] = {"created": NOW, **more}
    headers = HEADERS if headers is None else headers
    added = sign_request(key, "POST", URL, headers, BODY, **given)  # type: ignore[arg-type]
    pairs = headers.items() if isinstance(headers, dict) else headers
    request = Request("POST", URL, [*pairs, *added.items()], BODY)  # type: ignore[misc]
    (claimed,) = inspect(request, now=NOW)
    return claimed


def test_a_signature_is_three_headers(key: SigningKey) -> None:
    added = sign_request(key, "POST", URL, HEADERS, BODY)
    assert list(added) == ["Content-Digest", "Signature-Input", "Signature"]
    assert added["Signature-Input"].startswith(
        'mcp=("@method" "@target-uri" "content-digest" "content-type");created='
    )
    assert f'keyid="{key.key_id}";tag="{key.key_id}"' in added["Signature-Input"]


def test_all_forms_of_headers_and_bodies_are_signed_alike(key: SigningKey) -> None:
    text = [("Content-Type", "application/json"), ("Mcp-Session-Id", "s-1")]
    raw = [(name.encode(), value.encode()) for name, value in text]
    covered = {
        tuple(claims(key, form)["covered"])  # type: ignore[arg-type]
        for form in (dict(text), text, raw, tuple(raw), [(b"mcp-session-id", "s-1"), text[0]])
    }
    assert covered == {
        ("@method", "@target-uri", "content-digest", "content-type", "mcp-session-id")
    }
    digests = {
        sign_request(key, "POST", URL, None, body)["Content-Digest"]
        for body in ("grün", "grün".encode())
    }
    assert len(digests) == 1
    empty = {sign_request(key, "GET", URL, None, body)["Content-Digest"] for body in (None, b"", "")}
    assert len(empty) == 1


def test_settings_of_the_command_line_mean_the_same(key: SigningKey) -> None:
    assert claims(key)["expires"] == NOW + 30
    assert claims(key, ttl=7)["expires"] == NOW + 7
    assert claims(key, ttl="none")["expires"] is None
    assert claims(key, client_id="laptop 1")["tag"] == "laptop 1"
    assert claims(key, label="sig1")["label"] == "sig1"
    assert claims(key, profile="sep2752")["expires"] is None
    nonces = {claims(key)["nonce"] for _ in range(50)}
    assert len(nonces) == 50


def test_a_repeated_mcp_param_is_covered(key: SigningKey) -> None:
    covered = claims(key, [("Mcp-Param-B", "2"), ("Mcp-Param-A", "1")])["covered"]
    assert covered == ["@method", "@target-uri", "content-digest", "mcp-param-a", "mcp-param-b"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "PO ST"}, "the method is not a token"),
        ({"method": ""}, "the method is not a token"),
        ({"url": "mcp.example.com/mcp"}, "url: \"mcp.example.com/mcp\" is not an http or https URL"),
        ({"url": "/mcp"}, "is not an http or https URL"),
        ({"url": "https://mcp.example.com/mcp#part"}, "fragment"),
        ({"url": "ftp://mcp.example.com/mcp"}, "is not an http or https URL"),
        ({"url": "https://user:geheim@mcp.example.com/mcp"}, "the target holds user information"),
        ({"url": "https://mcp.example.com/m cp"}, "byte 26 of the target is 0x20"),
        ({"url": "https://mcp.example.com/grün"}, "byte 27 of the target is 0xc3"),
        ({"headers": {"bad name": "x"}}, "a field name is not a token"),
        ({"headers": {"x": "a\r\nSignature: b"}}, "holds a control character"),
        ({"headers": {"x": "grün"}}, "text that is not ASCII"),
        ({"headers": {"Host": "other.example.com"}}, 'the host field says "other.example.com"'),
        ({"headers": {"Content-Digest": "sha-256=:AAAA:"}}, "does not fit its body"),
        ({"headers": {"Content-Digest": "nonsense="}}, "does not fit its body"),
        ({"profile": "mcp2"}, "profile \"mcp2\": there are mcp, sep2752, rfc9421"),
        ({"profile": ""}, "there are mcp"),
        ({"client_id": ""}, "an id has 1 to 256 ASCII characters"),
        ({"client_id": "a" * 257}, "client_id cannot be (257 characters)"),
        ({"client_id": "grün"}, "an id has 1 to 256 ASCII characters"),
        ({"ttl": 0}, "a signature that expires when it is made is of no use"),
        ({"ttl": -1}, "ttl -1: seconds"),
        ({"ttl": 10**12}, "seconds, 1 to 315360000"),
        ({"ttl": "never"}, "or the word 'none'"),
        ({"label": "Mcp"}, "a label is lower-case letters"),
        ({"label": ""}, "a label is lower-case letters"),
    ],
)
def test_a_wrong_setting_or_request_is_refused(
    key: SigningKey, change: dict[str, object], words: str
) -> None:
    given = {"method": "POST", "url": URL, "headers": HEADERS, "body": BODY, **change}
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        sign_request(key, **given)  # type: ignore[arg-type]
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"body": 17}, "a body is bytes or str, not int"),
        ({"headers": 17}, "headers are a mapping"),
        ({"headers": [("one",)]}, "headers are a mapping"),
        ({"headers": "Accept: */*"}, "headers are a mapping"),
        ({"headers": {"x": 1}}, "headers are a mapping"),
        ({"method": None}, "is not an instance of 'str'"),
        ({"ttl_seconds": 7}, "ttl_seconds"),
    ],
)
def test_an_argument_of_another_type_is_refused(
    key: SigningKey, change: dict[str, object], words: str
) -> None:
    given = {"method": "POST", "url": URL, "headers": HEADERS, "body": BODY, **change}
    with pytest.raises((TypeError, ValueError), match=words):
        sign_request(key, **given)  # type: ignore[arg-type]


def test_a_second_signature_needs_another_label_or_replace(key: SigningKey) -> None:
    headers = HEADERS | sign_request(key, "POST", URL, HEADERS, BODY, created=NOW)
    with pytest.raises(ValueError, match='the request already has a signature "mcp"'):
        sign_request(key, "POST", URL, headers, BODY)
    second = sign_request(key, "POST", URL, headers, BODY, label="mcp2")
    assert "Content-Digest" not in second
    assert second["Signature-Input"].count('"@method"') == 2
    replaced = sign_request(key, "POST", URL, headers, BODY, replace=True)
    assert replaced["Signature-Input"].count('"@method"') == 1


def test_a_signer_signs_many_requests(key: SigningKey) -> None:
    signer = Signer(key, ttl=5)
    assert signer.sign("GET", URL) != signer.sign("GET", URL)
    assert repr(signer) == f"Signer({key.key_id}, mcp)"
    with pytest.raises(TypeError):
        Signer("key.json")  # type: ignore[arg-type]
