"""Installs the Debian package, uses it, and purges it without a trace. Runs as root, on a machine where mcpid
is not installed. The last line is `package: N passed, N failed`.

    python3 tests/package.py FILE.deb        a package that `cargo deb` made (tests/long)
    python3 tests/package.py PROGRAM         makes the package of this program, by dpkg-deb and from the
                                             metadata that `cargo deb` reads (tests/all: cargo-deb takes
                                             minutes to build)
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import traceback
from pathlib import Path

# Where a package may leave files. The services of this machine write to /var at any time: there, only what
# the package could own is compared.
PLACES = ["/bin", "/etc", "/lib/systemd", "/usr/bin", "/usr/lib/systemd", "/usr/share"]
OURS = ["/var/cache/mcpid", "/var/lib/mcpid", "/var/lib/dpkg/info/mcpid*", "/var/lib/systemd/*/*mcpid*",
        "/var/log/mcpid*", "/var/spool/*mcpid*", "/run/mcpid*"]
CHANGING = re.compile(r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/(ld.so.cache|.pwd.lock|resolv.conf|adjtime)$"
                      r"|/usr/share/mime/")
UNIT = "/usr/lib/systemd/system/mcpid-gateway.service"
ETC, STATE = Path("/etc/mcpid"), Path("/var/lib/mcpid")


def run(*command, code: int | None = 0, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **options)
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, f"exit {done.returncode}: {command}\n{said[-2000:]}"
    return said


def files() -> dict[str, tuple]:
    """Each file below PLACES and of OURS, with its mode and owner."""
    found = {}
    ours = [path for pattern in OURS for path in glob.glob(pattern)]
    for path in ours:
        about = os.lstat(path)
        found[path] = (about.st_mode, about.st_uid, about.st_gid)
    for place in PLACES + ours:
        for folder, folders, names in os.walk(place):
            for name in [*folders, *names]:
                path = os.path.join(folder, name)
                if not CHANGING.search(path):
                    about = os.lstat(path)
                    found[path] = (about.st_mode, about.st_uid, about.st_gid)
    return found


def accounts() -> list[set[str]]:
    """The lines of the lists of users and groups."""
    return [set(Path(file).read_text().splitlines()) for file in ("/etc/passwd", "/etc/group", "/etc/shadow")]


def present() -> list[str]:
    """What this machine has of mcpid already. This test would change or delete it."""
    found = [f"the package {name}" for name in ["mcpid"]
             if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode == 0]
    found += [f"the {what} mcpid" for what, database in [("user", "passwd"), ("group", "group")]
              if subprocess.run(["getent", database, "mcpid"], capture_output=True).returncode == 0]
    places = [str(ETC), "/usr/bin/mcpid", UNIT, "/etc/systemd/system/mcpid-gateway.service*", *OURS]
    return found + [path for pattern in places for path in sorted(glob.glob(pattern))]


def as_service(*command, code: int = 0) -> str:
    """Runs a command as the unit does: with its user, its umask and its variables."""
    environment = {"PATH": "/usr/bin:/bin", "STATE_DIRECTORY": str(STATE), "MCPID_TRUST": str(ETC / "trust.json"),
                   "LC_ALL": "C.UTF-8"}
    return run("setpriv", "--reuid=mcpid", "--regid=mcpid", "--clear-groups", "--no-new-privs", *command,
               code=code, env=environment, umask=0o077, cwd="/")


def packed(program: Path, folder: Path) -> Path:
    """Makes a package of `program` as `[package.metadata.deb]` of Cargo.toml says."""
    package = tomllib.loads(Path("Cargo.toml").read_text())["package"]
    deb, root = package["metadata"]["deb"], folder / "root"
    for source, target, mode in deb["assets"]:
        found = [str(program)] if source == "target/release/mcpid" else glob.glob(source)
        assert found, source
        for path in found:
            into = root / target / Path(path).name if target.endswith("/") else root / target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, into)
            into.chmod(int(mode, 8))
            if "share/man" in target:
                run("gzip", "-9n", into)
    (root / "usr/share/doc/mcpid/copyright").write_text(deb["copyright"] + "\n")
    run("strip", root / "usr/bin/mcpid")
    # dpkg-shlibdeps reads which package is made from debian/control.
    (folder / "debian").mkdir()
    (folder / "debian/control").write_text("Source: mcpid\n\nPackage: mcpid\nArchitecture: any\n")
    needed = run("dpkg-shlibdeps", "-O", root / "usr/bin/mcpid", cwd=folder)
    needed = re.search(r"^shlibs:Depends=(.*)$", needed, re.M)[1]
    control = root / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        f"Package: mcpid\nVersion: {package['version']}-1\nArchitecture: {run('dpkg', '--print-architecture').strip()}\n"
        f"Section: {deb['section']}\nPriority: {deb['priority']}\nMaintainer: {deb['maintainer']}\n"
        f"Depends: {deb['depends'].replace('$auto', needed)}\nDescription: {package['description']}\n")
    (control / "conffiles").write_text("".join(f"{name}\n" for name in deb["conf-files"]))
    for script in Path(deb["maintainer-scripts"]).iterdir():
        shutil.copy(script, control)
        (control / script.name).chmod(0o755)
    for path in root.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    file = folder / "mcpid.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, file)
    return file


def content(deb: Path) -> None:
    """The package holds what it says, with the modes that Debian expects."""
    fields = run("dpkg-deb", "--field", deb)
    for wanted in ["Package: mcpid\n", "Section: net\n", "Depends: "]:
        assert wanted in fields, fields
    assert "adduser" in fields and "libc6" in fields, fields
    listed = [line.split(None, 5) for line in run("dpkg-deb", "--contents", deb).splitlines()]
    modes = {line[5].removeprefix("."): (line[0], line[1]) for line in listed}
    pages = len(list(Path("man").glob("*.1")))
    assert sum(bool(re.fullmatch(r"/usr/share/man/man1/mcpid[\w-]*\.1\.gz", name)) for name in modes) == pages, modes
    for name in ["/usr/bin/mcpid", UNIT, "/etc/mcpid/gateway.toml", "/usr/share/bash-completion/completions/mcpid",
                 "/usr/share/zsh/vendor-completions/_mcpid", "/usr/share/fish/vendor_completions.d/mcpid.fish",
                 "/usr/share/doc/mcpid/copyright", "/usr/share/doc/mcpid/examples/nginx/mcpid.conf"]:
        assert name in modes, f"{name}: {sorted(modes)}"
    for name, (mode, owner) in modes.items():
        wanted = "drwxr-xr-x" if name.endswith("/") else "-rwxr-xr-x" if name == "/usr/bin/mcpid" else "-rw-r--r--"
        # cargo-deb writes no names of owners, only their numbers.
        assert mode == wanted and owner in ("root/root", "0/0"), (name, mode, owner)


def container(_: Path) -> None:
    """The files that contrib/container/Containerfile copies make a package that cargo accepts."""
    text = Path("contrib/container/Containerfile").read_text()
    copied = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert ["src", "src"] in copied, copied
    with tempfile.TemporaryDirectory() as folder:
        for *sources, target in copied:
            for source in sources:
                into = Path(folder, target, source) if target.endswith("/") else Path(folder, target)
                if Path(source).is_dir():
                    shutil.copytree(source, into)
                else:
                    shutil.copy(source, into)
        run("cargo", "metadata", "--offline", "--locked", "--format-version=1", cwd=folder)
    # What the last stage gets exists in the stage before, and the command is one of the program.
    assert "/src/target/release/mcpid /usr/bin/mcpid" in text and 'CMD ["gateway", "--config"' in text


def installed(deb: Path) -> None:
    """After the installation there are the program, its user, and a unit that is not enabled."""
    run("dpkg", "--install", deb, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    assert run("/usr/bin/mcpid", "version").startswith("mcpid "), "the program does not start"
    name, _, uid, _, _, home, shell = run("getent", "passwd", "mcpid").strip().split(":")
    assert (name, home, shell) == ("mcpid", "/nonexistent", "/usr/sbin/nologin") and int(uid) < 1000, (uid, home, shell)
    about = ETC.stat()
    group = int(run("getent", "group", "mcpid").split(":")[2])
    assert (about.st_mode & 0o777, about.st_uid, about.st_gid) == (0o750, 0, group), about
    said = run("systemd-analyze", "verify", "--man=no", UNIT)
    assert "Unknown" not in said and "mcpid" not in said, said
    assert not list(Path("/etc/systemd").rglob("*mcpid*")), "the unit is enabled"


def configured(_: Path) -> None:
    """The settings as installed say what is missing; with two of them the service's user can start the gateway."""
    settings = ["--config", ETC / "gateway.toml", "--check-config"]
    said = as_service("mcpid", "gateway", *settings, code=2)
    assert "--upstream is missing" in said, said
    STATE.mkdir(mode=0o700)
    run("chown", "mcpid:mcpid", STATE)
    run("mcpid", "keygen", "--no-passphrase", "-o", "/etc/mcpid/alice.key")
    run("mcpid", "trust", "add", "-r", ETC / "trust.json", "--name", "alice", "/etc/mcpid/alice.key")
    # The lines that an operator takes the # from.
    text = (ETC / "gateway.toml").read_text()
    text = re.sub(r"^# (\w[\w-]* = )", r"\1", text, flags=re.M)
    (ETC / "gateway.toml").write_text(text)
    said = as_service("mcpid", "gateway", *settings)
    for wanted in ["1 trusted", "https://mcp.example.com", f"{STATE}/nonces.db", "destructive"]:
        assert wanted in said, said
    # The service cannot change what it is told to trust.
    as_service("sh", "-c", "echo x >> /etc/mcpid/trust.json", code=2)


