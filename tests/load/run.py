"""Measures the load of verification on a gateway, with reference measurements in the same run.

run.py --mcpid BINARY --load EXAMPLE [--rounds N] [--seconds S] [--soak SECONDS] [--rate N]
       [--only SUBJECT…] [--connections N] [--work FOLDER]

Subjects, all before one nginx that answers every POST with a fixed JSON-RPC result:
  upstream     that nginx alone
  nginx        another nginx as a plain proxy, with a worker for each core
  off          the gateway, passing the same requests through a path that is open (no verification)
  memory, sqlite, redis   the gateway in strict mode, with that nonce store
  audit        as memory, with an audit log: each request is on the disk before it is handed on;
               only where it is named by --only
  audit-checkpoint   as audit, but an entry counts as written before it is on the disk
               (--audit-sync checkpoint), which shows what of the cost is not the disk's; only
               where it is named by --only
  disk-log, disk-half, disk-all   the library's gateway (examples/disk_limit.rs) with a log, and with
               as many bytes through a bare write and fdatasync, without any entry, in batches of half
               of the connections and of all: the faster of the two is what the disk allows a log;
               only where they are named by --only

Requests are signed beforehand and sent by wrk with one thread and 16 connections; where they are
verified, each is sent once. CPU is that of the subject's own processes, user and system, from
/proc/PID/stat; for redis the server's is shown beside it. Rounds go around all subjects, so that what
else the machine does falls on each.

What verification adds is said at full speed, which is what counts, and at one pace for all: RATE
requests a second, signed as they go. A bare verification is measured in a loop of its own, where it
finds its tables in the processor's caches; on a machine that does other things besides, a gateway
does not.

The audit log lies below FOLDER (default: where temporary files lie), so that one can be measured on
a disk and in memory. How long that disk takes for an fdatasync is said beside the figures: where it
is longer than CONNECTIONS requests take, what is measured is the disk: throughput wants so many
that the processors have work while entries wait for it.
"""

import argparse
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
AUDITED = {"audit": [], "audit-checkpoint": ["--audit-sync", "checkpoint"]}
# Subjects that are not the program, but the example disk_limit, with its mode.
LIMITS = {"disk-log": "log", "disk-half": "bytes", "disk-all": "bytes"}
STRICT = ["memory", *AUDITED, *LIMITS, "sqlite", "redis"]
SUBJECTS = ["upstream", "nginx", "off", *STRICT]
BY_DEFAULT = [name for name in SUBJECTS if name not in AUDITED and name not in LIMITS]
# The bytes of an entry about a request of this measurement.
ENTRY_BYTES = 1_700


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(check, what, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.1)
    sys.exit(f"load: {what} did not come up in {seconds} s")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


class Processes:
    """The processes that this run started. They end with the run."""

    def __init__(self, work):
        self.work, self.running = work, []

    def start(self, name, command):
        log = open(self.work / f"{name}.out", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append(process)
        return process.pid

    def end(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def nginx(processes, name, port, location, workers):
    folder = processes.work / name
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {location.replace('PORT', str(port))}
}}""")
    nginx_pid = processes.start(name, ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    wait_for(lambda: listens(port), name)
    return nginx_pid


def family(pid):
    """Returns the CPU time of a process and its children."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        pids += [int(child) for child in (task / "children").read_text().split()]
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def fdatasync_micros(folder):
    """Returns the median time in µs of a write of 16 KiB, which are the log of a few requests, and its
    fdatasync."""
    times, path = [], folder / "fdatasync"
    with open(path, "ab", buffering=0) as file:
        for _ in range(100):
            begun = time.perf_counter()
            file.write(b"x" * 16_384)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e6)
    path.unlink()
    return statistics.median(times)


def log_bytes(log):
    """Returns the size of all entries of the audit log `log`."""
    return sum(path.stat().st_size for path in log.glob("entries-*.jsonl"))


