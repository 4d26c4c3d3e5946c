"""Other implementations of RFC 9421 behind one interface: sign a request, verify a request."""

import base64
import datetime
import json
import subprocess
from pathlib import Path

import http_message_signatures as hms
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from request import Request


REQUIRED = ("@method", "@target-uri", "content-digest")


class Refused(Exception):
    """The other implementation judged the request and refused it."""


def _algorithm(public):
    of_ec = isinstance(public, EllipticCurvePublicKey)
    return hms.algorithms.ECDSA_P256_SHA256 if of_ec else hms.algorithms.ED25519


class PythonPeer:
    """The package http-message-signatures of PyPI. It has its own order of parameters: created, keyid, alg,
    …"""

    name = "PyPI http-message-signatures"

    class _Message:
        def __init__(self, request: Request):
            self.method, self.url = request.method, request.url
            self.headers = {n.lower(): request.header(n) for n, _ in request.headers}

    def sign(self, request: Request, components, parameters, label, secret: bytes) -> Request:
        message = self._Message(request)
        keyid = parameters["keyid"]
        signer = hms.HTTPMessageSigner(
            signature_algorithm=_algorithm(form.load_pem_private_key(secret, None).public_key()),
            key_resolver=hms.MappingKeyResolver(public_keys={}, private_keys={keyid: secret}),
        )
        when = {
            k: datetime.datetime.fromtimestamp(parameters[k], tz=datetime.timezone.utc)
            for k in ("created", "expires")
            if k in parameters
        }
        # This package takes component identifiers as strings, and adds the quotes around a bare name itself.
        ids = tuple(c if ";" not in c else '"{}";{}'.format(*c.split(";", 1)) for c in components)
        signer.sign(
            message,
            key_id=keyid,
            label=label,
            include_alg="alg" in parameters,
            nonce=parameters.get("nonce"),
            tag=parameters.get("tag"),
            covered_component_ids=ids,
            append_if_signature_exists=True,
            body=request.body if "content-digest" in components else None,
            use_existing_digest="content-digest" in components,
            **when,
        )
        return request.with_headers(
            ("Signature-Input", message.headers["Signature-Input"]),
            ("Signature", message.headers["Signature"]),
        )

    def verify(
        self, request: Request, label, public: bytes, keyid: str, tag: str | None, required=REQUIRED
    ) -> None:
        verifier = hms.HTTPMessageVerifier(
            signature_algorithm=_algorithm(form.load_pem_public_key(public)),
            key_resolver=hms.MappingKeyResolver(public_keys={keyid: public}, private_keys={}),
        )
        try:
            results = verifier.verify(
                self._Message(request),
                expect_tag=tag,
                require_components=required,
                body=request.body if "content-digest" in required else None,
            )
        except hms.HTTPMessageSignaturesException as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        assert len(results) == 1 and results[0].parameters["keyid"] == keyid


class NodePeer:
    """An implementation of npm. peer.mjs runs both of them in one process."""

    def __init__(self, name: str, node: "Node"):
        self.name, self._node = name, node

    def sign(self, request: Request, components, parameters, label, secret: bytes) -> Request:
        answer = self._node.ask(
            do="sign",
            peer=self.name,
            request=_plain(request),
            components=list(components),
            parameters=parameters,
            label=label,
            secret=secret.decode(),
        )
        return request.with_headers(*answer["headers"].items())

    def verify(
        self, request: Request, label, public: bytes, keyid: str, tag: str | None, required=REQUIRED
    ) -> None:
        answer = self._node.ask(
            do="verify",
            peer=self.name,
            request=_plain(request),
            label=label,
            public=public.decode(),
            keyid=keyid,
            required=list(required),
        )
        if not answer["accepted"]:
            raise Refused(answer["why"])


def _plain(request: Request) -> dict:
    return {
        "method": request.method,
        "url": request.url,
        "headers": [list(h) for h in request.headers],
        "body": base64.b64encode(request.body).decode(),
    }


class Node:
    """The node process that both npm implementations use; ended by `close`."""

    def __init__(self, npm: Path):
        script = Path(__file__).with_name("peer.mjs")
        self._process = subprocess.Popen(
            ["node", script, npm], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, **task) -> dict:
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("peer.mjs ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


def all_peers(node: Node) -> list:
    return [PythonPeer(), NodePeer("npm http-message-signatures", node), NodePeer("npm http-message-sig", node)]
