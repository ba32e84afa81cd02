#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Programs that spawn by posix_spawn() do the same work without and with
# libavfork-preload.so: the same output, the same status. The module's count of
# children shows that avfork made theirs.
#
# What they work on is in the folder programs.
. "$(dirname "$0")/tap.sh"

cd "$(dirname "$0")" || exit 1
here=$PWD
work=$here/programs
spawned=/sys/module/avfork/parameters/spawned
[ -r $spawned ] || skip "the module is not loaded"
libdir=$(find_library libavfork-preload.so)
[ "$libdir" ] ||
	skip "no libavfork-preload.so in LD_LIBRARY_PATH or pkg-config's libdir"

mode=
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# Where an ordinary user can read it, too.
chmod 755 "$dir"
cp "$libdir/libavfork-preload.so" "$dir"
preload=$dir/libavfork-preload.so

# Run the program, which a function calls by this, in an environment that has
# nothing which could make a difference but the library.
using()		# PROGRAM [ARGUMENT...]
{
	env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME="$dir" LANG=C.UTF-8 \
		AVFORK_BACKEND=kernel ${library:+LD_PRELOAD="$library"} \
		AVFORK_PRELOAD=$mode timeout 900 "$@"
}

# Have FUNCTION do its work in an empty folder, whose name is always the same.
# Sets $children to how many avfork made meanwhile.
play()		# FUNCTION NAME [LIBRARY]
{
	library=$3
	rm -rf "$dir/scratch"
	mkdir -p "$dir/scratch" "$dir/$2"
	before=$(cat $spawned)
	(
		cd "$dir/scratch" || exit
		$1
		echo "status $?"
	) </dev/null >"$dir/$2/stdout" 2>"$dir/$2/stderr"
	children=$(($(cat $spawned) - before))
}

# Compare what FUNCTION does without and with the library. It must succeed, and
# avfork make at least LEAST children of the program, none if that is 0.
compare()	# NAME LEAST FUNCTION
{
	rm -rf "$dir/without" "$dir/with"
	play "$3" without
	[ $children = 0 ]
	result $? "$1 by itself starts nothing by avfork"
	play "$3" with "$preload"
	diff -r "$dir/without" "$dir/with" >"$dir/diff" &&
		[ "$(tail -n 1 "$dir/with/stdout")" = "status 0" ]
	status=$?
	[ $status = 0 ] || sed 's/^/# /' "$dir/diff" "$dir/with"/*
	result $status "$1 does the same with libavfork-preload.so"
	if [ "$2" = 0 ]; then
		[ $children = 0 ]
		result $? "$1 starts nothing by avfork with it either"
	else
		echo "# $children children, at least $2 are due"
		[ $children -ge "$2" ]
		result $? "$1 starts its children by avfork with it"
	fi
}

# Compare if all of the files, which are of the Debian package, are there. Their
# names may be patterns.
compare_if()	# PACKAGE FILES NAME LEAST FUNCTION
{
	for file in $2; do
		[ -e "$file" ] && continue
		result 0 "$3 # SKIP no $file (Debian's $1)"
		return
	done
	shift 2
	compare "$@"
}

# The same once more with posix_spawn() returning before the exec.
compare_both()	# PACKAGE FILES NAME LEAST FUNCTION
{
	compare_if "$@"
	mode=async
	compare_if "$1" "$2" "$3, asynchronously," "$4" "$5"
	mode=
}

# As for a test that expects a failure.
fails_by()	# STATUS COMMAND [ARGUMENT...]
{
	expected=$1
	shift
	"$@"
	[ $? = "$expected" ]
}

# Its output sorted, since jobs that run at a time end in any order.
sorted()	# COMMAND [ARGUMENT...]
{
	"$@" >"$dir/out" 2>"$dir/err"
	status=$?
	sort "$dir/err" >&2
	sort "$dir/out"
	return $status
}

echo "TAP version 13"

# One child a line of a recipe, and two to begin and to end with.
make_build()
{
	sorted using make -j4 -f "$work/build.mk"
}
compare_both build-essential "/usr/bin/make /usr/bin/cc" "make -j4" 82 make_build

make_failures()
{
	fails_by 2 using make -k -f "$work/build.mk" "failures${mode:+-$mode}"
}
compare_both make /usr/bin/make "make -k, with recipes that fail" 3 make_failures

ninja_build()
{
	copies=
	for i in $(seq 40); do
		echo "build copy$i: copy $work/build.ninja"
		copies="$copies copy$i"
	done >edges.ninja
	echo "build listed: list$copies" >>edges.ninja
	# Without the numbers, which are in the order of the ends.
	fails_by 1 sorted using env NINJA_STATUS= ninja -j4 -k0 \
		-f "$work/build.ninja"
}
compare_both ninja-build /usr/bin/ninja "ninja -j4" 44 ninja_build

# Of CPython's own tests. 17 cases spawn, by both calls.
python_test_posix()
{
	using /usr/bin/python3 -m unittest -v test.test_posix.TestPosixSpawn \
		test.test_posix.TestPosixSpawnP >"$dir/log" 2>&1
	status=$?
	sed 's/^\(Ran .*\) in .*/\1/' "$dir/log"
	return $status
}
compare_if "libpython3.*-testsuite" \
	"/usr/bin/python3 /usr/lib/python3.*/test/test_posix.py" \
	"CPython's test_posix" 34 python_test_posix

python_subprocess()
{
	using /usr/bin/python3 "$work/spawn.py"
}
compare_both python3 /usr/bin/python3 "CPython's subprocess" 60 python_subprocess

# From a library that is loaded late, which finds the preloaded one first.
python_ctypes()
{
	using /usr/bin/python3 -c "import ctypes
ctypes.CDLL('$here/spawn.so').main()"
}
compare_if python3 /usr/bin/python3 "A library loaded by dlopen()" 10 \
	python_ctypes

ocaml_create_process()
{
	# The folder is that of OCaml 5; an earlier one does not miss it.
	using ocaml -I +unix unix.cma "$work/spawn.ml"
}
compare_if ocaml-interp /usr/bin/ocaml "OCaml's create_process" 25 \
	ocaml_create_process

fd_exec()
{
	mkdir files
	(cd files && touch $(seq 30))
	sorted using fdfind . files -x echo 'found {}'
}
compare_if fd-find /usr/bin/fdfind "Rust's std::process::Command" 30 fd_exec

# Without the JIT compiler that takes long itself.
java_spawn()
{
	using java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xms512m \
		-XX:+AlwaysPreTouch -cp "$here" Spawn
}
compare_both default-jre-headless "/usr/bin/java $here/Spawn.class" \
	"Java's ProcessBuilder" 30 java_spawn

# What the dynamic linker never sees, or may not give libraries of the caller's.
static_pie()
{
	using "$here/spawn-static-pie"
}
compare "A static-pie program" 0 static_pie

as_nobody()	# MODE
{
	cp "$here/spawn-dynamic" . && chmod "$1" spawn-dynamic || return
	using setpriv --reuid 65534 --regid 65534 --clear-groups \
		./spawn-dynamic
}
if [ "$(id -u)" = 0 ]; then
	compare "A program of an ordinary user's" 10 "as_nobody 755"
	compare "A setuid program" 0 "as_nobody 4755"
else
	result 0 "A setuid program # SKIP only root makes one"
fi
echo "1..$n"
exit $failed
