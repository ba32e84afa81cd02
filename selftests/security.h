/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of Documentation/security.rst share. Include it after the harness.
 */
#ifndef AVFORK_SELFTEST_SECURITY_H
#define AVFORK_SELFTEST_SECURITY_H

#include "device.h"

FIXTURE(security) {
	int device;
	struct child child;
};

FIXTURE_SETUP(security)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
}

FIXTURE_TEARDOWN(security)
{
	EXPECT_TRUE(no_child_left());
}

/* The same child by clone(2), with more of clone's flags. */
static inline int child_clone(struct child *child, int flags)
{
	const struct avfork_args *args = &child->args;
	void *top = (void *)(uintptr_t)(args->stack + args->stack_size);

	child->pid = clone(child->run, top, CLONE_VM | flags |
			   args->namespaces | args->exit_signal, child->arg);
	if (child->pid < 0)
		child->pid = -errno;
	return child->pid;
}

enum way { BY_DEVICE, BY_CLONE };

static inline int child_make(enum way way, int device, struct child *child)
{
	return way == BY_DEVICE ? child_spawn(device, child) :
				  child_clone(child, 0);
}

/* How @run ends, in a copy of this process that may lose its privileges. */
static inline int in_copy(int (*run)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(run(arg));
	waitpid(pid, &status, 0);
	return status;
}

#define NOT_ENTERED	255

#define NEEDS_ROOT() do {						\
	if (geteuid())							\
		SKIP(return, "needs root, to become somebody else");	\
} while (0)

#endif
