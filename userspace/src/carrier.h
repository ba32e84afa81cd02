/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a child runs on: a carrier of the pool or, for a call that waits for the
 * child to leave our memory (AVFORK_SYNC), the calling thread itself. That thread
 * does nothing meanwhile, as vfork(2)'s caller, so its child has the thread's own
 * thread pointer, and such a call needs no thread, no lock and no malloc().
 */
#ifndef CARRIER_H
#define CARRIER_H

#include "prelude.h"

/**
 * struct maker - how a child is made on a carrier
 * @put:  prelude_put() or prelude_put_grants()
 * @make: start the child, with what @put has put on its stack. Its pid, or -1
 */
struct maker {
	struct prelude *(*put)(struct carrier *carrier,
			       const struct child *child);
	pid_t (*make)(const struct child *child, struct carrier *carrier,
		      struct prelude *prelude);
};

/* The pid of @child, or -1 with errno. */
pid_t carrier_spawn(struct child *child, const struct maker *maker);

/* End @loan after a failure with errno, which is left alone. */
void carrier_put(const struct loan *loan);

/* Memory with a guard page below: a stack without a thread. 0, or -1 with ENOMEM. */
int carrier_map(struct carrier *carrier, size_t size);
void carrier_unmap(const struct carrier *carrier);

#endif
