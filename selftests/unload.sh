#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# rmmod while the module is used: it is refused, and nobody's child is
# harmed. Leaves the module loaded.
#
# The module's file is $AVFORK_KO, or what modinfo finds.
PATH=$PATH:/usr/sbin:/sbin
unloads=${AVFORK_UNLOADS:-10}	# that must succeed while children start
attempts=$((unloads * 500))	# after which they count as impossible

. "$(dirname "$0")/tap.sh"

starter=$(dirname "$0")/starter
ko=${AVFORK_KO:-$(modinfo -n avfork 2>/dev/null)}
[ "$(id -u)" = 0 ] || skip "only root unloads modules"
[ -r "$ko" ] || skip "the module's file is not known (set AVFORK_KO)"
[ -x "$starter" ] || skip "$starter has not been built"

loaded()
{
	[ -e /sys/module/avfork ]
}

load()
{
	loaded || insmod "$ko"
}

unload()
{
	rmmod avfork 2>/dev/null
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"; load' EXIT
mkfifo "$dir/stdin" "$dir/stdout"

# Start the starter; descriptor 8 is its input, 9 its output.
start()
{
	"$starter" "$@" <"$dir/stdin" >"$dir/stdout" &
	starter_pid=$!
	exec 8>"$dir/stdin" 9<"$dir/stdout"
}

# Its exit status.
finish()
{
	exec 8>&-
	wait "$starter_pid"
}

echo "TAP version 13"
echo "1..8"
load || { echo "Bail out! cannot load $ko"; exit 1; }

refused_while_open()
{
	exec 7</dev/avfork || return
	unload
	refused=$?
	exec 7<&-
	[ $refused != 0 ] && loaded && "$starter" once
}
refused_while_open
result $? "rmmod is refused while the device is open"

refused_while()	# WHAT
{
	start "$1"
	read -r line <&9
	unload
	refused=$?
	finish && [ "$line" = "$1" ] && [ $refused != 0 ] && loaded
}
refused_while kept
result $? "rmmod is refused while a child lives that keeps its exit signal"

refused_while prepared
result $? "rmmod is refused while a prepared child waits"

unload && ! loaded
result $? "rmmod works afterwards, at once"

# insmod would take them for parameters that can be set.
counters_refused()
{
	for counter in spawned failed; do
		insmod "$ko" $counter=1 2>/dev/null && return 1
		! loaded || return
	done
	load && "$starter" once
}
counters_refused
result $? "counters cannot be set by insmod, which works without them"

# What keeps a child from the OOM killer is not the module's. Without cgroups for
# memory there is nothing to see.
out_of_memory()
{
	cgroup=/sys/fs/cgroup/avfork-unload
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control &&
		mkdir $cgroup && echo 4M >$cgroup/memory.max || return 0
	[ ! -e $cgroup/memory.swap.max ] || echo 0 >$cgroup/memory.swap.max
	load
	start asleep $cgroup
	read -r line <&9
	unload && ! loaded && [ "$(wc -l <$cgroup/cgroup.procs)" = 1 ]
	unloaded=$?
	(echo 0 >$cgroup/cgroup.procs && exec "$starter" hog)
	[ $? = 137 ] && [ $unloaded = 0 ]
	hogged=$?
	finish && [ $hogged = 0 ]
	lived=$?
	until rmdir $cgroup; do :; done
	[ $lived = 0 ] && [ "$line" = asleep ]
}
out_of_memory
result $? "rmmod leaves a child as safe from the OOM killer as it was"

# After the first cgroup for memory has been made: then the kernel changes its own
# code, which emulated CPUs that load and unload modules do not always survive.
storm()
{
	load && start storm || return
	done=0 tried=0
	while [ "$done" -lt "$unloads" ] && [ $tried -lt $attempts ]; do
		tried=$((tried + 1))
		if unload; then
			done=$((done + 1))
			load || break
		else
			loaded || break
		fi
	done
	finish || return
	read -r started killed <&9
	echo "# $tried times tried, $done times unloaded, $started children," \
		"$killed times out of memory"
	[ "$done" -eq "$unloads" ] && [ "$started" -gt "$unloads" ] &&
		{ [ "$killed" -gt 0 ] || ! [ -e /sys/fs/cgroup/memory.stat ]; }
}
storm
result $? "rmmod neither harms children that are starting nor is harmed"

load && "$starter" once
result $? "the module is loaded and works"

exit $failed
