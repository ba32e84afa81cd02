/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A child by the test, and what becomes of it, for the programs that look at one
 * side of a child each. Include it after the harness.
 */
#ifndef AVFORK_SELFTEST_SPAWNING_H
#define AVFORK_SELFTEST_SPAWNING_H

#include <sys/socket.h>

#include "device.h"

FIXTURE(spawn) {
	int device;
	int descriptors;
	struct child child;
};

FIXTURE_SETUP(spawn)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(spawn)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
}

#define SPAWN(child) ASSERT_LT(0, child_spawn(self->device, child))

struct exchange {
	__u32 question;
	__u32 answer;
	char *mapped;
};

/* Descriptor 0 of a child that execs; control[0] is our end of it. */
static inline void control_open(struct __test_metadata *_metadata,
				int control[2], struct child *child,
				struct avfork_fd *grant)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	*grant = (struct avfork_fd){ control[1], 0, 0, 0 };
	child_grant(child, grant, 1);
}

static inline int child_pauses(void *arg)
{
	while (sys_pause() != 0)
		;
	return 0;
}

static inline int child_blocks_and_execs(void *arg)
{
	child_blocks(arg);
	return child_execs(NULL);
}

#endif
