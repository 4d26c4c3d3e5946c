"""Touch rules of the middleware: which requests need the touch of a security key."""

import json

import pytest
from asgi_harness import CALL, LIST, ORIGIN, URL, Wire, ask, echo

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware
from touch_key import TouchKey

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


@pytest.fixture
def app(tmp_path, key):
    """An application in permissive mode, where calls that delete need a touch by alice's key."""
    alice = json.loads(key.public_key.jwks())["keys"][0] | {"mcpid": {"name": "alice"}}
    trust = tmp_path / "touch.json"
    trust.write_text(json.dumps({"keys": [alice, TouchKey().entry(["alice"])]}))
    trust.chmod(0o644)
    return MCPIdentityMiddleware(
        echo, InMemoryNonceStore(), trust=trust, origin=ORIGIN, dev=True,
        mode="permissive", touch=["tools/call:delete_*"],
    )


def touched(key, toucher, body=CALL):
    wire = Wire(body).signed(key)
    toucher.touch(wire.headers, "POST", URL)
    return wire


def test_a_touched_call_reaches_the_application_which_sees_the_touch(app, key):
    answer = ask(app, touched(key, TouchKey()))
    assert (answer.status, answer.reason) == (200, "")
    identity = answer.scope["mcp_identity"]
    assert (identity.status, identity.name, identity.touch) == ("verified", "alice", "present")
    assert "touch=present" in repr(identity)
    by_pin = ask(app, touched(key, TouchKey(flags=0x05)))
    assert by_pin.scope["mcp_identity"].touch == "verified"


def test_a_call_without_a_touch_that_counts_is_refused(app, key, other):
    for wire in (
        Wire(CALL).signed(key),
        touched(key, TouchKey(flags=0)),
        touched(key, TouchKey(application="ssh:other")),
        touched(key, TouchKey(seed=b"another seed of these tests 0123")),
    ):
        answer = ask(app, wire)
        assert (answer.status, answer.reason) == (403, "touch_required")
    # The signer of another key, with the touch of alice.
    assert ask(app, touched(other, TouchKey())).reason == "key_unknown"
    # Permissive mode does not waive the rule.
    assert ask(app, Wire(CALL)).reason == "signature_missing"


def test_a_touch_is_used_once(app, key):
    wire = touched(key, TouchKey())
    assert ask(app, wire).status == 200
    assert ask(app, wire).reason == "nonce_replayed"


def test_other_requests_need_no_touch_and_show_none(app, key):
    inner, seen = app.app, []

    async def recorded(scope, receive, send):
        seen.append(dict(scope["headers"]))
        await inner(scope, receive, send)

    app.app = recorded
    for wire in (Wire(LIST), Wire(LIST).signed(key).having("mcpid-touch", "present")):
        answer = ask(app, wire)
        assert (answer.status, answer.scope["mcp_identity"].touch) == (200, None)
        assert b"mcpid-touch" not in seen.pop()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"touch": ["delete_*"]}, 'touch: "delete_*" names no MCP method'),
        ({"touch": ["tools/cal:x"]}, 'hint: touch=["tools/call:x"]'),
        ({"touch": ["tools/call"], "profile": "sep2752"}, "knows no security keys"),
        (
            {"touch": ["tools/call"], "permissive": ["tools/call"]},
            'permissive=["tools/call"] would change nothing: it is touch too, which wins',
        ),
    ],
)
def test_a_rule_that_cannot_hold_is_refused(settings, words, trust):
    with pytest.raises(ValueError) as refused:
        MCPIdentityMiddleware(
            echo, InMemoryNonceStore(), trust=trust, origin=ORIGIN, dev=True, **settings
        )
    assert words in str(refused.value)
