// SPDX-License-Identifier: LGPL-2.1-or-later
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

static struct io_uring ring;
static struct watch *again;	/* what loop_next() has returned */

void loop_open(void)
{
	int error = io_uring_queue_init(64, &ring, 0);

	if (error)
		errx(1, "io_uring_queue_init: %s", strerror(-error));
}

/* The ends of the pipes block, but not us: io_uring reads when there is something. */
void loop_add(struct watch *watch)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring);
	if (watch->is_pidfd)
		io_uring_prep_poll_add(sqe, watch->fd, POLLIN);
	else
		io_uring_prep_read(sqe, watch->fd, watch->bytes,
				   sizeof(watch->bytes), -1);
	io_uring_sqe_set_data(sqe, watch);
}

void loop_remove(struct watch *watch)
{
	if (again == watch)
		again = NULL;
	close(watch->fd);
}

struct watch *loop_next(void)
{
	struct io_uring_cqe *cqe;
	int error;

	if (again)
		loop_add(again);
	io_uring_submit(&ring);
	do
		error = io_uring_wait_cqe(&ring, &cqe);
	while (error == -EINTR);
	if (error)
		errx(1, "io_uring_wait_cqe: %s", strerror(-error));
	if (cqe->res < 0)
		errx(1, "io_uring: %s", strerror(-cqe->res));
	again = io_uring_cqe_get_data(cqe);
	again->size = again->is_pidfd ? 0 : cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return again;
}
