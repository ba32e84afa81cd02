# SPDX-License-Identifier: LGPL-2.1-or-later
"""subprocess.run() by libavfork.

    import avfork
    avfork.run(["ls", "-l"], cwd="/", capture_output=True, text=True, check=True)

The arguments, the result and the exceptions are those of subprocess.run(), for the
common cases. No lock of the interpreter's is held while the child is made, so its
other threads go on.
"""
import contextlib
import ctypes
import errno
import locale
import os
import select
import selectors
import shutil
import signal
import time
from ctypes import (POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64,
                    c_void_p, pointer)
from subprocess import (DEVNULL, PIPE, STDOUT, CalledProcessError,
                        CompletedProcess, TimeoutExpired)

AVFORK_SYNC = 0x1
AVFORK_STDIO = 0x2
AVFORK_INHERIT_FDS = 0x8
AVFORK_SEARCH_PATH = 0x40000


class Grant(ctypes.Structure):
    """struct avfork_fd"""
    _fields_ = [("parent_fd", c_int), ("child_fd", c_int), ("flags", c_uint),
                ("reserved", c_uint)]


class Opts(ctypes.Structure):
    """struct avfork_opts"""
    _fields_ = [("size", c_size_t), ("flags", c_int), ("cgroup_fd", c_int),
                ("fds", POINTER(Grant)), ("nr_fds", c_size_t),
                ("pidfd", POINTER(c_int)), ("left", POINTER(c_int)),
                ("namespaces", c_uint64), ("stack", c_void_p),
                ("stack_size", c_size_t), ("before_exec", c_void_p),
                ("before_arg", c_char_p)]


# CDLL, not PyDLL: its calls are made without the GIL.
_lib = ctypes.CDLL("libavfork.so.0", use_errno=True)
_exec = _lib.avfork_exec_pipes
_exec.argtypes = [POINTER(Opts), c_char_p, POINTER(c_char_p), POINTER(c_char_p),
                  POINTER(c_int), POINTER(c_int), POINTER(c_int)]
_waitpid = _lib.avfork_waitpid
_waitpid.argtypes = [c_int, POINTER(c_int), c_int]

# What runs in the child must be no Python: the GIL and the interpreter's thread state
# are the parent's. chdir(2) itself returns what before_exec shall.
_chdir = ctypes.cast(ctypes.CDLL(None).chdir, c_void_p)


def _string(value):
    value = os.fsencode(value)
    if b"\0" in value:
        raise ValueError("embedded null byte")
    return value


def _strings(values):
    values = [_string(value) for value in values]
    return (c_char_p * (len(values) + 1))(*values, None)


def _environment(env):
    if env is None:
        return None
    if any("=" in os.fsdecode(name) for name in env):
        raise ValueError("illegal environment variable name")
    return _strings(os.fsencode(name) + b"=" + os.fsencode(value)
                    for name, value in env.items())


def _program(name, env):
    """Of another PATH than ours the library knows nothing. Relative to our folder."""
    if env is None or os.path.dirname(name):
        return name
    path = os.pathsep.join(os.get_exec_path(env))
    found = shutil.which(name, path=os.fsencode(path) if isinstance(name, bytes) else path)
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return found


