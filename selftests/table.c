// SPDX-License-Identifier: GPL-2.0
/*
 * What descriptors a child of /dev/avfork has.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "spawning.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <pthread.h>

#define NR_NEXT		200
#define NOT_OPEN	(-EBADF)

/**
 * struct table - a child's view of its descriptors
 * @limit:   RLIMIT_NOFILE
 * @flags:   of descriptors 0 to @limit: FD_CLOEXEC, 0 or NOT_OPEN
 * @next:    what it then gets for new ones
 * @scanned: @flags has been filled
 * @go:      the child may go on with @next
 */
struct table {
	int limit;
	signed char *flags;
	int next[NR_NEXT];
	__u32 scanned;
	__u32 go;
};

static int child_scans_table(void *arg)
{
	struct table *table = arg;
	int i;

	for (i = 0; i < table->limit; i++)
		table->flags[i] = sys(SYS_fcntl, i, F_GETFD);
	word_set(&table->scanned, 1);
	word_wait(&table->go, 0);
	for (i = 0; i < NR_NEXT; i++)
		table->next[i] = sys_open("/", O_PATH);
	return 0;
}

static int entries_of_proc_fd(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	closedir(dir);
	return nr;
}

/*
 * Spawn with @grants and @flags, and assert that the child has what is in
 * @expected: nothing else, the very same open files, and the lowest numbers
 * that are free for what it opens itself.
 */
