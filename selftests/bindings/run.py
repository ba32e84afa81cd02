# SPDX-License-Identifier: GPL-2.0
"""What userspace/example/avfork.py promises: that its run() does what subprocess.run()
does. Each case is run by both; prints a line for each."""
import os
import signal
import subprocess
import sys
import tempfile
import threading
from subprocess import DEVNULL, PIPE, STDOUT

import avfork


def outcome(run, args, kwargs):
    """The result or the exception, comparable."""
    try:
        result = run(args, **kwargs)
        return result.args, result.returncode, result.stdout, result.stderr
    except subprocess.SubprocessError as error:
        # subprocess's timeout is what was left of it.
        return (type(error), error.cmd, getattr(error, "returncode", None),
                error.output, error.stderr)
    except OSError as error:
        return type(error), error.errno, error.filename
    except ValueError as error:
        return type(error), str(error)


def compare(args, **kwargs):
    ours = outcome(avfork.run, args, kwargs)
    theirs = outcome(subprocess.run, args, kwargs)
    if ours != theirs:
        print(f"# {ours!r:.300} instead of {theirs!r:.300}")
    return ours == theirs


def sh(command, **kwargs):
    return compare(["sh", "-c", command], **kwargs)


OUT_AND_ERR = "echo out; echo err >&2"
BOTH_MANY = "head -c 300000 /dev/zero >&2 & head -c 300000 /dev/zero; wait"
LARGE = bytes(1 << 20)

CASES = {
    "a status": lambda: sh("exit 3"),
    "a signal": lambda: sh("kill -TERM $$"),
    "a program as a string": lambda: compare("true"),
    "shell": lambda: compare("echo $((1 + 1))", shell=True, stdout=PIPE),
    "capture_output": lambda: sh(OUT_AND_ERR, capture_output=True),
    "capture_output, text": lambda: sh("printf 'a\\r\\nb\\303\\244'; echo c >&2",
                                       capture_output=True, text=True),
    "capture_output of nothing": lambda: compare("true", capture_output=True, text=True),
    "more than pipes hold": lambda: sh(BOTH_MANY, capture_output=True),
    "stdout=PIPE, stderr=STDOUT": lambda: sh(OUT_AND_ERR, stdout=PIPE, stderr=STDOUT),
    "stdout=PIPE, stderr=DEVNULL": lambda: sh(OUT_AND_ERR, stdout=PIPE, stderr=DEVNULL),
    "stdout=DEVNULL, stderr=PIPE": lambda: sh(OUT_AND_ERR, stdout=DEVNULL, stderr=PIPE),
    "stdout=DEVNULL, stderr=STDOUT": lambda: sh("[ /dev/fd/1 -ef /dev/fd/2 ]",
                                                stdout=DEVNULL, stderr=STDOUT),
    "stderr=STDOUT": lambda: sh("[ /dev/fd/1 -ef /dev/fd/2 ]", stderr=STDOUT),
    "stdin=DEVNULL": lambda: compare("cat", stdin=DEVNULL, stdout=PIPE),
    "stdin=PIPE": lambda: compare("cat", stdin=PIPE, stdout=PIPE),
    "input": lambda: compare("cat", input=b"in", stdout=PIPE),
    "input, text": lambda: compare("cat", input="in\r\n", stdout=PIPE, text=True),
    "empty input": lambda: compare("cat", input=b"", stdout=PIPE),
    "large input": lambda: compare("cat", input=LARGE, stdout=PIPE),
    "input that nobody reads": lambda: compare("true", input=LARGE),
    "cwd": lambda: compare("pwd", cwd="/usr", stdout=PIPE),
    "cwd that is not there": lambda: compare("pwd", cwd="/nonexistent"),
    "cwd that is a file": lambda: compare("pwd", cwd=b"/etc/passwd"),
    "env": lambda: sh("echo $A$HOME", env={"A": "b"}, stdout=PIPE),
    "env with its PATH": lambda: compare("ls", env={"PATH": "/nonexistent"}),
    "env with bytes": lambda: compare([b"env"], env={b"A": b"b"}, stdout=PIPE),
    "env with a bad name": lambda: compare("env", env={"A=B": "c"}),
    "timeout": lambda: compare(["sleep", "1000"], timeout=0.2),
    "timeout, output so far": lambda: sh("echo x; exec sleep 1000", stdout=PIPE, timeout=1),
    "no timeout": lambda: sh("echo x", stdout=PIPE, timeout=100),
    "check": lambda: sh("echo x; exit 3", stdout=PIPE, check=True),
    "check of success": lambda: compare("true", check=True),
    "no such program": lambda: compare(["nonexistent"]),
    "no such file": lambda: compare(["/nonexistent/program"]),
    "not executable": lambda: compare(["/etc/passwd"]),
    "a null byte": lambda: compare(["true", "a\0b"]),
    "input and stdin": lambda: compare("cat", input=b"", stdin=PIPE),
    "capture_output and stdout": lambda: compare("cat", capture_output=True, stdout=PIPE),
}


def case(function):
    CASES[function.__name__.replace("_", " ")] = function


@case
def files():
    with tempfile.TemporaryFile() as file, open("/etc/passwd", "rb") as passwd:
        same = compare("cat", stdin=passwd, stdout=file.fileno())
        passwd.seek(0)
        text = passwd.read()
        file.seek(0)
        # Written twice, the second time from where the first had read to: nothing.
        return same and file.read() == text


@case
def pass_fds_and_close_fds():
    with open("/dev/null") as file:
        fd = file.fileno()
        os.set_inheritable(fd, True)
        test = f"[ -e /dev/fd/{fd} ]"
        return (sh(test, pass_fds=[fd]) and sh(test, close_fds=False) and sh(test) and
                avfork.run(test, shell=True).returncode == 1 and
                avfork.run(test, shell=True, close_fds=False).returncode == 0)


@case
def nothing_is_left():
    before = os.listdir("/dev/fd")
    for args, kwargs in ((["true"], {"capture_output": True, "input": b"x"}),
                         (["nonexistent"], {"capture_output": True, "stdin": DEVNULL}),
                         (["sleep", "1000"], {"stdout": PIPE, "timeout": 0.05})):
        outcome(avfork.run, args, kwargs)
    try:
        os.waitpid(-1, os.WNOHANG | 0x40000000)     # __WALL
    except ChildProcessError:
        return os.listdir("/dev/fd") == before
    return False


@case
def while_SIGCHLD_is_ignored():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    same = sh("exit 3") and compare(["sleep", "1000"], timeout=0.05)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return same


@case
def a_signal_handler_that_raises():
    """As Ctrl-C: the child does not stay."""
    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        avfork.run(["sleep", "1000"])
    except KeyboardInterrupt:
        return True
    return False


@case
def threads():
    results = []

    def work(number):
        for _ in range(20):
            done = avfork.run(["sh", "-c", f"pwd; exit {number}"], cwd="/usr",
                              stdout=PIPE)
            results.append((done.returncode, done.stdout) == (number, b"/usr\n"))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(results) == 160 and all(results)


failed = False
for name, holds in CASES.items():
    ok = holds()
    print("ok" if ok else "not ok", name, flush=True)
    failed |= not ok
sys.exit(failed)
