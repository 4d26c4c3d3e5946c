"""Sends bodies that servers read differently to real servers, and to a gateway in front of them that is
strict for delete_*. No such body may run delete_db behind the gateway.
"""

import base64
import gzip
import json
import zlib

from matrix import SERVERS
from servers import Server, Harness
from wire import Answer, call, post

POLICY = ["--mode", "permissive", "--strict", "tools/call:delete_*"]


def plain(token: str) -> bytes:
    return call("delete_db", token)


def with_member(token: str, text: str) -> bytes:
    """Returns the call with one more argument, written as `text`."""
    return plain(token).replace(b'"name": "%s"' % token.encode(), b'"name": "%s", "more": %s' % (token.encode(), text.encode()))


def utf7(text: str) -> bytes:
    """Returns UTF-7 that hides every character that JSON needs."""

    def hidden(c: str) -> str:
        return "+" + base64.b64encode(c.encode("utf-16-be")).decode().rstrip("=") + "-"

    return "".join(hidden(c) if c in '{}[]":,/' else c for c in text).encode()


def odd(token: str) -> dict[str, tuple[list, bytes]]:
    """Returns by name: (headers in place of the usual ones, body). Some server reads each body as a call of
    delete_db."""
    body = plain(token)
    text = body.decode()
    read = call("read_note", token)
    kind = "application/json"

    def typed(value: str) -> list:
        return [("Content-Type", value)]

    def coded(value: str) -> list:
        return [("Content-Type", kind), ("Content-Encoding", value)]

    def swap(old: str, new: str) -> bytes:
        assert old in text, old
        return text.replace(old, new, 1).encode()

    return {
        "as everybody sends it": ([], body),
        # ---- encodings of characters
        "UTF-16, little end first": ([], text.encode("utf-16-le")),
        "UTF-16, big end first": ([], text.encode("utf-16-be")),
        "UTF-16 with a mark": ([], text.encode("utf-16")),
        "UTF-16, and the type says so": (typed(f"{kind}; charset=utf-16le"), text.encode("utf-16-le")),
        "UTF-32": ([], text.encode("utf-32-le")),
        "UTF-8 with a mark": ([], b"\xef\xbb\xbf" + body),
        "UTF-7": (typed(f"{kind}; charset=utf-7"), utf7(text)),
        "UTF-7, quoted": (typed(f'{kind}; charset="utf-7"'), utf7(text)),
        "plain letters under charset=utf-7": (typed(f"{kind}; charset=utf-7"), body),
        "Latin-1": (typed(f"{kind}; charset=iso-8859-1"), body),
        "two charsets": (typed(f"{kind}; charset=utf-8; charset=utf-16"), body),
        "bytes that are no UTF-8": ([], swap(f'"{token}"', f'"{token}", "more": "\0"').replace(b"\0", b"\xff\xfe")),
        "overlong UTF-8": ([], swap(f'"{token}"', f'"{token}", "more": "\0"').replace(b"\0", b"\xc0\xaf")),
        # ---- codings of content
        "gzip": (coded("gzip"), gzip.compress(body)),
        "x-gzip": (coded("x-gzip"), gzip.compress(body)),
        "GZIP": (coded("GZIP"), gzip.compress(body)),
        "deflate": (coded("deflate"), zlib.compress(body)),
        "gzip, not said": ([], gzip.compress(body)),
        "identity": (coded("identity"), body),
        "an empty coding": (coded(""), body),
        "gzip in two fields": ([("Content-Type", kind), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], gzip.compress(body)),
        # ---- types of content
        "no type": (typed(""), body),
        "text": (typed("text/plain"), body),
        "a form": (typed("application/x-www-form-urlencoded"), body),
        "a type with a suffix": (typed("application/mcp+json"), body),
        "a longer name of a type": (typed("application/jsonx"), body),
        "upper case": (typed("APPLICATION/JSON"), body),
        "two types in one field": (typed("text/plain, application/json"), body),
        "two types in two fields": ([("Content-Type", "text/plain"), ("Content-Type", kind)], body),
        "a type with a parameter that is none": (typed(f"{kind}; ="), body),
        "a type behind a tab": (typed(f"\t{kind}"), body),
        # ---- JSON and what some take for it
        "NaN": ([], with_member(token, "NaN")),
        "-Infinity": ([], with_member(token, "-Infinity")),
        "a lone surrogate": ([], with_member(token, r'"\ud800"')),
        "a number beyond all": ([], with_member(token, "1e999")),
        "a comment": ([], b"/* */" + body),
        "a comma too many": ([], body[:-1] + b",}"),
        "single quotes": ([], body.replace(b'"', b"'")),
        "something behind": ([], body + b"garbage"),
        "two objects": ([], read + b"\n" + body),
        "two objects, the other way": ([], body + b"\n" + read),
        "NULs behind": ([], body + b"\0\0"),
        "a form feed before": ([], b"\x0c" + body),
        "an event": ([], b"data: " + body),
        "an array of one": ([], b"[" + body + b"]"),
        "an array with a harmless one first": ([], b"[" + read + b"," + body + b"]"),
        "an array in an array": ([], b"[[" + body + b"]]"),
        "a string that holds it": ([], json.dumps(text).encode()),
        "100 deep": ([], with_member(token, "[" * 100 + "]" * 100)),
        # ---- members twice, or by another name
        "method twice": ([], swap('"method": ', '"method": "ping", "method": ')),
        "method twice, the other way": ([], swap('"params"', '"method": "ping", "params"')),
        "method twice, one escaped": ([], swap('"method": ', r'"m\u0065thod": "ping", "method": ')),
        "name twice": ([], swap('"name": ', '"name": "read_note", "name": ')),
        "name twice, the other way": ([], swap('"arguments"', '"name": "read_note", "arguments"')),
        "name twice, one escaped": ([], swap('"name": ', r'"n\u0061me": "read_note", "name": ')),
        "params twice": ([], swap('"params": ', '"params": {"name": "read_note"}, "params": ')),
        "id twice": ([], swap('"id": 1', '"id": 2, "id": 1')),
        "Method": ([], swap('"method"', '"Method"')),
        "METHOD beside method": ([], swap('"method": ', '"method": "ping", "METHOD": ')),
        "Params": ([], swap('"params"', '"Params"')),
        "Name beside name": ([], swap('"name": ', '"name": "read_note", "Name": ')),
        "a name with a long s": ([], swap('"params"', '"param\u017f"')),
        "__proto__": ([], swap('"method": "tools/call"', '"__proto__": {"method": "tools/call"}')),
        # ---- messages that are neither
        "a result beside the method": ([], swap('"id": 1', '"id": 1, "result": {}')),
        "an error beside the method": ([], swap('"id": 1', '"id": 1, "error": {"code": 1, "message": ""}')),
        "no id": ([], swap('"id": 1, ', "")),
        "id null": ([], swap('"id": 1', '"id": null')),
        "id an object": ([], swap('"id": 1', '"id": {}')),
        "id true": ([], swap('"id": 1', '"id": true')),
        "no version": ([], swap('"jsonrpc": "2.0", ', "")),
        "another version": ([], swap('"2.0"', '"1.0"')),
        "params in an array": ([], swap('"params": {', '"params": [{')[:-1] + b"]}"),
        "name in an array": ([], swap('"name": "delete_db"', '"name": ["delete_db"]')),
        "name an object": ([], swap('"name": "delete_db"', '"name": {"toString": "delete_db"}')),
        "no name": ([], swap('"name": "delete_db", ', "")),
        # ---- what is well-formed, and means the same
        "escapes": ([], swap("tools/call", r"tools\/c\u0061ll").replace(b"delete_db", rb"delete\u005fdb")),
        "white space": ([], json.dumps(json.loads(text), indent=4).replace("\n", "\r\n").encode()),
        "a header that says otherwise": ([("Mcp-Method", "ping"), ("Mcp-Name", "read_note")], body),
        "a header with another method": ([("X-HTTP-Method-Override", "GET")], body),
        "forged headers of ours": ([("Mcpid-Status", "verified"), ("Mcpid_Status", "verified"), ("Mcpid-Name", "alice")], body),
    }


