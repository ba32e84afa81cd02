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
	NULL,
};

/* What AVFORK_BACKEND names, or NULL. */
static const char *backend_forced(void)
{
	const char *name = secure_getenv("AVFORK_BACKEND");

	return name && *name ? name : NULL;
}

const struct backend *backend_get(void)
{
	static const struct backend *_Atomic chosen;
	const struct backend *const *at = backends;
	const struct backend *backend;
	const char *forced;
	int error = ENOSYS;

	backend = atomic_load_explicit(&chosen, memory_order_relaxed);
	if (backend)
		return backend;

	/* Threads that get here together choose the same. */
	forced = backend_forced();
	while ((backend = *at++)) {
		if (forced && strcmp(forced, backend->name) != 0)
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

const struct backend *backend_after(const struct backend *backend)
{
	const struct backend *const *at = backends;
	int error = errno;
	bool stays;

	/* What a backend that is not there fails with; most failures end here. */
	if (error != EPERM && error != EACCES && error != ENOSYS &&
	    error != ENOPROTOOPT)
		return NULL;
	stays = backend_forced() || backend->available();
	errno = error;
	if (stays)
		return NULL;
	while (*at++ != backend)
		;
	return *at;
}
