# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Sourced by the tests that are scripts.
n=0
failed=0

skip()		# REASON
{
	echo "1..0 # SKIP $1"
	exit 4
}

result()	# STATUS NAME
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		failed=1
	fi
}

# The folder that has FILE, in the places where the linker would find it.
find_library()	# FILE
{
	for dir in $(echo "$LD_LIBRARY_PATH" | tr : ' ') \
		   "$(pkg-config --variable=libdir libavfork 2>/dev/null)"; do
		[ ! -e "$dir/$1" ] || { echo "$dir"; return; }
	done
}
