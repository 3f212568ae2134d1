"""A PostgreSQL server of its own for a test: in a temporary folder, over a UNIX socket, gone with the test."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

NONE = "there is no PostgreSQL server here (initdb, postgres). On Debian or Ubuntu: apt install postgresql"
USER = "course"


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class Server:
    """One cluster: may be stopped and started again. Its end is certain: it dies with the thread that started it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        self.password = secrets.token_urlsafe(9)
        self._process: subprocess.Popen[bytes] | None = None
        self._become: list[str] = []
        if os.geteuid() == 0:  # which PostgreSQL refuses
            entry = _unprivileged()
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._become = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        (folder / "password").write_text(self.password)
        shutil.chown(folder / "password", *_owner(folder))
        self._run("initdb", f"--pgdata={folder}/data", f"--username={USER}", f"--pwfile={folder}/password", *_INITDB)

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        self.run(f"create database {name}", "postgres")
        return self.url(name)

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://{USER}:{self.password}@/{database}?host={self.folder}"

    def start(self) -> None:
        # SIGQUIT, which also comes when this thread ends, is PostgreSQL's immediate shutdown.
        command = self._command("postgres", "-D", f"{self.folder}/data", "-k", str(self.folder), *_SETTINGS)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self._conninfo("postgres")).close()
            except psycopg.OperationalError:
                gave_up = self._process.poll() is not None or time.monotonic() > end
                assert not gave_up, (self.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is as good as pulling the plug; SIGINT is orderly and cuts off who is connected."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def run(self, statement: str, database: str) -> None:
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # a literal string, says its type

    def connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self._conninfo(database))

    def _conninfo(self, database: str) -> str:
        return f"host={self.folder} user={USER} password={self.password} dbname={database}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(self._command(program, *arguments), cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        return ["setpriv", *self._become, "--pdeathsig", "QUIT", str(self.programs / program), *arguments]


_INITDB = ("--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C")
_SETTINGS = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20")


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("root must become another user to start PostgreSQL, and there is neither postgres nor nobody")


def _owner(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_uid, found.st_gid


@contextmanager
def postgres(programs: Path) -> Iterator[Server]:
    """A server, from nothing to nothing."""
    folder = Path(tempfile.mkdtemp(prefix="course-pg-", dir="/tmp"))  # a socket's path may have 107 bytes
    server: Server | None = None
    try:
        server = Server(folder, programs)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)