# The bodies that each real server is known to run as delete_db. Without them, the cases would prove nothing.
RUN = {
    "py1": ["UTF-16, little end first", "UTF-8 with a mark", "NaN", "name twice", "method twice", "params twice"],
    "py2": ["NaN", "100 deep", "a result beside the method", "name twice", "method twice", "Latin-1"],
    "fastmcp": ["a result beside the method", "name twice", "method twice", "two charsets"],
    "ts1": ["gzip", "UTF-7", "an array of one", "name twice", "method twice"],
    "ts2": ["name twice", "method twice", "params twice"],
}
VARIANT = "stateless-json"


def send_all(url: str, prefix: str) -> dict[str, tuple[str, Answer]]:
    """Sends every body with a separate token. Returns {name: (token, answer)}."""
    port, found = int(url.split(":")[2].split("/")[0]), {}
    for number, name in enumerate(odd("")):
        token = f"{prefix}-{number}"
        headers, body = odd(token)[name]
        found[name] = token, post(port, "/mcp", body, headers)
    return found


def ran(server: Server, sent: dict) -> dict[str, str]:
    """Returns the bodies that ran as delete_db."""
    calls = {c["arguments"].get("name"): c["tool"] for c in server.record("call") if c["outcome"] == "called"}
    return {name: calls[token] for name, (token, _) in sent.items() if calls.get(token) == "delete_db"}


def cases(harness: Harness):
    for name in SERVERS:

        def directly(name=name):
            server = harness.server(name)
            done = ran(server, send_all(server.urls[VARIANT], f"odd-direct-{name}"))
            missing = [body for body in ["as everybody sends it", *RUN[name]] if body not in done]
            assert not missing, f"not run by {name}: {missing}; run: {sorted(done)}"

        def behind(name=name):
            server = harness.server(name)
            with harness.gateway(server.urls[VARIANT], *POLICY) as gateway:
                before = server.mark()
                sent = send_all(gateway.url, f"odd-behind-{name}")
                done = ran(server, sent)
                assert not done, f"ran behind the gateway: {done}"
                got = [odd_name for odd_name, (_, answer) in sent.items() if answer.status < 400]
                assert not got, f"answered as if all were well: {got}"
                # None of the bodies reached the server, because the gateway does not forward refused
                # requests.
                assert not server.record("head", before), server.record("head", before)
                # Unsigned calls of other tools pass, and so do signed calls.
                answer = post(gateway.port, "/mcp", call("read_note", f"odd-read-{name}"))
                assert answer.status == 200 and server.calls(f"odd-read-{name}", "read_note"), answer
                body = plain(f"odd-signed-{name}")
                fields = [("Host", f"127.0.0.1:{gateway.port}"), ("Content-Type", "application/json")]
                answer = post(gateway.port, "/mcp", body, fields + harness.key.sign("POST", gateway.url, fields, body))
                assert answer.status == 200 and server.calls(f"odd-signed-{name}", "delete_db"), answer

        yield f"odd bodies: some of them run in {name} without a gateway", directly
        yield f"odd bodies: none runs in {name} behind one that is strict for delete_*", behind
