"""Starts nginx, HAProxy, Caddy and Envoy before `mcpid gateway`, with the configurations of contrib. Only
addresses and certificates are changed. Each proxy ends TLS.
"""

import contextlib
import datetime
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envoy_setup import replaced
from servers import HERE, Running, Harness, free_port, listens, until
from upstream import Upstream
from wire import ACCEPT, JSON, Answer, Connection, call

CONTRIB = HERE.parents[1] / "contrib"
CALL = call("delete_db", "outer")
# The address of the test's clients. That of the proxies is 127.0.0.1.
CLIENT = "127.0.0.2"


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, its key, both in one file, and the authority."""

    chain: Path
    key: Path
    both: Path
    authority: Path


@cache
def certificate(harness: Harness) -> Certificate:
    now = datetime.datetime.now(datetime.timezone.utc)

    def signed(subject: str, key, issuer: str, by, more: list) -> x509.Certificate:
        name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = x509.CertificateBuilder(
            issuer_name=name(issuer), subject_name=name(subject), public_key=key.public_key(),
            serial_number=x509.random_serial_number(), not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(days=1),
        )
        for extension, is_critical in more:
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(by, hashes.SHA256())

    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = signed("authority", root, "authority", root, [(x509.BasicConstraints(True, None), True)])
    own = signed("proxy", key, "authority", root, [
        (x509.BasicConstraints(False, None), True),
        (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False),
    ])
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = {"chain": own.public_bytes(pem), "key": secret, "both": own.public_bytes(pem) + secret,
                "authority": authority.public_bytes(pem)}
    files = {}
    for name, content in contents.items():
        files[name] = harness.folder / f"proxy-{name}.pem"
        files[name].write_bytes(content)
    return Certificate(**files)


# ---- the proxies --------------------------------------------------------------------------


def nginx(harness: Harness, folder: Path, port: int, gateway: int) -> list:
    pair = certificate(harness)
    text = (CONTRIB / "nginx/mcpid.conf").read_text()
    for old, new in [("listen 443 ", f"listen 127.0.0.1:{port} "), ("server 127.0.0.1:8080;", f"server 127.0.0.1:{gateway};"),
                     ("/etc/ssl/mcp.example.com.pem", str(pair.chain)),
                     ("/etc/ssl/private/mcp.example.com.key", str(pair.key))]:
        text = replaced(text, old, new)
    return nginx_with(folder, text)


def nginx_with(folder: Path, servers: str) -> list:
    """nginx with these lines where Debian includes /etc/nginx/conf.d."""
    places = "".join(f"{name}_temp_path {folder}/{name};" for name in
                     ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{ worker_connections 256; }}\nhttp {{ access_log off; {places}\n{servers}\n}}\n")
    return ["nginx", "-p", folder, "-e", "stderr", "-c", file]


def haproxy(harness: Harness, folder: Path, port: int, gateway: int) -> list:
    text = (CONTRIB / "haproxy/haproxy.cfg").read_text()
    for old, new in [("bind :443 ", f"bind 127.0.0.1:{port} "), ("gateway 127.0.0.1:8080", f"gateway 127.0.0.1:{gateway}"),
                     ("/etc/haproxy/mcp.example.com.pem", str(certificate(harness).both))]:
        text = replaced(text, old, new)
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return ["haproxy", "-db", "-f", file]


def caddy(harness: Harness, folder: Path, port: int, gateway: int) -> list:
    pair = certificate(harness)
    text = (CONTRIB / "caddy/Caddyfile").read_text()
    # The test has a certificate already.
    text = replaced(text, "\nmcp.example.com {", f"\nhttps://127.0.0.1:{port} {{\n\ttls {pair.chain} {pair.key}")
    text = replaced(text, "reverse_proxy 127.0.0.1:8080", f"reverse_proxy 127.0.0.1:{gateway}")
    return caddy_with(folder, text)


def caddy_with(folder: Path, text: str) -> list:
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return ["caddy", "run", "--config", file, "--adapter", "caddyfile"]


def envoy(harness: Harness, folder: Path, port: int, gateway: int) -> list:
    pair = certificate(harness)
    text = (CONTRIB / "envoy/gateway.yaml").read_text()
    for old, new in [("address: 0.0.0.0, port_value: 443 ", f"address: 127.0.0.1, port_value: {port} "),
                     ("port_value: 8080 ", f"port_value: {gateway} "),
                     ("/etc/envoy/mcp.example.com.pem", str(pair.chain)),
                     ("/etc/envoy/mcp.example.com.key", str(pair.key))]:
        text = replaced(text, old, new)
    file = folder / "gateway.yaml"
    file.write_text(text)
    program = Path(harness.tools.python2).parent / "envoy"
    return [program, "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]


PROXIES = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy, "envoy": envoy}


@contextlib.contextmanager
def running(harness: Harness, name: str, port: int, make):
    """A proxy that listens at `port`. `make` writes its configuration into a folder and returns its command."""
    folder = harness.log(f"{name}-files").with_suffix("")
    folder.mkdir()
    process = Running(harness, name, make(folder), env={"HOME": str(folder), "XDG_DATA_HOME": str(folder)})
    try:
        def starts():
            assert process.process.poll() is None, process.said()[-2000:]
            return listens(port)

        until(starts, f"{name} listens")
        yield process
    finally:
        process.end()


@dataclass
class TlsConnection(Connection):
    """A connection of a client at another address than the proxy's."""

    authority: Path | None = None

    def __post_init__(self):
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout, source_address=(CLIENT, 0))
        if self.authority:
            context = ssl.create_default_context(cafile=self.authority)
            context.set_alpn_protocols(["http/1.1"])
            plain = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.socket = plain


@dataclass
class Front:
    """A proxy, the gateway behind it, and a server that records behind that."""

    harness: Harness
    name: str
    server: Upstream = field(default_factory=Upstream)

    def __post_init__(self):
        self.context, self.port = contextlib.ExitStack(), free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        self.gateway = self.context.enter_context(self.harness.gateway(
            self.server.url, "--origin", self.origin, "--trusted-proxy", "127.0.0.1"))
        make = lambda folder: PROXIES[self.name](self.harness, folder, self.port, self.gateway.port)
        self.context.enter_context(running(self.harness, self.name, self.port, make))

    def close(self) -> None:
        self.context.close()
        self.server.__exit__()

    def connect(self) -> TlsConnection:
        return TlsConnection(self.port, authority=certificate(self.harness).authority)

    def signed(self, body: bytes = CALL, *, target: str = "/mcp", method: str = "POST", key=None, more: list = ()):
        fields = [("Host", f"127.0.0.1:{self.port}"), *([JSON] if body else []), ACCEPT, *more]
        return fields + (key or self.harness.key).sign(method, self.origin + target, fields, body)

    def ask(self, data: bytes, method: str = "POST") -> tuple[Answer, list, dict | None]:
        """The answer, what reached the server, and the line of the gateway's log if the request got there."""
        self.server.take()
        before = len(self.gateway.lines())
        with self.connect() as connection:
            answer = connection.send(data).answer(method)
        lines = until(lambda: self.gateway.lines()[before:], "a line of the gateway")
        assert len(lines) == 1, lines
        return answer, self.server.take(), lines[0]
