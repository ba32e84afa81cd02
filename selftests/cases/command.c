// SPDX-License-Identifier: GPL-2.0
/*
 * popen() and system().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "cases.h"

/* What @command prints, and its status. */
static void print_command(const char *command, const char *type)
{
	FILE *stream;
	char line[64];
	int status;

	fflush(stdout);
	stream = popen(command, type);
	if (!stream) {
		print_error("error", errno);
		return;
	}
	while (*type == 'r' && fgets(line, sizeof(line), stream))
		printf("%s", line);
	if (*type == 'w')
		fputs("written\n", stream);
	status = pclose(stream);
	printf("status %x\n", status);
}

static void case_popen(void)
{
	char command[PATH_MAX + 32];
	FILE *first, *second;

	print_command("echo one; echo two; exit 3", "r");
	print_command("cat; exit 4", "w");
	print_command("kill -9 $$", "re");
	print_command("/absent 2>&-", "r");
	print_command(":", "rw");
	print_command(":", "r+");
	print_command(":", "");

	/* Without the first stream, in spite of its flag; with what else is. */
	first = popen("cat", "w");
	second = popen(":", "we");
	CHECK(first && second);
	printf("%d %d\n", fcntl(fileno(first), F_GETFD),
	       fcntl(fileno(second), F_GETFD));
	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	snprintf(command, sizeof(command), "%s descriptors", self);
	print_command(command, "r");
	CHECK(!pclose(second));
	CHECK(!pclose(first));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* It is libc's pclose(), as that is libc's fclose(). */
static void case_popen_fclose(void)
{
	/* The compiler knows better than to do so. */
	int (*volatile end_stream)(FILE *file) = fclose;
	int (*volatile end_file)(FILE *file) = pclose;
	FILE *file, *stream = popen("exit 3", "r");
	int i;

	CHECK(stream);
	printf("status %x\n", end_stream(stream));
	for (i = 0; i < 10; i++) {
		file = fopen("/dev/null", "r");
		stream = popen("exit 4", "r");
		CHECK(file && stream);
		CHECK(!fclose(file) && pclose(stream) == 0x400);
	}
	file = fopen("/dev/null", "r");
	CHECK(!end_file(file));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* What could not be written is not lost unseen. */
static void case_popen_lost(void)
{
	const char *const commands[] = { "exec <&-; exit 0", "exec <&-; exit 3" };
	siginfo_t info;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 2; i++) {
		FILE *stream = popen(commands[i], "w");
		int status;

		CHECK(stream && fputs("lost", stream) >= 0);
		CHECK(!waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
		errno = 0;
		status = pclose(stream);
		printf("status %x\n", status);
		if (status < 0)
			print_error("error", errno);
	}
}

static void case_popen_oriented(void)
{
	FILE *stream = popen(":", "r");

	CHECK(stream);
	printf("orientation %d\n", fwide(stream, 0));
	CHECK(!pclose(stream));
}

static void *popen_cancelled(void *stream)
{
	pthread_cancel(pthread_self());
	*(FILE **)stream = popen("exit 3", "r");
	pthread_testcancel();
	return NULL;
}

static void case_popen_cancelled(void)
{
	FILE *stream = NULL;
	pthread_t thread;
	void *result;

	CHECK(!pthread_create(&thread, NULL, popen_cancelled, &stream));
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED && stream);
	printf("status %x\n", pclose(stream));
}

/* A copy has the stream, and is not who the command is a child of. */
static void case_popen_in_copy(void)
{
	FILE *stream = popen("cat >/dev/null; exit 3", "w");
	char command[PATH_MAX + 32];
	int status;
	pid_t pid;

	CHECK(stream);
	snprintf(command, sizeof(command), "%s descriptors", self);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		/* Without the other. */
		print_command(command, "r");
		printf("status %x\n", pclose(stream));
		print_error("error", errno);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	printf("status %x\n", pclose(stream));
}

/* Where POSIX is younger than some glibc. */
static void case_hyphen(void)
{
	printf("status %x\n", system("-absent 2>&-"));
	print_command("-absent 2>&-", "r");
}

static void case_no_process(void)
{
	const struct rlimit limit = { 0 };
	int status;

	if (geteuid())
		skip("needs root");
	CHECK(!setrlimit(RLIMIT_NPROC, &limit));
	CHECK(!setgid(23456) && !setuid(23456));
	status = system("exit 3");
	print_error(status == -1 ? "error" : "status", errno);
	print_command("exit 3", "r");
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void case_system(void)
{
	struct sigaction action;
	sigset_t mask;

	fflush(stdout);
	printf("status %x\n", system("exit 3"));
	printf("status %x\n", system("kill -9 $$"));
	printf("status %x\n", system("/absent 2>&-"));
	printf("shell %d\n", system(NULL));
	fflush(stdout);

	/* The command has the mask, and what is ignored; it gets SIGINT. */
	signal(SIGINT, count_signal);
	signal(SIGCHLD, count_signal);
	printf("status %x\n", system("kill -INT $PPID; kill -QUIT $PPID"));
	printf("status %x\n", system("kill -INT $$; exit 5"));
	printf("signals %d\n", (int)signals);
	CHECK(!sigaction(SIGINT, NULL, &action));
	CHECK(action.sa_handler == count_signal);
	CHECK(!sigaction(SIGQUIT, NULL, &action));
	CHECK(action.sa_handler == SIG_DFL);
	CHECK(!sigprocmask(SIG_SETMASK, NULL, &mask));
	CHECK(!sigismember(&mask, SIGCHLD));
	signal(SIGINT, SIG_IGN);
	printf("status %x\n", system("kill -INT $$; exit 6"));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

const struct spawner_case command_cases[] = {
	CASE(popen),
	CASE(popen_fclose),
	CASE(popen_lost),
	CASE(popen_oriented),
	CASE(popen_cancelled),
	CASE(popen_in_copy),
	CASE(system),
	CASE(hyphen),
	CASE(no_process),
	{ NULL, NULL },
};
