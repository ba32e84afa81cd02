// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * popen(), pclose() and system() by the posix_spawn() of this library. libc's
 * own call its own, which nothing can be put before.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "../src/interrupts.h"
#include "../src/spawn.h"
#include "../src/streams.h"
#include "actions.h"
#include "active.h"
#include "real.h"

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

/* POSIX: the child has none of the streams that were opened before. */
static int close_streams(posix_spawn_file_actions_t *actions, int but)
{
	const struct stream *stream = streams_first();
	int error = 0;

	for (; stream && !error; stream = stream->next) {
		if (stream->fd != but && inode_of(stream->fd) == stream->ino)
			error = posix_spawn_file_actions_addclose(actions,
								  stream->fd);
	}
	return error;
}

/* Start @command with @end as its descriptor @fd. 0 or an errno. */
static int command_start(struct stream *stream, const char *command, int end,
			 int fd)
{
	char *const argv[] = SHELL_ARGV(command);
	posix_spawn_file_actions_t actions;
	int error;

	error = posix_spawn_file_actions_init(&actions);
	if (error)
		return error;
	error = posix_spawn_file_actions_adddup2(&actions, end, fd);
	if (!error)
		error = close_streams(&actions, fd);
	if (!error)
		error = posix_spawn(&stream->pid, SHELL, &actions, NULL, argv,
				    environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* The list of streams is held: this one may be inherited before it is there. */
static FILE *stream_open(const char *command, bool reads, bool cloexec)
{
	struct stream *stream = malloc(sizeof(*stream));
	int ends[2], error;

	if (!stream)
		return NULL;
	/* ends[reads] is the child's. */
	if (pipe2(ends, O_CLOEXEC))
		goto free_stream;
	stream->fd = ends[!reads];
	stream->ino = inode_of(stream->fd);
	stream->file = fdopen(stream->fd, reads ? "r" : "w");
	if (!stream->file)
		goto close_ends;
	fwide(stream->file, -1);
	error = command_start(stream, command, ends[reads],
			      reads ? STDOUT_FILENO : STDIN_FILENO);
	close(ends[reads]);
	if (error) {
		REAL(fclose)(stream->file);
		free(stream);
		errno = error;
		return NULL;
	}
	if (!cloexec)
		fcntl(stream->fd, F_SETFD, 0);
	streams_add(stream);
	return stream->file;

close_ends:
	close(ends[0]);
	close(ends[1]);
free_stream:
	free(stream);
	return NULL;
}

FILE *popen(const char *command, const char *type)
{
	const bool reads = strchr(type, 'r'), writes = strchr(type, 'w');
	int cancel, saved = errno;
	FILE *file;

	if (reads == writes || type[strspn(type, "rwe")]) {
		errno = EINVAL;
		return NULL;
	}
	if (!is_active() || !streams_lock()) {
		errno = saved;
		return REAL(popen)(command, type);
	}
	/* As libc's, no cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	file = stream_open(command, reads, strchr(type, 'e'));
	streams_unlock();
	pthread_setcancelstate(cancel, NULL);
	if (file)
		errno = saved;
	return file;
}

/* glibc's fclose() of such a stream is its pclose(), and the reverse. */
static int end_or(FILE *file, int (*other)(FILE *file))
{
	struct stream *stream = streams_take(file);

	/* Another's, or opened by libc itself. */
	if (!stream)
		return other(file);
	return stream_end(stream, REAL(fclose), waitpid);
}

int pclose(FILE *file)
{
	return end_or(file, REAL(pclose));
}

int fclose(FILE *file)
{
	return end_or(file, REAL(fclose));
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
	char *const argv[] = SHELL_ARGV(command);
	posix_spawnattr_t attr;
	sigset_t set;
	int error;

	/* What the caller ignores for itself the command ignores, too. */
	sigemptyset(&set);
	if (call->interrupts->changed & SIGNAL_BIT(SIGINT))
		sigaddset(&set, SIGINT);
	if (call->interrupts->changed & SIGNAL_BIT(SIGQUIT))
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

/* What POSIX wants where @error is why there is no command. */
static int status_without(int error)
{
	return error == EAGAIN || error == ENOMEM ? -1 : EXIT_NO_EXEC << 8;
}

int system(const char *command)
{
	struct call call;
	int error, status, saved = errno;
	sigset_t set;

	if (!command)
		return !system("exit 0");
	call.interrupts = is_active() ? interrupts_ignore() : NULL;
	errno = saved;
	if (!call.interrupts)
		return REAL(system)(command);
	/* A handler that waits for any child must not find this one. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, &call.mask);

	error = run_shell(&call, command);
	status = error ? status_without(error) : wait_for_command(&call);
	call_end(&call);
	if (error)
		errno = error;
	return status;
}
