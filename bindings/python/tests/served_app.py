"""An application behind the middleware, for real servers. Variables of the environment set it up."""

import asyncio
import os

from mcpid_attest import MCPIdentityMiddleware

REPORT = os.environ["SERVED_REPORT"]


def report(text):
    with open(REPORT, "a") as file:
        file.write(text + "\n")


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            report(message["type"])
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        report("websocket " + scope["path"])
        await receive()
        await send({"type": "websocket.close"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    identity = scope["mcp_identity"]
    status = b"none" if identity is None else identity.status.encode()
    kind = b"text/event-stream" if body == b"" and scope["path"] == "/mcp" else b"text/plain"
    headers = [(b"content-type", kind), (b"x-status", status)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if kind == b"text/plain":
        await send({"type": "http.response.body", "body": body})
        return
    # A stream that ends when the client goes.
    await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
    report("disconnected")


app = MCPIdentityMiddleware(
    application,
    os.environ["SERVED_STORE"],
    trust=os.environ["SERVED_TRUST"],
    origin=os.environ["SERVED_ORIGIN"],
    path="/mcp",
)
