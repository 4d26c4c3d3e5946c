"""The dashboard and the alerts of contrib, in a real Prometheus that reads a real gateway."""

import base64
import contextlib
import hashlib
import json
import re
import urllib.parse
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy_setup import TlsConnection, certificate
from servers import HERE, Running, Harness, free_port, listens, until
from upstream import Upstream
from wire import ACCEPT, JSON, call
from envoy_setup import written

CONTRIB = HERE.parents[1] / "contrib"
DASHBOARD = CONTRIB / "grafana/mcpid.json"
ALERTS = CONTRIB / "prometheus/alerts.yml"
NAMES = re.compile(r"(?<![\w:])(?:mcpid|process)_\w+")

# What a gateway that is well reports, a minute's worth each; `a` and `b` make one alert fire.
WELL = {
    'up{job="mcpid", instance="i"}': "1x180",
    'mcpid_store_errors_total{job="mcpid", instance="i"}': "3x180",
    'mcpid_audit_failures_total{job="mcpid", instance="i"}': "0x180",
    'mcpid_audit_gaps_total{job="mcpid", instance="i"}': "0x180",
    'mcpid_audit_entries{job="mcpid", instance="i"}': "0+60x180",
    # A checkpoint that is ten seconds old lacks the latest entries.
    'mcpid_audit_checkpoint_entries{job="mcpid", instance="i"}': "0+59x180",
    'mcpid_audit_checkpoint_age_seconds{job="mcpid", instance="i"}': "10x180",
    'mcpid_audit_quorum_waiting_seconds{job="mcpid", instance="i"}': "60x180",
    'mcpid_audit_witness_contradicted{job="mcpid", instance="i"}': "0x180",
    'mcpid_log_lines_lost_total{job="mcpid", instance="i"}': "0x180",
    'mcpid_reload_failures_total{job="mcpid", instance="i"}': "0x180",
    # Three hours, and then 15 days.
    'mcpid_certificate_expiry_timestamp_seconds{job="mcpid", instance="i"}': f"{10800 + 15 * 86400}x180",
    'mcpid_requests_total{job="mcpid", instance="i", outcome="passed"}': "0+600x180",
    'mcpid_requests_total{job="mcpid", instance="i", outcome="refused"}': "0+30x180",
}
# The alert or None, the series that is changed, and its values.
ILL = [
    ("McpidDown", "up", "1x170 0x10"),
    ("McpidNonceStoreDown", "mcpid_store_errors_total", "3x170 3+1x10"),
    ("McpidLogStuck", "mcpid_audit_failures_total", "0x175 0+1x5"),
    ("McpidLogStuck", "mcpid_audit_gaps_total", "0x175 0+1x5"),
    ("McpidCheckpointOld", "mcpid_audit_checkpoint_age_seconds", "10x160 301x20"),
    ("McpidRequestLogLosesLines", "mcpid_log_lines_lost_total", "0x178 0+9x2"),
    ("McpidQuorumOld", "mcpid_audit_quorum_waiting_seconds", "60x170 3601x10"),
    ("McpidWitnessContradicts", "mcpid_audit_witness_contradicted", "0x180 1"),
    ("McpidCertificateEnds", "mcpid_certificate_expiry_timestamp_seconds", f"{10800 + 13 * 86400}x180"),
    ("McpidReloadFails", "mcpid_reload_failures_total", "0x175 0+1x5"),
    ("McpidRefusalsRise", 'outcome="refused"', "0+30x160 4800+300x20"),
]


