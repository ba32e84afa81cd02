#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A program that spawns does the same under strace, gdb and perf, each of which
# also sees its children; and where a debugger spoils it, or is killed, nothing
# is left of it.
. "$(dirname "$0")/tap.sh"

here=$(cd "$(dirname "$0")" && pwd)
debuggee=$here/debuggee
[ -x "$debuggee" ] || skip "$debuggee has not been built"
[ -r /sys/module/avfork ] || skip "the module is not loaded"

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit
mkfifo input

# For a tool that is not there.
without()	# PROGRAM PACKAGE NAME...
{
	command -v "$1" >/dev/null && return 1
	program=$1 package=$2
	shift 2
	for name; do
		result 0 "$name # SKIP no $program (Debian's $package)"
	done
}

# Processes of ours that have not died, whoever their parent is.
alive()
{
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe")" != "$debuggee" ] || return 0
	done
	return 1
}

# They may be on their way out.
ends()
{
	for _ in $(seq 600); do
		alive || return 0
		sleep 0.1
	done
	return 1
}

# Of what gdb and the program have said only the program's is looked at.
same()	# STATUS EXPECTED
{
	[ "$1" = 0 ] && ends && grep -Fx -f "$2" stdout | cmp -s - "$2"
}

# Count the lines of FILE with PATTERN: at least LEAST.
has()	# LEAST PATTERN FILE
{
	found=$(grep -c -e "$2" "$3")
	echo "# $found times $2"
	[ "$found" -ge "$1" ]
}

echo "TAP version 13"
timeout 100 "$debuggee" >expected && timeout 100 "$debuggee" plain >plain
result $? "the program works by itself"

trace_all()
{
	timeout 300 strace -f -o trace "$debuggee" >stdout
	# A call may take two lines, when others come between.
	same $? expected && has 15 'ioctl([0-9]*, _IOC(' trace &&
		has 6 'execve(".*echo"' trace &&
		has 3 'exited with 2 ' trace && has 3 'exited with 5 ' trace
}

# strace comes to a program that is spawning, and leaves it.
trace_attached()
{
	"$debuggee" forever <input >stdout &
	pid=$!
	exec 8>input
	# One that is killed lets go of what it traces, too.
	for signal in INT INT INT KILL; do
		: >trace
		strace -qq -f -o trace -p $pid &
		tracer=$!
		until grep -q 'execve(".*echo"' trace; do
			kill -0 $pid || break
			sleep 0.1
		done
		kill -$signal $tracer
		wait $tracer 2>/dev/null
	done
	exec 8>&-
	wait $pid && ends
}
without strace strace "strace -f" "strace -f -p" || {
	trace_all
	result $? "strace -f sees the children, and the program does the same"
	trace_attached
	result $? "strace -f comes and goes while children start"
}

gdb_runs()	# SECONDS GDB'S ARGUMENTS...
{
	seconds=$1
	shift
	timeout -s KILL "$seconds" gdb -nx -batch \
		-iex 'set debuginfod enabled off' -ex 'set confirm off' "$@" \
		"$debuggee" </dev/null >stdout 2>stderr
}

# A spawn takes the breakpoint out of the memory that gdb thinks is the child's.
# Stopped at each of them, gdb puts it back.
gdb_parent()
{
	cat >script <<-EOF
		catch fork
		commands
			silent
			continue
		end
		break in_parent
		commands
			silent
			echo in_parent\n
			continue
		end
		run plain
	EOF
	gdb_runs 300 -x script
	same $? plain && has 3 'in_parent$' stdout &&
		has 1 'exited normally' stdout
}

gdb_child()
{
	gdb_runs 300 -ex 'set follow-fork-mode child' -ex 'break in_child' \
		-ex 'run plain' -ex bt -ex continue
	[ $? = 0 ] && ends && has 1 'hit Breakpoint 1, in_child' stdout &&
		has 1 'exited with code 01' stdout
}

# It is of no use: see Documentation/avfork.rst. All that counts is the end.
gdb_both()
{
	gdb_runs 30 -ex 'set detach-on-fork off' \
		-ex 'set schedule-multiple on' -ex 'break in_child' \
		-ex 'run plain' -ex bt -ex continue -ex kill
	ends
}

# Nor is this.
gdb_hidden()
{
	gdb_runs 30 -ex run
	ends
}
without gdb gdb "gdb that follows the parent" "gdb that follows the child" \
	"gdb that holds both" "gdb with hidden children" || {
	gdb_parent
	result $? "gdb stops the parent, and the program does the same"
	gdb_child
	result $? "gdb stops the child"
	gdb_both
	result $? "gdb holds parent and child, and nothing is left of them"
	gdb_hidden
	result $? "gdb takes hidden children for threads, and nothing is left"
}

# A timer, as an emulated CPU has no counters.
perf_program()
{
	timeout 300 perf record -q -e cpu-clock -F 997 -o data "$debuggee" \
		>stdout 2>stderr
	same $? expected || return
	perf script -i data --show-task-events >events 2>/dev/null
	has 15 'PERF_RECORD_FORK' events &&
		has 6 'PERF_RECORD_COMM exec: echo' events
}

# What the whole machine does, as it is done; and with a killed perf.
perf_machine()
{
	"$debuggee" forever <input >stdout &
	pid=$!
	exec 8>input
	status=0
	timeout 300 perf record -q -a -e cpu-clock -g -F 199 -o data \
		"$debuggee" >/dev/null 2>stderr || status=1
	perf record -q -e cpu-clock -o data2 -p $pid >/dev/null 2>&1 &
	tracer=$!
	until [ -s data2 ]; do
		sleep 0.1
	done
	kill -KILL $tracer
	wait $tracer 2>/dev/null
	exec 8>&-
	wait $pid && ends && [ $status = 0 ] &&
		perf script -i data -F comm 2>/dev/null | grep -q debuggee
}
perf_works()
{
	perf record -q -e cpu-clock -o data true >/dev/null 2>&1
}
without perf linux-perf "perf record" "perf record -a" || {
	if perf_works; then
		perf_program
		result $? "perf records parent and children"
		perf_machine
		result $? "perf records everything, and comes and goes"
	else
		result 0 "perf record # SKIP it does not work on this kernel"
	fi
}
echo "1..$n"
exit $failed
