"""Free ports, for programs that must be told their port before they listen. Like ports.rs, from the same blocks:
a port that the kernel chose and that is released again could be given to another program at once. So these
ports lie below those that the kernel chooses from, and each process hands out ports of its own block: it listens
at the first port of the block for as long as it runs.
"""

import os
import socket
import threading

ALL, BLOCK = range(12_000, 18_000), 100

_held: list[socket.socket] = []
_ports = iter(())
_lock = threading.Lock()


def _listener(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def _block():
    """Holds a block that no other process holds, and returns its other ports."""
    count = len(ALL) // BLOCK
    for n in range(count):
        first = ALL.start + BLOCK * ((os.getpid() + n) % count)
        if held := _listener(first):
            _held.append(held)
            return iter(range(first + 1, first + BLOCK))
    raise RuntimeError("every block of ports is held")


def free_port() -> int:
    """Returns a port of 127.0.0.1 at which no program listens, and which no other test gets."""
    global _ports
    with _lock:
        while True:
            port = next(_ports, None)
            if port is None:
                _ports = _block()
            elif found := _listener(port):
                found.close()
                return port
