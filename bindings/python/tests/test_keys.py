"""Keys: making, saving, loading, and what must never happen to a secret."""

import copy
import json
import os
import pickle
import re
import stat
import subprocess
from pathlib import Path

import pytest

import mcpid_attest
from mcpid_attest import (
    PublicKey,
    SigningKey,
    Verifier,
    did_key,
    generate_identity,
    load_identity,
    save_identity,
    thumbprint,
)

# RFC 8037 appendix A: a published key, its id and its did:key.
RFC_8037 = (
    '{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
)
RFC_8037_ID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_each_new_key_is_another_one() -> None:
    assert len({SigningKey.generate().key_id for _ in range(20)}) == 20


def test_a_key_has_the_id_of_its_thumbprint() -> None:
    key = SigningKey.from_private(RFC_8037)
    assert key.key_id == RFC_8037_ID == thumbprint(key) == thumbprint(key.public_key)
    assert key.did == did_key(key) == "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"
    assert PublicKey.parse(key.did) == key.public_key
    assert thumbprint(key.did) == thumbprint(key.public_key.pem()) == RFC_8037_ID


def test_public_keys_compare_and_hash_by_the_key(key: SigningKey) -> None:
    other = SigningKey.generate().public_key
    same = PublicKey.parse(key.public_key.jwk())
    assert same == key.public_key and hash(same) == hash(key.public_key)
    assert other != same and same != "text"
    assert len({same, key.public_key, other}) == 2


@pytest.mark.parametrize("passphrase", ["geheim-Süßholz", b"\x00\xff bytes"])
def test_a_saved_key_is_loaded_again(tmp_path: Path, key: SigningKey, passphrase: str | bytes) -> None:
    path = tmp_path / "key.json"
    key.save(path, passphrase=passphrase)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["cipher"]["name"] == "xchacha20-poly1305"
    again = SigningKey.load(path, passphrase=passphrase)
    assert (again.key_id, again.name) == (key.key_id, "alice")
    assert SigningKey.load(str(path), passphrase=passphrase).key_id == key.key_id


