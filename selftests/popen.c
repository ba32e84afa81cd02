// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_popen(), avfork_popenv() and avfork_pclose().
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "calls.h"
#include "handler.h"

/* For those that return a stream. */
#define ASSERT_NO_STREAM(error, call) do {				\
	errno = 0;							\
	ASSERT_EQ(NULL, call);						\
	ASSERT_EQ(error, errno);					\
} while (0)

TEST_F(call, popen_read)
{
	FILE *file = avfork_popen("echo output; exit 3", "r");

	ASSERT_NE(NULL, file);
	ASSERT_STREQ("output\n", read_all(file));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(file));

	file = avfork_popen("kill -TERM $$", "r");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(SIGTERM, avfork_pclose(file));
}

TEST_F(call, popen_write)
{
	FILE *file = avfork_popen("read first second; exit $second", "w");

	ASSERT_NE(NULL, file);
	ASSERT_LT(0, fprintf(file, "input 4\n"));
	/* Which is written now. */
	ASSERT_EQ(W_EXITCODE(4, 0), avfork_pclose(file));

	/* The stream's end is the command's. */
	file = avfork_popen("while read line; do :; done; exit 5", "w");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(W_EXITCODE(5, 0), avfork_pclose(file));
}

TEST_F(call, popen_both_ways)
{
	FILE *file = avfork_popen("read a; echo $a; read b || exit 6", "r+");
	char line[16] = "";

	ASSERT_NE(NULL, file);
	ASSERT_LT(0, fprintf(file, "input\n"));
	ASSERT_EQ(0, fflush(file));
	ASSERT_NE(NULL, fgets(line, sizeof(line), file));
	ASSERT_STREQ("input\n", line);
	ASSERT_EQ(0, shutdown(fileno(file), SHUT_WR));
	ASSERT_STREQ("", read_all(file));
	ASSERT_EQ(W_EXITCODE(6, 0), avfork_pclose(file));
}

TEST_F(call, popen_types)
{
	static const char *const good[] = { "r", "w", "r+", "re", "we", "r+e" };
	static const char *const bad[] = {
		"", "e", "+", "x", "rw", "w+", "a", "rx", "r+x", "rb", " r",
		"ree", "wee", "r++", "re+e",
	};
	char *const argv[] = { "true", NULL };
	char *const none[] = { NULL };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		FILE *file = avfork_popenv(argv, good[i]);

		ASSERT_NE(NULL, file);
		ASSERT_EQ(FD_CLOEXEC, fcntl(fileno(file), F_GETFD));
		ASSERT_EQ(0, avfork_pclose(file));
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ASSERT_NO_STREAM(EINVAL, avfork_popen("true", bad[i]));
		ASSERT_NO_STREAM(EINVAL, avfork_popenv(argv, bad[i]));
	}
	ASSERT_NO_STREAM(EINVAL, avfork_popen("true", NULL));
	ASSERT_NO_STREAM(EINVAL, avfork_popenv(argv, NULL));
	ASSERT_NO_STREAM(EINVAL, avfork_popen(NULL, "r"));
	ASSERT_NO_STREAM(EINVAL, avfork_popenv(NULL, "r"));
	ASSERT_NO_STREAM(EINVAL, avfork_popenv(none, "r"));
}

/* It goes on while the command does: both wait for the other in turn. */
TEST_F(call, popen_returns_at_once)
{
	FILE *second, *first = avfork_popen("read line; echo $line", "r+");

	ASSERT_NE(NULL, first);
	second = avfork_popen("read line; exit $line", "w");
	ASSERT_NE(NULL, second);
	ASSERT_LT(0, fprintf(first, "8\n"));
	ASSERT_EQ(0, fflush(first));
	ASSERT_LT(0, fprintf(second, "%s", read_all(first)));
	ASSERT_EQ(W_EXITCODE(8, 0), avfork_pclose(second));
	ASSERT_EQ(0, avfork_pclose(first));
}

TEST_F(call, popen_errno_after_success)
{
	FILE *file;

	errno = 1234;
	file = avfork_popen("true", "r");
	ASSERT_EQ(1234, errno);
	ASSERT_EQ(0, avfork_pclose(file));
}

