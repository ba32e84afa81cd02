// SPDX-License-Identifier: GPL-2.0
/*
 * The calls that are built on avfork(): avfork_exec(), avfork_popen() and its
 * kin, avfork_system() and avfork_async().
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "handler.h"
#include "injection.h"

#define SH "/bin/sh"

/* For the shell: print the numbers of its descriptors. */
#define LIST_FDS							\
	"i=0; while [ $i -lt 100 ]; do"					\
	" [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done"

/* For those that return a stream. */
#define ASSERT_NO_STREAM(error, call) do {				\
	errno = 0;							\
	ASSERT_EQ(NULL, call);						\
	ASSERT_EQ(error, errno);					\
} while (0)

#define ASSERT_NO_CHILD() do {						\
	ASSERT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));		\
	ASSERT_EQ(ECHILD, errno);					\
} while (0)

/*
 * For each test: how many descriptors there are, once the library has its own,
 * and at its end no child and no more descriptors than that.
 */
FIXTURE(call)
{
	unsigned int nr_fds;
	char dir[32];
	char path[64];
};

FIXTURE_SETUP(call)
{
	strcpy(self->dir, "/tmp/avfork-calls.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/file", self->dir);
	ASSERT_EQ(6, reap(avfork(return_arg, (void *)6)));
	self->nr_fds = count_fds();
}

/* An ASSERT that fails would have it run again. */
FIXTURE_TEARDOWN(call)
{
	unlink(self->path);
	rmdir(self->dir);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	EXPECT_EQ(ECHILD, errno);
	EXPECT_EQ(self->nr_fds, count_fds());
}

/* avfork_exec(). */

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

/* A file that the kernel executes in no way, with @mode. */
static int make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const char text[] = "exit 3\n";

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode))
		return -1;
	return close(fd);
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

/* avfork_popen(), avfork_popenv(), avfork_pclose(). */

/* All that @file has to say, until its end. */
static const char *read_all(FILE *file)
{
	static _Thread_local char text[512];

	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	return feof(file) ? text : "(no end)";
}

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

