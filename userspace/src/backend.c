// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Choosing the backend, once a process.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

/* The best comes first. */
static const struct backend *const backends[] = {
	&backend_kernel,
	&backend_clone,
	&backend_taskq,
};

const struct backend *backend_get(void)
{
	static const struct backend *_Atomic chosen;
	const struct backend *backend;
	const char *forced;
	int error = ENOSYS;
	size_t i;

	backend = atomic_load_explicit(&chosen, memory_order_relaxed);
	if (backend)
		return backend;

	/* Threads that get here together choose the same. */
	forced = secure_getenv("AVFORK_BACKEND");
	for (i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
		backend = backends[i];
		if (forced && *forced && strcmp(forced, backend->name) != 0)
			continue;
		if (!backend->available()) {
			error = errno;
			continue;
		}
		/* A better one may come yet. */
		if (!backend_is_short(error))
			atomic_store_explicit(&chosen, backend,
					      memory_order_relaxed);
		return backend;
	}
	errno = error;
	return NULL;
}
