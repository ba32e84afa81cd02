/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prepared children: what their tests share. Include it after the harness.
 */
#ifndef AVFORK_SELFTEST_PREPARED_H
#define AVFORK_SELFTEST_PREPARED_H

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "device.h"

FIXTURE(prepared) {
	int device;
	int descriptors;
	struct avfork_args none;
	struct child child;
};

FIXTURE_SETUP(prepared)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(prepared)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
}

#define PREPARE(args) ({						\
	int __prepared = child_prepare(self->device, args);			\
									\
	ASSERT_LE(0, __prepared);					\
	__prepared;							\
})

#define START(prepared, child) ASSERT_LT(0, prepared_start(prepared, child))

/* The only child of the calling thread, which has just one. */
static inline pid_t only_child(void)
{
	return read_number("/proc/thread-self/children");
}

/* Whether there is something to read within @milliseconds. */
static inline bool has_left(int prepared, int milliseconds)
{
	struct pollfd fd = { .fd = prepared, .events = POLLIN };

	return poll(&fd, 1, milliseconds) == 1 && fd.revents == POLLIN;
}

#define FOREVER (-1)

static inline void close_pipe(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* Start a child that execs. Return: when it has, the parent's end of @control. */
static inline int start_and_exec(int prepared, struct child *child)
{
	struct avfork_fd grant;
	int control[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
		return -1;
	grant = (struct avfork_fd) { .parent_fd = control[1] };
	child_grant(child, &grant, 1);
	prepared_start(prepared, child);
	close(control[1]);
	child_has_execed(control[0]);
	return control[0];
}

/* No event tells of a state. */
static inline void await_state(pid_t pid, char state)
{
	while (state_of(pid) != state)
		usleep(1000);
}

static inline void await_gone(pid_t pid)
{
	await_state(pid, 0);
}

/* What another process of ours returned: an exit status, or -1. */
static inline int status_of(pid_t pid)
{
	int status;

	if (sys(SYS_wait4, pid, &status, 0, NULL) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#endif