static FILE *popenv(const char *program, const char *type)
{
	char *const argv[] = { (char *)program, "one", "two", NULL };

	return avfork_popenv(argv, type);
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

/* avfork_system(). */

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
	char command[120], fifo[80];
	struct sigaction action;
	pthread_t thread;
	void *status;
	int end;

	snprintf(fifo, sizeof(fifo), "%s/fifo", self->dir);
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	snprintf(command, sizeof(command), "read line <%s; exit 3", fifo);
	handle(_metadata, SIGINT, count_signal);
	ASSERT_EQ(0, pthread_create(&thread, NULL, libc_system, command));
	end = open(fifo, O_WRONLY | O_CLOEXEC);
	snprintf(command, sizeof(command), "echo >%s; sleep 0.3", fifo);
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

/* avfork_async(). */

/**
 * struct async - between a test, its child and the function called afterwards
 * @go:     lets the child go on
 * @called: posted by the function
 * @pid:    what it was given last
 * @count:  how many times it was called
 */
static struct async {
	sem_t go;
	sem_t called;
	pid_t pid;
	atomic_int count;
} async;

static void async_init(void)
{
	sem_init(&async.go, 0, 0);
	sem_init(&async.called, 0, 0);
	async.pid = 0;
	atomic_store(&async.count, 0);
}

static void note_done(pid_t pid)
{
	async.pid = pid;
	atomic_fetch_add(&async.count, 1);
	sem_post(&async.called);
}

static int wait_and_exec(void *arg)
{
	wait_for(&async.go);
	return execl(arg, "sleep", "1000", NULL);
}

static int wait_and_die(void *arg)
{
	wait_for(&async.go);
	return raise(SIGKILL);
}

TEST_F(call, async_until_exit)
{
	async_init();
	errno = 1234;
	ASSERT_EQ(0, avfork_async(wait_for, &async.go, note_done));
	ASSERT_EQ(1234, errno);
	ASSERT_EQ(0, waitpid(-1, NULL, WNOHANG));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_until_exec)
{
	async_init();
	ASSERT_EQ(0, avfork_async(wait_and_exec, "/bin/sleep", note_done));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	/* The program still runs. */
	ASSERT_EQ(0, waitpid(async.pid, NULL, WNOHANG));
	ASSERT_EQ(0, kill(async.pid, SIGTERM));
	ASSERT_EQ(-SIGTERM, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_until_death)
{
	async_init();
	ASSERT_EQ(0, avfork_async(wait_and_die, NULL, note_done));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(-SIGKILL, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_without_done)
{
	int status;

	ASSERT_EQ(0, avfork_async(return_arg, (void *)5, NULL));
	ASSERT_LT(0, wait(&status));
	ASSERT_EQ(W_EXITCODE(5, 0), status);
}

static char *async_text;
static int async_errors;

static int use_text(void *text)
{
	int fd;

	for (fd = 0; fd < 100; fd++)
		REQUIRE(fcntl(fd, F_GETFD) == -1);
	return *(char *)text;
}

/* What a thread may: free memory, wait, and make another child. */
static void free_and_reap(pid_t pid)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	async_errors += sigismember(&blocked, SIGUSR1) != 1;
	async_errors += reap(pid) != 'x';
	free(async_text);
	async_errors += reap(avfork(return_arg, (void *)4)) != 4;
	sem_post(&async.called);
}

TEST_F(call, async_done_may_do_much)
{
	async_init();
	async_errors = 0;
	async_text = strdup("x");
	ASSERT_EQ(0, avfork_async(use_text, async_text, free_and_reap));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, async_errors);
}

static int async_in_child(void *arg)
{
	REQUIRE(avfork_async(return_arg, NULL, note_done) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_async(return_arg, NULL, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	return 0;
}

TEST_F(call, async_errors)
{
	async_init();
	ASSERT_FAILS(EINVAL, avfork_async(NULL, NULL, note_done));
	ASSERT_FAILS(EINVAL, avfork_async(NULL, NULL, NULL));
	ASSERT_PASSED(reap(avfork(async_in_child, NULL)));
	ASSERT_TRUE(threads_leave());
	ASSERT_EQ(0, atomic_load(&async.count));
}

#define ASYNC_CHILDREN 300

static void reap_done(pid_t pid)
{
	if (reap(pid) != 0)
		async_errors++;
	note_done(pid);
}

/* How many threads of the library's wait for children. */
static unsigned int count_watchers(void)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[64], name[16];
	unsigned int count = 0;
	struct dirent *entry;
	FILE *comm;

	while ((entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm",
			 entry->d_name);
		comm = fopen(path, "re");
		if (!comm)
			continue;
		count += fgets(name, sizeof(name), comm) &&
			 !strncmp(name, "avfork-async", 12);
		fclose(comm);
	}
	closedir(tasks);
	return count;
}

static int async_in_copy(void *arg)
{
	async_init();
	REQUIRE(!avfork_async(return_arg, NULL, reap_done));
	sem_wait(&async.called);
	REQUIRE(!async_errors && atomic_load(&async.count) == 1);
	return 0;
}

TEST_F(call, async_hundreds)
{
	int i;

	async_init();
	async_errors = 0;
	for (i = 0; i < ASYNC_CHILDREN; i++) {
		ASSERT_EQ(0, avfork_async(wait_for, &async.go, reap_done));
		if (i == 99)
			ASSERT_EQ(1, count_watchers());
	}
	/* Each waits for 127 children at the most. */
	ASSERT_EQ(3, count_watchers());
	ASSERT_EQ(0, atomic_load(&async.count));
	/* A copy of the program has none of this, and its own. */
	ASSERT_PASSED(in_copy(async_in_copy, NULL));
	for (i = 0; i < ASYNC_CHILDREN; i++)
		sem_post(&async.go);
	for (i = 0; i < ASYNC_CHILDREN; i++)
		ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(ASYNC_CHILDREN, atomic_load(&async.count));
	ASSERT_EQ(0, async_errors);
	/*
	 * The threads that have called us have yet to free what they had, for
	 * which malloc opens a file of /proc, once. None of them stays.
	 */
	ASSERT_TRUE(threads_leave());
}

static void exit_thread(pid_t pid)
{
	reap_done(pid);
	pthread_exit(NULL);
}

/* The others are told all the same, and so is the next. */
TEST_F(call, async_done_exits)
{
	int i;

	async_init();
	async_errors = 0;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, avfork_async(wait_for, &async.go, exit_thread));
	for (i = 0; i < 3; i++)
		sem_post(&async.go);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, avfork_async(return_arg, NULL, exit_thread));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, async_errors);
	ASSERT_TRUE(threads_leave());
}