TEST_F(call, popenv_status)
{
	FILE *file = popenv(sibling("echo"), "r+");

	ASSERT_NE(NULL, file);
	ASSERT_LT(0, fprintf(file, "text"));
	ASSERT_EQ(0, fflush(file));
	ASSERT_EQ(0, shutdown(fileno(file), SHUT_WR));
	ASSERT_STREQ("text", read_all(file));
	ASSERT_EQ(W_EXITCODE(2, 0), avfork_pclose(file));
}

TEST_F(call, popenv_copies)
{
	char program[] = "sh", option[] = "-c", command[] = "exit 3";
	char *argv[] = { program, option, command, NULL };
	int round;

	for (round = 0; round < 20; round++) {
		FILE *file;

		strcpy(command, "exit 3");
		file = avfork_popenv(argv, "r");
		strcpy(command, "exit 4");
		ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(file));
	}
}

/* The status of a program that is looked for in @path. */
static int status_in_path(const char *path, const char *program)
{
	FILE *file;

	if (path)
		setenv("PATH", path, 1);
	else
		unsetenv("PATH");
	file = popenv(program, "r");
	return file ? avfork_pclose(file) : -1;
}

TEST_F(call, popenv_searches_path)
{
	char echo[PATH_MAX], dir[PATH_MAX], path[3 * PATH_MAX];

	strcpy(echo, sibling("echo"));
	strcpy(dir, sibling("."));
	ASSERT_EQ(0, symlink(echo, self->path));

	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path(self->dir, "file"));
	snprintf(path, sizeof(path), "/nonesuch:%s:%s:/usr/bin", echo,
		 self->dir);
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path(path, "file"));
	ASSERT_EQ(W_EXITCODE(127, 0), status_in_path("/nonesuch", "file"));
	/* libc's own, without any. */
	ASSERT_EQ(0, status_in_path(NULL, "true"));
	/* A name with a slash is a path. */
	ASSERT_EQ(W_EXITCODE(127, 0), status_in_path("/", "usr/bin/true"));
	ASSERT_EQ(W_EXITCODE(127, 0), status_in_path("/usr/bin", ""));

	/* An empty one is the working directory. */
	ASSERT_EQ(0, chdir(self->dir));
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path("", "file"));
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path(":/nonesuch", "file"));
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path("/nonesuch:", "file"));
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path("/a::/b", "file"));
	ASSERT_EQ(W_EXITCODE(2, 0), status_in_path("/nonesuch", "./file"));
	ASSERT_EQ(0, chdir("/"));

	/* What may not be executed is passed over; what is no program is not. */
	unlink(self->path);
	ASSERT_EQ(0, make_file(self->path, 0600));
	snprintf(path, sizeof(path), "%s/true", self->dir);
	ASSERT_EQ(0, rename(self->path, path));
	snprintf(path, sizeof(path), "%s:/usr/bin", self->dir);
	ASSERT_EQ(0, status_in_path(path, "true"));
	snprintf(path, sizeof(path), "%s/true", self->dir);
	ASSERT_EQ(0, chmod(path, 0700));
	snprintf(path, sizeof(path), "%s:/usr/bin", self->dir);
	ASSERT_EQ(W_EXITCODE(127, 0), status_in_path(path, "true"));
	snprintf(path, sizeof(path), "%s/true", self->dir);
	unlink(path);
}

TEST_F(call, popenv_of_nothing)
{
	struct pollfd gone = { };
	FILE *file;

	file = popenv("/nonesuch", "r");
	ASSERT_NE(NULL, file);
	ASSERT_STREQ("", read_all(file));
	ASSERT_EQ(W_EXITCODE(127, 0), avfork_pclose(file));

	file = popenv("nonesuch", "r+");
	ASSERT_NE(NULL, file);
	ASSERT_STREQ("", read_all(file));
	ASSERT_EQ(W_EXITCODE(127, 0), avfork_pclose(file));

	signal(SIGPIPE, SIG_IGN);
	file = popenv("/nonesuch", "w");
	ASSERT_NE(NULL, file);
	gone.fd = fileno(file);
	ASSERT_EQ(1, poll(&gone, 1, -1));
	ASSERT_EQ(POLLERR, gone.revents);
	ASSERT_LT(0, fprintf(file, "text"));
	ASSERT_FAILS(EPIPE, fflush(file));
	ASSERT_EQ(W_EXITCODE(127, 0), avfork_pclose(file));
}

