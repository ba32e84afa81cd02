// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Streams to and from commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <avfork.h>

#include "fds.h"
#include "guard.h"
#include "memory.h"
#include "spawn.h"
#include "streams.h"

/*
 * The list is whole at every moment, as each change to it is one store: a fork()
 * copies it without having to hold its lock, which is free in the copy.
 */
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

/* What "r", "w" and "r+" mean, "e" going without saying; each sign but once. */
static const char *mode_of(const char *type)
{
	bool plus = false, cloexec = false;
	const char *sign;

	if (*type != 'r' && *type != 'w')
		return NULL;
	for (sign = type + 1; *sign; sign++) {
		if (*sign == 'e' && !cloexec)
			cloexec = true;
		else if (*sign == '+' && *type == 'r' && !plus)
			plus = true;
		else
			return NULL;
	}
	return plus ? "r+" : *type == 'r' ? "r" : "w";
}

/* @ends: ours, and the child's. 0, or -1 with errno. */
static int make_ends(const char *mode, int ends[2])
{
	int pair[2];

	if (mode[1] ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) :
		      pipe2(pair, O_CLOEXEC))
		return -1;
	if (fds_above_stdio(pair))
		return -1;
	ends[0] = pair[*mode == 'w'];
	ends[1] = pair[*mode != 'w'];
	return 0;
}

/* A stream for a shell's @command or, where that is NULL, for @argv. */
static FILE *stream_open(const char *command, char *const argv[],
			 const char *type)
{
	struct avfork_fd grants[2] = { { .child_fd = 0 }, { .child_fd = 1 } };
	struct avfork_opts opts = {
		.flags = AVFORK_STDIO | AVFORK_WAITPID | AVFORK_INHERIT_SIGNALS,
		.nr_fds = 1,
	};
	const char *mode = mode_of(type);
	struct stream *stream;
	FILE *file;
	int ends[2];
	int error;

	if (!mode) {
		errno = EINVAL;
		return NULL;
	}
	/* A guest that is killed would leave the list locked for its parent. */
	if (is_guest()) {
		errno = EDEADLK;
		return NULL;
	}
	stream = malloc(sizeof(*stream));
	if (!stream)
		return NULL;
	if (make_ends(mode, ends))
		goto free_stream;
	file = fdopen(ends[0], mode);
	if (!file)
		goto close_ends;

	grants[0].parent_fd = ends[1];
	grants[1].parent_fd = ends[1];
	opts.fds = *mode == 'w' || mode[1] ? grants : grants + 1;
	if (mode[1])
		opts.nr_fds = 2;
	if (!streams_lock())
		goto close_file;
	if (command)
		stream->pid = exec_shell(&opts, command, 0);
	else
		stream->pid = exec_search(&opts, argv);
	stream->file = file;
	if (stream->pid >= 0)
		streams_add(stream);
	streams_unlock();
	if (stream->pid < 0)
		goto close_file;
	close(ends[1]);
	return file;

close_file:
	error = errno;
	fclose(file);
	close(ends[1]);
	free(stream);
	errno = error;
	return NULL;

close_ends:
	close(ends[0]);
	close(ends[1]);
free_stream:
	free(stream);
	return NULL;
}

/* No cancellation point: what there is of the stream would be lost. */
static FILE *stream_open_whole(const char *command, char *const argv[],
			       const char *type)
{
	FILE *file;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	file = stream_open(command, argv, type);
	pthread_setcancelstate(cancel, NULL);
	return file;
}

FILE *avfork_popen(const char *command, const char *type)
{
	if (!command || !type) {
		errno = EINVAL;
		return NULL;
	}
	return stream_open_whole(command, NULL, type);
}

FILE *avfork_popenv(char *const argv[], const char *type)
{
	if (!argv || !argv[0] || !type) {
		errno = EINVAL;
		return NULL;
	}
	return stream_open_whole(NULL, argv, type);
}

int avfork_pclose(FILE *file)
{
	struct stream *stream = streams_take(file);

	if (!stream) {
		errno = ECHILD;
		return -1;
	}
	return stream_end(stream, fclose, guard_waitpid);
}
