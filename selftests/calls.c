// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_exec(), and that a child makes none of the calls that are built on avfork().
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "calls.h"

#define SH "/bin/sh"

static pid_t exec_shell(const struct avfork_opts *opts, const char *command)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };

	return avfork_exec(opts, SH, argv, NULL);
}

TEST_F(call, exec_status)
{
	char *const argv[] = { "echo", "one", "two", NULL };
	char *const none[] = { NULL };

	ASSERT_EQ(2, reap(avfork_exec(NULL, sibling("echo"), argv, NULL)));
	ASSERT_EQ(2, reap(avfork_exec(NULL, sibling("echo"), argv, none)));
	ASSERT_EQ(7, reap(exec_shell(NULL, "exit 7")));
	ASSERT_EQ(-SIGKILL, reap(exec_shell(NULL, "kill -KILL $$")));
}

TEST_F(call, exec_environment)
{
	char *const argv[] = { "sh", "-c", "exit $STATUS", NULL };
	char *const envp[] = { "OTHER=6", "STATUS=5", NULL };
	char *const none[] = { NULL };

	setenv("STATUS", "4", 1);
	ASSERT_EQ(4, reap(avfork_exec(NULL, SH, argv, NULL)));
	ASSERT_EQ(5, reap(avfork_exec(NULL, SH, argv, envp)));
	ASSERT_EQ(0, reap(avfork_exec(NULL, SH, argv, none)));
}

static int run_without_environment(void *arg)
{
	char *const argv[] = { "env", NULL };
	struct avfork_opts opts = { .size = sizeof(opts) };
	char text[64];
	int status;
	FILE *file;

	(void)arg;
	/* The older calls go on without one. */
	REQUIRE(!clearenv());
	REQUIRE(system("exit 4") == W_EXITCODE(4, 0));
	REQUIRE(!environ);

	REQUIRE(avfork_system("exit 4") == W_EXITCODE(4, 0));
	REQUIRE(avfork_system("[ -z \"$HOME$LANG$TERM\" ]") == 0);
	file = avfork_popen("exit 5", "r");
	REQUIRE(file && avfork_pclose(file) == W_EXITCODE(5, 0));
	file = avfork_popenv(argv, "r");
	REQUIRE(file && !fread(text, 1, sizeof(text), file));
	REQUIRE(avfork_pclose(file) == 0);
	for (opts.flags = 0; opts.flags <= AVFORK_SYNC;
	     opts.flags += AVFORK_SYNC) {
		status = reap(avfork_exec(&opts, "/usr/bin/env", argv, NULL));
		REQUIRE(status == 0);
	}
	REQUIRE(!environ);
	return 0;
}

TEST_F(call, without_environment)
{
	char *const argv[] = { "env", NULL };
	FILE *file = avfork_popenv(argv, "r");
	char text[8];

	/* The control: it prints what there is. */
	ASSERT_EQ(1, fread(text, 1, 1, file));
	avfork_pclose(file);
	ASSERT_PASSED(in_copy(run_without_environment, NULL));
}

/* The child would fault, or run something else, if it looked at ours. */
TEST_F(call, exec_copies)
{
	const size_t size = sysconf(_SC_PAGESIZE);
	int round;

	for (round = 0; round < 50; round++) {
		char *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char **argv = (char **)page, **envp = argv + 4;
		struct avfork_opts *opts = (void *)(argv + 8);
		pid_t pid;

		ASSERT_NE(MAP_FAILED, page);
		argv[0] = strcpy(page + 1024, "sh");
		argv[1] = strcpy(page + 1040, "-c");
		argv[2] = strcpy(page + 1056, "exit $STATUS");
		envp[0] = strcpy(page + 1072, "STATUS=9");
		opts->size = sizeof(*opts);
		pid = avfork_exec(opts, strcpy(page + 1088, SH), argv, envp);
		munmap(page, size);
		ASSERT_EQ(9, reap(pid));
	}
}

TEST_F(call, exec_descriptors)
{
	struct avfork_opts opts = { .size = sizeof(opts), .nr_fds = 1 };
	struct avfork_fd fd = { .child_fd = 1 };
	int ends[2], spare = dup(0);
	char text[64] = "";

	ASSERT_EQ(0, pipe(ends));
	opts.fds = &fd;
	fd.parent_fd = ends[1];
	ASSERT_EQ(0, reap(exec_shell(&opts, LIST_FDS "")));
	ASSERT_LT(0, read(ends[0], text, sizeof(text) - 1));
	ASSERT_STREQ("1\n", text);

	memset(text, 0, sizeof(text));
	opts.flags = AVFORK_STDIO;
	ASSERT_EQ(0, reap(exec_shell(&opts, LIST_FDS "")));
	ASSERT_LT(0, read(ends[0], text, sizeof(text) - 1));
	ASSERT_STREQ("0\n1\n2\n", text);
	close(ends[0]);
	close(ends[1]);
	close(spare);
}