def bare_verification(load):
    """Returns the CPU time in µs of a bare verification, with the same other load of the machine as for the
    gateways."""
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    count, before = 40_000, spent()
    subprocess.run([load, "verify", str(count)], check=True)
    return (spent() - before) / count * 1e6


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def common_options(rounds, seconds, requests):
    """Returns a parser of the options that every measurement has, with these defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mcpid", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=int, default=seconds)
    parser.add_argument("--requests", type=int, default=requests, help="signed for each run at most")
    parser.add_argument("--work")
    return parser


def main():
    parser = common_options(rounds=5, seconds=6, requests=200_000)
    parser.add_argument("--soak", type=int, default=600)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=BY_DEFAULT)
    parser.add_argument("--connections", type=int, default=16)
    return measure(parser, run)


def measure(parser, run):
    """Parses the arguments, and calls `run` with them and with processes that end afterwards."""
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        processes = Processes(Path(folder))
        try:
            return run(options, processes)
        finally:
            processes.end()


def run(options, processes):
    work = processes.work
    mcpid, load, connections = options.mcpid, options.load, options.connections
    subjects = [name for name in SUBJECTS if name in options.only]
    strict = [name for name in STRICT if name in options.only]
    gateways = [name for name in ["off", *STRICT] if name in options.only]
    key, trust = str(work / "key.json"), str(work / "trust.json")
    subprocess.run([mcpid, "keygen", "-q", "--no-passphrase", "-o", key], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([mcpid, "trust", "add", "-q", "-r", trust, key], check=True, stdout=subprocess.DEVNULL)

    ports = {name: free_port() for name in [*SUBJECTS, "server"]}
    admin = {name: free_port() for name in gateways}
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "sunny, 21 degrees"}]}})
    upstream = f"http://127.0.0.1:{ports['upstream']}/mcp"
    pids = {"upstream": nginx(processes, "upstream", ports["upstream"], f"""
  server {{ listen 127.0.0.1:PORT; location / {{ return 200 '{answer}'; }} }}""", 1)}
    pids["nginx"] = nginx(processes, "nginx", ports["nginx"], f"""
  upstream behind {{ server 127.0.0.1:{ports['upstream']}; keepalive 64; }}
  server {{ listen 127.0.0.1:PORT; location / {{
    proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""", "auto")
    redis = processes.start("redis", ["redis-server", "--port", str(ports["server"]), "--bind", "127.0.0.1",
                                      "--save", "", "--dir", str(work)])
    wait_for(lambda: listens(ports["server"]), "redis")
    # One key signs all requests, and may use an eighth of a store.
    memory = "memory:?max=8000000"
    stores = {"sqlite": f"sqlite:{work}/nonces.db", "redis": f"redis://127.0.0.1:{ports['server']}"}
    for name in gateways:
        # An endpoint cannot be open to unsigned requests, so the endpoint of the gateway `off` has another
        # path.
        behind = upstream.replace("/mcp", "/elsewhere") if name == "off" else upstream
        command = [mcpid, "gateway", "--upstream", behind, "--origin", f"http://127.0.0.1:{ports[name]}",
                   "--listen", f"127.0.0.1:{ports[name]}", "--admin", f"127.0.0.1:{admin[name]}", "-r", trust,
                   "--log", str(work / f"{name}.log"), "--nonces", stores.get(name, memory)]
        if name == "off":
            command += ["--open", "POST /mcp"]
        log = str(work / name)
        if name in AUDITED or name == "disk-log":
            subprocess.run([mcpid, "audit", "init", "-q", "--audit", log], check=True, stdout=subprocess.DEVNULL)
        if name in AUDITED:
            command += ["--audit", log, *AUDITED[name]]
        if name in LIMITS:
            command = [str(Path(load).with_name("disk_limit")), upstream, trust, f"127.0.0.1:{ports[name]}",
                       f"127.0.0.1:{admin[name]}", LIMITS[name], log]
            if name != "disk-log":
                command += [str(ENTRY_BYTES), str(connections if name == "disk-all" else -(-connections // 2))]
        pids[name] = processes.start(f"gateway-{name}", command)
    # Waits until each store accepts requests: a new Redis refuses for 35 s, because it may have lost earlier
    # nonces.
    for name in admin:
        wait_for(lambda: is_ready(admin[name]), f"the gateway with {name}")

    print(f"{os.cpu_count()} cores, {options.rounds} rounds of {options.seconds} s, one wrk thread, {connections} connections, "
          f"load average {os.getloadavg()[0]:.1f}, an fdatasync in {fdatasync_micros(work):.0f} µs")
    bares = []
    figures, paced = {name: [] for name in subjects}, {name: [] for name in gateways}
    wrong = 0
    signed = work / "signed"
    for round_number in range(options.rounds):
        bares.append(bare_verification(load))
        for name in subjects if round_number % 2 == 0 else reversed(subjects):
            logged = log_bytes(work / name)
            url = f"http://127.0.0.1:{ports[name]}/mcp"
            subprocess.run([load, "sign", key, url, str(options.requests), str(signed)], check=True)
            before = cpu_seconds(pids[name]), cpu_seconds(redis)
            wrk = subprocess.run(
                ["wrk", "-t1", f"-c{connections}", f"-d{options.seconds}s", "-s", str(HERE / "replay.lua"), url, "--", str(signed),
                 "once" if name in strict else "again"],
                check=True, capture_output=True, text=True)
            spent = cpu_seconds(pids[name]) - before[0], cpu_seconds(redis) - before[1]
            match = re.search(r"FIGURES (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", wrk.stdout)
            requests, micros, p50, p99, errors = (float(part) for part in match.groups())
            # A gateway that must get each request once may use up all signed requests. Then the measured time
            # is too long.
            ended = name in strict and requests > options.requests - 2 * connections
            if errors or requests < 100 or ended:
                wrong += 1
                print("too few requests were signed" if ended else "errors")
                print(f"{name}, round {round_number + 1}: {int(requests)} requests, {int(errors)} errors\n{wrk.stdout}")
            figures[name].append({
                "rate": requests / (micros / 1e6), "p50": p50, "p99": p99,
                "cpu": spent[0] / requests * 1e6, "redis": spent[1] / requests * 1e6})
            if name in AUDITED or name == "disk-log":
                figures[name][-1]["bytes"] = (log_bytes(work / name) - logged) / requests
        for name in gateways if options.rate else []:
            before = cpu_seconds(pids[name])
            client = subprocess.run([load, "soak", key, f"http://127.0.0.1:{ports[name]}/mcp", str(options.seconds), str(options.rate)],
                                    check=True, capture_output=True, text=True)
            paced[name].append((cpu_seconds(pids[name]) - before) / int(client.stdout.split()[0]) * 1e6)
        print(f"round {round_number + 1} done", flush=True)

    middle = {name: {what: statistics.median(one[what] for one in runs) for what in runs[0]} for name, runs in figures.items()}
    bare = statistics.median(bares)
    print("medians of the rounds")
    print(f"{'':16} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs/request':>15}")
    for name, one in middle.items():
        besides = f"  + {one['redis']:.1f} of redis-server" if name == "redis" else ""
        print(f"{name:16} {one['rate']:11,.0f} {one['p50'] / 1e3:8.2f} {one['p99'] / 1e3:8.2f} {one['cpu']:15.1f}{besides}")

    print(f"a bare verify_strict: {bare:.1f} µs of CPU ({min(bares):.1f} to {max(bares):.1f})")
    met = True
    slow = {name: statistics.median(runs or [0]) for name, runs in paced.items()}
    print(f"at {options.rate} requests/s, CPU µs/request: " + ", ".join(f"{name} {one:.1f}" for name, one in slow.items()))
    if "off" in middle:
        met &= verification(options, middle, slow, bare)
    if {"off", "nginx"} <= middle.keys():
        ratio = middle["off"]["rate"] / middle["nginx"]["rate"]
        met &= ratio >= 0.7
        print(f"with verification off, {ratio:.2f} x nginx's throughput (at least 0.7: {'met' if ratio >= 0.7 else 'MISSED'})")
    if {"audit", "memory"} <= middle.keys():
        # The runs of one round follow each other.
        ratios = [one["rate"] / other["rate"] for one, other in zip(figures["audit"], figures["memory"])]
        ratio = statistics.median(ratios)
        met &= ratio >= 0.85
        if "audit-checkpoint" in middle:
            early = [one["rate"] / other["rate"] for one, other in zip(figures["audit-checkpoint"], figures["memory"])]
            print(f"with an audit log that does not wait for the disk, {statistics.median(early):.2f} x the throughput without "
                  f"({min(early):.2f} to {max(early):.2f}), "
                  f"{middle['audit-checkpoint']['cpu'] - middle['memory']['cpu']:+.1f} µs of CPU a request")
        print(f"with an audit log, {ratio:.2f} x the throughput without ({min(ratios):.2f} to {max(ratios):.2f}; "
              f"at least 0.85: {'met' if ratio >= 0.85 else 'MISSED'}), "
              f"{middle['audit']['cpu'] - middle['memory']['cpu']:+.1f} µs of CPU a request")
    if LIMITS.keys() <= middle.keys():
        limit = max(["disk-half", "disk-all"], key=lambda name: middle[name]["rate"])
        ratios = [one["rate"] / other["rate"] for one, other in zip(figures["disk-log"], figures[limit])]
        ratio, size = statistics.median(ratios), middle["disk-log"]["bytes"]
        same = abs(size / ENTRY_BYTES - 1) <= 0.05
        met &= ratio >= 0.9 and same
        print(f"an entry of {size:.0f} bytes (beside {ENTRY_BYTES}, at most 5 % apart: {'met' if same else 'MISSED'}); "
              f"a log reaches {ratio:.2f} x the throughput of {limit}, a bare write and fdatasync of as many bytes "
              f"({min(ratios):.2f} to {max(ratios):.2f}; at least 0.9: {'met' if ratio >= 0.9 else 'MISSED'})")

    if options.soak and "memory" in middle:
        met &= soak(options, key, f"http://127.0.0.1:{ports['memory']}/mcp", pids["memory"])
    print(f"{wrong} runs with errors")
    return 0 if met and not wrong else 1


def verification(options, middle, slow, bare):
    """Prints the added cost of each strict gateway over a gateway without verification. Returns whether it is
    small enough."""
    met = True
    for name in [name for name in STRICT if name in middle]:
        adds = middle[name]["cpu"] - middle["off"]["cpu"]
        line = f"verification with {name} adds {adds:.1f} µs of CPU a request, {adds / bare:.2f} x a bare verify_strict"
        if name == "memory":
            met = adds <= 1.5 * bare
            line += f" (at most 1.5: {'met' if met else 'MISSED'})"
        print(f"{line}; at {options.rate} requests/s {slow[name] - slow['off']:.1f} µs")
    return met


def soak(options, key, url, pid):
    """Puts a steady load on the gateway with the store in memory. Its memory use must stop growing.

    The store's 64 tables double when they are full, each at its own time; at a rate where many are
    about to, the bound below says so.
    """
    client = subprocess.Popen([options.load, "soak", key, url, str(options.soak), str(options.rate)],
                              stdout=subprocess.PIPE, text=True)
    begun, seen = time.monotonic(), []
    while client.poll() is None:
        time.sleep(1)
        seen.append(resident_kib(pid))
        if len(seen) % 30 == 0:
            print(f"{time.monotonic() - begun:5.0f} s  {seen[-1] / 1024:7.1f} MiB resident", flush=True)
    print(client.stdout.read().strip())
    if client.returncode:
        print(f"the soak ended with {client.returncode}")
        return False
    # Nonces are kept for 65 s, so after that time their number stays the same.
    settled = seen[120:] if len(seen) > 240 else seen[len(seen) // 2:]
    half = len(settled) // 2
    first, last = max(settled[:half]), max(settled[half:])
    flat = last <= first * 1.05
    print(f"at most {first / 1024:.1f} MiB in the first half after settling, {last / 1024:.1f} MiB in the second "
          f"(within 5 %: {'met' if flat else 'MISSED'})")
    return flat


if __name__ == "__main__":
    sys.exit(main())
