// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs commands, so many at a time, from one thread that waits for nothing but
 * events: no SIGCHLD, no call that waits for a child.
 *
 *	./run-epoll 2 'a seq 3' 'b grep nothing /dev/null' 'c /nowhere/program'
 *
 * A command is its name, a program and the program's arguments. Each line of what
 * the program writes is printed behind the name, and so is its end. Commands that
 * fail make this exit with 1.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <avfork.h>

#include "loop.h"

#define MAX_ARGS 64

/* A command is over when its three descriptors are. */
enum { LEFT, OUTPUT, END, NR_WATCHES };

struct job {
	const char *name;
	pid_t pid;
	struct watch watches[NR_WATCHES];
	int open;		/* of the watches */
	int error;		/* of the exec */
	char line[256];		/* the output's last, so far */
	int length;
};

static int start(struct job *job, char *command, int null)
{
	const struct avfork_fd input = {
		.parent_fd = null,
		.child_fd = STDIN_FILENO,
	};
	struct watch *watches = job->watches;
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = AVFORK_SEARCH_PATH,
		.fds = &input,
		.nr_fds = 1,
		.pidfd = &watches[END].fd,
		.left = &watches[LEFT].fd,
	};
	int *output = &watches[OUTPUT].fd;
	char *argv[MAX_ARGS + 1] = { NULL };
	int i;

	job->name = strsep(&command, " ");
	for (i = 0; command && i < MAX_ARGS; i++)
		argv[i] = strsep(&command, " ");
	if (!argv[0] || command)
		errx(1, "%s: no program, or too many arguments", job->name);
	job->pid = avfork_exec_pipes(&opts, argv[0], argv, NULL, NULL, output,
				     output);
	if (job->pid < 0) {
		warn("%s: no child", job->name);
		return -1;
	}
	for (i = 0; i < NR_WATCHES; i++) {
		watches[i].job = job;
		watches[i].is_pidfd = i == END;
		loop_add(&watches[i]);
	}
	job->open = NR_WATCHES;
	return 0;
}

static void print_line(struct job *job)
{
	printf("%s: %.*s\n", job->name, job->length, job->line);
	job->length = 0;
}

static void print_output(struct job *job, const struct watch *watch)
{
	ssize_t i;

	for (i = 0; i < watch->size; i++) {
		if (watch->bytes[i] != '\n')
			job->line[job->length++] = watch->bytes[i];
		if (watch->bytes[i] == '\n' || job->length == sizeof(job->line))
			print_line(job);
	}
}

/* The pidfd has told that there is no need to wait. Return: whether it failed. */
static int finish(struct job *job)
{
	int status = 0;

	if (job->length)
		print_line(job);
	avfork_waitpid(job->pid, &status, 0);
	if (job->error)
		printf("%s: not executed: %s\n", job->name, strerror(job->error));
	else if (WIFSIGNALED(status))
		printf("%s: %s\n", job->name, strsignal(WTERMSIG(status)));
	else
		printf("%s: status %d\n", job->name, WEXITSTATUS(status));
	return status != 0;
}

/* Return: whether @watch is over. */
static int take(struct job *job, struct watch *watch)
{
	if (!watch->size) {
		loop_remove(watch);
		return 1;
	}
	if (watch == &job->watches[LEFT])
		memcpy(&job->error, watch->bytes, sizeof(job->error));
	else
		print_output(job, watch);
	return 0;
}

int main(int argc, char *argv[])
{
	int max = argc > 1 ? atoi(argv[1]) : 0, running = 0, failed = 0, next = 2;
	struct job *jobs = calloc(argc, sizeof(*jobs));
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct watch *watch;

	if (max < 1 || !jobs)
		errx(1, "usage: %s JOBS 'NAME PROGRAM [ARGUMENT...]'...", argv[0]);
	if (null < 0)
		err(1, "/dev/null");
	setlinebuf(stdout);
	loop_open();
	for (;;) {
		for (; next < argc && running < max; next++)
			if (start(&jobs[next], argv[next], null))
				failed = 1;
			else
				running++;
		if (!running)
			break;
		watch = loop_next();
		if (take(watch->job, watch) && !--watch->job->open) {
			failed |= finish(watch->job);
			running--;
		}
	}
	free(jobs);
	return failed;
}