def fires(harness: Harness) -> None:
    """Each alert fires for its own reason, and none for a gateway that is well."""
    groups = []
    names = {alert for alert, _, _ in ILL}
    # No entries come, so the last checkpoint is old.
    idle = {"mcpid_audit_checkpoint_age_seconds": "301x180", "mcpid_audit_checkpoint_entries": "0+60x180"}
    for alert, changes in [(None, {}), (None, idle), *((alert, {part: values}) for alert, part, values in ILL)]:
        series = dict(WELL)
        for part, values in changes.items():
            name, = (name for name in WELL if part in name)
            series[name] = values
        groups.append({
            "interval": "1m",
            "input_series": [{"series": name, "values": value} for name, value in series.items()],
            # An alert that fires once has these labels.
            "promql_expr_test": [{
                "expr": f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}})',
                "eval_time": "181m" if alert == "McpidWitnessContradicts" else "180m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name == alert else [],
            } for name in sorted(names)],
        })
    written_in = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert set(written_in) == names, set(written_in) ^ names
    file = harness.folder / "alerts-test.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": groups}))
    harness.command("promtool", "check", "rules", ALERTS)
    harness.command("promtool", "test", "rules", file)


def witness_key() -> str:
    """A verifier key of a witness (C2SP tlog-cosignature): nothing listens for it."""
    public = b"\x04" + Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    hashed = hashlib.sha256(b"w.example\n" + public).digest()[:4]
    return f"w.example+{hashed.hex()}+{base64.b64encode(public).decode()}"


def resolved(harness: Harness) -> None:
    """Prometheus answers every query, and every name in it is one that a gateway serves."""
    pair, log, admin, port = certificate(harness), harness.folder / "monitored", free_port(), free_port()
    made = harness.command(harness.tools.mcpid, "audit", "init", "--audit", log)
    policy = harness.folder / "monitored-policy"
    policy.write_text(f"log {made.stdout.decode().strip()}\nwitness w {witness_key()} http://127.0.0.1:{free_port()}/\nquorum w\n")
    flags = ["--admin", f"127.0.0.1:{admin}", "--audit", log, "--witness-policy", policy, "--mode", "permissive",
             "--strict", "destructive", "--tls-cert", pair.chain, "--tls-key", pair.key]
    server = Upstream()
    with harness.gateway(server.url, *flags) as gateway:
        origin = f"https://127.0.0.1:{gateway.port}"
        fields = [("Host", f"127.0.0.1:{gateway.port}"), JSON, ACCEPT]
        for body in [call("read_note", "a"), b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}']:
            with TlsConnection(gateway.port, authority=pair.authority) as connection:
                connection.send(written(fields, body)).answer()
        folder = harness.folder / "prometheus"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(
            f"global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{ALERTS}]\n"
            f"scrape_configs: [{{ job_name: mcpid, static_configs: [{{ targets: ['127.0.0.1:{admin}'] }}] }}]\n")
        prometheus = Running(harness, "prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ])

        def ask(path: str, **query) -> dict:
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
            with urllib.request.urlopen(url, timeout=120) as answer:
                answer = json.load(answer)
            assert answer["status"] == "success", answer
            return answer["data"]

        try:
            until(lambda: listens(port), "Prometheus listens")

            def is_read() -> bool:
                # Until it is ready, Prometheus answers 503.
                with contextlib.suppress(OSError):
                    return bool(ask("query", query='up{job="mcpid"} == 1')["result"])
                return False

            until(is_read, "a first reading")
            wanted = {}
            texts = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"]
                     for target in panel.get("targets", [])]
            assert len(texts) > 30, texts
            for text in texts:
                for name, value in [("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", "1m")]:
                    text = text.replace(name, value)
                assert "$" not in text, text
                ask("query", query=text)
                wanted[text] = set(NAMES.findall(text))
            groups = ask("rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) == 11 and all(rule["health"] != "err" for rule in rules), rules
            wanted |= {rule["query"]: set(NAMES.findall(rule["query"])) for rule in rules}

            def unknown() -> list:
                known = set(ask("label/__name__/values"))
                return [(names - known, text) for text, names in wanted.items() if names - known]

            # Some metrics appear later than the first reading.
            with contextlib.suppress(AssertionError):
                until(lambda: not unknown(), "every metric is served")
            assert not unknown(), unknown()
        finally:
            prometheus.end()
    server.__exit__()


def cases(harness: Harness):
    yield "alerts: each fires for its own reason", lambda: fires(harness)
    yield "dashboard and alerts: Prometheus resolves every query", lambda: resolved(harness)
