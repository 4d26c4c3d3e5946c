"""Measures the latency that authorization adds to a request behind Envoy, beside that of the gateway, in one
run.

authz.py --mcpid BINARY --load EXAMPLE --envoy BINARY [--rounds N] [--seconds S] [--requests N] [--work FOLDER]

Subjects, all before one nginx that answers every POST with a fixed JSON-RPC result:
  upstream     that nginx alone
  gateway      `mcpid gateway` in strict mode, nonces in memory
  envoy        Envoy with contrib/envoy/envoy.yaml, without its ext_authz filter
  null         the same with ext_authz, which asks an nginx that answers 200 to everything
  authz        the same with ext_authz, which asks `mcpid authz` in strict mode, nonces in memory

wrk sends signed requests one after another over one connection, each once where it is verified. The rounds go
around all subjects, so that the other load of the machine falls on each. The added latency is the difference
of the medians: gateway − upstream, and authz − envoy. The latter is at most 1.3 times the former.
"""

import os
import re
import statistics
import subprocess
import sys

from run import HERE, common_options, free_port, is_ready, listens, measure, nginx, wait_for

CONFIGURATION = HERE.parents[1] / "contrib/envoy/envoy.yaml"
SUBJECTS = ["upstream", "gateway", "envoy", "null", "authz"]
ONCE = ["gateway", "authz"]
TARGET = 1.3


def envoy_configuration(ports, admin, asked):
    """Returns the shipped configuration with these ports. `asked` is the port of the authorizer, or None."""
    text = CONFIGURATION.read_text()
    for old, new in {8080: ports["listener"], 9902: admin, 8000: ports["upstream"], 9001: asked or 1}.items():
        text, count = re.subn(rf"\b(port_value: |127\.0\.0\.1:){old}\b", rf"\g<1>{new}", text)
        if not count:
            sys.exit(f"load: the Envoy configuration has no port {old}")
    if asked is None:
        # The filter, from its name to the next filter of the same list.
        text, count = re.subn(r"(?ms)^ {10}- name: envoy\.filters\.http\.ext_authz\n.*?(?=^ {10}- name: )", "", text)
        if count != 1:
            sys.exit("load: the Envoy configuration has no ext_authz filter")
    return text


def start_envoy(processes, envoy, name, number, upstream, asked, port):
    """Starts Envoy at `port`, which asks the authorizer at the port `asked`."""
    file = processes.work / f"{name}.yaml"
    file.write_text(envoy_configuration({"listener": port, "upstream": upstream}, free_port(), asked))
    processes.start(name, [envoy, "-c", str(file), "--base-id", str(number), "--concurrency", "1", "-l", "error"])
    wait_for(lambda: listens(port), name)
    return port


def start_mcpid(processes, mcpid, name, command, trust, public=None):
    """Starts `mcpid`, for clients that know it by the port `public`. Returns its own port."""
    port, admin = free_port(), free_port()
    processes.start(name, [
        mcpid, *command, "--origin", f"http://127.0.0.1:{public or port}", "--listen", f"127.0.0.1:{port}",
        "--admin", f"127.0.0.1:{admin}", "-r", trust, "--nonces", "memory:?max=8000000",
        "--log", str(processes.work / f"{name}.log")])
    wait_for(lambda: is_ready(admin), name)
    return port


def p50(options, work, key, port, name):
    """Returns the median latency in µs of one run, or None if requests failed."""
    url, signed = f"http://127.0.0.1:{port}/mcp", work / "signed"
    subprocess.run([options.load, "sign", key, url, str(options.requests), str(signed)], check=True)
    mode = "once" if name in ONCE else "again"
    wrk = subprocess.run(
        ["wrk", "-t1", "-c1", f"-d{options.seconds}s", "-s", str(HERE / "replay.lua"), url, "--", str(signed), mode],
        check=True, capture_output=True, text=True)
    requests, _, median, _, errors = (int(part) for part in re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+)", wrk.stdout).groups())
    ended = mode == "once" and requests > options.requests - 2
    if errors or requests < 100 or ended:
        print(f"{name}: {requests} requests, {errors} errors" + (", too few were signed" if ended else "") + f"\n{wrk.stdout}")
        return None
    return median


def run(options, processes):
    work = processes.work
    key, trust = str(work / "key.json"), str(work / "trust.json")
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([options.mcpid, "keygen", "-q", "--no-passphrase", "-o", key], **quiet)
    subprocess.run([options.mcpid, "trust", "add", "-q", "-r", trust, key], **quiet)
    ports = {"upstream": free_port(), "yes": free_port()}
    answer = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"sunny, 21 degrees"}]}}'
    for name in ["upstream", "yes"]:
        nginx(processes, name, ports[name], f"server {{ listen 127.0.0.1:PORT; location / {{ return 200 '{answer}'; }} }}", 1)
    upstream = f"http://127.0.0.1:{ports['upstream']}/mcp"
    ports["gateway"] = start_mcpid(processes, options.mcpid, "gateway", ["gateway", "--upstream", upstream], trust)
    listener = free_port()
    judge = start_mcpid(processes, options.mcpid, "authz-judge", ["authz"], trust, listener)
    asked = {"envoy": (free_port(), None), "null": (free_port(), ports["yes"]), "authz": (listener, judge)}
    for number, (name, (port, authorizer)) in enumerate(asked.items(), 71):
        ports[name] = start_envoy(processes, options.envoy, name, number, ports["upstream"], authorizer, port)

    print(f"{os.cpu_count()} cores, {options.rounds} rounds of {options.seconds} s, one connection, load average {os.getloadavg()[0]:.1f}")
    figures, wrong = {name: [] for name in SUBJECTS}, 0
    for number in range(options.rounds):
        for name in SUBJECTS:
            median = p50(options, work, key, ports[name], name)
            if median is None:
                wrong += 1
            else:
                figures[name].append(median)
        print(f"round {number + 1} done", flush=True)
    if wrong:
        print(f"{wrong} runs with errors")
        return 1
    middle = {name: statistics.median(runs) for name, runs in figures.items()}
    print("p50 in µs, medians of the rounds: " + ", ".join(
        f"{name} {middle[name]:.0f} ({min(runs)} to {max(runs)})" for name, runs in figures.items()))
    added = {"gateway": middle["gateway"] - middle["upstream"], "null": middle["null"] - middle["envoy"],
             "authz": middle["authz"] - middle["envoy"]}
    print("added: " + ", ".join(f"{name} {one:.0f} µs" for name, one in added.items()))
    ratio = added["authz"] / added["gateway"]
    print(f"authz behind Envoy adds {ratio:.2f} x what the gateway adds (at most {TARGET}: {'met' if ratio <= TARGET else 'MISSED'}); "
          f"of that, asking a service that says yes to everything is {added['null'] / added['gateway']:.2f} x")
    return 0 if ratio <= TARGET else 1


def main():
    parser = common_options(rounds=7, seconds=5, requests=60_000)
    parser.add_argument("--envoy", required=True)
    return measure(parser, run)


if __name__ == "__main__":
    sys.exit(main())
