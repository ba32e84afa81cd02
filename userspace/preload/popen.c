// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * popen(), pclose() and system() by the posix_spawn() of this library. libc's
 * own call its own, which nothing can be put before.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/interrupts.h"
#include "../src/wiped.h"
#include "actions.h"

#define SHELL "/bin/sh"

/**
 * struct stream - one that popen() has opened
 * @next: in the list of all
 * @file: what the program has
 * @fd:   its descriptor
 * @ino:  tells whether @fd still is that pipe: a program may have closed it in
 *        another way than by pclose()
 * @pid:  the command
 */
struct stream {
	struct stream *next;
	FILE *file;
	int fd;
	ino_t ino;
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

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

/* POSIX: the child has none of the streams that were opened before. */
static int close_streams(const struct streams *streams,
			 posix_spawn_file_actions_t *actions, int but)
{
	const struct stream *stream;
	int error = 0;

	for (stream = streams->first; stream && !error; stream = stream->next) {
		if (stream->fd != but && inode_of(stream->fd) == stream->ino)
			error = posix_spawn_file_actions_addclose(actions,
								  stream->fd);
	}
	return error;
}

/* Start @command with @end as its descriptor @fd. 0 or an errno. */
static int command_start(struct streams *streams, struct stream *stream,
			 const char *command, int end, int fd)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	error = posix_spawn_file_actions_init(&actions);
	if (error)
		return error;
	/* Held until this one is in the list: it may be inherited before. */
	pthread_mutex_lock(&streams->lock);
	error = posix_spawn_file_actions_adddup2(&actions, end, fd);
	if (!error)
		error = close_streams(streams, &actions, fd);
	if (!error)
		error = posix_spawn(&stream->pid, SHELL, &actions, NULL, argv,
				    environ);
	if (!error) {
		stream->next = streams->first;
		streams->first = stream;
	}
	pthread_mutex_unlock(&streams->lock);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

FILE *popen(const char *command, const char *type)
{
	struct streams *streams = wiped_get(&the_streams, sizeof(*streams));
	const bool reads = strchr(type, 'r'), writes = strchr(type, 'w');
	struct stream *stream;
	int ends[2], error;

	if (reads == writes || type[strspn(type, "rwe")]) {
		errno = EINVAL;
		return NULL;
	}
	stream = malloc(sizeof(*stream));
	if (!stream || !streams)
		goto free_stream;
	/* ends[reads] is the child's. */
	if (pipe2(ends, O_CLOEXEC))
		goto free_stream;
	stream->fd = ends[writes];
	stream->ino = inode_of(stream->fd);
	stream->file = fdopen(stream->fd, reads ? "r" : "w");
	if (!stream->file)
		goto close_ends;
	error = command_start(streams, stream, command, ends[reads],
			      reads ? STDOUT_FILENO : STDIN_FILENO);
	close(ends[reads]);
	if (error) {
		fclose(stream->file);
		free(stream);
		errno = error;
		return NULL;
	}
	if (!strchr(type, 'e'))
		fcntl(stream->fd, F_SETFD, 0);
	return stream->file;

close_ends:
	close(ends[0]);
	close(ends[1]);
free_stream:
	free(stream);
	return NULL;
}

int pclose(FILE *file)
{
	struct streams *streams = wiped_get(&the_streams, sizeof(*streams));
	struct stream **link, *stream = NULL;
	int cancel, status;
	pid_t pid;

	if (streams) {
		pthread_mutex_lock(&streams->lock);
		for (link = &streams->first; *link && (*link)->file != file;)
			link = &(*link)->next;
		stream = *link;
		if (stream)
			*link = stream->next;
		pthread_mutex_unlock(&streams->lock);
	}
	/* Opened by libc itself, or in the program of which we are a copy. */
	if (!stream)
		return REAL(pclose)(file);

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fclose(file);
	do
		pid = waitpid(stream->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	pthread_setcancelstate(cancel, NULL);
	free(stream);
	return pid < 0 ? -1 : status;
}

/**
 * struct call - what a call of system() has to undo
 * @pid:        the command
 * @mask:       the caller's
 * @interrupts: as interrupts_ignore() has returned it
 */
struct call {
	pid_t pid;
	sigset_t mask;
	struct interrupts *interrupts;
};

static void call_end(struct call *call)
{
	interrupts_restore(call->interrupts);
	pthread_sigmask(SIG_SETMASK, &call->mask, NULL);
}

static void cancelled(void *arg)
{
	struct call *call = arg;

	kill(call->pid, SIGKILL);
	while (waitpid(call->pid, NULL, 0) < 0 && errno == EINTR)
		;
	call_end(call);
}

static int run_shell(struct call *call, const char *command)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };
	posix_spawnattr_t attr;
	sigset_t set;
	int error;

	/* What the caller ignores for itself the command does not ignore. */
	sigemptyset(&set);
	if (call->interrupts->intr.sa_handler != SIG_IGN)
		sigaddset(&set, SIGINT);
	if (call->interrupts->quit.sa_handler != SIG_IGN)
		sigaddset(&set, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &call->mask);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
					POSIX_SPAWN_SETSIGMASK);
	error = posix_spawn(&call->pid, SHELL, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return error;
}

/* The command's status, or -1 with errno. A cancellation point. */
static int wait_for_command(struct call *call)
{
	int status = -1;

	pthread_cleanup_push(cancelled, call);
	while (waitpid(call->pid, &status, 0) < 0 && errno == EINTR)
		;
	pthread_cleanup_pop(0);
	return status;
}

int system(const char *command)
{
	struct call call;
	int error, status;
	sigset_t set;

	if (!command)
		return !system("exit 0");
	call.interrupts = interrupts_ignore();
	if (!call.interrupts)
		return -1;
	/* A handler that waits for any child must not find this one. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, &call.mask);

	error = run_shell(&call, command);
	status = error ? W_EXITCODE(127, 0) : wait_for_command(&call);
	call_end(&call);
	if (error)
		errno = error;
	return status;
}
