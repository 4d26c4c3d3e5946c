"""Records what reaches a Python server: a line of JSON for each request, call and broken connection.

This is the truth that the cases compare with: not what a client believes it sent, and not what a
proxy says it forwarded.
"""

import base64
import json
import threading
import time


class Record:
    """Appends to one file, which may be read at any time."""

    def __init__(self, path: str):
        self._file = open(path, "a", encoding="utf-8")
        self._lock = threading.Lock()

    def __call__(self, kind: str, **members) -> None:
        line = json.dumps({"kind": kind, "at": time.monotonic(), **members})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class Recorded:
    """An ASGI application around `app` that records each request."""

    def __init__(self, app, record: Record, variant: str):
        self._app, self._record, self._variant = app, record, variant

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, answered = bytearray(), False
        about = {
            "variant": self._variant,
            "method": scope["method"],
            "target": (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode("latin-1"),
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
        }
        self._record("head", **about)

        async def reading():
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._record("request", **about, body=base64.b64encode(body).decode())
            elif not answered:
                self._record("gone", **about)
            return message

        async def writing(message):
            nonlocal answered
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered = True

        await self._app(scope, reading, writing)
