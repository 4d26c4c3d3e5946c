"""A Python MCP client for the cases, with the installed version of `mcp` (1.x or 2.x).

    python client.py        one job a line of JSON on stdin, one answer a line on stdout

A job is {"do": "walk"|"try"|"abandon", "token": T, …} and says where the server is:
    "url": URL                        Streamable HTTP
    "stdio": [COMMAND, ARGUMENT, …]   a bridge, with "env" if it needs any
"mode" is auto (the default), legacy, or a revision, and means something to 2.x only. "headers" are
static ones. "oauth": true gives the client an OAuth provider, so that it would log in if asked.
"approve": true|false makes it show forms, and answer each with that.

walk     calls every tool and answers {"ok": {…what came back…}} or {"error": …}
try      the same, cut short: connect, list, one call; {"ok": …} or {"stage": S, "shown": TEXT}
abandon  starts the slow tool and cancels the call after its second word of progress
"""

import asyncio
import contextlib
import json
import logging
import sys
import traceback

import anyio
from mcp.client.auth import OAuthClientProvider
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

try:
    import httpx2 as httpx
    import mcp_types as types
    from mcp import Client

    TWO = True
except ImportError:
    import httpx
    from mcp import ClientSession, types

    TWO = False

# 100 kB of UTF-8 without ASCII except the spaces: two, three and four bytes for each character.
LONG = "пять ☃ 字 𝄞 " * 4546
assert 100_000 <= len(LONG.encode()) < 101_000


class Storage:
    """An OAuth store that keeps nothing."""

    async def get_tokens(self):
        return None

    async def set_tokens(self, tokens):
        pass

    async def get_client_info(self):
        return None

    async def set_client_info(self, info):
        pass


def provider(url: str):
    async def redirect(to: str) -> None:
        raise RuntimeError(f"a login was asked for: {to}")

    metadata = OAuthClientMetadata(client_name="fixture", redirect_uris=["http://127.0.0.1:9/callback"])
    return OAuthClientProvider(url, metadata, Storage(), redirect_handler=redirect, callback_handler=None)


class Session:
    """The same few calls for both major versions."""

    def __init__(self, inner, protocol: str):
        self._inner, self.protocol = inner, protocol

    async def tools(self) -> dict:
        listed = (await self._inner.list_tools()).tools
        if TWO:
            return {t.name: [t.annotations.read_only_hint, t.annotations.destructive_hint] for t in listed}
        return {t.name: [t.annotations.readOnlyHint, t.annotations.destructiveHint] for t in listed}

    async def call(self, tool: str, arguments: dict, progress=None) -> dict:
        result = await self._inner.call_tool(tool, arguments, progress_callback=progress)
        return {
            "text": "".join(c.text for c in result.content),
            "failed": bool(result.is_error if TWO else result.isError),
        }


def forms(job: dict) -> dict:
    """A person who always gives the same answer."""
    if "approve" not in job:
        return {}

    async def answer(context, params):
        return types.ElicitResult(action="accept", content={"approve": job["approve"]})

    return {"elicitation_callback": answer}


@contextlib.asynccontextmanager
async def connected(job: dict):
    async with contextlib.AsyncExitStack() as stack:
        if "stdio" in job:
            command, *arguments = job["stdio"]
            server = StdioServerParameters(command=command, args=arguments, env=job.get("env"))
            transport = stdio_client(server, errlog=await stack.enter_async_context(opened(job)))
        else:
            http = httpx.AsyncClient(
                headers=job.get("headers"),
                auth=provider(job["url"]) if job.get("oauth") else None,
                timeout=120,
                trust_env=False,
            )
            transport = streamable_http_client(job["url"], http_client=await stack.enter_async_context(http))
        if TWO:
            client = await stack.enter_async_context(Client(transport, mode=job.get("mode", "auto"), cache=None, **forms(job)))
            yield Session(client, str(client.session.protocol_version))
            return
        read, write = (await stack.enter_async_context(transport))[:2]
        session = await stack.enter_async_context(ClientSession(read, write, **forms(job)))
        hello = await session.initialize()
        yield Session(session, str(hello.protocolVersion))


@contextlib.asynccontextmanager
async def opened(job: dict):
    """Returns the file for the bridge's stderr."""
    with open(job.get("log", "/dev/null"), "a", encoding="utf-8") as log:
        yield log


async def walk(job: dict) -> dict:
    token = job["token"]
    async with connected(job) as session:
        seen = []

        async def progress(done, total, message=None):
            seen.append([int(done), int(total)])

        found = {"protocol": session.protocol, "tools": await session.tools()}
        for tool in ("read_note", "delete_db", "fail"):
            found[tool] = await session.call(tool, {"name": token})
        found["progress"] = await session.call("progress", {"steps": 3}, progress)
        found["steps"] = seen
        said = await session.call("echo", {"text": LONG})
        found["echo"] = said["text"] == LONG and not said["failed"]
        answers = await asyncio.gather(
            *(session.call("echo", {"text": f"{token} {i}"}) for i in range(20))
        )
        found["parallel"] = [a["text"] for a in answers] == [f"{token} {i}" for i in range(20)]
    return {"ok": found}


async def try_(job: dict) -> dict:
    stage = "connect"
    try:
        async with connected(job) as session:
            stage = "list"
            tools = await session.tools()
            stage = "call"
            answer = await session.call(job.get("tool", "read_note"), {"name": job["token"]})
            stage = "close"
        if answer["failed"]:
            return {"stage": "call", "shown": answer["text"]}
        return {"ok": {"protocol": session.protocol, "tools": sorted(tools), "answer": answer["text"]}}
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError):
            raise
        return {"stage": stage, "shown": shown(error)}


async def abandon(job: dict) -> dict:
    words = asyncio.Event()
    count = 0

    async def progress(*_):
        nonlocal count
        count += 1
        if count == 2:
            words.set()

    async with connected(job) as session:
        call = asyncio.create_task(
            session.call("slow", {"name": job["token"], "seconds": 120}, progress)
        )
        await asyncio.wait_for(words.wait(), 120)
        call.cancel()
        with contextlib.suppress(BaseException):
            await call
        await asyncio.sleep(job.get("stay", 0))
    return {"ok": {"progress": count}}


def shown(error: BaseException) -> str:
    """Returns the texts of an exception, of its group's members and of its causes, as a program would print
    them."""
    texts, waiting, met = [], [error], set()
    while waiting:
        error = waiting.pop(0)
        if id(error) in met:
            continue
        met.add(id(error))
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
            continue
        texts.append(f"{type(error).__name__}: {error}")
        waiting.extend(e for e in (error.__cause__, error.__context__) if e is not None)
    return "\n".join(dict.fromkeys(texts))


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    ways = {"walk": walk, "try": try_, "abandon": abandon}
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = asyncio.run(asyncio.wait_for(ways[job["do"]](job), job.get("timeout", 150)))
        except BaseException as error:
            traceback.print_exc()
            answer = {"error": shown(error)}
        print(json.dumps(answer), flush=True)


main()
