"""Short names for the key of a client: make, save and load an identity."""

import os

from ._native import SigningKey


def generate_identity(*, name: str | None = None) -> SigningKey:
    """Makes a new Ed25519 key."""
    return SigningKey.generate(name=name)


def save_identity(
    identity: SigningKey,
    path: str | os.PathLike[str],
    passphrase: str | bytes | None = None,
    *,
    encrypt: bool = True,
) -> None:
    """Writes the key into a new keyfile of mode 0600, encrypted with the passphrase.

    Without a passphrase, ``encrypt=False`` has to say that the key is to be written in the clear.
    Raises FileExistsError if there is anything at ``path``.
    """
    identity.save(path, passphrase=passphrase, encrypt=encrypt)


def load_identity(
    path: str | os.PathLike[str], passphrase: str | bytes | None = None
) -> SigningKey:
    """Loads a key: from a keyfile, or from an ssh-agent by ``ssh-agent:ID``."""
    return SigningKey.load(path, passphrase=passphrase)
