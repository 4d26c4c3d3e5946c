"""Settings of the middleware: wrong ones are refused with the words of the command line."""

import pickle
import subprocess
import time

import pytest
from asgi_harness import CALL, INITIALIZE, ORIGIN, URL, Wire, ask, echo, guarded, mcp_server

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware

LOUD = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"mode": "strikt"}, 'mode: "strikt" is neither "strict" nor "permissive"'),
        ({"profile": "mpc"}, "mpc"),
        ({"profile": "rfc9421"}, 'the profile "rfc9421" is not for servers'),
        ({"profile": "ucp"}, 'the profile "ucp" is not for servers'),
        ({"origin": "mcp.example.com"}, "origin mcp.example.com"),
        ({"origin": []}, "no origin is known to be ours"),
        ({"strict": ["delete_*"]}, "strict: \"delete_*\" names no MCP method"),
        (
            {"mode": "permissive", "strict": ["tools/cal:x"]},
            'hint: strict=["tools/call:x"]',
        ),
        ({"permissive": ["nothing"]}, "permissive: "),
        ({"permissive": ["destructive"]}, "is what strict is for"),
        (
            {"mode": "permissive", "permissive": ["tools/list"]},
            'permissive=["tools/list"] would change nothing: mode="permissive" lets everything',
        ),
        ({"strict": ["tools/call"]}, 'would change nothing: mode="strict" refuses everything'),
        (
            {"strict": ["tools/list"], "permissive": ["tools/list"]},
            "would change nothing: it is strict too, which wins",
        ),
        ({"refuse_with": 404}, "refuse_with: 404 is none of 403, 401 and 200"),
        ({"realm": "mcp"}, "realm is for refuse_with=401"),
        ({"refuse_with": 401, "realm": "\u00e4"}, "realm: "),
        ({"path": "mcp"}, 'path: "mcp" is not a path such as /mcp'),
        ({"path": "/mcp?a"}, "is not a path"),
        ({"target_prefix": "api"}, "target_prefix: "),
        ({"target_prefix": "/api/"}, "target_prefix ends with a slash"),
        ({"timestamp_window_seconds": -1}, "timestamp_window_seconds -1"),
        ({"origin": "https://mcp.example.com"}, "dev=True is for servers on loopback"),
        ({"origin": [ORIGIN, "http://192.168.0.7"]}, "dev=True is for servers on loopback"),
        ({"origin": "d4ee72dbf913584ad5b6d8f1f769f8ad"}, "origin (32 characters, looks like a key"),
        ({"nonce_store": "sqlite:nonces.db", "dev": True}, "dev=True would change nothing"),
        ({"require": ["@method"]}, 'require=["@method"] would change nothing: the profile mcp always'),
        ({"require": ["mcp-*"]}, 'require=["mcp-*"]: it takes one name, without a *'),
        ({"require": ["a b"]}, 'require=["a b"]: '),
        ({"allow_uncovered": ["@target-uri"]}, "without it a signature says nothing"),
        ({"allow_uncovered": ["date"]}, "the profile mcp does not require it"),
        (
            {"require": ["mcp-name"], "allow_uncovered": ["mcp-name"]},
            'allow_uncovered=["mcp-name"] would change nothing: require demands it',
        ),
    ],
)
@LOUD
def test_a_wrong_setting_is_a_value_error(key, settings, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        guarded(key, **settings)
    assert words in str(caught.value)


SECRET = "d4ee72dbf913584ad5b6d8f1f769f8ad55c1e1a0"


@pytest.mark.parametrize(
    "setting",
    [
        *({name: SECRET} for name in ("mode", "profile", "origin", "path", "target_prefix")),
        *({name: [SECRET]} for name in ("strict", "permissive", "require", "allow_uncovered")),
        {"mode": "permissive", "strict": [SECRET]},
        {"mode": "permissive", "permissive": [SECRET]},
        {"strict": [f"tools/cal:{SECRET}"], "mode": "permissive"},
        {"nonce_store": SECRET},
        {"nonce_store": f"sqlite:/nowhere/{SECRET}"},
        {"nonce_store": f"redis://user:{SECRET}@127.0.0.1:1"},
        {"trust": SECRET},
        {"audit": SECRET},
        {"audit": "absent", "audit_key": SECRET},
        {"audit_key": SECRET},
        {"realm": SECRET},
        {"strict": SECRET},
        {"require": SECRET},
    ],
    ids=lambda setting: "-".join(setting),
)
@LOUD
def test_no_error_repeats_a_value_that_may_be_a_secret(key, setting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        guarded(key, **setting)
    assert SECRET not in f"{caught.value} {caught.value!r}", caught.value


@LOUD
def test_coverage_can_be_widened_and_relaxed(key):
    app = guarded(key, require=["date"])
    assert ask(app, Wire().signed(key)).reason == "coverage_insufficient"
    late = Wire().signed(key).having("mcp-name", "delete_db")
    assert ask(guarded(key), late).reason == "coverage_insufficient"
    late = Wire().signed(key).having("mcp-name", "delete_db")
    assert ask(guarded(key, allow_uncovered=["mcp-name"]), late).status == 200
    late = Wire().signed(key).having("mcp-method", "tools/call")
    assert ask(guarded(key, allow_uncovered=["mcp-name"]), late).reason == "coverage_insufficient"


@pytest.mark.parametrize(
    "settings",
    [
        {"strict": "tools/call"},
        {"permissive": "tools/list"},
        {"max_body": "4MiB"},
        {"max_body": -1},
        {"budget": -1},
        {"refuse_with": "403"},
        {"timestamp_window_seconds": "30"},
        {"path": b"/mcp"},
        {"nonce_store": 7},
        {"trust": 7},
        {"origin": 7},
        {"mod": "strict"},
    ],
)
@LOUD
def test_a_setting_of_another_type_is_refused(key, settings):
    with pytest.raises((TypeError, OverflowError)):
        guarded(key, **settings)


def test_an_application_is_needed(key):
    with pytest.raises(TypeError, match="app is an ASGI application, not str"):
        MCPIdentityMiddleware("app", InMemoryNonceStore(), origin=ORIGIN, trust=key.public_key)


def test_origin_and_store_are_asked_for(key, monkeypatch):
    with pytest.raises(ValueError, match="origin is missing"):
        MCPIdentityMiddleware(echo, InMemoryNonceStore(), trust=key.public_key)
    with pytest.raises(ValueError, match="nonce_store is missing"):
        MCPIdentityMiddleware(echo, origin=ORIGIN, trust=key.public_key)
    monkeypatch.setenv("MCPID_NONCES", "memory:")
    MCPIdentityMiddleware(echo, origin=ORIGIN, trust=key.public_key)


def test_dev_says_loudly_what_it_gives_up(key, caplog):
    with pytest.warns(RuntimeWarning, match="a request can be used a second time"):
        guarded(key)
    assert "a request can be used a second time" in caplog.text
    for origin in ("http://localhost:8000", "http://[::1]:8000", "http://127.1.2.3"):
        with pytest.warns(RuntimeWarning):
            guarded(key, origin=origin)


def test_the_example_of_the_seed_project_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["mcp_identity"].status == "verified")
        await echo(scope, receive, send)

    with pytest.warns(RuntimeWarning, match="origin is missing"):
        app = MCPIdentityMiddleware(
            app=app,
            nonce_store=InMemoryNonceStore(),
            mode="permissive",
            timestamp_window_seconds=30,
        )
    answer = ask(app, Wire())
    assert (answer.status, seen) == (200, [False])
    assert answer.scope["mcp_identity"].did is None
    assert ask(app, Wire(host=b"mcp.example.com")).status == 421


@LOUD
def test_the_window_and_the_clock_ahead_can_be_set(key):
    now = int(time.time())
    assert ask(guarded(key), Wire().signed(key, created=now - 60, ttl="none")).status == 403
    app = guarded(key, timestamp_window_seconds=120, ahead_seconds=60)
    assert ask(app, Wire().signed(key, created=now - 60, ttl="none")).status == 200
    assert ask(app, Wire().signed(key, created=now + 50)).status == 200
    assert ask(app, Wire().signed(key, created=now - 200, ttl="none")).status == 403


@LOUD
def test_several_origins_are_ours(key):
    app = guarded(key, origin=[ORIGIN, "http://localhost:8000"])
    local = Wire(host=b"localhost:8000").signed(key, url="http://localhost:8000/mcp")
    assert ask(app, local).status == 200
    assert ask(app, Wire().signed(key)).status == 200


@LOUD
def test_an_identity_shows_what_was_proven_and_cannot_be_pickled(key):
    answer = ask(guarded(key), Wire().signed(key))
    identity = answer.scope["mcp_identity"]
    assert repr(identity) == f"<MCPIdentity verified key_id={key.key_id}>"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(identity)
    with pytest.raises(AttributeError):
        identity.status = "verified"
    with pytest.raises(TypeError):
        type(identity)()
    answer = ask(guarded(key, mode="permissive"), Wire())
    shown = repr(answer.scope["mcp_identity"])
    assert shown == "<MCPIdentity unsigned reason=signature_missing>"


@LOUD
def test_refusals_and_faults_are_logged_escaped(key, caplog):
    caplog.set_level("INFO", logger="mcpid_attest")
    ask(guarded(key), Wire(), scope=Wire().scope(path="/mcp\nforged"))
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert "signature_missing" in line and "\n" not in line


@LOUD
def test_what_the_program_signs_is_verified(key, program, tmp_path):
    keyfile = tmp_path / "key.json"
    key.save(keyfile, encrypt=False)
    sign = [program, "sign", "-k", keyfile, "--url", URL, "-H", "Content-Type: application/json"]
    signed = subprocess.run(sign, input=CALL, check=True, capture_output=True).stdout.decode()
    wire = Wire(headers=[(b"host", b"127.0.0.1:8000")])
    for line in signed.splitlines():
        name, _, value = line.partition(": ")
        wire.having(name, value)
    answer = ask(guarded(key), wire)
    assert (answer.status, answer.scope["mcp_identity"].key_id) == (200, key.key_id)


def test_an_adopted_session_is_logged(key, other, caplog):
    caplog.set_level("INFO", logger="mcpid_attest")
    with pytest.warns(RuntimeWarning):
        app = guarded([key, other], mcp_server)
    # The session is older than this process.
    assert ask(app, Wire().having("mcp-session-id", "old").signed(key)).status == 200
    adopted = "a session that was opened before is bound to the first key that uses it"
    assert [r.levelname for r in caplog.records if adopted in r.getMessage()] == ["INFO"]
    caplog.clear()
    assert ask(app, Wire().having("mcp-session-id", "old").signed(key)).status == 200
    assert adopted not in caplog.text
    # A server that opens a session that is another key's is refused, and that is logged too.
    assert ask(app, Wire(body=INITIALIZE).signed(key)).status == 200
    assert ask(app, Wire(body=INITIALIZE).signed(other)).status == 403
    assert "session of 'POST' '/mcp': not_allowed" in caplog.text


def test_trio_is_refused_with_a_clear_error(key):
    trio = pytest.importorskip("trio")
    called = []

    async def app(scope, receive, send):
        called.append(scope["type"])

    with pytest.warns(RuntimeWarning):
        guard = guarded(key, app)
    for scope in (Wire().signed(key).scope(), {"type": "lifespan"}, Wire().scope(type="websocket")):
        with pytest.raises(RuntimeError, match="trio is not supported"):
            trio.run(guard, scope, None, None)
    assert called == []
