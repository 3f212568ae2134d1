"""`course doctor` finds each fault, says how it is, and what to do about it."""

import errno
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import course.exercises
from course import doctor
from course.cli import app
from course.doctor import Finding, examine
from course.grading.sandbox import Sandbox


@pytest.fixture
def healthy(desk, monkeypatch):
    """A workspace in order; the kernel is not started (one test does)."""
    monkeypatch.setattr(doctor, "_kernel", lambda root: Finding("kernel", True, "starts"))
    return desk


def faults(root) -> dict[str, Finding]:
    found = {finding.what: finding for finding in examine(root) if not finding.well}
    assert all(finding.state and finding.remedy for finding in found.values())
    return found


def the_fault(root) -> Finding:
    [found] = faults(root).values()
    return found


def test_a_healthy_workspace(healthy):
    """Nothing to mend."""
    assert faults(healthy.root) == {}


def test_the_kernel_is_really_started(desk):
    """It answers, in this workspace, with the course and its rnnlib at hand."""
    finding = doctor._kernel(desk.root)
    assert finding.well, finding
    assert finding.state == "starts and finds the course"


def test_no_workspace(healthy, monkeypatch):
    """It says how to make one."""
    monkeypatch.setattr(Sandbox, "available", lambda: None)
    fault = the_fault(None)
    assert (fault.what, fault.remedy) == ("workspace", "course start my-rnn, then cd my-rnn")


@pytest.mark.parametrize("why", ["bubblewrap is not installed", "bubblewrap cannot:\nAllow it so.\nOr so."])
def test_no_sandbox(healthy, monkeypatch, why):
    """Outside a workspace, where an instructor stands, it says whether submissions can be graded safely."""
    monkeypatch.setattr(Sandbox, "available", lambda: why)
    monkeypatch.setattr(sys, "platform", "linux")
    fault = faults(None)["sandbox"]
    assert fault.state == why.splitlines()[0]
    assert fault.remedy in ("Allow it so.\nOr so.", "only `course grade` needs it; all else works without")
    assert "sandbox" not in faults(healthy.root)


def test_python_too_old(healthy, monkeypatch):
    """The version there is, and the one that is needed."""
    old = SimpleNamespace(version_info=(3, 10, 4), executable=sys.executable)
    monkeypatch.setattr(doctor, "sys", old)
    fault = the_fault(healthy.root)
    assert (fault.what, fault.state) == ("Python", "3.10.4")
    assert "3.11 or newer" in fault.remedy


@pytest.mark.parametrize("name", doctor.NEEDED)
@pytest.mark.parametrize("found", [None, "0.9.1"])
def test_a_package_missing_or_too_old(healthy, monkeypatch, name, found):
    """Its name, the version that is needed, the command that installs it."""
    version = importlib.metadata.version

    def pretend(package):
        if package != name:
            return version(package)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return found

    monkeypatch.setattr(importlib.metadata, "version", pretend)
    fault = the_fault(healthy.root)
    assert fault.what == name
    assert ("missing" if found is None else found) in fault.state
    assert ".".join(map(str, doctor.NEEDED[name])) in fault.state
    assert "pip install" in fault.remedy


@pytest.mark.parametrize("version", ["2.4.6", "2.5.0rc1", "3", "10.0.1", "2.0.0+local"])
def test_newer_versions_are_well(healthy, monkeypatch, version):
    """Release candidates and two-digit numbers are read right."""
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == "numpy" else real(name))
    assert faults(healthy.root) == {}


@pytest.mark.parametrize("damage", ["npz missing", "nothing there", "not JSON"])
def test_check_data_not_whole(healthy, monkeypatch, tmp_path, damage):
    """An installation that lost files is told to be one."""
    data = tmp_path / "data"
    shutil.copytree(course.exercises.DATA, data)
    if damage == "npz missing":
        (data / "02-two.npz").unlink()
    elif damage == "nothing there":
        shutil.rmtree(data)
    else:
        (data / "02-two.json").write_text("{")
    monkeypatch.setattr(doctor, "DATA", data)
    monkeypatch.setattr(course.exercises, "DATA", data)
    course.exercises.catalogue.cache_clear()
    fault = the_fault(healthy.root)
    assert fault.what == "checks"
    assert ("02-two" if damage != "nothing there" else "all chapters") in fault.state
    assert "install it again" in fault.remedy