def test_a_passphrase_in_text_and_in_utf_8_is_the_same(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key.json"
    key.save(path, passphrase="Süßholz-raspeln")
    assert SigningKey.load(path, passphrase="Süßholz-raspeln".encode()).key_id == key.key_id


@pytest.mark.parametrize(
    ("passphrase", "words"),
    [
        (None, "a passphrase is needed"),
        ("", "wrong passphrase for {path}, or the file was changed"),
        ("wrong", "wrong passphrase for {path}, or the file was changed"),
        ("right passphrase ", "wrong passphrase for {path}, or the file was changed"),
    ],
)
def test_another_passphrase_is_refused(
    tmp_path: Path, key: SigningKey, passphrase: str | None, words: str
) -> None:
    path = tmp_path / "key.json"
    key.save(path, passphrase="right passphrase")
    with pytest.raises(ValueError, match=re.escape(words.format(path=path))):
        SigningKey.load(path, passphrase=passphrase)


def test_a_passphrase_of_another_type_is_refused(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(TypeError, match="passphrase is a str or bytes, not int"):
        key.save(tmp_path / "key.json", passphrase=12345678)  # type: ignore[arg-type]
    assert not (tmp_path / "key.json").exists()


def test_nothing_is_saved_in_the_clear_unasked(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key.json"
    for save in (
        lambda: key.save(path),
        lambda: save_identity(key, path),
        lambda: key.save(path, passphrase=""),
        lambda: key.save(path, passphrase="given", encrypt=False),
    ):
        with pytest.raises(ValueError, match="passphrase"):
            save()
        assert not path.exists()
    save_identity(key, path, encrypt=False)
    assert load_identity(path).key_id == key.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_short_names_encrypt(tmp_path: Path) -> None:
    identity, path = generate_identity(), tmp_path / "identity.json"
    save_identity(identity, path, "a good passphrase")
    assert '"cipher":{"name":"xchacha20-poly1305"' in path.read_text()
    assert load_identity(path, "a good passphrase").did == identity.did
    with pytest.raises(ValueError, match="wrong passphrase"):
        load_identity(path, "another passphrase")


def test_an_existing_file_is_kept(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key.json"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=re.escape(f"output exists: {path}")):
        key.save(path, encrypt=False)
    assert path.read_text() == "precious"
    key.save(path, encrypt=False, replace=True)
    assert SigningKey.load(path).key_id == key.key_id
    other = tmp_path / "fresh.json"
    key.save(other, encrypt=False, replace=True)
    assert SigningKey.load(other).key_id == key.key_id


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        SigningKey.load(tmp_path / "none.json")
    assert missing.value.filename == str(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError):
        key.save(tmp_path / "no folder" / "key.json", encrypt=False)
    with pytest.raises(IsADirectoryError, match="a folder, not a regular file"):
        SigningKey.load(tmp_path)


PEM = (
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n"
)
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"


@pytest.mark.parametrize(
    "secret, looks", [(SEED, "a key in hex"), (PEM, "a PEM block"), (RFC_8037, "JSON")]
)
def test_a_secret_in_place_of_a_path_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, looks: str
) -> None:
    monkeypatch.chdir(tmp_path)
    described = f"({len(secret)} characters, looks like {looks})"
    with pytest.raises(OSError) as caught:
        SigningKey.load(secret)
    assert caught.value.filename == described
    with pytest.raises(OSError) as of_trust:
        Verifier(trust=secret, origin="https://mcp.example.com")
    with pytest.raises((OSError, ValueError)) as of_origin:
        Verifier(trust=tmp_path, origin=secret)
    for error in (caught, of_trust, of_origin):
        shown = "".join(map(str, (error.value, error.value.args, vars(error.value))))
        assert described in shown
        assert not any(part in shown for part in (SEED, "MC4CAQ", "nWGxne", "BEGIN", "rAMcrn9g"))


def test_a_file_with_the_name_of_a_checksum_is_named(tmp_path: Path) -> None:
    path = tmp_path / SEED
    path.write_text("no key")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        SigningKey.load(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        SigningKey.load(tmp_path / "pipe")


def test_a_plain_key_that_others_can_read_is_refused(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key.json"
    key.save(path, encrypt=False)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="mode 0644 lets others than its owner at it"):
        SigningKey.load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a keyfile"),
        (b"{}", "not a keyfile"),
        (b'{"mcpid":"keyfile/2"}', "unknown version"),
        (b"\xff\xfe", "not a keyfile"),
    ],
)
def test_what_is_no_keyfile_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=words):
        SigningKey.load(path)


def test_every_changed_byte_of_a_keyfile_is_noticed(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key.json"
    key.save(path, encrypt=False)
    whole = path.read_bytes()
    secret = whole.index(b'"secret":"') + 12
    for changed in (whole[:-1], whole + b" x", whole[:secret] + b"AA" + whole[secret + 2 :]):
        path.write_bytes(changed)
        with pytest.raises(ValueError):
            SigningKey.load(path)


@pytest.mark.parametrize("scheme", ["keychain:alice", "pkcs99:token"])
def test_an_unknown_source_of_keys_is_no_file(scheme: str) -> None:
    with pytest.raises(ValueError, match="is no source of keys"):
        SigningKey.load(scheme)


def test_a_program_signs(signing_program: tuple[str, Path]) -> None:
    command, public = signing_program
    pinned = PublicKey.parse(public.read_text())
    key = SigningKey.load(command, public_key=pinned)
    assert key.public_key == pinned and key.signs_elsewhere
    headers = mcpid_attest.sign_request(key, "GET", "https://mcp.example.com/mcp")
    request = mcpid_attest.Request("GET", "https://mcp.example.com/mcp", headers)
    verifier = mcpid_attest.Verifier(trust=pinned, origin="https://mcp.example.com")
    assert verifier.verify(request).key_id == key.key_id
    with pytest.raises(ValueError, match="the public key is not given"):
        SigningKey.load(command)
    other = SigningKey.generate().public_key
    with pytest.raises(ValueError, match="does not hold for these bytes and this key"):
        lying = SigningKey.load(command, public_key=other)
        mcpid_attest.sign_request(lying, "GET", "https://mcp.example.com/mcp")


def test_a_pinned_key_is_that_of_the_keyfile(tmp_path: Path, key: SigningKey) -> None:
    key.save(tmp_path / "key.json", encrypt=False)
    loaded = SigningKey.load(tmp_path / "key.json", public_key=key.public_key)
    assert loaded.key_id == key.key_id
    with pytest.raises(ValueError, match="not the key of public_key"):
        SigningKey.load(tmp_path / "key.json", public_key=SigningKey.generate().public_key)


def test_no_text_about_a_key_shows_its_secret(key: SigningKey) -> None:
    secret = json.loads(RFC_8037)["d"]
    shown = SigningKey.from_private(RFC_8037)
    for text in (repr(shown), str(shown), f"{shown}", repr(shown.public_key), repr([shown])):
        assert secret not in text
    assert repr(shown) == f"SigningKey({RFC_8037_ID})"
    assert not [name for name in dir(shown) if "secret" in name or "seed" in name]


@pytest.mark.parametrize(
    "take",
    [copy.copy, copy.deepcopy, *(lambda key, p=p: pickle.dumps(key, p) for p in range(6))],
)
def test_a_key_is_not_copied_or_pickled(key: SigningKey, take: object) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        take(key)  # type: ignore[operator]
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        take({"nested": key}) if take is not copy.copy else take(key)  # type: ignore[operator]


def test_a_key_cannot_be_changed_or_subclassed(key: SigningKey) -> None:
    with pytest.raises(AttributeError):
        key.name = "mallory"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        key.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        type("Other", (SigningKey,), {})
    with pytest.raises(TypeError):
        SigningKey()


def test_a_key_of_p_256_signs_where_a_profile_allows_it(tmp_path: Path) -> None:
    key, path = SigningKey.generate(kind="p256"), tmp_path / "key.json"
    key.save(path, passphrase="a good passphrase")
    assert SigningKey.load(path, passphrase="a good passphrase").key_id == key.key_id
    assert PublicKey.parse(key.did) == PublicKey.parse(key.public_key.pem()) == key.public_key
    url = "https://mcp.example.com/mcp"
    with pytest.raises(ValueError, match="P-256|p256"):
        mcpid_attest.sign_request(key, "GET", url)
    headers = mcpid_attest.sign_request(key, "GET", url, profile="rfc9421")
    request = mcpid_attest.Request("GET", url, headers)
    trust, origin = key.public_key, "https://mcp.example.com"
    lenient = mcpid_attest.Verifier(trust=trust, origin=origin, profile="rfc9421")
    assert lenient.verify(request).key_id == key.key_id
    with pytest.raises(mcpid_attest.Rejected):
        mcpid_attest.Verifier(trust=trust, origin=origin).verify(request)
    with pytest.raises(ValueError, match='kind "rsa": there are ed25519, p256'):
        SigningKey.generate(kind="rsa")  # type: ignore[arg-type]


@pytest.mark.parametrize("data", ["", "nonsense", "did:key:z6MkNo", "a" * 43, b"\x30\x82"])
def test_what_is_no_key_is_refused(data: str | bytes) -> None:
    with pytest.raises(ValueError):
        PublicKey.parse(data)
    with pytest.raises(ValueError):
        SigningKey.from_private(data)


def test_a_private_key_is_no_public_key() -> None:
    with pytest.raises(ValueError, match="private"):
        PublicKey.parse(RFC_8037)
    with pytest.raises(TypeError):
        thumbprint(17)  # type: ignore[arg-type]


def test_a_key_of_an_ssh_agent_signs(agent: Path) -> None:
    key = SigningKey.from_agent()
    assert key.name == "laptop" and key.signs_elsewhere
    assert key.public_key == PublicKey.parse(agent.with_suffix(".pub").read_text())
    for same in (SigningKey.from_agent("laptop"), SigningKey.load("ssh-agent:laptop")):
        assert same.key_id == key.key_id
    headers = mcpid_attest.sign_request(key, "GET", "https://mcp.example.com/mcp")
    request = mcpid_attest.Request("GET", "https://mcp.example.com/mcp", headers)
    verifier = mcpid_attest.Verifier(trust=key.public_key, origin="https://mcp.example.com")
    assert verifier.verify(request).key_id == key.key_id
    with pytest.raises(ValueError, match="a keyfile needs the secret"):
        key.save(agent.parent / "key.json", encrypt=False)


def test_an_absent_agent_or_key_is_named(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the ssh-agent has no such key that can sign"):
        SigningKey.from_agent("phone")
    gone = SigningKey.from_agent()
    subprocess.run(["ssh-add", "-q", "-D"], check=True)
    with pytest.raises(ValueError, match="it is empty or locked"):
        mcpid_attest.sign_request(gone, "GET", "https://mcp.example.com/mcp")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.parent / "nowhere"))
    with pytest.raises(ConnectionError, match="there is no ssh-agent at"):
        SigningKey.from_agent()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(ConnectionError, match="SSH_AUTH_SOCK is not set"):
        SigningKey.from_agent()
