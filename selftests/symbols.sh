#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# libavfork defines what its header declares, and nothing else: each name with
# a version in the shared library, and no other global one in the static.
. "$(dirname "$0")/tap.sh"

cd "$(dirname "$0")" || exit 1
command -v nm >/dev/null || skip "no nm (binutils)"
[ -s declared.txt ] || skip "no declared.txt, which is made at build time"

dir=$(find_library libavfork.so.0)
[ "$dir" ] || skip "no libavfork.so.0 in LD_LIBRARY_PATH or pkg-config's libdir"

echo "TAP version 13"
echo "1..4"
check()		# NAME EXPECTED FOUND
{
	[ "$2" ] && [ "$2" = "$3" ]
	status=$?
	result $status "$1"
	[ $status = 0 ] || {
		printf '# expected: %s\n' "$2" "# found: $3" | tr '\n' ' '
		echo
	}
}

declared=$(cat declared.txt)
exported=$(nm -D --defined-only --with-symbol-versions "$dir/libavfork.so.0" |
	   awk '$2 != "A" { print $3 }' | sort)
check "the shared library exports what the header declares" \
	"$declared" "$(echo "$exported" | sed 's/@.*//')"
check "each with the default version of the release that brought it" \
	"$declared" "$(echo "$exported" | sed -n 's/@@AVFORK_[0-9.]*$//p')"
check "its name is that of its ABI" "libavfork.so.0" \
	"$(readelf -d "$dir/libavfork.so.0" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
check "the static library defines what the header declares" "$declared" \
	"$(nm -g --defined-only "$dir/libavfork.a" | awk 'NF == 3 { print $3 }' | sort)"
exit $failed
