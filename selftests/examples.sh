#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The examples that serve children from a loop of events, by epoll and by
# io_uring, built as their reader would.
. "$(dirname "$0")/stage.sh"

echo "TAP version 13"
must_install "make install" make_in_source install
use_pkg_config /usr/local/lib
# And liburing, where that is.
PKG_CONFIG_LIBDIR=$PKG_CONFIG_LIBDIR:$(pkg-config --variable=pc_path pkg-config)
cp -r "$source/userspace/example" "$dir/example"
has_backend && backend=1 || backend=

# The $program exits with STATUS and prints the lines of standard input, in whatever
# order.
run()		# STATUS ARGUMENT...
{
	expected=$1
	shift
	sort >"$dir/expected"
	timeout 60 "$program" "$@" </dev/null >"$dir/out" 2>&1
	status=$?
	[ $status = $expected ] || { echo "status $status"; return 1; }
	sort "$dir/out" | diff "$dir/expected" -
}

ends()
{
	run 1 2 'lines seq 3' 'silent true' 'none /nowhere/program' \
		'refused /etc/passwd' 'failed grep nothing /dev/null' \
		"killed sh $dir/kill" <<-END
	lines: 1
	lines: 2
	lines: 3
	lines: status 0
	silent: status 0
	none: not executed: No such file or directory
	refused: not executed: Permission denied
	failed: status 1
	killed: half a line
	killed: Killed
	END
}
printf 'printf "half a line"\nkill -KILL $$\n' >"$dir/kill"

# Far more than a pipe holds, of two at once.
outputs()
{
	{ seq 20000 | sed 's/^/a: /'; seq 20000 | sed 's/^/b: /'
	  printf '%s: status 0\n' a b; } >"$dir/lines"
	run 0 2 'a seq 20000' 'b seq 20000' <"$dir/lines"
}

# One opens the fifo for reading, the other for writing: neither gets on alone.
mkfifo "$dir/fifo"
reader="reader cat $dir/fifo"
writer="writer cp $dir/kill $dir/fifo"
pair()
{
	run 0 2 "$reader" "$writer" <<-'END'
	reader: kill -KILL $$
	reader: printf "half a line"
	reader: status 0
	writer: status 0
	END
}
alone()
{
	timeout 1 "$program" 1 "$reader" "$writer"
	[ $? = 124 ]
}

# Beside those of the library, which the program does not see.
nothing_else()
{
	! nm -D --undefined-only "$program" |
		grep -e pthread_create -e sigaction -e ' signal@' -e signalfd
}

try "the examples build by pkg-config alone" make -s -C "$dir/example"
for loop in epoll uring; do
	program=$dir/example/run-$loop
	if [ ! -e "$program" ]; then
		result 0 "$loop # SKIP no liburing"
	elif [ ! "$backend" ]; then
		result 0 "$loop # SKIP no backend of libavfork works here"
	elif ! "$program" 1 2>"$dir/log"; then
		result 0 "$loop # SKIP $(cat "$dir/log")"
	else
		try "$loop: the output of each, and how it ended" ends
		try "$loop: more output than pipes hold" outputs
		try "$loop: two at a time" pair
		try "$loop: but not where one is asked for" alone
		try "$loop: no thread and no handler of a signal" nothing_else
	fi
done

# One directory of the build's own, nothing else, and the status of the build.
program=$dir/example/contained
contained()
{
	mkdir "$dir/build" &&
	echo 'all: ; echo built >result; ! touch /usr/mine; ! cat /etc/passwd' \
		>"$dir/build/Makefile" &&
	"$program" "$dir/build" make -s 2>/dev/null &&
	[ "$(cat "$dir/build/result")" = built ] && [ ! -e /usr/mine ]
	[ $? = 0 ] || return
	"$program" "$dir/build" sh -c 'exit 7'
	[ $? = 7 ]
}
if [ "$backend" ]; then
	try "contained: a build that can write one directory" contained
else
	result 0 "contained # SKIP no backend of libavfork works here"
fi
echo "1..$n"
exit $failed
