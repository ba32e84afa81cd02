# SPDX-License-Identifier: GPL-2.0
# subprocess, where it takes posix_spawn(): a program by its path, and
# close_fds=False.
import functools
import os
import signal
import subprocess
import tempfile
import threading

popen = functools.partial(subprocess.Popen, close_fds=False)
run = functools.partial(subprocess.run, close_fds=False)
PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
SH = '/bin/sh', '-c'


def show(name, value):
    print(name, value, flush=True)


def descriptors():
    return os.listdir('/proc/self/fd')


show('taken', subprocess._USE_POSIX_SPAWN)
show('status', run([*SH, 'exit 3']).returncode)
show('signal', run([*SH, 'kill -TERM $$']).returncode)
# From the first spawn on, the library may keep one of its own.
before = descriptors()
show('output', run([*SH, 'echo out; echo err >&2'], stdout=PIPE, stderr=PIPE))
show('both', run([*SH, 'echo out; echo err >&2'], stdout=PIPE, stderr=STDOUT))
show('input', run(['/usr/bin/tr', 'a-z', 'A-Z'], input=b'text' * 50000,
                  stdout=PIPE).stdout == b'TEXT' * 50000)
show('null', run(['/bin/cat'], stdin=DEVNULL, stdout=PIPE).stdout)
show('environment', run(['/usr/bin/env'], env={'ONE': '1'}, stdout=PIPE))

with tempfile.TemporaryFile() as file:
    run(['/bin/echo', 'to a file'], stdout=file)
    file.seek(0)
    show('file', file.read())
    file.seek(0)
    show('from it', run(['/bin/cat'], stdin=file, stdout=PIPE).stdout)

# What it inherits, and what it does not.
read, write = os.pipe()
os.set_inheritable(write, True)
show('inherited', run([*SH, f'echo inherited >&{write}']).returncode)
show('read', os.read(read, 100))
show('not inherited', run([*SH, f'[ -e /proc/self/fd/{read} ]']).returncode)

# Python ignores it, and restores it for its children.
show('SIGPIPE', run([*SH, 'kill -PIPE $$']).returncode)
show('kept', run([*SH, 'kill -PIPE $$'], restore_signals=False).returncode)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
show('ignored', run([*SH, 'kill -USR1 $$']).returncode)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
show('blocked', run([*SH, 'kill -USR2 $$; exit 7']).returncode)

for path in '/absent', '/etc/passwd', '/etc', '/etc/passwd/file':
    try:
        run([path])
    except OSError as error:
        show('error', error)

with popen(['/bin/cat'], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
    for i in range(3):
        process.stdin.write(b'%d' % i)
        show('echoed', process.stdout.read(1))
    process.terminate()
show('terminated', process.returncode)
try:
    run(['/bin/sleep', '1000'], timeout=0.1)
except subprocess.TimeoutExpired as error:
    show('timed out', error.cmd)


# By many threads at once, each of which gets its own.
def work(number, results):
    for i in range(5):
        text = f'{number} {i}'
        found = run(['/bin/echo', text], stdout=PIPE, check=True).stdout
        results.append(found == text.encode() + b'\n')


results = []
threads = [threading.Thread(target=work, args=(i, results)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
show('threads', (len(results), all(results)))

# Nobody is left, nothing is open.
try:
    os.wait()
except ChildProcessError as error:
    show('children', error)
os.close(read)
os.close(write)
show('descriptors', descriptors() == before)
