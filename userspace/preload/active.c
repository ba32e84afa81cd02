// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdatomic.h>
#include <stdlib.h>

#include "../src/backend.h"
#include "../src/memory.h"
#include "active.h"

enum answer { UNKNOWN, NEVER, ALWAYS, ASK };

/* Found out once. That there is no module holds for the life of the process. */
static _Atomic enum answer answer;

static enum answer ask_environment(void)
{
	const char *name = secure_getenv("AVFORK_BACKEND");

	return name && *name ? ALWAYS : ASK;
}

bool is_active(void)
{
	enum answer now = atomic_load_explicit(&answer, memory_order_relaxed);

	if (now == NEVER || is_guest())
		return false;
	if (now == UNKNOWN) {
		now = ask_environment();
		atomic_store_explicit(&answer, now, memory_order_relaxed);
	}
	/* One system call: a filter may be put on any thread at any time. */
	if (now == ALWAYS || backend_kernel.available())
		return true;
	if (!backend_is_short(errno))
		atomic_store_explicit(&answer, NEVER, memory_order_relaxed);
	return false;
}