TEST_F(call, exec_options)
{
	struct avfork_opts opts = { .size = sizeof(opts) };
	struct pollfd ended = { .events = POLLIN };
	char *const argv[] = { "echo", "one", NULL };
	pid_t pid;

	opts.pidfd = &ended.fd;
	pid = avfork_exec(&opts, sibling("echo"), argv, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(1, poll(&ended, 1, -1));
	close(ended.fd);
	ASSERT_EQ(1, reap(pid));

	opts.pidfd = NULL;
	opts.flags = AVFORK_WAITPID | AVFORK_NOSIGCHLD;
	pid = avfork_exec(&opts, sibling("echo"), argv, NULL);
	ASSERT_FAILS(ECHILD, waitpid(-1, NULL, 0));
	ASSERT_EQ(1, reap(pid));

	opts.flags = 1 << 30;
	ASSERT_FAILS(EINVAL, avfork_exec(&opts, SH, argv, NULL));
	opts.flags = 0;
	opts.size--;
	ASSERT_FAILS(EINVAL, avfork_exec(&opts, SH, argv, NULL));
}

TEST_F(call, exec_of_nothing)
{
	char *const argv[] = { "sh", NULL };

	ASSERT_FAILS(EINVAL, avfork_exec(NULL, NULL, argv, NULL));
	ASSERT_FAILS(EINVAL, avfork_exec(NULL, SH, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_exec(NULL, NULL, NULL, NULL));
}

static pid_t exec_path(int flags, const char *path, int *pidfd)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = flags, .pidfd = pidfd,
	};
	char *const argv[] = { "program", NULL };

	return avfork_exec(&opts, path, argv, NULL);
}

TEST_F(call, exec_that_fails)
{
	ASSERT_EQ(127, reap(exec_path(0, "/nonesuch", NULL)));
	ASSERT_EQ(127, reap(exec_path(0, "sh", NULL)));
	ASSERT_EQ(127, reap(exec_path(0, "", NULL)));
	ASSERT_EQ(127, reap(exec_path(0, self->dir, NULL)));
	ASSERT_EQ(0, make_file(self->path, 0700));
	ASSERT_EQ(127, reap(exec_path(0, self->path, NULL)));
}

static void check_sync_errors(struct __test_metadata *_metadata,
			      const char *dir, char *path, int flags)
{
	unsigned int nr_fds = count_fds();
	char beyond[80];
	int pidfd;

	flags |= AVFORK_SYNC;
	/* Not looked for in PATH. */
	ASSERT_FAILS(ENOENT, exec_path(flags, "sh", NULL));
	ASSERT_FAILS(ENOENT, exec_path(flags, "", NULL));
	ASSERT_FAILS(ENOENT, exec_path(flags, "/nonesuch", &pidfd));
	ASSERT_FAILS(EACCES, exec_path(flags, dir, &pidfd));
	ASSERT_EQ(0, make_file(path, 0600));
	ASSERT_FAILS(EACCES, exec_path(flags, path, &pidfd));
	ASSERT_EQ(0, chmod(path, 0700));
	ASSERT_FAILS(ENOEXEC, exec_path(flags, path, &pidfd));
	snprintf(beyond, sizeof(beyond), "%s/beyond", path);
	ASSERT_FAILS(ENOTDIR, exec_path(flags, beyond, &pidfd));

	ASSERT_NO_CHILD();
	ASSERT_EQ(nr_fds, count_fds());
	errno = 1234;
	ASSERT_EQ(0, reap(exec_path(flags, sibling("echo"), NULL)));
	ASSERT_EQ(1234, errno);
}

TEST_F(call, exec_sync_errors)
{
	check_sync_errors(_metadata, self->dir, self->path, 0);
}

TEST_F(call, exec_sync_errors_hidden)
{
	check_sync_errors(_metadata, self->dir, self->path, AVFORK_WAITPID);
}

TEST_F(call, exec_sync_errors_where_sigchld_is_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	check_sync_errors(_metadata, self->dir, self->path, AVFORK_WAITPID);
	ASSERT_FAILS(ENOENT, exec_path(AVFORK_SYNC, "/nonesuch", NULL));
}

/* A thread that is cancelled, but not by this: it has yet to be told of the failure. */
static void *exec_cancelled(void *arg)
{
	int pidfd;

	pthread_cancel(pthread_self());
	if (exec_path(*(int *)arg, "/nonesuch", &pidfd) != -1 || errno != ENOENT)
		return "no failure";
	pthread_testcancel();
	return NULL;
}

/* What the call did: to close a descriptor is a cancellation point. */
static void *close_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	close(*(int *)arg);
	return NULL;
}

TEST_F(call, exec_that_fails_is_no_cancellation_point)
{
	int flags[] = {
		AVFORK_SYNC, AVFORK_SYNC | AVFORK_WAITPID,
		AVFORK_SYNC | AVFORK_AUTOKILL | AVFORK_NNP,
	};
	int round, fd = dup(0);
	pthread_t thread;
	void *result;

	ASSERT_EQ(0, pthread_create(&thread, NULL, close_cancelled, &fd));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(PTHREAD_CANCELED, result);
	ASSERT_LE(0, fcntl(fd, F_GETFD));
	close(fd);

	for (round = 0; round < 30; round++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, exec_cancelled,
					    &flags[round % ARRAY_SIZE(flags)]));
		ASSERT_EQ(0, pthread_join(thread, &result));
		ASSERT_EQ(PTHREAD_CANCELED, result);
		/* The fixture's device was open before. */
		if (backend_is("kernel") && round < (int)ARRAY_SIZE(flags))
			self->nr_fds = count_fds();
		ASSERT_EQ(self->nr_fds, count_fds());
		ASSERT_NO_CHILD();
	}
}

static int calls_in_child(void *arg)
{
	char *const argv[] = { "sh", NULL };

	REQUIRE(avfork_exec(NULL, SH, argv, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(!avfork_popen("true", "r"));
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(!avfork_popenv(argv, "r+"));
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_system("true") == -1);
	REQUIRE(errno == EDEADLK);
	return 0;
}

TEST_F(call, in_a_child)
{
	ASSERT_PASSED(reap(avfork(calls_in_child, NULL)));
}

TEST_HARNESS_MAIN
