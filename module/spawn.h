/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_SPAWN_H
#define AVFORK_SPAWN_H

#include <linux/avfork.h>
#include <linux/sched.h>

#include "compat.h"

/* What struct avfork_args may hold. */
#define AVFORK_FLAGS		(AVFORK_SYNC | AVFORK_STDIO | \
				 AVFORK_INTO_CGROUP | AVFORK_INHERIT_FDS | \
				 AVFORK_INHERIT_SIGNALS | AVFORK_AUTOKILL | \
				 AVFORK_AUTOREAP | AVFORK_NNP | \
				 AVFORK_SHARE_FDS | AVFORK_ISOLATE)
#define AVFORK_NAMESPACES	((u64)CLONE_NS_ALL)

/* What AVFORK_ISOLATE is about: the kinds that this kernel was built with. */
#define AVFORK_KINDS		(AVFORK_NAMESPACES & ~(u64)AVFORK_KINDS_LEFT_OUT)
/* Those of them that a child can have to itself. */
#define AVFORK_ISOLATED		(AVFORK_KINDS & ~(u64)AVFORK_KINDS_SHARED)

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