def removed(_: Path) -> None:
    """Removing keeps settings and state, as in every Debian package."""
    run("dpkg", "--remove", "mcpid")
    assert not Path("/usr/bin/mcpid").exists() and (ETC / "trust.json").exists() and STATE.exists()


def main() -> int:
    os.umask(0o022)
    folder = tempfile.TemporaryDirectory()
    given = Path(sys.argv[1]).absolute()
    there = ["a user that is not root"] if os.getuid() != 0 else present()
    if there:
        print("FAILED package: this test installs and purges the package mcpid, as root, on a machine without mcpid.")
        print(f"    Nothing was touched. In the way: {', '.join(there)}")
        print("package: 0 passed, 1 failed")
        return 1
    deb = given if given.suffix == ".deb" else packed(given, Path(folder.name))
    before, users = files(), accounts()
    passed = failed = 0

    def purged(_: Path) -> None:
        """Purging leaves the machine as it was, but for a user that still has a process, and says how to go on."""
        running = subprocess.Popen(["sleep", "600"], user="mcpid", group="mcpid", extra_groups=[])
        try:
            said = run("dpkg", "--purge", "mcpid")
            assert "the user mcpid is left; when its processes have ended: userdel mcpid" in said, said
            assert run("dpkg-query", "--show", "--showformat=${db:Status-Status}", "mcpid", code=None) != "installed"
        finally:
            running.kill()
            running.wait()
        run("userdel", "mcpid")
        now = files()
        assert now == before, {path for path in set(now) ^ set(before)} or "modes differ"
        assert accounts() == users, [new ^ old for new, old in zip(accounts(), users)]

    for case in (content, container, installed, configured, removed, purged):
        try:
            case(deb)
        except Exception as error:
            failed += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAILED {case.__name__}: {case.__doc__}\n    line {last.lineno}: {type(error).__name__}: {error}")
        else:
            passed += 1
            print(f"ok {case.__name__}: {case.__doc__}")
    subprocess.run(["dpkg", "--purge", "mcpid"], capture_output=True)
    print(f"package: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