static pid_t async_copy;

static void fork_copy(pid_t pid)
{
	reap_done(pid);
	async_copy = fork();
	/* The copy's only thread is this, which ends. */
	if (async_copy)
		sem_post(&async.called);
}

TEST_F(call, async_done_forks)
{
	async_init();
	async_errors = 0;
	ASSERT_EQ(0, avfork_async(return_arg, NULL, fork_copy));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, reap(async_copy));
}

/* As many as there are of these calls, each makes the next and takes its time. */
static void make_next(pid_t pid)
{
	reap_done(pid);
	usleep(2000);
	if (atomic_load(&async.count) < 1000 &&
	    avfork_async(return_arg, NULL, make_next))
		async_errors++;
}

static atomic_int async_told_after;

static void note_told(pid_t pid)
{
	atomic_store(&async_told_after, atomic_load(&async.count));
	reap_done(pid);
	/* The others end. */
	atomic_store(&async.count, 1000);
}

TEST_F(call, async_each_has_its_turn)
{
	async_init();
	async_errors = 0;
	ASSERT_EQ(0, avfork_async(return_arg, NULL, make_next));
	ASSERT_EQ(0, avfork_async(return_arg, NULL, make_next));
	ASSERT_EQ(0, avfork_async(wait_for, &async.go, note_told));
	sem_post(&async.go);
	while (atomic_load(&async.count) < 1000)
		sem_wait(&async.called);
	ASSERT_GT(500, atomic_load(&async_told_after));
	/* The last of the others has been told. */
	ASSERT_TRUE(COMES_TRUE(!count_watchers(), IDLE_LIMIT));
	ASSERT_EQ(0, async_errors);
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

/*
 * Limits. Each call under each, when just so much is left that this or that
 * step fails: it succeeds, or fails with one of the errors that it may; nothing
 * remains of it; and when there is more, it works.
 */

/* The calls: 0, whatever became of the child; -1 with errno. */

static int status_of(pid_t pid)
{
	int status = -1;

	if (avfork_waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

static int limited_avfork(int *status)
{
	pid_t pid = avfork(return_arg, (void *)1);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_exec(int *status)
{
	char *const argv[] = { "echo", "1", NULL };
	pid_t pid = avfork_exec(NULL, sibling("echo"), argv, NULL);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_exec_sync(int *status)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "echo", "1", NULL };
	pid_t pid = avfork_exec(&opts, sibling("echo"), argv, NULL);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_popen(int *status)
{
	FILE *file = avfork_popen("exit 1", "r");

	if (!file)
		return -1;
	*status = avfork_pclose(file);
	return 0;
}

static int limited_popenv(int *status)
{
	char *const argv[] = { (char *)sibling("echo"), "1", NULL };
	FILE *file = avfork_popenv(argv, "r+");

	if (!file)
		return -1;
	*status = avfork_pclose(file);
	return 0;
}

static int limited_system(int *status)
{
	const int result = avfork_system("exit 1");

	if (result < 0)
		return -1;
	*status = result;
	return 0;
}

static int limited_async(int *status)
{
	async_init();
	if (avfork_async(return_arg, (void *)1, note_done)) {
		if (atomic_load(&async.count))
			abort();
		return -1;
	}
	while (sem_wait(&async.called))
		;
	*status = status_of(async.pid);
	return 0;
}

FIXTURE(limited)
{
};

FIXTURE_VARIANT(limited)
{
	int (*call)(int *status);
};

FIXTURE_VARIANT_ADD(limited, avfork) { .call = limited_avfork, };
FIXTURE_VARIANT_ADD(limited, exec) { .call = limited_exec, };
FIXTURE_VARIANT_ADD(limited, exec_sync) { .call = limited_exec_sync, };
FIXTURE_VARIANT_ADD(limited, popen) { .call = limited_popen, };
FIXTURE_VARIANT_ADD(limited, popenv) { .call = limited_popenv, };
FIXTURE_VARIANT_ADD(limited, system) { .call = limited_system, };
FIXTURE_VARIANT_ADD(limited, async) { .call = limited_async, };

FIXTURE_SETUP(limited)
{
}

FIXTURE_TEARDOWN(limited)
{
}

/**
 * struct limit - one to try a call under
 * @call:     the call
 * @resource: RLIMIT_*
 * @value:    of the limit
 * @errors:   two that the call may fail with
 */
struct limit {
	int (*call)(int *status);
	int resource;
	rlim_t value;
	int errors[2];
};

/* In a copy, which is left without threads and with the descriptors it had. */
static int call_under_limit(void *arg)
{
	const struct limit *limit = arg;
	struct rlimit old, new;
	unsigned int nr_fds;
	int status;

	/* Those of the backend would otherwise count as left. */
	REQUIRE(avfork_backend());
	nr_fds = count_fds();
	if (limit->resource == RLIMIT_NPROC)
		REQUIRE(!become_lone_user());
	REQUIRE(!getrlimit(limit->resource, &old));
	new = old;
	new.rlim_cur = limit->value;
	REQUIRE(!setrlimit(limit->resource, &new));
	errno = 0;
	if (limit->call(&status))
		REQUIRE(errno == limit->errors[0] ||
			errno == limit->errors[1]);
	REQUIRE(!setrlimit(limit->resource, &old));
	REQUIRE(waitpid(-1, NULL, WNOHANG | __WALL) == -1);
	REQUIRE(errno == ECHILD);
	REQUIRE(count_fds() == nr_fds);

	REQUIRE(!limit->call(&status));
	REQUIRE(status == W_EXITCODE(1, 0));
	REQUIRE(count_fds() == nr_fds);
	return 0;
}

#define ASSERT_KEPT(limit)						\
	ASSERT_EQ(0, in_copy(call_under_limit, limit))			\
		TH_LOG("failed at line %d (errno %d) with a limit of %llu", \
		       failure->line, failure->error,			\
		       (unsigned long long)(limit)->value)

TEST_F(limited, descriptors)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_NOFILE,
		.errors = { EMFILE, EMFILE },
	};

	/* From the standard ones on, which are granted in any case. */
	for (limit.value = 3; limit.value < 12; limit.value++)
		ASSERT_KEPT(&limit);
}

TEST_F(limited, processes)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_NPROC,
		.errors = { EAGAIN, EAGAIN },
	};

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	for (limit.value = 1; limit.value < 8; limit.value++)
		ASSERT_KEPT(&limit);
}

