"""Nonces on a Redis that is stopped, killed and started again under two gateways. This takes more than a
minute, because a store that lost nonces refuses for half a minute. So it runs beside the other cases.
"""

import signal
import threading
import time

from faults import READ, signed
from servers import Gateway, Running, Harness, free_port, listens, until
from upstream import Upstream
from wire import Answer, ask


class Story:
    """A sequence of steps that runs once, in a thread. Each step is a case."""

    def __init__(self, harness: Harness):
        self._stand = harness
        self._done: dict[str, BaseException | None] = {}
        self._thread: threading.Thread | None = None
        self._port = free_port()

    def begin(self) -> None:
        if self._thread is None:
            # The shared fixtures are made here, while only one thread runs.
            assert self._stand.nonces and self._stand.key
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()

    def step(self, name: str) -> None:
        """Waits for the end of the sequence, and reports the result of this step."""
        self.begin()
        self._thread.join(600)
        if name not in self._done:
            failed = [f"{step}: {error}" for step, error in self._done.items() if error]
            raise AssertionError(f"it did not come to that: {failed}")
        if self._done[name]:
            raise self._done[name]

    def _redis(self) -> Running:
        running = Running(self._stand, "redis", [
            "redis-server", "--port", self._port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", self._stand.folder,
        ])
        # stdout is read and ignored, so that the pipe does not fill up.
        threading.Thread(target=running.process.stdout.read, daemon=True).start()
        until(lambda: listens(self._port), "redis listens")
        return running

    def _tell(self) -> None:
        with Upstream() as upstream:
            self._upstream, self._server = upstream, self._redis()
            url = f"redis://127.0.0.1:{self._port}"
            self._begun = time.monotonic()
            with self._stand.gateway(upstream.url, nonces=url) as one, \
                    self._stand.gateway(upstream.url, "--origin", one.origin, nonces=url) as two:
                self._one, self._two = one, two
                for name in STEPS:
                    try:
                        getattr(self, STEPS[name])()
                        self._done[name] = None
                    except Exception as error:
                        self._done[name] = error
                        return
            self._server.end(signal.SIGKILL)

    def _ask(self, gateway: Gateway | None = None) -> Answer:
        return ask((gateway or self._one).port, signed(self._stand, self._one, READ))

    def _accepted(self, longest_pause: int = 60) -> None:
        """Waits until the request is accepted. Until then the answer is 503, and no request reaches the
        server."""
        end = time.monotonic() + 300
        while True:
            answer = self._ask()
            if answer.status == 200:
                assert len(self._upstream.take()) == 1
                return
            self._refused(answer, longest_pause)
            assert time.monotonic() < end, f"still {answer}"
            time.sleep(0.5)

    def _refused(self, answer: Answer, longest_pause: int = 60) -> None:
        assert answer.status == 503 and answer.reason == "unavailable", answer
        assert 0 < int(answer.headers["retry-after"]) <= longest_pause, answer
        assert not self._upstream.take(), "it reached the server"

    def _new(self) -> None:
        self._accepted()
        took = time.monotonic() - self._begun
        assert took > 20, f"a store that knows nothing was believed after {took:.0f} s"

    def _once(self) -> None:
        data = signed(self._stand, self._one, READ)
        answers = [ask(gateway.port, data) for gateway in (self._one, self._two, self._one)]
        assert [a.status for a in answers] == [200, 403, 403], answers
        assert answers[1].reason == "nonce_replayed", answers
        assert len(self._upstream.take()) == 1

    def _hangs(self) -> None:
        self._server.process.send_signal(signal.SIGSTOP)
        try:
            self._refused(self._ask())
        finally:
            self._server.process.send_signal(signal.SIGCONT)
        # The store lost no nonce. If it had, the gateway would ask for a pause of half a minute.
        self._accepted(longest_pause=10)

    def _killed(self) -> None:
        self._server.process.kill()
        self._server.process.wait()
        for gateway in (self._one, self._two):
            self._refused(self._ask(gateway))

    def _back(self) -> None:
        data, begun = signed(self._stand, self._one, READ), time.monotonic()
        self._server = self._redis()
        self._accepted()
        took = time.monotonic() - begun
        assert took > 20, f"a store that forgot was believed after {took:.0f} s"
        assert ask(self._two.port, data).status == 403, "a request from before is too old by then"


STEPS = {
    "a new store is believed when nothing can be replayed": "_new",
    "a nonce is used once, at two gateways": "_once",
    "a store that hangs is no yes": "_hangs",
    "a store that was killed is no yes": "_killed",
    "one that came back is believed when nothing can be replayed": "_back",
}
