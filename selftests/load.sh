#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# insmod where something that the module needs is missing: it is refused, one
# line in the log names that, and nothing stays behind. Leaves the module loaded.
#
# The kernel is as it is: the module is changed to look for another name. Its
# file is $AVFORK_KO, or what modinfo finds.
PATH=$PATH:/usr/sbin:/sbin

. "$(dirname "$0")/tap.sh"

ko=${AVFORK_KO:-$(modinfo -n avfork 2>/dev/null)}
[ "$(id -u)" = 0 ] || skip "only root loads modules"
[ -r "$ko" ] || skip "the module's file is not known (set AVFORK_KO)"
case $ko in
*.ko) ;;
*) skip "$ko is compressed" ;;
esac
command -v perl >/dev/null || skip "no perl"

loaded()
{
	[ -e /sys/module/avfork ]
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"; loaded || insmod "$ko"' EXIT
# Once before, so that the kernel has said what it says of such a module.
loaded || insmod "$ko" || skip "$ko cannot be loaded"
rmmod avfork || skip "the module is in use"

# Make $dir/avfork.ko, which has NEW, as long, where the module has one OLD.
rename_in_module()	# OLD NEW
{
	OLD=$1 NEW=$2 perl -0777 -pe '
		s/\0\Q$ENV{OLD}\E\0/\0$ENV{NEW}\0/ == 1
			or die "no $ENV{OLD}\n"' \
		"$ko" >"$dir/avfork.ko"
}

# Those lines of the log that the module wrote since LINE was written there.
log_since()	# LINE
{
	dmesg | sed -n "/$1/,\$s/.*\(avfork: .*\)/\1/p"
}

echo "TAP version 13"
echo "1..13"

# $dir/avfork.ko is refused with LINE in the log, and leaves nothing.
refused()	# WHAT LINE
{
	echo "load.sh: $1" >/dev/kmsg
	! insmod "$dir/avfork.ko" 2>"$dir/err" || { rmmod avfork; return 1; }
	log_since "load.sh: $1" >"$dir/log"
	sed 's/^/# /' "$dir/err" "$dir/log"
	[ "$(cat "$dir/log")" = "avfork: $2" ] &&
		! loaded && [ ! -e /dev/avfork ]
}

without()	# OLD NEW LINE
{
	rename_in_module "$1" "$2" && refused "no $2" "this kernel has no $3" &&
		grep -qi "unknown symbol" "$dir/err"
}

for function in kernel_clone dup_fd put_files_struct get_signal kernel_wait4 \
	pidfd_prepare oom_badness; do
	missing=${function%?}0
	without $function $missing "usable $missing() (error -2)"
	result $? "without $function() the module is refused, and says why"
done
for tracepoint in sched_process_fork sched_process_exec sched_process_exit; do
	missing=${tracepoint%?}0
	without $tracepoint $missing "tracepoint $missing"
	result $? "without $tracepoint the module is refused, and says why"
done

# What the module says of the kernel that it was built for is another's.
built=$(uname -v | tr 0-9 1-90)
of_another_build()
{
	rename_in_module "$(uname -v)" "$built" && refused "another build" \
		"built for the kernel \"$built\", but this is \"$(uname -v)\": build it anew"
}
of_another_build
result $? "built for another kernel the module is refused, and names both"

overridden()
{
	insmod "$dir/avfork.ko" allow_other_kernel=1 && loaded && rmmod avfork
}
overridden
result $? "a parameter overrides that"

control()
{
	rename_in_module kernel_clone kernel_clone && insmod "$dir/avfork.ko" &&
		[ -c /dev/avfork ]
}
control
result $? "with all of them it is loaded"
exit $failed
