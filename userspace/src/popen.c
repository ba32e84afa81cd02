// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Streams to and from commands.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <avfork.h>

#include "exec.h"
#include "fd.h"
#include "guard.h"
#include "wiped.h"

/**
 * struct stream - one that is open
 * @next: in the list of all
 * @file: what the program has
 * @pid:  the command
 */
struct stream {
	struct stream *next;
	FILE *file;
	pid_t pid;
};

/**
 * struct streams - those of this process; a copy has none to wait for
 * @lock:  protects the list
 * @first: the first
 */
struct streams {
	pthread_mutex_t lock;
	struct stream *first;
};

static void *_Atomic the_streams;

/* What "r", "w" and "r+" mean; "e" goes without saying. */
static const char *mode_of(const char *type)
{
	const char *rest = type + 1;
	const char *mode;

	if (*type == 'r' && rest[strspn(rest, "e")] == '+') {
		rest += strspn(rest, "e") + 1;
		mode = "r+";
	} else if (*type == 'r') {
		mode = "r";
	} else if (*type == 'w') {
		mode = "w";
	} else {
		return NULL;
	}
	return rest[strspn(rest, "e")] ? NULL : mode;
}

/* @ends: ours, and the child's. 0, or -1 with errno. */
static int make_ends(const char *mode, int ends[2])
{
	int pair[2];

	if (mode[1] ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) :
		      pipe2(pair, O_CLOEXEC))
		return -1;
	ends[0] = fd_above_stdio(pair[*mode == 'w']);
	ends[1] = fd_above_stdio(pair[*mode != 'w']);
	if (ends[0] >= 0 && ends[1] >= 0)
		return 0;
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return -1;
}

/* A stream for a shell's @command or, where that is NULL, for @argv. */
static FILE *stream_open(const char *command, char *const argv[],
			 const char *type)
{
	struct streams *streams = wiped_get(&the_streams, sizeof(*streams));
	struct avfork_fd grants[2] = { { .child_fd = 0 }, { .child_fd = 1 } };
	struct avfork_opts opts = {
		.flags = AVFORK_STDIO | AVFORK_WAITPID, .nr_fds = 1,
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
	if (!streams)
		return NULL;
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
	if (command)
		stream->pid = exec_shell(&opts, command);
	else
		stream->pid = exec_spawn(&opts, argv[0], true, argv, environ);
	if (stream->pid < 0)
		goto close_file;
	close(ends[1]);

	stream->file = file;
	pthread_mutex_lock(&streams->lock);
	stream->next = streams->first;
	streams->first = stream;
	pthread_mutex_unlock(&streams->lock);
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

/* Take @file's stream out of the list. NULL if there is none. */
static struct stream *stream_take(FILE *file)
{
	struct streams *streams = wiped_get(&the_streams, sizeof(*streams));
	struct stream **link, *stream;

	if (!streams)
		return NULL;
	pthread_mutex_lock(&streams->lock);
	for (link = &streams->first; *link && (*link)->file != file;)
		link = &(*link)->next;
	stream = *link;
	if (stream)
		*link = stream->next;
	pthread_mutex_unlock(&streams->lock);
	return stream;
}

int avfork_pclose(FILE *file)
{
	struct stream *stream = stream_take(file);
	int cancel, status;
	pid_t pid;

	if (!stream) {
		errno = ECHILD;
		return -1;
	}
	/* As it is of no use to anybody any more, it is closed in any case. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fclose(file);
	do
		pid = guard_waitpid(stream->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	pthread_setcancelstate(cancel, NULL);
	free(stream);
	return pid < 0 ? -1 : status;
}