/*
 * A call that fails for want of processes has not taken any itself: who fork()s
 * instead finds as much room as before.
 */

/**
 * struct room - for processes
 * @call:  what is tried first
 * @value: of the limit
 * @warm:  the call has been made before, when there was no limit
 */
struct room {
	int (*call)(int *status);
	rlim_t value;
	bool warm;
};

/* What a copy ends with, if not with a failure. */
enum { NO_ROOM_BEFORE = 2, ROOM_FOR_CALL, ROOM_AFTERWARDS, ROOM_TAKEN };

static bool fork_works(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid > 0 && reap(pid) == 0;
}

static int fork_after_call(void *arg)
{
	const struct room *room = arg;
	struct rlimit limit = { room->value, 1000 };
	int status;

	REQUIRE(avfork_backend());
	REQUIRE(!become_lone_user());
	if (room->warm)
		REQUIRE(!room->call(&status) && threads_leave());
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	if (!fork_works())
		return NO_ROOM_BEFORE;
	if (!room->call(&status))
		return ROOM_FOR_CALL;
	REQUIRE(errno == EAGAIN);
	return fork_works() ? ROOM_AFTERWARDS : ROOM_TAKEN;
}

TEST_F(limited, leaves_room_for_a_fork)
{
	struct room room = { .call = variant->call };
	bool failed = false;
	int result;

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	for (room.value = 1; room.value < 10; room.value++) {
		for (room.warm = 0; ; room.warm = 1) {
			result = in_copy(fork_after_call, &room);
			ASSERT_LE(NO_ROOM_BEFORE, result)
				TH_LOG("line %d (errno %d) with a limit of %d",
				       failure->line, failure->error,
				       (int)room.value);
			ASSERT_NE(ROOM_TAKEN, result)
				TH_LOG("with a limit of %d, %s",
				       (int)room.value,
				       room.warm ? "warm" : "cold");
			failed |= result == ROOM_AFTERWARDS;
			if (room.warm)
				break;
		}
	}
	/* One process is enough for AVFORK_SYNC, as it is for fork(). */
	if (variant->call != limited_exec_sync)
		ASSERT_TRUE(failed);
}