@pytest.mark.parametrize("how", ["no kernel", "silent"])
def test_a_kernel_that_does_not_start(desk, monkeypatch, how):
    """The last line of the error, or the time that was waited; and the command that installs one."""

    def run(*_args, **_kwargs):
        if how == "silent":
            raise subprocess.TimeoutExpired("python", 60)
        return SimpleNamespace(
            returncode=1, stdout="", stderr="Traceback\nNoSuchKernel: No such kernel named python3\n"
        )

    monkeypatch.setattr(doctor.subprocess, "run", run)
    fault = doctor._kernel(desk.root)
    assert not fault.well
    assert fault.state == (
        "did not answer within 60 s" if how == "silent" else "NoSuchKernel: No such kernel named python3"
    )
    assert "ipykernel install" in fault.remedy


@pytest.mark.parametrize("folder", ["my-rnn", "rnnlib"])
def test_a_folder_that_cannot_be_written(healthy, monkeypatch, folder):
    """Which one, why, and what to do. Simulated: rights do not bind an administrator, who may run the tests."""
    real = tempfile.TemporaryFile

    def refuse(*args, dir=None, **kwargs):
        if dir.name == folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(*args, dir=dir, **kwargs)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    fault = the_fault(healthy.root)
    assert (fault.what, fault.state) == ("write access", f"{folder} cannot be written: Permission denied")
    assert str(healthy.root) in fault.remedy


def test_a_file_that_cannot_be_written(healthy, monkeypatch):
    """Its name."""
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "sums.py")
    fault = the_fault(healthy.root)
    assert (fault.what, fault.state) == ("write access", "sums.py cannot be written")
    assert "writable" in fault.remedy


def test_no_rnnlib_in_the_workspace(healthy):
    """It is not a matter of rights: `course start` brings it back."""
    shutil.rmtree(healthy.root / "rnnlib")
    found = faults(healthy.root)
    assert list(found) == ["rnnlib"]
    assert "missing" in found["rnnlib"].state
    assert "course start" in found["rnnlib"].remedy


def test_another_rnnlib_is_imported(healthy, toy, monkeypatch):
    """Where Python does not look in the current folder first, the installed one comes before hers."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    fault = the_fault(healthy.root)
    assert fault.what == "rnnlib"
    assert fault.state == f"another one is imported: {toy / 'rnnlib'}"
    assert "start notebooks in" in fault.remedy
    assert "PYTHONSAFEPATH" in fault.remedy


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x = 1\ndef double(:\n", "line 2 is not Python: invalid syntax"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x = 1\0\n", "null bytes"),
        (b"import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        (b"x = y\n", "cannot be imported: NameError: name 'y' is not defined"),
    ],
)
def test_a_module_that_cannot_be_read_or_imported(healthy, content, words):
    """The file, the line or the error; older answers are in `.history`. Modules that only need it are not blamed."""
    healthy.file("sums").write_bytes(content)
    fault = the_fault(healthy.root)
    assert fault.what == "rnnlib/sums.py"
    assert words in fault.state
    assert "<unknown>" not in fault.state
    assert ".history" in fault.remedy


def test_several_faults_are_all_told(healthy, monkeypatch):
    """The first does not hide the next."""
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=(3, 10, 0), executable=sys.executable))
    healthy.file("sums").write_text("def (\n")
    healthy.file("chain").write_text("def (\n")
    assert list(faults(healthy.root)) == ["Python", "rnnlib/chain.py", "rnnlib/sums.py"]


def test_the_command(healthy):
    """0 and one sentence when all is well; 1, with each remedy, when not."""
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "All is well.")
    healthy.file("sums").write_text("def (\n")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "✗ rnnlib/sums.py: line 1 is not Python" in result.output
    assert "do: mend that line" in result.output
    assert result.output.splitlines()[-1] == "1 to mend."
