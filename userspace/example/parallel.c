// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs the shell commands on its standard input, a line each, several at a
 * time: as many as there are processors, or as the argument says.
 *
 *	printf '%s\n' 'gzip a' 'gzip b' 'gzip c' | ./parallel 2
 *
 * Commands that fail are named on standard error, and make it exit with 1.
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

struct job {
	pid_t pid;		/* 0: this place is free */
	char *command;
};

/* The child gets these three descriptors; the list of commands is not its. */
static pid_t start(char *command, int null)
{
	const struct avfork_fd input = {
		.parent_fd = null,
		.child_fd = STDIN_FILENO,
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = AVFORK_STDIO,
		.fds = &input,
		.nr_fds = 1,
	};
	char *const argv[] = { "sh", "-c", command, NULL };

	return avfork_exec(&opts, "/bin/sh", argv, NULL);
}

static struct job *find(struct job *jobs, pid_t pid)
{
	while (jobs->pid != pid)
		jobs++;
	return jobs;
}

/* Wait until a command ends. Whether it failed. */
static int finish_one(struct job *jobs)
{
	struct job *job;
	int status;
	pid_t pid;

	pid = wait(&status);
	if (pid < 0)
		err(1, "wait");
	job = find(jobs, pid);
	if (WIFSIGNALED(status))
		warnx("%s: %s", strsignal(WTERMSIG(status)), job->command);
	else if (WEXITSTATUS(status))
		warnx("status %d: %s", WEXITSTATUS(status), job->command);
	free(job->command);
	job->pid = 0;
	return status != 0;
}

int main(int argc, char *argv[])
{
	long max = argc > 1 ? atol(argv[1]) : sysconf(_SC_NPROCESSORS_ONLN);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	long running = 0, failed = 0;
	struct job *jobs;
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	if (max < 1 || argc > 2)
		errx(1, "usage: %s [jobs] <commands", argv[0]);
	if (null < 0)
		err(1, "/dev/null");
	jobs = calloc(max, sizeof(*jobs));
	if (!jobs)
		err(1, NULL);

	while ((length = getline(&line, &size, stdin)) > 0) {
		struct job *job;

		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		if (running == max) {
			failed += finish_one(jobs);
			running--;
		}
		job = find(jobs, 0);
		job->command = strdup(line);
		if (!job->command)
			err(1, NULL);
		job->pid = start(line, null);
		if (job->pid < 0)
			err(1, "cannot start a child");
		running++;
	}
	while (running--)
		failed += finish_one(jobs);

	free(line);
	free(jobs);
	return failed != 0;
}