/* The control: a call that made a thread before it knew that it could do no more. */
static void *stay(void *arg)
{
	pause();
	return arg;
}

static int limited_by_thread(int *status)
{
	pthread_t thread;
	pid_t pid;

	errno = pthread_create(&thread, NULL, stay, NULL);
	if (errno)
		return -1;
	pid = fork();
	if (!pid)
		_exit(0);
	return pid > 0 ? avfork_waitpid(pid, status, 0) != pid : -1;
}

TEST(limited_thread_leaves_none)
{
	struct room room = { .call = limited_by_thread, .value = 2 };

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	ASSERT_EQ(ROOM_TAKEN, in_copy(fork_after_call, &room));
}

/* How much memory is mapped, in bytes. */
static rlim_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

TEST_F(limited, memory)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_AS,
		.errors = { ENOMEM, EAGAIN },
	};
	const rlim_t now = address_space();
	rlim_t more;

	if (SANITIZED)
		SKIP(return, "the sanitizer gives up without memory");
	/* In steps that are small at first, up to where it works. */
	for (more = 0; more < 80 << 20; more += 16384 + more / 4) {
		limit.value = now + more;
		ASSERT_KEPT(&limit);
	}
}

/**
 * struct fault - an allocation of the kernel's that fails in the course of a call
 * @call: the call
 * @n:    which one
 */
struct fault {
	int (*call)(int *status);
	unsigned int n;
};

/* What a copy exits with whose call was made with less than @n allocations. */
#define NOT_INJECTED	2

/* In a copy: without a pool, or a descriptor of the device. */
static int call_with_fault(void *arg)
{
	const struct fault *fault = arg;
	int nth, status, failed, error;
	unsigned int nr_fds, left;

	nth = nth_open();
	REQUIRE(nth >= 0);
	nr_fds = count_fds() + backend_is("kernel");
	nth_set(nth, fault->n);
	failed = fault->call(&status);
	error = errno;
	left = nth_end(nth);
	if (failed) {
		errno = error;
		REQUIRE(error == ENOMEM || error == EAGAIN || error == ENFILE);
	} else {
		REQUIRE(status == W_EXITCODE(1, 0));
	}
	REQUIRE(waitpid(-1, NULL, WNOHANG | __WALL) == -1);
	REQUIRE(errno == ECHILD);

	/* It is not held against anything. */
	REQUIRE(backend_is(avfork_backend()));
	REQUIRE(count_fds() == nr_fds);
	REQUIRE(!fault->call(&status));
	REQUIRE(status == W_EXITCODE(1, 0));
	REQUIRE(count_fds() == nr_fds);
	return left ? NOT_INJECTED : 0;
}

/* Of the simplest call, and of one that makes a pipe and a stream as well. */
TEST(kernel_memory)
{
	int (*const calls[])(int *status) = { limited_avfork, limited_popenv };
	int nth = nth_open(), result;
	unsigned int i;

	if (nth < 0)
		SKIP(return, NO_INJECTION);
	close(nth);
	/* Not for a fault to prevent. */
	sibling("echo");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		struct fault fault = { .call = calls[i] };

		do {
			fault.n++;
			result = in_copy(call_with_fault, &fault);
		} while (!result);
		ASSERT_EQ(NOT_INJECTED, result) {
			TH_LOG("failed at line %d (errno %d) with fault %u",
			       failure->line, failure->error, fault.n);
		}
		TH_LOG("%u faults", fault.n - 1);
		ASSERT_LT(1, fault.n);
	}
}

TEST_HARNESS_MAIN
