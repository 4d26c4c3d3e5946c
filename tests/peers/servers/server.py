"""A Python MCP server for the cases, made with one of three packages and served in four variants.

    python server.py PACKAGE RECORD        PACKAGE: mcp (1.x or 2.x, what is installed) or fastmcp

Prints one line of JSON when it listens: {"stateful-sse": URL, "stateful-json": URL, …}. All
variants have the same tools. What reaches them is appended to the file RECORD (see recorder.py).
It ends when its standard input does, so that it cannot outlive the test.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys

import anyio
import uvicorn

from recorder import Record, Recorded

VARIANTS = {
    "stateful-sse": {"stateless_http": False, "json_response": False},
    "stateful-json": {"stateless_http": False, "json_response": True},
    "stateless-sse": {"stateless_http": True, "json_response": False},
    "stateless-json": {"stateless_http": True, "json_response": True},
}


def load(package: str):
    """Returns (a new server, its Context class, annotations from keywords, the app of a server)."""
    if package == "fastmcp":
        from fastmcp import Context, FastMCP
        from mcp_types import ToolAnnotations

        def app(server, flags):
            return server.http_app(path="/mcp", host_origin_protection="auto", **flags)

        return lambda: FastMCP("fixture"), Context, ToolAnnotations, app
    try:
        from mcp.server.mcpserver import Context, MCPServer
        from mcp_types import ToolAnnotations
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP
        from mcp.types import ToolAnnotations

        def app(server, flags):
            server.settings.stateless_http = flags["stateless_http"]
            server.settings.json_response = flags["json_response"]
            return server.streamable_http_app()

        return lambda: FastMCP("fixture"), Context, ToolAnnotations, app
    return lambda: MCPServer("fixture"), Context, ToolAnnotations, lambda server, flags: server.streamable_http_app(**flags)


def add_tools(server, Context, annotations, called) -> None:
    @server.tool(annotations=annotations(readOnlyHint=True))
    async def read_note(name: str) -> str:
        """Reads a note."""
        called("read_note", name=name)
        return f"note {name}"

    @server.tool(annotations=annotations(destructiveHint=True))
    async def delete_db(name: str) -> str:
        """Deletes a database."""
        called("delete_db", name=name)
        return f"deleted {name}"

    @server.tool(annotations=annotations(readOnlyHint=True))
    async def fail(name: str) -> str:
        """Fails."""
        called("fail", name=name)
        raise ValueError(f"no such thing: {name}")

    @server.tool(annotations=annotations(readOnlyHint=True))
    async def progress(steps: int, ctx: Context) -> str:
        """Reports its progress."""
        called("progress", steps=steps)
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
            await anyio.sleep(0.01)
        return f"{steps} steps"

    @server.tool(annotations=annotations(readOnlyHint=True))
    async def echo(text: str) -> str:
        """Says the same."""
        called("echo", length=len(text))
        return text

    @server.tool(annotations=annotations(readOnlyHint=True))
    async def slow(name: str, seconds: float, ctx: Context) -> str:
        """Takes its time, and says so at once and then every tenth of a second."""
        called("slow", name=name)
        try:
            end = anyio.current_time() + seconds
            step = 0
            while anyio.current_time() < end:
                step += 1
                await ctx.report_progress(step)
                await anyio.sleep(0.1)
        except anyio.get_cancelled_exc_class():
            called("slow", name=name, outcome="cancelled")
            raise
        called("slow", name=name, outcome="finished")
        return f"slept {name}"


# The resources that recorder.mjs has too. A read is recorded as a call of the tool "resource".
RESOURCES = [
    "file:///priv/a",
    "file:///pub/a",
    "file:///C:/x",
    "memo://Insights",
    "postgres://user@Host/db",
    "ui://Widget/x?y=1",
    "note://notes/नोट",
    "note://notes/한국어",
]


def add_resources(server, called) -> None:
    def reader(uri):
        def read() -> str:
            called("resource", name=uri)
            return f"content of {uri}"

        return read

    for uri in RESOURCES:
        server.resource(uri, name=uri)(reader(uri))


async def main() -> None:
    package, path = sys.argv[1:]
    record = Record(path)
    new, Context, annotations, app_of = load(package)
    servers, urls = [], {}
    for variant, flags in VARIANTS.items():

        def called(tool, *, variant=variant, outcome="called", **arguments):
            record("call", variant=variant, tool=tool, outcome=outcome, arguments=arguments)

        server = new()
        add_tools(server, Context, annotations, called)
        add_resources(server, called)
        app = Recorded(app_of(server, flags), record, variant)
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=1, backlog=2048,
            # A pooled connection must not be closed while a request is on its way.
            timeout_keep_alive=60,
        )
        servers.append((uvicorn.Server(config), listening))
        urls[variant] = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

    # Several servers run in one process, and only the end of stdin stops them.
    for server, _ in servers:
        server.capture_signals = contextlib.nullcontext
    running = [asyncio.create_task(server.serve(sockets=[listening])) for server, listening in servers]
    while not all(server.started for server, _ in servers):
        await asyncio.sleep(0.02)
    print(json.dumps(urls), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for server, _ in servers:
        server.should_exit = True
    await asyncio.wait(running, timeout=3)
    os._exit(0)


asyncio.run(main())
