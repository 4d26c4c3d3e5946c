"""A nonce store that an application writes in Python, and the question that the middleware asks it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol, runtime_checkable

__all__ = ["NonceStoreProtocol", "OwnStore"]

logger = logging.getLogger("mcpid_attest")

# How long a store in Python may take for a claim, in seconds.
_CLAIM_BUDGET = 2.0


@runtime_checkable
class NonceStoreProtocol(Protocol):
    """A nonce store that an application writes itself.

    ``floor`` is a time in Unix seconds: the store may have forgotten nonces of requests that were
    created up to then, so these are answered with 503. A store that began empty at ``start`` declares
    ``start + 5`` (the seconds by which a signer's clock may be ahead); one that never forgets declares
    0. It is read with each claim.
    """

    @property
    def floor(self) -> int: ...

    async def claim(self, key_id: str, nonce: str, until: int, /) -> bool:
        """Uses up ``nonce`` of ``key_id`` in one atomic step, and returns whether it was fresh.

        Of all callers that claim a nonce, in all processes, exactly one gets ``True``. The nonce is
        kept until ``until``, in Unix seconds. Everything but ``True`` and ``False``, and every
        exception, refuses the request with 503; so does a claim that takes longer than 2 seconds.
        """
        ...


class OwnStore:
    """The store of one application. It is checked when it is given, and at each answer."""

    def __init__(self, store: Any) -> None:
        if isinstance(store, type) or not callable(getattr(store, "claim", None)):
            raise TypeError(
                "nonce_store is a URL, a store of this package, or an object with claim and floor, not "
                f"{store.__name__ if isinstance(store, type) else type(store).__name__}"
            )
        if not hasattr(store, "floor"):
            raise TypeError(
                f"nonce_store: {type(store).__name__} has no floor, the time up to which it may have "
                "forgotten nonces"
            )
        self._store = store
        self._claims: set[asyncio.Task[bool]] = set()

    async def claim(self, key_id: str, nonce: str, until: int) -> tuple[bool, int, str | None]:
        """Returns whether the nonce was fresh, the floor of the store, and None.

        An answer that is not clear is ``False``, 0 and the reason, which refuses the request.
        """
        try:
            answer = await self._ask(key_id, nonce, until)
            floor = self._store.floor
            if type(answer) is not bool:
                why = f"claim returned {type(answer).__name__}, not bool"
            elif type(floor) is not int:
                why = f"floor is {type(floor).__name__}, not int"
            elif not -(2**62) < floor < 2**62:
                why = "floor is no time in Unix seconds"
            else:
                return answer, floor, None
        except Exception as error:
            logger.debug("the store's claim failed", exc_info=True)
            why = f"claim failed: {type(error).__name__}"
        return False, 0, f"the application's own store: {why}"

    async def _ask(self, key_id: str, nonce: str, until: int) -> Any:
        task = asyncio.ensure_future(self._store.claim(key_id, nonce, until))
        # The loop keeps only weak references to tasks.
        self._claims.add(task)
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=_CLAIM_BUDGET)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            # A store that does not let itself be cancelled must not hold the request.
            task.cancel()
            raise TimeoutError
        if task.cancelled():
            raise TimeoutError
        return task.result()

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._claims.discard(task)
        if not task.cancelled():
            # An exception that nothing waits for is not reported by the loop.
            task.exception()
