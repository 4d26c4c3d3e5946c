"""Headers of a signed request, whose copies are not signed."""

from typing import Any

_SIGNATURE = frozenset({b"signature", b"signature-input"})


def signed_headers(headers: Any, added: dict[str, str]) -> Any:
    """Returns ``headers`` of httpx or httpx2 with the ``added`` ones, which a copy does not have.

    A client that follows a redirect copies the headers of the request. The signature is for one URL,
    so it must not go to another one.
    """
    base: Any = type(headers)
    if base not in _classes:
        _classes[base] = type("SignedHeaders", (_SignedHeaders, base), {})
    names = {name.lower().encode() for name in added}
    kept = [pair for pair in headers.raw if pair[0].lower() not in names]
    new = [(name.encode(), value.encode()) for name, value in added.items()]
    plain = [pair for pair in kept if pair[0].lower() not in _SIGNATURE]
    return _classes[base](plain, base(kept + new), headers)


def before_signing(headers: Any) -> Any:
    """Returns the headers from which :func:`signed_headers` was made, else ``headers`` itself.

    A program may send one request several times. Each attempt is signed anew.
    """
    return getattr(headers, "before_signing", headers)


class _SignedHeaders:
    """What a subclass of a library's ``Headers`` does differently.

    Its own list, which ``Headers(…)`` copies, has no signature. All that reads it, transports included,
    gets the headers as they are sent.
    """

    def __init__(self, plain: Any, sent: Any, before: Any) -> None:
        self._sent, self.before_signing = sent, before
        super().__init__(plain)  # type: ignore[call-arg]

    @property
    def raw(self) -> Any:
        return self._sent.raw

    def keys(self) -> Any:
        return self._sent.keys()

    def values(self) -> Any:
        return self._sent.values()

    def items(self) -> Any:
        return self._sent.items()

    def multi_items(self) -> Any:
        return self._sent.multi_items()

    def get_list(self, key: str, split_commas: bool = False) -> Any:
        return self._sent.get_list(key, split_commas)

    def update(self, headers: Any = None) -> None:
        for key, value in type(self._sent)(headers).items():
            self[key] = value

    def __getitem__(self, key: str) -> Any:
        return self._sent[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._sent[key] = value
        super().__setitem__(key, value)  # type: ignore[misc]

    def __delitem__(self, key: str) -> None:
        del self._sent[key]
        if super().__contains__(key):  # type: ignore[misc]
            super().__delitem__(key)  # type: ignore[misc]

    def __contains__(self, key: Any) -> bool:
        return key in self._sent

    def __iter__(self) -> Any:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)

    def __eq__(self, other: object) -> bool:
        return bool(self._sent == other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._sent)


_classes: dict[Any, Any] = {}
