// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The list is whole at every moment, as each change to it is one store: a fork()
 * copies it without having to hold its lock, which is free in the copy.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "streams.h"
#include "wiped.h"

static struct stream *_Atomic first;

static pthread_mutex_t *list_lock(void)
{
	static void *_Atomic where;

	/* All zero is a mutex that nobody has. */
	return wiped_get(&where, sizeof(pthread_mutex_t));
}

bool streams_lock(void)
{
	pthread_mutex_t *lock = list_lock();

	return lock && !pthread_mutex_lock(lock);
}

void streams_unlock(void)
{
	pthread_mutex_unlock(list_lock());
}

struct stream *streams_first(void)
{
	return atomic_load_explicit(&first, memory_order_relaxed);
}

void streams_add(struct stream *stream)
{
	stream->next = streams_first();
	atomic_store_explicit(&first, stream, memory_order_release);
}

struct stream *streams_take(FILE *file)
{
	struct stream *stream, *before = NULL;

	/* Whoever has a stream has seen it come into the list. */
	if (!streams_first() || !streams_lock())
		return NULL;
	for (stream = streams_first(); stream; stream = stream->next) {
		if (stream->file == file)
			break;
		before = stream;
	}
	if (stream && before)
		before->next = stream->next;
	else if (stream)
		atomic_store_explicit(&first, stream->next,
				      memory_order_relaxed);
	streams_unlock();
	return stream;
}

int stream_end(struct stream *stream, int (*close)(FILE *file),
	       pid_t (*wait)(pid_t pid, int *status, int options))
{
	int cancel, status = -1, saved = errno, error = 0;

	/* As it is of no use to anybody any more, it is closed in any case. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (close(stream->file))
		error = errno;
	while (wait(stream->pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		saved = errno;
		break;
	}
	if (!status && error) {
		status = -1;
		saved = error;
	}
	pthread_setcancelstate(cancel, NULL);
	free(stream);
	errno = saved;
	return status;
}
