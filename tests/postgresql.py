"""A PostgreSQL server of one's own, for the tests that need one.

    python -m tests.postgresql [--on-disk] COMMAND...

runs the command with ADJUDICATOR_TEST_POSTGRESQL naming a fresh server on loopback, and stops the
server by its own process id. PostgreSQL refuses to run as root: then it runs as ``postgres`` or
``nobody``. Where the variable names a server already, the command runs as it is.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "ADJUDICATOR_TEST_POSTGRESQL"
PROGRAMS = "ADJUDICATOR_TEST_POSTGRESQL_BIN"
OWNER = "administrator"
ROOM = 4_000_000_000
ABSENT = (
    "no PostgreSQL server is installed: install Debian's package postgresql (apt-get install "
    f"postgresql), or name one by {VARIABLE}, or the folder of its programs by {PROGRAMS}"
)


def programs() -> Path | None:
    """The folder of initdb and postgres, the newest release first; None where there is none."""
    if named := os.environ.get(PROGRAMS):
        return Path(named)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    on_path = shutil.which("postgres")
    found = [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((p for p in found if (p / "initdb").exists() and (p / "postgres").exists()), None)


def account() -> str | None:
    """Whom the server runs as; None: ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(at: Path) -> tuple[str, ...]:
    """Makes ``at``.crt and ``at``.key, of a server that is called localhost and nothing else; the
    settings by which a server shows it. Nothing where openssl is not installed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return ()
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", f"{at}.key", "-out", f"{at}.crt"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    at.with_suffix(".key").chmod(0o600)
    return ("ssl=on", f"ssl_cert_file={at}.crt", f"ssl_key_file={at}.key")


@contextmanager
def server(*settings: str, in_memory: bool = True) -> Iterator[str]:
    """A server's URL, its superuser's password in it; the server ends with the block.

    It sorts text by a language's rules, not by code points, so that an order left to it shows. Its
    files are in memory where there is room: what a power cut leaves is not what tests ask.
    """
    place = programs()
    if place is None:
        raise SystemExit(ABSENT)
    user = account()
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    with tempfile.TemporaryDirectory(
        prefix="adjudicator-postgresql-", dir=memory if roomy and in_memory else None
    ) as name:
        folder, password, port = Path(name), secrets.token_hex(16), _free_port()
        (folder / "password").write_text(password)
        tls = certificate(folder / "server")
        if user is not None:
            entry = pwd.getpwnam(user)
            for path in (folder, *folder.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        subprocess.run(
            [place / "initdb", "-D", folder / "data", "-U", OWNER, "-A", "scram-sha-256",
             "--pwfile", folder / "password", "-E", "UTF8", "--locale=C.UTF-8",
             "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"],
            user=user, cwd=folder, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [place / "postgres", "-D", folder / "data", "-p", str(port),
                 *(part for s in ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}",
                                  "max_connections=40", "max_locks_per_transaction=128",
                                  "shared_buffers=256MB", "max_wal_size=4GB", *tls, *settings)
                   for part in ("-c", s))],
                user=user, cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(process, port, folder / "log")
            yield f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/postgres"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # fast: no client is waited for
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGQUIT)
                    process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        if b"ready to accept connections" in log.read_bytes():
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        time.sleep(0.05)
    raise SystemExit(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def main() -> int:
    command = sys.argv[1:]
    on_disk = command[:1] == ["--on-disk"]
    command = command[on_disk:]
    if not command:
        raise SystemExit("usage: python -m tests.postgresql [--on-disk] COMMAND...")
    if os.environ.get(VARIABLE):
        return subprocess.run(command, check=False).returncode
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server ends with us
    with server(in_memory=not on_disk) as url:
        return subprocess.run(command, env={**os.environ, VARIABLE: url}, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
