"""The audit log of the middleware, and where its private key may be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from asgi_harness import Wire, ask, guarded

from mcpid_attest import PublicKey, SigningKey

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


def initialized(program, folder, *flags):
    """Makes a log, and returns its public key."""
    init = [program, "audit", "init", "--audit", folder, "--name", "example.com/audit", *flags]
    done = subprocess.run(init, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def records(program, key, folder, log_key, audit_key):
    """Records a request with this key of the log, and lets an auditor check it."""
    app = guarded(key, audit=folder, audit_key=audit_key)
    assert ask(app, Wire().signed(key)).status == 200
    app._layer.close()
    trust = folder.parent / "trust.json"
    trust.write_text(key.public_key.jwks())
    verify = [program, "audit", "verify", "--audit", folder, "--log-key", log_key]
    done = subprocess.run([*verify, "--trust", trust, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["requests"]


def test_requests_are_written_to_an_audit_log(key, program, tmp_path):
    folder = tmp_path / "log"
    with pytest.raises(FileNotFoundError, match="mcpid audit init"):
        guarded(key, audit=folder)
    log_key = initialized(program, folder)
    app = guarded(key, audit=folder)
    with pytest.raises(RuntimeError, match="another process writes the log"):
        guarded(key, audit=folder)
    for _ in range(3):
        assert ask(app, Wire().signed(key)).status == 200
    assert ask(app, Wire()).status == 403
    app._layer.close()
    answer = ask(app, Wire().signed(key))
    assert (answer.status, answer.reason) == (503, "unavailable")
    trust = tmp_path / "trust.json"
    trust.write_text(key.public_key.jwks())
    verify = [program, "audit", "verify", "--audit", folder, "--log-key", log_key]
    verify += ["--trust", trust, "--json"]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["requests"] == 3, done.stdout


def test_the_last_checkpoint_is_written_when_the_interpreter_ends(key, program, tmp_path):
    folder = tmp_path / "log"
    log_key = initialized(program, folder)
    trust = tmp_path / "trust.json"
    script = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from asgi_harness import *
key = SigningKey.generate()
open({str(trust)!r}, "w").write(key.public_key.jwks())
app = guarded(key, audit={str(folder)!r})
assert ask(app, Wire().signed(key)).status == 200
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
    verify = [program, "audit", "verify", "--audit", folder, "--log-key", log_key]
    verify += ["--trust", trust]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_signs_the_log(key, program, signing_program, tmp_path):
    (command, public), folder = signing_program, tmp_path / "log"
    log_key = initialized(program, folder, "--audit-key", command, "--public-key", public)
    assert not (folder / "log-key.json").exists()
    # The program is not asked for its public key, which is that of the log.
    assert records(program, key, folder, log_key, command) == 1
    loaded = SigningKey.load(command, public_key=PublicKey.parse(public.read_text()))
    assert records(program, key, folder, log_key, loaded) == 2


def test_a_key_of_an_ssh_agent_signs_the_log(key, program, agent, tmp_path):
    folder = tmp_path / "log"
    log_key = initialized(program, folder, "--audit-key", "ssh-agent:laptop")
    for n, audit_key in enumerate(["ssh-agent:laptop", SigningKey.from_agent("laptop")], 1):
        assert records(program, key, folder, log_key, audit_key) == n


def test_a_sealed_keyfile_signs_the_log(key, program, tmp_path):
    folder, path, words = tmp_path / "log", tmp_path / "log.json", "correct horse battery"
    SigningKey.generate().save(path, passphrase=words)
    (tmp_path / "words").write_text(words)
    passphrase = ["--audit-passphrase-file", tmp_path / "words"]
    log_key = initialized(program, folder, "--audit-key", path, *passphrase)
    with pytest.raises(ValueError, match=r"audit_key: it needs a passphrase or PIN: .*SigningKey"):
        guarded(key, audit=folder, audit_key=path)
    loaded = SigningKey.load(path, passphrase=words)
    assert records(program, key, folder, log_key, loaded) == 1
    loaded.save(tmp_path / "plain.json", encrypt=False)
    assert records(program, key, folder, log_key, tmp_path / "plain.json") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_a_forked_child_records_nothing_and_ends_at_once(program, tmp_path):
    folder = tmp_path / "log"
    log_key = initialized(program, folder)
    script = f"""
