// SPDX-License-Identifier: LGPL-2.1-or-later
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop.h"

static int epoll;

void loop_open(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		err(1, "epoll_create1");
}

/* The ends of the pipes block, until told otherwise. */
void loop_add(struct watch *watch)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = watch };

	if (!watch->is_pidfd && fcntl(watch->fd, F_SETFL, O_NONBLOCK))
		err(1, "O_NONBLOCK");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, watch->fd, &event))
		err(1, "epoll_ctl");
}

/*
 * To close is not enough: without the module, a child that is just being made has a
 * copy of all our descriptors for a moment, and what has a copy stays in the epoll.
 */
void loop_remove(struct watch *watch)
{
	epoll_ctl(epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	close(watch->fd);
}

struct watch *loop_next(void)
{
	struct epoll_event event;
	struct watch *watch;

	do {
		while (epoll_wait(epoll, &event, 1, -1) < 0)
			if (errno != EINTR)
				err(1, "epoll_wait");
		watch = event.data.ptr;
		watch->size = watch->is_pidfd ? 0 :
			      read(watch->fd, watch->bytes, sizeof(watch->bytes));
	} while (watch->size < 0 && errno == EAGAIN);
	if (watch->size < 0)
		err(1, "read");
	return watch;
}
