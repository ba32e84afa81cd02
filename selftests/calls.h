/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the calls that are built on avfork() share. Include it after the
 * harness.
 */
#ifndef AVFORK_SELFTEST_CALLS_H
#define AVFORK_SELFTEST_CALLS_H

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <avfork.h>

#include "helpers.h"

/* For the shell: print the numbers of its descriptors. */
#define LIST_FDS							\
	"i=0; while [ $i -lt 100 ]; do"					\
	" [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done"

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

/* A file that the kernel executes in no way, with @mode. */
static inline int make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const char text[] = "exit 3\n";

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode))
		return -1;
	return close(fd);
}

/* All that @file has to say, until its end. */
static inline const char *read_all(FILE *file)
{
	static _Thread_local char text[512];

	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	return feof(file) ? text : "(no end)";
}

static inline FILE *popenv(const char *program, const char *type)
{
	char *const argv[] = { (char *)program, "one", "two", NULL };

	return avfork_popenv(argv, type);
}

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

static inline void async_init(void)
{
	sem_init(&async.go, 0, 0);
	sem_init(&async.called, 0, 0);
	async.pid = 0;
	atomic_store(&async.count, 0);
}

static inline void note_done(pid_t pid)
{
	async.pid = pid;
	atomic_fetch_add(&async.count, 1);
	sem_post(&async.called);
}

#endif
