/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop of events that run.c needs: loop-epoll.c or loop-uring.c.
 */
#include <sys/types.h>

struct job;

/**
 * struct watch - a descriptor that is watched
 * @fd:       a pipe, which is read, or a pidfd
 * @is_pidfd: which of them
 * @size:     how many @bytes were read; 0 at the end of the pipe or the process
 */
struct watch {
	struct job *job;
	int fd;
	int is_pidfd;
	ssize_t size;
	char bytes[4096];
};

void loop_open(void);
void loop_add(struct watch *watch);

/* Close the descriptor, too. */
void loop_remove(struct watch *watch);

/* Wait for something to happen. Return: the watch that it happened to. */
struct watch *loop_next(void);
