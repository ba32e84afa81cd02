#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# libavfork from other languages: child.hpp (C++17), command.rs and avfork.py of
# userspace/example. For each there is a program in the folder bindings, which prints
# "ok NAME" or "not ok NAME" for each of its tests.
. "$(dirname "$0")/stage.sh"

echo "TAP version 13"
must_install "make install" make_in_source install
use_pkg_config /usr/local/lib
example=$source/userspace/example
has_backend && backend=1 || backend=

# In vain is a compiler that is there, but has nothing to compile with.
has()		# LANGUAGE TOOL
{
	"$2" --version >/dev/null 2>&1 && return
	result 0 "$1 # SKIP no $2"
	return 1
}

run()		# LANGUAGE PROGRAM [ARGUMENT...]
{
	language=$1
	shift
	if ! [ "$backend" ]; then
		result 0 "$language # SKIP no backend of libavfork works here"
		return
	fi
	"$@" >"$dir/out" 2>"$dir/err"
	status=$?
	while read -r line; do
		case $line in
		"ok "*)		result 0 "$language: ${line#ok }" ;;
		"not ok "*)	result 1 "$language: ${line#not ok }" ;;
		*)		echo "$line" ;;
		esac
	done <"$dir/out"
	sed 's/^/# /' "$dir/err"
	result $status "$language: to the end"
}

for cxx in g++ clang++; do
	has "C++ by $cxx" $cxx || continue
	try "C++ by $cxx: without a warning" \
		$cxx -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$example" \
		-o "$dir/child" bindings/child.cc \
		$(pkg-config --cflags --libs libavfork)
	[ $status != 0 ] || run "C++ by $cxx" "$dir/child"
done

# The binding is a crate of its own.
compile_rust()
{
	set -- --edition 2021 -D warnings --out-dir "$dir" -L "$dir"
	rustc "$@" --crate-type lib "$example/command.rs" &&
		rustc "$@" --crate-name trial bindings/command.rs \
			--extern command $(pkg-config --libs libavfork)
}
if has Rust rustc; then
	try "Rust: without a warning" compile_rust
	[ $status != 0 ] || run Rust "$dir/trial"
fi

export PYTHONPATH="$example" PYTHONDONTWRITEBYTECODE=1
if has Python python3; then
	run Python python3 bindings/run.py
fi
echo "1..$n"
exit $failed