/* Nothing is an option of the shell's. */
TEST_F(call, command_may_begin_with_a_dash)
{
	FILE *file = avfork_popen("-nonesuch 2>/dev/null; exit 3", "r");

	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(file));
	ASSERT_EQ(W_EXITCODE(3, 0),
		  avfork_system("-nonesuch 2>/dev/null; exit 3"));
}

TEST_F(call, popen_descriptors)
{
	int spare = fcntl(0, F_DUPFD, 20);
	FILE *file, *older;

	/* The older call: all that the program did not think of. */
	file = popen(LIST_FDS, "r");
	ASSERT_NE(NULL, strstr(read_all(file), "\n20\n"));
	ASSERT_EQ(0, pclose(file));

	older = avfork_popen("read line", "w");
	file = avfork_popen(LIST_FDS, "r");
	ASSERT_STREQ("0\n1\n2\n", read_all(file));
	ASSERT_EQ(0, avfork_pclose(file));
	/* It would wait for its end if another command had it open. */
	file = avfork_popen("read line", "w");
	ASSERT_EQ(W_EXITCODE(1, 0), avfork_pclose(older));
	ASSERT_EQ(W_EXITCODE(1, 0), avfork_pclose(file));
	close(spare);
}

/* @closed: a bit for each of the parent's standard descriptors. */
static int popen_with_closed(void *closed)
{
	const int mask = (long)closed;
	char want[16] = "", *end = want;
	unsigned int nr_fds;
	FILE *file;
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (mask & 1 << fd)
			close(fd);
	nr_fds = count_fds();

	for (fd = 0; fd < 3; fd++)
		if (fd == 1 || !(mask & 1 << fd))
			end += sprintf(end, "%d\n", fd);
	file = avfork_popen(LIST_FDS, "r");
	REQUIRE(file && fileno(file) > 2);
	REQUIRE(!strcmp(want, read_all(file)));
	REQUIRE(avfork_pclose(file) == 0);

	strcpy(want, mask & 1 << 2 ? "0\n1\n" : "0\n1\n2\n");
	file = avfork_popen(LIST_FDS, "r+");
	REQUIRE(file && fileno(file) > 2);
	REQUIRE(!strcmp(want, read_all(file)));
	REQUIRE(avfork_pclose(file) == 0);

	file = avfork_popen("read status; exit $status", "w");
	REQUIRE(file && fileno(file) > 2);
	fprintf(file, "5\n");
	REQUIRE(avfork_pclose(file) == W_EXITCODE(5, 0));

	REQUIRE(avfork_system("exit 6") == W_EXITCODE(6, 0));
	REQUIRE(count_fds() == nr_fds);
	for (fd = 0; fd < 3; fd++)
		REQUIRE(!(mask & 1 << fd) || fcntl(fd, F_GETFD) == -1);
	return 0;
}

TEST_F(call, popen_without_standard_descriptors)
{
	long closed;

	for (closed = 0; closed < 8; closed++)
		ASSERT_PASSED(in_copy(popen_with_closed, (void *)closed));
}

#define STREAM_THREADS	8
#define STREAM_ROUNDS	15

static void *popen_and_pclose(void *arg)
{
	int round;

	for (round = 0; round < STREAM_ROUNDS; round++) {
		FILE *file = avfork_popen(LIST_FDS, "r");

		if (!file || strcmp("0\n1\n2\n", read_all(file)) ||
		    avfork_pclose(file) != 0)
			return "of the list";
		file = avfork_popen("read status; exit $status", "w");
		if (!file || fprintf(file, "%d\n", round) < 0 ||
		    avfork_pclose(file) != W_EXITCODE(round, 0))
			return "of a status";
	}
	return NULL;
}

TEST_F(call, popen_in_many_threads)
{
	pthread_t threads[STREAM_THREADS];
	void *error;
	int i;

	for (i = 0; i < STREAM_THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    popen_and_pclose, NULL));
	for (i = 0; i < STREAM_THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &error));
		ASSERT_EQ(NULL, error)
			TH_LOG("failed because %s", (char *)error);
	}
}

static atomic_bool stop;

/* A program's main loop. How many children it has found. */
static void *wait_for_any(void *arg)
{
	long found = 0;

	while (!atomic_load(&stop)) {
		if (wait(NULL) > 0)
			found++;
		else
			sched_yield();
	}
	return (void *)found;
}

static int popen_status(void)
{
	FILE *file = avfork_popen("exit 3", "r");

	return file ? avfork_pclose(file) : -1;
}

