/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams to and from commands that are open. A fork()ed copy of the program has
 * them, too, as it has their descriptors; the commands are not its children.
 */
#ifndef STREAMS_H
#define STREAMS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/**
 * struct stream - one of them, of malloc()
 * @next: in the list of all
 * @file: what the program has
 * @fd:   its descriptor
 * @ino:  tells whether @fd still is that pipe: a program may have closed it in
 *        another way; for who asks
 * @pid:  the command
 */
struct stream {
	struct stream *next;
	FILE *file;
	int fd;
	ino_t ino;
	pid_t pid;
};

/* Hold the list. False with errno ENOMEM. */
bool streams_lock(void);
void streams_unlock(void);

/* While it is held: the first, and one more. */
struct stream *streams_first(void);
void streams_add(struct stream *stream);

/* Take @file's stream out of the list. NULL at little cost if there is none. */
struct stream *streams_take(FILE *file);

/*
 * Close @stream, which is in no list any more, by @close, and wait for its command
 * by @wait. Its status or, where that is 0 but what was written could not be
 * flushed, -1 with errno, as glibc's. No cancellation point.
 */
int stream_end(struct stream *stream, int (*close)(FILE *file),
	       pid_t (*wait)(pid_t pid, int *status, int options));

#endif