static void table_is(struct __test_metadata *_metadata,
		     FIXTURE_DATA(spawn) *self, __u64 flags,
		     struct avfork_fd *grants, unsigned int nr_grants,
		     const struct avfork_fd *expected, unsigned int nr_expected)
{
	struct child *child = &self->child;
	struct table table = { 0 };
	struct rlimit limit;
	signed char *wanted;
	unsigned int i;
	int fd, next;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	table.limit = limit.rlim_cur;
	/* With room for numbers that it should not have found. */
	table.flags = malloc(table.limit);
	wanted = malloc(table.limit);
	ASSERT_TRUE(table.flags && wanted);
	memset(wanted, NOT_OPEN, table.limit);
	for (i = 0; i < nr_expected; i++)
		wanted[expected[i].child_fd] = expected[i].flags;

	child_init(child, child_scans_table, &table);
	child->args.flags = flags;
	child_grant(child, grants, nr_grants);
	SPAWN(child);
	word_wait(&table.scanned, 0);

	for (fd = 0; fd < table.limit; fd++) {
		EXPECT_EQ(wanted[fd], table.flags[fd]) {
			TH_LOG("descriptor %d", fd);
			break;
		}
	}
	EXPECT_EQ(nr_expected, entries_of_proc_fd(child->pid));
	for (i = 0; i < nr_expected; i++) {
		EXPECT_EQ(0, syscall(SYS_kcmp, getpid(), child->pid, KCMP_FILE,
				     expected[i].parent_fd,
				     expected[i].child_fd)) {
			TH_LOG("descriptor %d", expected[i].child_fd);
			break;
		}
	}

	word_set(&table.go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
	for (i = 0, next = 0; i < NR_NEXT; i++, next++) {
		while (next < table.limit && wanted[next] != NOT_OPEN)
			next++;
		if (next >= table.limit)
			next = -EMFILE;
		EXPECT_EQ(next, table.next[i]) {
			break;
		}
		if (next < 0)
			break;
	}
	free(wanted);
	free(table.flags);
}

#define TABLE_IS_GRANTS(grants, nr) \
	table_is(_metadata, self, 0, grants, nr, grants, nr)

/* Some files to grant. */
static int any_file(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

TEST_F(spawn, table_is_empty)
{
	int fd[300], i;

	for (i = 0; i < (int)ARRAY_SIZE(fd); i++) {
		fd[i] = dup(self->device);
		ASSERT_LE(0, fd[i]);
	}
	TABLE_IS_GRANTS(NULL, 0);
	for (i = 0; i < (int)ARRAY_SIZE(fd); i++)
		EXPECT_EQ(0, close(fd[i]));
}

TEST_F(spawn, table_has_grants_in_any_order)
{
	int a = any_file(), b = any_file(), c = any_file();
	struct avfork_fd grants[] = {
		{ b, 7, 0, 0 },
		{ a, a, 0, 0 },
		{ self->device, 3, FD_CLOEXEC, 0 },
		{ c, 63, 0, 0 },
		{ b, 0, FD_CLOEXEC, 0 },	/* a second time */
		{ a, 31, 0, 0 },
	};

	TABLE_IS_GRANTS(grants, ARRAY_SIZE(grants));
	close(a);
	close(b);
	close(c);
}

TEST_F(spawn, table_beyond_64)
{
	int file = any_file();
	struct avfork_fd grants[] = {
		{ file, 200, FD_CLOEXEC, 0 },
		{ file, 64, 0, 0 },
		{ file, 127, 0, 0 },
		{ file, 63, 0, 0 },
		{ file, 128, FD_CLOEXEC, 0 },
	};

	TABLE_IS_GRANTS(grants, ARRAY_SIZE(grants));
	close(file);
}

/* Words of the bitmaps that are full from the start, and one that is not. */
TEST_F(spawn, table_without_gaps)
{
	static const int sizes[] = { 1, 63, 64, 65, 128, 192, 1000 };
	struct avfork_fd grants[1000];
	int file = any_file(), i;
	size_t size;

	for (i = 0; i < (int)ARRAY_SIZE(grants); i++) {
		grants[i] = (struct avfork_fd) {
			.parent_fd = i % 3 ? file : self->device,
			.child_fd = i,
			.flags = i % 7 ? 0 : FD_CLOEXEC,
		};
	}
	for (size = 0; size < ARRAY_SIZE(sizes); size++) {
		TABLE_IS_GRANTS(grants, sizes[size]);
		TABLE_IS_GRANTS(grants + 1, sizes[size] - 1);
	}
	close(file);
}

TEST_F(spawn, table_up_to_the_limit)
{
	struct rlimit limit = { 100000, 100000 };
	int file = any_file();
	struct avfork_fd grants[] = {
		{ file, 99999, 0, 0 },
		{ file, 1, 0, 0 },
	};

	if (geteuid())
		SKIP(return, "only root can raise RLIMIT_NOFILE");
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	TABLE_IS_GRANTS(grants, ARRAY_SIZE(grants));
	limit.rlim_cur = 100;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	grants[0].child_fd = 99;
	TABLE_IS_GRANTS(grants, ARRAY_SIZE(grants));
	close(file);
}

TEST_F(spawn, table_with_a_path_descriptor)
{
	int path = open("/", O_PATH | O_CLOEXEC);
	struct avfork_fd grant = { path, 4, 0, 0 };

	ASSERT_LE(0, path);
	TABLE_IS_GRANTS(&grant, 1);
	close(path);
}

TEST_F(spawn, stdio_is_granted)
{
	const struct avfork_fd all[] = {
		{ 0, 0, 0, 0 }, { 1, 1, 0, 0 }, { 2, 2, 0, 0 },
	};

	/* That it is close-on-exec here does not matter. */
	ASSERT_EQ(0, fcntl(0, F_SETFD, FD_CLOEXEC));
	table_is(_metadata, self, AVFORK_STDIO, NULL, 0, all, ARRAY_SIZE(all));
	ASSERT_EQ(0, fcntl(0, F_SETFD, 0));
}

TEST_F(spawn, stdio_closed_stays_closed)
{
	const struct avfork_fd rest[] = { { 1, 1, 0, 0 }, { 2, 2, 0, 0 } };
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 3);

	close(0);
	table_is(_metadata, self, AVFORK_STDIO, NULL, 0,
		 rest, ARRAY_SIZE(rest));
	ASSERT_EQ(0, dup2(saved, 0));
	close(saved);
}

TEST_F(spawn, stdio_yields_to_grants)
{
	int file = any_file();
	struct avfork_fd grants[] = {
		{ file, 1, FD_CLOEXEC, 0 }, { file, 100, 0, 0 },
	};
	const struct avfork_fd all[] = {
		grants[0], grants[1], { 0, 0, 0, 0 }, { 2, 2, 0, 0 },
	};

	table_is(_metadata, self, AVFORK_STDIO, grants, ARRAY_SIZE(grants),
		 all, ARRAY_SIZE(all));
	close(file);
}

/*
 * Spawn with @grants and AVFORK_INHERIT_FDS, and assert that the child has the
 * former and, under all other numbers, what we have without FD_CLOEXEC.
 */
static void table_inherits(struct __test_metadata *_metadata,
			   FIXTURE_DATA(spawn) *self, __u64 flags,
			   struct avfork_fd *grants, unsigned int nr)
{
	struct avfork_fd *expected;
	unsigned int nr_expected = nr, i;
	struct rlimit limit;
	int fd;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	expected = calloc(limit.rlim_cur, sizeof(*expected));
	ASSERT_NE(NULL, expected);
	for (i = 0; i < nr; i++)
		expected[i] = grants[i];
	for (fd = 0; fd < limit.rlim_cur; fd++) {
		for (i = 0; i < nr && grants[i].child_fd != fd; i++)
			;
		if (i == nr && fcntl(fd, F_GETFD) == 0) {
			expected[nr_expected].parent_fd = fd;
			expected[nr_expected++].child_fd = fd;
		}
	}
	table_is(_metadata, self, flags | AVFORK_INHERIT_FDS, grants, nr,
		 expected, nr_expected);
	free(expected);
}

TEST_F(spawn, table_inherits)
{
	static const int numbers[] = { 5, 63, 64, 127, 200, 1000, 1023, 25000 };
	const struct rlimit limit = { 30000, 30000 };
	int file = any_file(), i;
	struct avfork_fd grants[] = {
		{ file, 64, FD_CLOEXEC, 0 },	/* instead of ours */
		{ file, 66, 0, 0 },		/* what we have not */
		{ self->device, 300, 0, 0 },	/* what has FD_CLOEXEC here */
	};

	if (geteuid())
		SKIP(return, "only root can raise RLIMIT_NOFILE");
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	table_inherits(_metadata, self, 0, NULL, 0);
	for (i = 0; i < (int)ARRAY_SIZE(numbers); i++)
		ASSERT_EQ(numbers[i], dup2(self->device, numbers[i]));
	table_inherits(_metadata, self, 0, NULL, 0);
	/* None of these is the child's. */
	for (i = 0; i < 20000; i++)
		ASSERT_LE(0, fcntl(file, F_DUPFD_CLOEXEC, 100));
	table_inherits(_metadata, self, 0, NULL, 0);
	table_inherits(_metadata, self, AVFORK_STDIO, NULL, 0);
	table_inherits(_metadata, self, 0, grants, ARRAY_SIZE(grants));
	close_range(self->device + 1, ~0U, 0);
}

static __u32 started;

static int child_starts_and_blocks(void *child)
{
	word_set(&started, 1);
	return child_blocks(child);
}

/* The numbers that we had before the limit was lowered are still ours. */
TEST_F(spawn, table_inherits_beyond_the_limit)
{
	struct child *child = &self->child;
	int inherited = 0, fd;

	ASSERT_EQ(500, dup2(self->device, 500));
	for (fd = 0; fd < 1024; fd++)
		inherited += fcntl(fd, F_GETFD) == 0;
	limit_descriptors(100);
	word_set(&started, 0);
	child_init(child, child_starts_and_blocks, child);
	child->args.flags = AVFORK_INHERIT_FDS;
	SPAWN(child);
	word_wait(&started, 0);
	EXPECT_EQ(inherited, entries_of_proc_fd(child->pid));
	EXPECT_EQ(0, syscall(SYS_kcmp, getpid(), child->pid, KCMP_FILE,
			     self->device, 500));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
	close(500);
}

#define MOVED	70	/* and up to MOVED + MOVERS, and as many from there on */
#define MOVERS	2
#define KEPT	90
#define HIDDEN	91

static __u32 movers_stop;

/* A descriptor that is always open, but not always under the same number. */
static void *mover(void *arg)
{
	int here = (long)arg, there = here + MOVERS;

	while (!word_get(&movers_stop)) {
		dup2(here, there);
		close(here);
		/* What makes the table grow. */
		close(dup2(there, 200 + here * 20));
		close(fcntl(there, F_DUPFD_CLOEXEC, 100));
		dup2(there, here);
		close(there);
	}
	return NULL;
}

static int child_finds_moved(void *arg)
{
	int i;

	if (sys(SYS_fcntl, KEPT, F_GETFD) != 0)
		return 1;
	if (sys(SYS_fcntl, HIDDEN, F_GETFD) != -EBADF)
		return 2;
	for (i = MOVED; i < MOVED + MOVERS; i++) {
		if (sys(SYS_fcntl, i, F_GETFD) != 0 &&
		    sys(SYS_fcntl, i + MOVERS, F_GETFD) != 0)
			return 3;
	}
	for (i = 100; i < 104; i++)
		if (sys(SYS_fcntl, i, F_GETFD) != -EBADF)
			return 4;
	return 0;
}

TEST_F(spawn, table_inherits_at_once)
{
	pthread_t threads[MOVERS];
	int file = any_file(), i;

	ASSERT_EQ(KEPT, dup2(file, KEPT));
	ASSERT_EQ(HIDDEN, dup3(file, HIDDEN, O_CLOEXEC));
	word_set(&movers_stop, 0);
	for (i = 0; i < MOVERS; i++) {
		ASSERT_EQ(MOVED + i, dup2(file, MOVED + i));
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, mover,
					    (void *)(long)(MOVED + i)));
	}
	for (i = 0; i < 300; i++) {
		child_init(&self->child, child_finds_moved, NULL);
		self->child.args.flags = AVFORK_INHERIT_FDS;
		SPAWN(&self->child);
		ASSERT_EQ(EXITED(0), child_reap(&self->child));
	}
	word_set(&movers_stop, 1);
	for (i = 0; i < MOVERS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		close(MOVED + i);
	}
	close(KEPT);
	close(HIDDEN);
	close(file);
}