TEST_F(call, status_next_to_a_wait_loop)
{
	pthread_t thread;
	void *found;
	int round;

	handle(_metadata, SIGCHLD, count_signal);
	atomic_store(&stop, false);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_any, NULL));
	for (round = 0; round < 20; round++) {
		ASSERT_EQ(W_EXITCODE(3, 0), popen_status());
		ASSERT_EQ(W_EXITCODE(4, 0), avfork_system("exit 4"));
	}
	atomic_store(&stop, true);
	ASSERT_EQ(0, pthread_join(thread, &found));
	ASSERT_EQ(0, (long)found);
	ASSERT_EQ(0, handled_by_parent);
}

TEST_F(call, status_where_sigchld_is_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	/* The older calls. */
	ASSERT_FAILS(ECHILD, pclose(popen("exit 3", "r")));
	ASSERT_EQ(W_EXITCODE(3, 0), popen_status());
	ASSERT_EQ(W_EXITCODE(4, 0), avfork_system("exit 4"));
}

TEST_F(call, pclose_of_other_streams)
{
	FILE *file = popen("exit 3", "r");

	ASSERT_FAILS(ECHILD, avfork_pclose(file));
	ASSERT_EQ(W_EXITCODE(3, 0), pclose(file));
	file = fopen("/dev/null", "r");
	ASSERT_FAILS(ECHILD, avfork_pclose(file));
	ASSERT_EQ(0, fclose(file));
	ASSERT_FAILS(ECHILD, avfork_pclose(NULL));
}

static int pclose_fails(void *file)
{
	REQUIRE(avfork_pclose(file) == -1);
	REQUIRE(errno == ECHILD);
	/* The copy has streams of its own. */
	REQUIRE(popen_status() == W_EXITCODE(3, 0));
	return 0;
}

TEST_F(call, pclose_in_a_copy)
{
	FILE *file = avfork_popen("read status; exit $status", "w");

	ASSERT_PASSED(in_copy(pclose_fails, file));
	fprintf(file, "7\n");
	ASSERT_EQ(W_EXITCODE(7, 0), avfork_pclose(file));
}

TEST_F(call, pclose_in_any_order)
{
	FILE *files[4];
	int i;

	for (i = 0; i < 4; i++)
		files[i] = avfork_popen("read status; exit $status", "w");
	for (i = 0; i < 4; i++)
		ASSERT_LT(0, fprintf(files[i], "%d\n", i + 1));
	ASSERT_EQ(W_EXITCODE(2, 0), avfork_pclose(files[1]));
	ASSERT_EQ(W_EXITCODE(4, 0), avfork_pclose(files[3]));
	ASSERT_EQ(W_EXITCODE(1, 0), avfork_pclose(files[0]));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(files[2]));
}

static void interrupt(int sig)
{
	(void)sig;
}

/* A handler without SA_RESTART does not have it give up. */
TEST_F(call, pclose_is_not_interrupted)
{
	const struct sigaction action = { .sa_handler = interrupt };
	char command[80];
	FILE *file;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	snprintf(command, sizeof(command), "read line; for i in 1 2 3 4 5 6 7 8;"
		 " do kill -USR1 %d; done; exit 3", getpid());
	file = avfork_popen(command, "w");
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_pclose(file));
	ASSERT_EQ(W_EXITCODE(3, 0), avfork_system(command + strlen("read line; ")));
}

/* Of a cancelled thread: the stream, which it has in any case. */
static void *popen_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	*(FILE **)arg = avfork_popen("exit 3", "r");
	pthread_testcancel();
	return NULL;
}

static void *pclose_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	*(int *)arg = avfork_pclose(*(FILE **)arg);
	pthread_testcancel();
	return NULL;
}

TEST_F(call, popen_is_no_cancellation_point)
{
	union {
		FILE *file;
		int status;
	} got = { };
	pthread_t thread;
	void *result;

	ASSERT_EQ(0, pthread_create(&thread, NULL, popen_cancelled, &got));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(PTHREAD_CANCELED, result);
	ASSERT_NE(NULL, got.file);
	ASSERT_EQ(0, pthread_create(&thread, NULL, pclose_cancelled, &got));
	ASSERT_EQ(0, pthread_join(thread, &result));
	ASSERT_EQ(PTHREAD_CANCELED, result);
	ASSERT_EQ(W_EXITCODE(3, 0), got.status);
}

TEST_HARNESS_MAIN
