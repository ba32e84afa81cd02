# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Sourced by the tests of libavfork as its users have it: installed, and found
# by pkg-config alone. It is installed below $root, in a folder $dir of theirs.
#
# The source is taken from $AVFORK_SOURCE, or around this folder.
. "$(dirname "$0")/tap.sh"

cd "$(dirname "$0")" || exit 1
source=$(realpath "${AVFORK_SOURCE:-..}")
[ -e "$source/userspace/libavfork.pc.in" ] ||
	skip "the source of libavfork is not here (set AVFORK_SOURCE)"
for tool in make cc c++ pkg-config; do
	command -v $tool >/dev/null || skip "no $tool"
done

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
root=$dir/root
# This may itself be run by a make, whose variables are not for ours.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR

# As result(), for COMMAND, whose output is shown if it fails.
try()		# NAME COMMAND [ARGUMENT...]
{
	title=$1
	shift
	"$@" >"$dir/log" 2>&1
	status=$?
	[ $status = 0 ] || sed 's/^/# /' "$dir/log"
	result $status "$title"
}

make_in_source()	# TARGET [VARIABLE...]
{
	make -s -C "$source" DESTDIR="$root" "$@"
}

# All else is about what this leaves.
must_install()	# NAME COMMAND
{
	try "$@"
	[ $failed = 0 ] || { echo "Bail out! nothing is installed"; exit 1; }
}

# For what make_in_source() has installed.
use_pkg_config()	# LIBDIR
{
	export PKG_CONFIG_SYSROOT_DIR="$root"
	export PKG_CONFIG_LIBDIR="$root$1/pkgconfig"
	export LD_LIBRARY_PATH="$root$1"
	unset PKG_CONFIG_PATH
}

# Whether programs can be run, not only built: the module is here, say.
has_backend()
{
	printf '#include <avfork.h>\nint main(void) { return !avfork_backend(); }' |
		cc -x c -o "$dir/probe" - $(pkg-config --cflags --libs libavfork) &&
		"$dir/probe"
}