TEST_F(spawn, grants_are_pinned_by_the_call)
{
	struct child *child = &self->child;
	struct avfork_fd grant;
	int pipe_fd[2];
	char byte;

	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK));
	grant = (struct avfork_fd){ pipe_fd[1], 1, 0, 0 };
	child_init(child, child_blocks, child);
	child_grant(child, &grant, 1);
	SPAWN(child);
	ASSERT_EQ(0, close(pipe_fd[1]));
	/* The child has the only write end. */
	EXPECT_EQ(-1, read(pipe_fd[0], &byte, 1));
	EXPECT_EQ(EAGAIN, errno);
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(0, read(pipe_fd[0], &byte, 1));
	close(pipe_fd[0]);
}

TEST_F(spawn, grants_may_close_on_exec)
{
	struct child *child = &self->child;
	struct avfork_fd grants[4];
	int control[2], pipe_fd[2];
	char byte;

	child_init(child, child_execs, NULL);
	control_open(_metadata, control, child, &grants[0]);
	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK));
	grants[1] = (struct avfork_fd){ self->device, 1, 0, 0 };
	grants[2] = (struct avfork_fd){ pipe_fd[1], 2, FD_CLOEXEC, 0 };
	grants[3] = (struct avfork_fd){ pipe_fd[1], 70, FD_CLOEXEC, 0 };
	child_grant(child, grants, ARRAY_SIZE(grants));
	SPAWN(child);
	close(pipe_fd[1]);
	close(control[1]);
	ASSERT_TRUE(child_has_execed(control[0]));
	EXPECT_EQ(0, read(pipe_fd[0], &byte, 1));
	EXPECT_EQ(2, entries_of_proc_fd(child->pid));
	EXPECT_TRUE(child_shall_exit(control[0], 6));
	EXPECT_EQ(EXITED(6), child_reap(child));
	close(pipe_fd[0]);
	close(control[0]);
}

TEST_HARNESS_MAIN
