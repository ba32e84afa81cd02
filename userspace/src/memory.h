/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose memory this is: a process may share that of another, or have a copy.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Whether this process is a guest in another's memory: a child of vfork(2) or of
 * avfork() that has not exec'd. What the library keeps there is the owner's.
 */
bool is_guest(void);

/*
 * Set while the thread pointer is lent to a child, so only a child finds it set, or a
 * forked copy of one. To look costs no system call, which makes up 1 % of a call.
 * initial-exec: no allocation at the first use in a thread.
 */
extern _Thread_local bool guest_lent __attribute__((tls_model("initial-exec")));

/* Whether this process is a child of ours. */
static inline bool is_child(void)
{
	return guest_lent && is_guest();
}

/*
 * The @size bytes at *@where, which are all zero at first, and again in every
 * fork()ed copy, however that is made. NULL with errno ENOMEM, or EINVAL from a
 * kernel before 4.14.
 */
void *wiped_get(void *_Atomic *where, size_t size);

#endif
