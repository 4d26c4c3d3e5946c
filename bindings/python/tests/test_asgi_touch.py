"""Touch rules of the middleware: which requests need the touch of a security key."""

import base64
import json

import pytest
from asgi_harness import CALL, LIST, ORIGIN, URL, Wire, ask, echo

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware
from touch_key import TouchKey

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


@pytest.fixture
def app(tmp_path, key):
    """An application in permissive mode, where calls that delete need a touch by alice's key."""
    return guarding(tmp_path, [entry(key, "alice"), TouchKey().entry(["alice"])], "permissive")


def entry(key, name):
    return json.loads(key.public_key.jwk()) | {"mcpid": {"name": name}}


def guarding(folder, entries, mode):
    """An application with this trust file, where calls that delete need a touch."""
    trust = folder / "touch.json"
    trust.write_text(json.dumps({"keys": entries}))
    trust.chmod(0o644)
    return MCPIdentityMiddleware(
        echo, InMemoryNonceStore(), trust=trust, origin=ORIGIN, dev=True,
        mode=mode, touch=["tools/call:delete_*"],
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


BOB = TouchKey(seed=b"a seed of the security key of bob")
PAST = "2026-01-01T00:00:00Z"


def edited(wire, change):
    """Changes the list of members of both signature fields."""
    for at, (name, value) in enumerate(wire.headers):
        if name in (b"signature-input", b"signature"):
            wire.headers[at] = (name, ", ".join(change(value.decode().split(", "))).encode())
    return wire


def with_bytes(wire, label, change):
    """Changes the bytes of one signature."""

    def changed(member):
        if not member.startswith(f"{label}=:"):
            return member
        made = change(bytearray(base64.b64decode(member.split(":")[1])))
        return f"{label}=:{base64.b64encode(made).decode()}:"

    return edited(wire, lambda members: [changed(member) for member in members])


def flipped(at, bit):
    def change(signature):
        signature[at] ^= bit
        return signature

    return change


def mixed(wire, *others):
    """Adds the last members of other requests."""
    last = {
        name: [dict(other.headers)[name].decode().split(", ")[-1] for other in others]
        for name in (b"signature-input", b"signature")
    }
    for at, (name, value) in enumerate(wire.headers):
        if name in last:
            wire.headers[at] = (name, ", ".join([value.decode(), *last[name]]).encode())
    return wire


def behind(first, wire):
    """Puts the signature of another request first, under another label."""
    members = {name: value.replace(b"mcp=", b"bob=") for name, value in first.headers}
    for at, (name, value) in enumerate(wire.headers):
        if name in (b"signature-input", b"signature"):
            wire.headers[at] = (name, members[name] + b", " + value)
    return wire


def elsewhere(key):
    wire = Wire(CALL).signed(key, url=ORIGIN + "/other")
    TouchKey().touch(wire.headers, "POST", ORIGIN + "/other")
    return wire


def set_in(at, **members):
    return lambda entries: entries[at]["mcpid"].update(members)


def set_rule(at, **members):
    return lambda entries: entries[at]["mcpid"]["security_key"].update(members)


#: A request by the keys of alice and bob, a change of the trust entries, and the reason.
ATTACKS = {
    "another person's touch": (lambda a, b: touched(a, BOB), None, "touch_required"),
    "another person's touch first": (
        lambda a, b: edited(touched(a, BOB), lambda m: m[::-1]), None, "touch_required",
    ),
    "a limited signer": (
        lambda a, b: touched(a, TouchKey()), set_in(0, allow=["tools/list"]), "not_allowed",
    ),
    "a limited signer behind the touch": (
        lambda a, b: edited(touched(a, TouchKey()), lambda m: m[::-1]),
        set_in(0, allow=["tools/list"]), "not_allowed",
    ),
    "a revoked signer": (
        lambda a, b: touched(a, TouchKey()), set_in(0, revoked_at=PAST), "key_revoked",
    ),
    "a removed signer": (
        lambda a, b: touched(a, TouchKey()), lambda entries: entries.pop(0), "key_unknown",
    ),
    "a third signature first, and the touched one is limited": (
        lambda a, b: behind(Wire(CALL).signed(b), touched(a, TouchKey())),
        set_in(0, allow=["tools/list"]), "touch_required",
    ),
    "a touch that joins another signature": (
        lambda a, b: behind(Wire(CALL).signed(a), touched(b, BOB)),
        set_in(1, allow=["tools/list"]), "touch_required",
    ),
    "two touches of other keys": (
        lambda a, b: mixed(
            edited(
                touched(a, BOB), lambda m: [m[0], m[1].replace("touch=", "other=", 1)],
            ),
            touched(a, TouchKey(seed=b"a seed of a key of a stranger, 1")),
        ),
        None, "touch_required",
    ),
    **{
        f"flags {flags:#04x}": (
            lambda a, b, flags=flags: touched(a, TouchKey(flags=flags)), None, "touch_required",
        )
        for flags in (0x00, 0x04, 0x41, 0x81)
    },
    "changed flags": (
        lambda a, b: with_bytes(touched(a, TouchKey()), "touch", flipped(64, 4)),
        None, "touch_required",
    ),
    "a changed counter": (
        lambda a, b: with_bytes(touched(a, TouchKey()), "touch", flipped(68, 1)),
        None, "touch_required",
    ),
    "another application": (
        lambda a, b: touched(a, TouchKey(application="ssh:other")), None, "touch_required",
    ),
    "the touch of another nonce": (
        lambda a, b: mixed(Wire(CALL).signed(a), touched(a, TouchKey())), None, "touch_required",
    ),
    "the touch of another body": (
        lambda a, b: mixed(Wire(CALL).signed(a), touched(a, TouchKey(), LIST)),
        None, "touch_required",
    ),
    "the touch of another target": (
        lambda a, b: mixed(Wire(CALL).signed(a), elsewhere(a)), None, "touch_required",
    ),
    "the touch stripped": (
        lambda a, b: edited(touched(a, TouchKey()), lambda m: m[:1]), None, "touch_required",
    ),
    "the signature stripped": (
        lambda a, b: edited(touched(a, TouchKey()), lambda m: m[1:]), None, "key_unknown",
    ),
    "the signature relabelled": (
        lambda a, b: edited(
            touched(a, TouchKey()), lambda m: [m[0].replace("mcp=", "sig1=", 1), m[1]],
        ),
        None, "touch_required",
    ),
    "64 bytes as a touch": (
        lambda a, b: with_bytes(touched(a, TouchKey()), "touch", lambda s: s[:64]),
        None, "touch_required",
    ),
    "a plain signature of the security key's own key": (
        lambda a, b: touched(a, PlainKey()), None, "touch_required",
    ),
    "69 bytes of an ordinary key": (
        lambda a, b: with_bytes(touched(a, TouchKey()), "mcp", lambda s: s + b"\1\0\0\0\7"),
        None, "key_unknown",
    ),
    "an ordinary key that is declared a security key": (
        lambda a, b: touched(a, TouchKey()),
        set_in(0, security_key={"application": "ssh:mcpid", "alone": True}), "key_unknown",
    ),
    "a security key that is an ordinary key in its entry": (
        lambda a, b: touched(a, TouchKey()),
        lambda entries: entries[2]["mcpid"].pop("security_key"), "touch_required",
    ),
    "a revoked security key": (
        lambda a, b: touched(a, TouchKey()), set_in(2, revoked_at=PAST), "touch_required",
    ),
    "a security key that is not allowed this tool": (
        lambda a, b: touched(a, TouchKey()), set_in(2, allow=["tools/list"]), "touch_required",
    ),
    "a security key for no signer": (
        lambda a, b: touched(a, TouchKey()), set_rule(2, **{"for": []}), "touch_required",
    ),
    "a security key that has to verify the person": (
        lambda a, b: touched(a, TouchKey()), set_rule(2, require="verified"), "touch_required",
    ),
}


class PlainKey(TouchKey):
    """Signs the bare message, as an ordinary key does."""

    def sign(self, message):
        return self.sign_bare(message)


@pytest.mark.parametrize("mode", ["strict", "permissive"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_attack_on_a_touch_passes(key, other, tmp_path, attack, mode):
    make, change, reason = attack
    entries = [entry(key, "alice"), entry(other, "bob")]
    entries += [TouchKey().entry(["alice"]), BOB.entry(["bob"])]
    app = guarding(tmp_path, entries, mode)
    # The same keys serve a touch that is good.
    good = ask(app, touched(key, TouchKey()))
    assert (good.status, good.scope["mcp_identity"].touch) == (200, "present")
    if change:
        change(entries)
        app = guarding(tmp_path, entries, mode)
    answer = ask(app, make(key, other))
    assert (answer.status, answer.reason) == (403, reason)


def test_the_touched_signature_names_the_request_wherever_it_stands(key, other, tmp_path):
    entries = [entry(key, "alice"), entry(other, "bob"), TouchKey().entry(["alice"])]
    app = guarding(tmp_path, entries, "strict")
    for wire in (
        behind(Wire(CALL).signed(other), touched(key, TouchKey())),
        edited(touched(key, TouchKey()), lambda members: members[::-1]),
    ):
        answer = ask(app, wire)
        identity = answer.scope["mcp_identity"]
        assert (answer.status, identity.name, identity.touch) == (200, "alice", "present")


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
