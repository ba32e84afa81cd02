// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_system().
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "calls.h"
#include "handler.h"

TEST_F(call, system_status)
{
	ASSERT_EQ(0, avfork_system("true"));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_system("exit 3"));
	ASSERT_EQ(SIGKILL, avfork_system("kill -KILL $$"));
	ASSERT_EQ(W_EXITCODE(127, 0), avfork_system("nonesuch 2>/dev/null"));
	ASSERT_NE(0, avfork_system(NULL));
}

TEST_F(call, system_descriptors)
{
	char command[200];
	int spare = fcntl(0, F_DUPFD, 20);
	FILE *file;

	snprintf(command, sizeof(command), "exec >%s; " LIST_FDS, self->path);
	ASSERT_EQ(0, avfork_system(command));
	file = fopen(self->path, "r");
	ASSERT_STREQ("0\n1\n2\n", read_all(file));
	fclose(file);
	close(spare);
}

static void kill_from(char *command, size_t size, const char *signal)
{
	snprintf(command, size, "kill -%s %d", signal, getpid());
}

TEST_F(call, system_ignores_signals)
{
	char kill_int[32], kill_quit[32];

	kill_from(kill_int, sizeof(kill_int), "INT");
	kill_from(kill_quit, sizeof(kill_quit), "QUIT");

	handle(_metadata, SIGQUIT, count_signal);
	handle(_metadata, SIGINT, count_signal);
	ASSERT_EQ(0, avfork_system(kill_int));
	ASSERT_EQ(0, avfork_system(kill_quit));
	ASSERT_EQ(0, handled_by_parent);
	/* And has restored them. */
	raise(SIGINT);
	raise(SIGQUIT);
	ASSERT_EQ(2, handled_by_parent);

	/* They are the command's. */
	ASSERT_EQ(SIGINT, avfork_system("kill -INT $$"));
	signal(SIGINT, SIG_IGN);
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_system("kill -INT $$; exit 3"));
	ASSERT_EQ(SIG_IGN, signal(SIGINT, SIG_DFL));
}

/* As with libc's functions: nohup is made for those. */
TEST_F(call, commands_inherit_signals)
{
	const char *command = "kill -HUP $$; kill -USR1 $$; exit 3";
	char *argv[] = { "sh", "-c", (char *)command, NULL };
	sigset_t set;

	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* The control. */
	ASSERT_EQ(W_EXITCODE(3, 0), system(command));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_system(command));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(avfork_popen(command, "r")));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(avfork_popenv(argv, "r")));
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	ASSERT_EQ(SIGHUP, avfork_system(command));
	ASSERT_EQ(SIGHUP, avfork_pclose(avfork_popen(command, "r")));
}

/* For a command that has closed its end by then: its status, or -1. */
static int pclose_of_lost(const char *command)
{
	FILE *file = avfork_popen(command, "w");
	struct pollfd poller = { .fd = fileno(file) };

	/* POLLERR needs no asking for. */
	poll(&poller, 1, -1);
	fputs("lost", file);
	return avfork_pclose(file);
}

/* What could not be written is not lost unseen. */
TEST_F(call, pclose_tells_of_lost_output)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_FAILS(EPIPE, pclose_of_lost("exit 0"));
	ASSERT_EQ(W_EXITCODE(3, 0), pclose_of_lost("exit 3"));
}

static void *libc_system(void *command)
{
	return (void *)(long)system(command);
}

/* Libc's system() that begins first and ends first has the signals back. */
TEST_F(call, system_beside_libcs)
{
	char command[120];
	struct sigaction action;
	pthread_t thread;
	void *status;
	int end;

	ASSERT_EQ(0, mkfifo(self->path, 0600));
	snprintf(command, sizeof(command), "read line <%s; exit 3", self->path);
	handle(_metadata, SIGINT, count_signal);
	ASSERT_EQ(0, pthread_create(&thread, NULL, libc_system, command));
	end = open(self->path, O_WRONLY | O_CLOEXEC);
	snprintf(command, sizeof(command), "echo >%s; sleep 0.3", self->path);
	ASSERT_EQ(0, avfork_system(command));
	close(end);
	ASSERT_EQ(0, pthread_join(thread, &status));
	ASSERT_EQ(0, sigaction(SIGINT, NULL, &action));
	ASSERT_TRUE(action.sa_handler == count_signal);
}

