/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_SPAWN_H
#define AVFORK_SPAWN_H

#include <linux/avfork.h>
#include <linux/sched.h>

/* What struct avfork_args may hold. */
#define AVFORK_FLAGS		(AVFORK_SYNC | AVFORK_STDIO | \
				 AVFORK_INTO_CGROUP | AVFORK_INHERIT_FDS | \
				 AVFORK_INHERIT_SIGNALS | AVFORK_AUTOKILL | \
				 AVFORK_AUTOREAP | AVFORK_NNP | \
				 AVFORK_SHARE_FDS)
#define AVFORK_NAMESPACES	(CLONE_NEWNS | CLONE_NEWCGROUP | \
				 CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
				 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

struct avfork_nursery;
struct avfork_prepared;

int avfork_args_read(struct avfork_args *args, const void __user *from,
		     size_t size);
int avfork_args_check_start(const struct avfork_args *args);
long avfork_spawn(struct avfork_nursery *nursery,
		  const struct avfork_args *args,
		  struct avfork_prepared *prepared);
/* Calls that made a child, and calls that did not. */
enum avfork_count { AVFORK_SPAWNED, AVFORK_FAILED, AVFORK_NR_COUNTS };

unsigned long avfork_count(enum avfork_count count);

#endif
