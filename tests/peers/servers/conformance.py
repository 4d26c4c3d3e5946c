"""A server for the official conformance suite, with the features of the Python SDK 2.x.

    python conformance.py RECORD        prints {"stateful-sse": URL} when it listens

The point is not a high score: it is that every kind of message (progress, logging, requests from the
server to the client, binary content, resumption, headers made of arguments) passes through whatever
stands between the suite and this server, so that the totals are the same.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import sys
import zlib
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore
from mcp_types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from recorder import Record, Recorded


def png() -> bytes:
    """One red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def wav() -> bytes:
    """One silent sample."""
    return b"RIFF" + struct.pack("<I", 38) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 2) + b"\x80\x80"


IMAGE = ImageContent(type="image", data=base64.b64encode(png()).decode(), mime_type="image/png")


def embedded(uri: str, text: str, mime: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime, text=text))


class Events(EventStore):
    """The events of a stream, kept to be sent again after a Last-Event-ID."""

    def __init__(self):
        self._kept = []

    async def store_event(self, stream_id, message):
        self._kept.append((stream_id, message))
        return str(len(self._kept))

    async def replay_events_after(self, last_event_id, send_callback):
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self._kept):
            return None
        stream = self._kept[int(last_event_id) - 1][0]
        for number, (of, message) in enumerate(self._kept[int(last_event_id):], int(last_event_id) + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


server = MCPServer("conformance fixture")


def tool(**settings):
    return server.tool(description="For the suite.", **settings)


def prompt():
    return server.prompt(description="For the suite.")


@tool()
async def test_simple_text() -> str:
    return "This is a simple text response for testing."


@tool(structured_output=False)
async def test_image_content() -> list[ImageContent]:
    return [IMAGE]


@tool(structured_output=False)
async def test_audio_content() -> list[AudioContent]:
    return [AudioContent(type="audio", data=base64.b64encode(wav()).decode(), mime_type="audio/wav")]


@tool(structured_output=False)
async def test_embedded_resource() -> list[EmbeddedResource]:
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


@tool(structured_output=False)
async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    text = TextContent(type="text", text="Multiple content types test:")
    mixed = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [text, IMAGE, mixed]


@tool()
async def test_tool_with_logging(ctx: Context) -> str:
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(text)
        await asyncio.sleep(0.05)
    return "logged"


@tool()
async def test_tool_with_progress(ctx: Context) -> str:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return "done"


@tool()
async def test_error_handling() -> str:
    raise ValueError("This tool intentionally returns an error for testing")


@tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message(
        messages=[asked], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {answer.content.text}"


class Person(BaseModel):
    username: str
    email: str


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


@tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    answer = await ctx.elicit(message, Person)
    return f"User response: action={answer.action}"


@tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    answer = await ctx.elicit("Please confirm", Defaults)
    return f"Elicitation completed: action={answer.action}"


@tool()
async def test_headers(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """One argument of this tool is repeated in the header Mcp-Param-Region."""
    return region


@tool()
async def test_reconnection(ctx: Context) -> str:
    """Ends its own stream. The client must fetch the answer with Last-Event-ID."""
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    return "Reconnection test completed successfully"


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    return png()


@server.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str:
    return "watched"


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@prompt()
def test_simple_prompt() -> str:
    return "This is a simple prompt for testing."


@prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list:
    return [embedded(resourceUri, "Embedded resource content for testing."), "Please process the embedded resource above."]


@prompt()
def test_prompt_with_image() -> list:
    return [IMAGE, "Please analyze the image above."]


@server.completion()
async def complete(ref, argument, context):
    return Completion(values=["paris", "park", "party"], total=150, has_more=False)


async def nothing(ctx, params) -> EmptyResult:
    return EmptyResult()


def variants(app, listening: dict) -> dict:
    """The application, and the same behind the Python middleware in permissive mode if that is
    installed."""
    try:
        from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware, SigningKey
    except ImportError:
        return {"stateful-sse": app}
    port = listening["stateful-sse-middleware"].getsockname()[1]
    guarded = MCPIdentityMiddleware(
        app,
        InMemoryNonceStore(),
        trust=SigningKey.generate().public_key,
        origin=[f"http://127.0.0.1:{port}", f"http://localhost:{port}"],
        path="/mcp",
        mode="permissive",
    )
    return {"stateful-sse": app, "stateful-sse-middleware": guarded}


async def main() -> None:
    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, nothing)
    app = server.streamable_http_app(event_store=Events(), retry_interval=100)
    names = ("stateful-sse", "stateful-sse-middleware")
    listening = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    served, running, record = [], [], Record(sys.argv[1])
    # The application's lifespan can run once only, so the first server runs it for both.
    for number, (name, variant) in enumerate(variants(app, listening).items()):
        lifespan = "off" if number else "on"
        config = uvicorn.Config(Recorded(variant, record, name), log_level="warning", lifespan=lifespan, timeout_keep_alive=60)
        serving = uvicorn.Server(config)
        serving.capture_signals = contextlib.nullcontext
        running.append(asyncio.create_task(serving.serve(sockets=[listening[name]])))
        while not serving.started:
            await asyncio.sleep(0.02)
        served.append((name, serving))
    ports = {name: listening[name].getsockname()[1] for name, _ in served}
    print(json.dumps({name: f"http://127.0.0.1:{port}/mcp" for name, port in ports.items()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for _, serving in served:
        serving.should_exit = True
    await asyncio.wait(running, timeout=3)
    os._exit(0)


asyncio.run(main())
