/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backend: one way to make a child. Each has a file backend-NAME.c, and its
 * place in the list of backend.c.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct avfork_opts;

/**
 * struct child - a child to be, as every backend is asked for it
 * @opts:           what the caller chose; complete and of our own size, with a
 *                  stack
 * @entry:          its first function, which does not return
 * @arg:            passed to @entry
 * @thread_pointer: its thread pointer
 * @release:        to be zeroed when it has left the shared memory
 */
struct child {
	const struct avfork_opts *opts;
	void (*entry)(void *arg);
	void *arg;
	uintptr_t thread_pointer;
	uint32_t *release;
};

/**
 * struct backend - a way to make children
 * @name:      as avfork_backend() returns it and AVFORK_BACKEND names it
 * @available: whether it works here and now; if not, errno says why
 * @spawn:     make a child: its pid, or -1 with errno
 */
struct backend {
	const char *name;
	bool (*available)(void);
	pid_t (*spawn)(const struct child *child);
};

extern const struct backend backend_kernel;

/*
 * The backend of this process: the one that the environment variable
 * AVFORK_BACKEND names, or else the first available. NULL with errno ENOSYS
 * where there is none, or with what an available one lacks at the moment.
 */
const struct backend *backend_get(void);

#endif