class _Child:
    """A child that has exec'd. Leaving the context kills it if it is not dead."""

    def __init__(self, argv, stdio, cwd, env, close_fds, pass_fds):
        self.status = c_int()
        self.pidfd = c_int(-1)
        self.pipes = [c_int(-1) if what == PIPE else None for what in stdio]
        self.output = [b"", bytearray(), bytearray()]
        grants = {fd: fd for fd in pass_fds}
        null = os.open(os.devnull, os.O_RDWR) if DEVNULL in stdio else None
        try:
            for fd, what in enumerate(stdio):
                if what == STDOUT:
                    if self.pipes[1]:
                        self.pipes[fd] = self.pipes[1]
                    else:
                        grants[fd] = grants.get(1, 1)
                elif what == DEVNULL:
                    grants[fd] = null
                elif what not in (None, PIPE):
                    grants[fd] = what if isinstance(what, int) else what.fileno()
            self._exec(argv, grants, cwd, env, close_fds)
        finally:
            if null is not None:
                os.close(null)
        if stdio[2] == STDOUT:
            self.pipes[2] = None

    def _exec(self, argv, grants, cwd, env, close_fds):
        # All that is referred to here stays until the call returns. By then the child
        # has left our memory (AVFORK_SYNC).
        fds = (Grant * len(grants))(*(Grant(ours, fd) for fd, ours in grants.items()))
        opts = Opts(size=ctypes.sizeof(Opts), fds=fds, nr_fds=len(fds),
                    pidfd=pointer(self.pidfd),
                    flags=AVFORK_SYNC | AVFORK_STDIO | AVFORK_SEARCH_PATH)
        if not close_fds:
            opts.flags |= AVFORK_INHERIT_FDS
        if cwd is not None:
            opts.before_exec = _chdir
            opts.before_arg = _string(cwd)
        self.pid = _exec(byref(opts), _string(_program(argv[0], env)), _strings(argv),
                         _environment(env), *(pipe and byref(pipe) for pipe in self.pipes))
        if self.pid < 0:
            error = ctypes.get_errno()
            missing = cwd is not None and not os.path.isdir(cwd)
            raise OSError(error, os.strerror(error), cwd if missing else argv[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in range(3):
            self._close(fd)
        if self.pid:
            # By its pid it might be another by now, where the program reaps all.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd.value, signal.SIGKILL)
            self._reap()
        os.close(self.pidfd.value)

    def _close(self, fd):
        if self.pipes[fd]:
            os.close(self.pipes[fd].value)
            self.pipes[fd] = None

    def _reap(self):
        """A status that somebody else has got is taken for 0, as by subprocess."""
        while _waitpid(self.pid, byref(self.status), 0) < 0:
            if ctypes.get_errno() != errno.EINTR:
                break
        self.pid = 0

    def communicate(self, data, deadline):
        """Write data, read output, and wait for the end of all and of the child."""
        with selectors.PollSelector() as selector:
            def ready():
                left = deadline and max(0, deadline - time.monotonic())
                events = selector.select(left)
                if not events:
                    raise TimeoutError
                return [key for key, _ in events]

            def end(key):
                selector.unregister(key.fileobj)
                self._close(key.data)

            for fd, pipe in enumerate(self.pipes):
                if pipe:
                    selector.register(pipe.value, selectors.EVENT_READ if fd
                                      else selectors.EVENT_WRITE, fd)
            data = memoryview(data)
            while selector.get_map():
                for key in ready():
                    if key.data:
                        piece = os.read(key.fd, 1 << 16)
                        self.output[key.data] += piece
                    else:
                        piece = data[:select.PIPE_BUF]
                        data = data[self._write(key.fd, piece):]
                    if not piece:
                        end(key)
            if deadline is not None:
                selector.register(self.pidfd.value, selectors.EVENT_READ)
                ready()
        self._reap()

    @staticmethod
    def _write(fd, piece):
        """What nobody reads is as good as written."""
        try:
            return os.write(fd, piece)
        except BrokenPipeError:
            return len(piece)


def _text(output, encoding):
    if output is None:
        return None
    return output.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def run(args, *, stdin=None, input=None, stdout=None, stderr=None, capture_output=False,
        shell=False, cwd=None, env=None, close_fds=True, pass_fds=(), text=False,
        timeout=None, check=False):
    """See subprocess.run()."""
    if input is not None and stdin is not None:
        raise ValueError("stdin and input arguments may not both be used.")
    if capture_output and (stdout is not None or stderr is not None):
        raise ValueError("stdout and stderr arguments may not be used "
                         "with capture_output.")
    if input is not None:
        stdin = PIPE
    if capture_output:
        stdout = stderr = PIPE
    encoding = locale.getpreferredencoding(False)
    if text and input:
        input = input.encode(encoding)
    argv = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    if shell:
        argv[:0] = ["/bin/sh", "-c"]

    deadline = None if timeout is None else time.monotonic() + timeout
    with _Child(argv, (stdin, stdout, stderr), cwd, env, close_fds, pass_fds) as child:
        def output(fd, what):
            return bytes(child.output[fd]) if what == PIPE else None

        try:
            child.communicate(input or b"", deadline)
        except TimeoutError:
            raise TimeoutExpired(args, timeout, output(1, stdout) or None,
                                 output(2, stderr) or None) from None
    results = [output(1, stdout), output(2, stderr)]
    if text:
        results = [_text(result, encoding) for result in results]
    code = os.waitstatus_to_exitcode(child.status.value)
    if check and code:
        raise CalledProcessError(code, args, *results)
    return CompletedProcess(args, code, *results)