static void *system_thread(void *command)
{
	return (void *)(long)avfork_system(command);
}

/* The second begins before the first ends, and ends after it. */
TEST_F(call, system_calls_that_overlap)
{
	char commands[2][80], fifos[2][80];
	pthread_t threads[2];
	void *status;
	int ends[2];
	int i;

	handle(_metadata, SIGQUIT, count_signal);
	handle(_metadata, SIGINT, count_signal);
	for (i = 0; i < 2; i++) {
		snprintf(fifos[i], sizeof(fifos[i]), "%s/%d", self->dir, i);
		ASSERT_EQ(0, mkfifo(fifos[i], 0600));
		snprintf(commands[i], sizeof(commands[i]),
			 "read line <%s/%d; exit 3", self->dir, i);
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, system_thread,
					    commands[i]));
		/* When the command has opened it, too. */
		ends[i] = open(fifos[i], O_WRONLY | O_CLOEXEC);
	}
	for (i = 0; i < 2; i++) {
		raise(SIGINT);
		raise(SIGQUIT);
		ASSERT_EQ(0, handled_by_parent);
		close(ends[i]);
		ASSERT_EQ(0, pthread_join(threads[i], &status));
		ASSERT_EQ(W_EXITCODE(3, 0), (long)status);
		unlink(fifos[i]);
	}
	raise(SIGINT);
	raise(SIGQUIT);
	ASSERT_EQ(2, handled_by_parent);
}

static void *system_cancelled(void *command)
{
	pthread_cancel(pthread_self());
	return system_thread(command);
}

/* The command is killed, and nothing of the call remains. */
TEST_F(call, system_is_cancelled)
{
	char command[100], text[16] = "";
	pthread_t thread;
	void *result;
	FILE *fifo;
	pid_t pid;

	if (SANITIZED)
		SKIP(return, "the sanitizer does not know of unwound frames");

	handle(_metadata, SIGQUIT, count_signal);
	handle(_metadata, SIGINT, count_signal);
	ASSERT_EQ(0, mkfifo(self->path, 0600));
	snprintf(command, sizeof(command), "echo $$ >%s; exec sleep 1000",
		 self->path);
	ASSERT_EQ(0, pthread_create(&thread, NULL, system_thread, command));
	fifo = fopen(self->path, "r");
	ASSERT_NE(NULL, fgets(text, sizeof(text), fifo));
	fclose(fifo);
	pid = atoi(text);
	ASSERT_EQ(0, kill(pid, 0));
	ASSERT_EQ(0, pthread_cancel(thread));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(PTHREAD_CANCELED, result);
	ASSERT_FAILS(ESRCH, kill(pid, 0));
	ASSERT_NO_CHILD();

	/* From the start. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, system_cancelled,
				    "exec sleep 1000"));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(PTHREAD_CANCELED, result);
	ASSERT_NO_CHILD();

	raise(SIGINT);
	raise(SIGQUIT);
	ASSERT_EQ(2, handled_by_parent);
}

static int call_until(void *arg)
{
	const atomic_bool *stop = arg;

	do
		REQUIRE(avfork_system("true") == -1 && errno == EDEADLK);
	while (!atomic_load(stop));
	return 0;
}

TEST_F(call, system_beside_a_childs)
{
	static atomic_bool stop;
	pid_t pid;
	int i;

	handle(_metadata, SIGINT, count_signal);
	pid = avfork(call_until, &stop);
	ASSERT_GT(pid, 0);
	for (i = 0; i < 20; i++)
		EXPECT_EQ(0, avfork_system("true"));
	atomic_store(&stop, true);
	ASSERT_PASSED(reap(pid));
	raise(SIGINT);
	ASSERT_EQ(1, handled_by_parent);
}

TEST_HARNESS_MAIN