import os, sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from asgi_harness import *
key = SigningKey.generate()
app = guarded(key, audit={str(folder)!r})
child = os.fork()
if child == 0:
    try:
        ask(app, Wire().signed(key))
    except RuntimeError as error:
        assert "opened before a fork" in str(error)
        print(time.monotonic(), flush=True)
        sys.exit(7)
    sys.exit(1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic())
assert ask(app, Wire().signed(key)).status == 200
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=True, capture_output=True, text=True
    )
    begun, code, ended = done.stdout.split()
    # The end of a log waits for its thread for up to five seconds.
    assert code == "7" and float(ended) - float(begun) < 4, done
    verify = [program, "audit", "verify", "--audit", folder, "--log-key", log_key, "--json"]
    checked = subprocess.run(verify, capture_output=True, text=True)
    assert json.loads(checked.stdout)["requests"] == 1, checked


def test_a_key_in_a_token_signs_the_log(key, program, tmp_path, token):
    (tmp_path / "pin").write_text("1234")
    folder, uri = tmp_path / "log", token
    pin = ["--audit-passphrase-file", tmp_path / "pin"]
    log_key = initialized(program, folder, "--audit-key", uri, *pin)
    with pytest.raises(ValueError, match="audit_key: it needs a passphrase or PIN"):
        guarded(key, audit=folder, audit_key=uri)
    with pytest.raises(ValueError, match="PIN"):
        SigningKey.load(uri, passphrase="4321")
    loaded = SigningKey.load(uri, passphrase="1234")
    assert loaded.signs_elsewhere and loaded.name == "audit"
    assert records(program, key, folder, log_key, loaded) == 1


def test_a_key_that_is_not_that_of_the_log_is_refused(key, program, signing_program, tmp_path):
    (command, public), folder = signing_program, tmp_path / "log"
    initialized(program, folder, "--audit-key", command, "--public-key", public)
    with pytest.raises(OSError, match=r"is not in its folder; hint: where is it\? audit_key="):
        guarded(key, audit=folder)
    path = tmp_path / "other.json"
    SigningKey.generate().save(path, encrypt=False)
    for other in (path, SigningKey.load(path)):
        with pytest.raises(ValueError, match="the key of the log is .*, and the key that was given"):
            guarded(key, audit=folder, audit_key=other)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key2.pem"], check=True)
    lying = command.replace("key.pem", "key2.pem")
    with pytest.raises(OSError, match="a signature that does not hold for these bytes"):
        guarded(key, audit=folder, audit_key=lying)
    for wrong, kind, words in [
        ("keychain:x", ValueError, "audit_key: keychain: is no source of keys"),
        ("exec:", ValueError, "audit_key: exec: names no program"),
        ("ssh-agent:x", ConnectionError, "there is no ssh-agent"),
        (tmp_path / "absent.json", FileNotFoundError, "absent.json"),
        (b"bytes", TypeError, "audit_key is a path, a text or a SigningKey, not bytes"),
        (7, TypeError, "audit_key is a path, a text or a SigningKey, not int"),
        (key.public_key, TypeError, "not PublicKey"),
    ]:
        with pytest.raises(kind) as refused:
            guarded(key, audit=folder, audit_key=wrong)
        assert words in str(refused.value), wrong


def test_a_key_without_a_log_is_refused(key):
    with pytest.raises(ValueError, match="audit_key would change nothing: there is no audit"):
        guarded(key, audit_key="exec:true")
