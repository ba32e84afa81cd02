/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which namespaces a child of clone(2) gets.
 */
#ifndef NAMESPACES_H
#define NAMESPACES_H

#include <avfork.h>
#include <linux/sched.h>

/* The kinds that the library knows by name. */
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
		    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		    CLONE_NEWNET | CLONE_NEWTIME)

/*
 * Give @opts, which have AVFORK_ISOLATE, the kinds that are made anew in place of
 * those that are shared. 0, or -1 with errno: EINVAL for a kind that no kernel has,
 * EOPNOTSUPP for one that cannot be had, or where /proc does not tell the kinds: there
 * is none, or this process is not dumpable.
 */
int namespaces_isolate(struct avfork_opts *opts);

#endif
