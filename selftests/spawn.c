// SPDX-License-Identifier: GPL-2.0
/*
 * The promises of AVFORK_IOC_SPAWN and AVFORK_IOC_INFO, one test each: how a
 * child starts, what it has, how it ends, and what its parent notices of that.
 */
#include "../kselftest_harness.h"
#include "device.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>

FIXTURE(spawn) {
	int device;
	int descriptors;
	struct child child;
};

FIXTURE_SETUP(spawn)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(spawn)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
}

#define SPAWN(child) ASSERT_LT(0, child_spawn(self->device, child))

/* How a child starts */

TEST_F(spawn, parent_goes_on)
{
	struct child *child = &self->child;

	child_init(child, child_blocks, child);
	SPAWN(child);
	EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
	EXPECT_EQ(1, word_get(&child->in_memory));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

struct exchange {
	__u32 question;
	__u32 answer;
	char *mapped;
};

static int child_answers(void *arg)
{
	struct exchange *exchange = arg;

	exchange->mapped = (char *)sys(SYS_mmap, NULL, PAGE,
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	exchange->mapped[100] = 'x';
	word_wait(&exchange->question, 0);
	word_set(&exchange->answer, exchange->question + 1);
	return 0;
}

TEST_F(spawn, memory_is_shared)
{
	struct exchange exchange = { 0 };

	child_init(&self->child, child_answers, &exchange);
	SPAWN(&self->child);
	word_set(&exchange.question, 41);
	word_wait(&exchange.answer, 0);
	EXPECT_EQ(42, exchange.answer);
	EXPECT_EQ('x', exchange.mapped[100]);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));
	/* It is still there. */
	EXPECT_EQ('x', exchange.mapped[100]);
	EXPECT_EQ(0, munmap(exchange.mapped, PAGE));
}

/* The child's first instructions. */
void registers_entry(void);
asm(REGISTERS_ENTRY);

static void registers_of_child(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self,
			       struct registers *registers)
{
	struct child *child = &self->child;

	registers_soil(registers);
	child->args.entry = (uintptr_t)registers_entry;
	child->args.arg = (uintptr_t)registers;
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

TEST_F(spawn, registers_are_clean)
{
	struct registers registers;
	size_t i;

	child_init(&self->child, NULL, NULL);
	self->child.args.tls = 0;
	bases_soil();
	registers_of_child(_metadata, self, &registers);
	bases_clean();

	for (i = 0; i < ARRAY_SIZE(registers.general); i++) {
		if (i == REGISTER_ARG || i == REGISTER_SP)
			continue;
		EXPECT_EQ(0, registers.general[i]) {
			TH_LOG("register %zu", i);
		}
	}
	EXPECT_EQ((uintptr_t)&registers, registers.general[REGISTER_ARG]);
	EXPECT_EQ(FLAGS_AT_START, registers.flags);
	EXPECT_EQ(0, registers.tls);
	EXPECT_TRUE(bases_are_clean(&registers));
}

TEST_F(spawn, fpu_is_clean)
{
	struct registers registers;
	struct fpu_control old;

	child_init(&self->child, NULL, NULL);
	fpu_soil(&old);
	registers_of_child(_metadata, self, &registers);
	fpu_clean(&old);
	EXPECT_EQ(NULL, fpu_dirt(&registers)) {
		TH_LOG("%s", fpu_dirt(&registers));
	}
}

TEST_F(spawn, stack_is_as_at_a_call)
{
	struct registers registers;

	child_init(&self->child, NULL, NULL);
	self->child.args.stack_size = AVFORK_STACK_MIN;
	registers_of_child(_metadata, self, &registers);
	EXPECT_EQ(SP_AT_START(self->child.args.stack + AVFORK_STACK_MIN),
		  registers.general[REGISTER_SP]);
}

static int child_stores_frame(void *arg)
{
	*(void **)arg = __builtin_frame_address(0);
	return 0;
}

TEST_F(spawn, stack_is_its_own)
{
	void *frame = NULL;
	struct child *child = &self->child;

	child_init(child, child_stores_frame, &frame);
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_LT(child->args.stack, (uintptr_t)frame);
	EXPECT_GT(child->args.stack + child->args.stack_size,
		  (uintptr_t)frame);
}

TEST_F(spawn, tls_is_the_given)
{
	struct registers registers;
	/* It need not be aligned, nor point to anything. */
	const __u64 tls = 0x1234567;

	child_init(&self->child, NULL, NULL);
	self->child.args.tls = tls;
	registers_of_child(_metadata, self, &registers);
	EXPECT_EQ(tls, registers.tls);
}

TEST_F(spawn, longer_args_with_zero_tail)
{
	struct {
		struct avfork_args args;
		char tail[1000];
	} longer = { 0 };
	struct child *child = &self->child;

	child_init(child, child_returns, (void *)3);
	longer.args = child->args;
	child->pid = sys(SYS_ioctl, self->device,
			 _IOC(_IOC_WRITE, AVFORK_IOC_MAGIC,
			      _IOC_NR(AVFORK_IOC_SPAWN), sizeof(longer)),
			 &longer);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(EXITED(3), child_reap(child));
}

static void *spawn_in_thread(void *arg)
{
	FIXTURE_DATA(spawn) *self = arg;

	child_spawn(self->device, &self->child);
	return NULL;
}

/* As after fork(): the process is the parent, not the thread. */
TEST_F(spawn, outlives_the_thread_that_made_it)
{
	struct child *child = &self->child;
	pthread_t thread;

	child_init(child, child_blocks, child);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spawn_in_thread, self));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

#define CHILD_DEVICE 3

static int child_spawns(void *arg)
{
	struct child *grandchild = arg;

	if (child_spawn(CHILD_DEVICE, grandchild) < 0)
		return 100;
	return child_reap(grandchild) >> 8;
}

TEST_F(spawn, child_can_spawn)
{
	struct avfork_fd grant = { self->device, CHILD_DEVICE, 0, 0 };
	struct child grandchild;

	child_init(&grandchild, child_returns, (void *)5);
	child_init(&self->child, child_spawns, &grandchild);
	child_grant(&self->child, &grant, 1);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(5), child_reap(&self->child));
}

/* What descriptors it has */

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

/* Descriptor 0 of a child that execs; control[0] is our end of it. */
static void control_open(struct __test_metadata *_metadata, int control[2],
			 struct child *child, struct avfork_fd *grant)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	*grant = (struct avfork_fd){ control[1], 0, 0, 0 };
	child_grant(child, grant, 1);
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

/* What it makes of signals */

struct kernel_sigaction {
	__u64 handler;
	__u64 flags;
	__u64 restorer;
	__u64 mask;
};

/**
 * struct signals - what a process makes of signals, as the kernel has it
 * @actions: of signals 1 to 64; the first is unused
 * @mask:    what is blocked
 * @pending: what waits
 * @stack:   the alternate stack
 */
struct signals {
	struct kernel_sigaction actions[65];
	__u64 mask;
	__u64 pending;
	stack_t stack;
};

static int signals_read(void *arg)
{
	struct signals *signals = arg;
	int i;

	for (i = 1; i <= 64; i++)
		sys(SYS_rt_sigaction, i, NULL, &signals->actions[i], 8);
	sys(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &signals->mask, 8);
	sys(SYS_rt_sigpending, &signals->pending, 8);
	sys(SYS_sigaltstack, NULL, &signals->stack);
	return 0;
}

/* In the parent: handlers, ignored signals, all blocked, some pending. */
static void signals_in_disorder(void *stack)
{
	const stack_t alternate = { .ss_sp = stack, .ss_size = 16384 };
	const __u64 all = ~0ULL;
	struct kernel_sigaction action = {
		.flags = SA_ONSTACK | SA_NODEFER | 0x04000000, /* SA_RESTORER */
		.restorer = 0x1000,
		.mask = all,
	};
	int i;

	sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	for (i = 1; i <= 64; i++) {
		/* Not SIGCHLD, which is odd: nothing is to be reaped here. */
		action.handler = i % 2 ? 0x2000 : (__u64)SIG_IGN;
		sys(SYS_rt_sigaction, i, &action, NULL, 8);
	}
	sys(SYS_sigaltstack, &alternate, NULL);
	sys(SYS_kill, getpid(), SIGUSR1);
	sys(SYS_kill, getpid(), SIGHUP);
	sys(SYS_tgkill, getpid(), gettid(), SIGTERM);
	sys(SYS_tgkill, getpid(), gettid(), 50);
}

static void signals_are_default(struct __test_metadata *_metadata,
				const struct signals *signals)
{
	const struct kernel_sigaction none = { 0 };
	int i;

	for (i = 1; i <= 64; i++) {
		EXPECT_EQ(0, memcmp(&none, &signals->actions[i],
				    sizeof(none))) {
			TH_LOG("signal %d", i);
		}
	}
	EXPECT_EQ(0, signals->mask);
	EXPECT_EQ(0, signals->pending);
	EXPECT_EQ(SS_DISABLE, signals->stack.ss_flags);
	EXPECT_EQ(NULL, signals->stack.ss_sp);
	EXPECT_EQ(0, signals->stack.ss_size);
}

static void signals_spawn(struct __test_metadata *_metadata,
			  FIXTURE_DATA(spawn) *self, __u64 flags)
{
	static char stack[16384];
	struct signals before = { 0 }, after = { 0 }, of_child;

	signals_in_disorder(stack);
	signals_read(&before);
	ASSERT_NE(0, before.pending);

	memset(&of_child, 0x55, sizeof(of_child));
	child_init(&self->child, signals_read, &of_child);
	self->child.args.flags = flags;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));
	signals_are_default(_metadata, &of_child);

	/* The child's death has left its signal. */
	signals_read(&after);
	before.pending |= 1ULL << (SIGCHLD - 1);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

TEST_F(spawn, signals_are_default)
{
	signals_spawn(_metadata, self, 0);
}

/* The kernel's vfork keeps the alternate stack. */
TEST_F(spawn, signals_are_inherited)
{
	static char stack[16384];
	struct signals before = { 0 }, of_child;
	int i;

	signals_in_disorder(stack);
	signals_read(&before);
	memset(&of_child, 0x55, sizeof(of_child));
	child_init(&self->child, signals_read, &of_child);
	self->child.args.flags = AVFORK_INHERIT_SIGNALS;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));

	EXPECT_EQ(before.mask, of_child.mask);
	EXPECT_NE(0, of_child.mask);
	/* What is ignored stays so; the rest is as without the flag. */
	for (i = 1; i <= 64; i++) {
		EXPECT_EQ(before.actions[i].handler == (__u64)SIG_IGN ?
			  (__u64)SIG_IGN : (__u64)SIG_DFL,
			  of_child.actions[i].handler) {
			TH_LOG("signal %d", i);
		}
		of_child.actions[i].handler = 0;
	}
	of_child.mask = 0;
	signals_are_default(_metadata, &of_child);
}

TEST_F(spawn, signals_are_default_with_sync)
{
	signals_spawn(_metadata, self, AVFORK_SYNC);
}

/**
 * struct volley - signals to a process group that is just growing
 * @round:    the sender sends one when this changes
 * @sent:     the last round that it has sent one in
 * @parent:   whose handler it is
 * @handled:  how often the handler ran there
 * @strayed:  how often it ran anywhere else
 */
struct volley {
	__u32 round;
	__u32 sent;
	pid_t parent;
	unsigned int handled;
	unsigned int strayed;
};

static struct volley *volley;

static void count_signal(int sig)
{
	if (sys(SYS_getpid) == volley->parent)
		volley->handled++;
	else
		__atomic_add_fetch(&volley->strayed, 1, __ATOMIC_RELAXED);
}

static void send_volleys(void)
{
	unsigned int i, round = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, SIG_IGN);
	for (;;) {
		word_wait(&volley->round, round);
		round = word_get(&volley->round);
		for (i = 0; i < round % 64 * 50; i++)
			asm volatile("" : : : "memory");
		kill(0, SIGUSR1);
		word_set(&volley->sent, round);
	}
}

static int child_pauses(void *arg)
{
	while (sys_pause() != 0)
		;
	return 0;
}

/* Until it has hit children in their very beginning a good many times. */
TEST_F(spawn, signal_to_the_group_does_not_run_parents_handler)
{
	unsigned int hit = 0, round;
	struct sigaction action = { .sa_handler = count_signal };
	pid_t sender;

	volley = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)volley);
	volley->parent = getpid();
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	sender = fork();
	if (!sender)
		send_volleys();

	for (round = 1; (round < 500 || hit < 50) && !volley->strayed;
	     round++) {
		struct child *child = &self->child;
		int status;

		child_init(child, child_pauses, NULL);
		word_set(&volley->round, round);
		SPAWN(child);
		word_wait(&volley->sent, round - 1);
		kill(child->pid, SIGTERM);
		status = child_reap(child);
		ASSERT_TRUE(status == SIGUSR1 || status == SIGTERM);
		hit += status == SIGUSR1;
	}
	EXPECT_EQ(0, volley->strayed);
	EXPECT_LT(0, volley->handled);
	kill(sender, SIGKILL);
	EXPECT_EQ(sender, waitpid(sender, NULL, 0));
}

static unsigned int restarts;

static void count_restart(int sig, siginfo_t *info, void *context)
{
	restarts += restarts_call(context, SYS_ioctl, AVFORK_IOC_SPAWN);
}

/*
 * A signal that arrives before the child exists: the handler runs, and the
 * call is made again without the caller's doing. One timer a call, so that each
 * is restarted once at most, until that has happened often enough.
 */
TEST_F(spawn, call_restarts_after_a_signal)
{
	struct sigaction action = {
		.sa_sigaction = count_restart,
		.sa_flags = SA_SIGINFO,		/* no SA_RESTART */
	};
	const struct itimerval off = { 0 };
	struct child *child = &self->child;
	struct avfork_fd grant;
	long spawned = read_number(AVFORK_SPAWNED);
	long failed = read_number(AVFORK_FAILED);
	int pipe_fd[2], i;
	char byte;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK));
	grant = (struct avfork_fd){ pipe_fd[1], 1, 0, 0 };
	for (i = 0; i < 1000 || restarts < 10; i++) {
		struct itimerval timer = {
			.it_value.tv_usec = 1 + i % 500,
		};

		child_init(child, child_returns, (void *)(long)(i % 100));
		child_grant(child, &grant, 1);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
		SPAWN(child);
		ASSERT_EQ(EXITED(i % 100), child_reap(child));
		ASSERT_TRUE(no_child_left());
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &off, NULL));
	/* Each counts once, as the success that it was in the end. */
	EXPECT_EQ(spawned + i, read_number(AVFORK_SPAWNED));
	EXPECT_EQ(failed, read_number(AVFORK_FAILED));
	/* No grant of a call that was made again is left. */
	close(pipe_fd[1]);
	EXPECT_EQ(0, read(pipe_fd[0], &byte, 1));
	close(pipe_fd[0]);
}

/* How it ends */

/* With a bad pointer for @arg. */
static int child_segfaults(void *arg)
{
	*(volatile char *)arg = 0;
	return 0;
}

static int child_kills_itself(void *arg)
{
	return sys(SYS_kill, sys(SYS_getpid), SIGKILL);
}

TEST_F(spawn, status_is_of_exit)
{
	static const int codes[] = { 0, 1, 42, 255 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		child_init(&self->child, child_returns, (void *)(long)codes[i]);
		SPAWN(&self->child);
		EXPECT_EQ(EXITED(codes[i]), child_reap(&self->child));
	}
}

TEST_F(spawn, status_is_of_signal)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGPIPE, 64 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		child_init(&self->child, child_pauses, NULL);
		SPAWN(&self->child);
		EXPECT_EQ(0, kill(self->child.pid, signals[i]));
		EXPECT_EQ(signals[i], child_reap(&self->child));
	}
}

/* With what the kernel dumps: it once took all that shared the memory along. */
TEST_F(spawn, core_dump_is_the_childs_alone)
{
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char directory[] = "/tmp/avfork.XXXXXX", pattern[256] = "", core[64];
	struct child *child = &self->child, other;
	int fd, status;

	fd = open(CORE_PATTERN, O_RDONLY);
	ASSERT_LT(0, read(fd, pattern, sizeof(pattern) - 1));
	close(fd);
	ASSERT_NE(NULL, mkdtemp(directory));
	ASSERT_EQ(0, chdir(directory));
	if (setrlimit(RLIMIT_CORE, &unlimited) ||
	    write_file(CORE_PATTERN, "core.%p")) {
		rmdir(directory);
		SKIP(return, "cannot set " CORE_PATTERN);
	}

	child_init(&other, child_blocks, &other);
	child_init(child, child_segfaults, NULL);
	SPAWN(&other);
	SPAWN(child);
	status = child_reap(child);
	EXPECT_EQ(0, write_file(CORE_PATTERN, pattern));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	EXPECT_TRUE(WCOREDUMP(status));
	EXPECT_EQ(0, waitpid(other.pid, NULL, WNOHANG));
	word_set(&other.go, 1);
	EXPECT_EQ(EXITED(0), child_reap(&other));

	snprintf(core, sizeof(core), "core.%d", child->pid);
	EXPECT_EQ(0, unlink(core));
	EXPECT_EQ(0, rmdir(directory));
}

static void signals_block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static __u64 signals_pending(void)
{
	__u64 pending = 0;

	sys(SYS_rt_sigpending, &pending, 8);
	return pending;
}

/* Take @sig, and check that it tells of the death of @pid with @status. */
static void signal_tells(struct __test_metadata *_metadata, int sig,
			 pid_t pid, int status)
{
	const __u64 set = 1ULL << (sig - 1);
	siginfo_t info = { 0 };

	EXPECT_EQ(sig, sys(SYS_rt_sigtimedwait, &set, &info, NULL, 8));
	EXPECT_EQ(pid, info.si_pid);
	EXPECT_EQ(CLD_EXITED, info.si_code);
	EXPECT_EQ(status, info.si_status);
}

/* Wait for its death, but leave it to be reaped. */
static void wait_dead(struct __test_metadata *_metadata, pid_t pid)
{
	siginfo_t info;

	EXPECT_EQ(0, sys(SYS_waitid, P_PID, pid, &info,
			 WEXITED | WNOWAIT | __WALL, NULL));
}

/* Whether the program's own wait() loop does not see any child. */
static int hidden_from_wait(void)
{
	return sys(SYS_waitid, P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT,
		   NULL) == -ECHILD;
}

TEST_F(spawn, exit_signal_is_sent)
{
	static const int signals[] = { SIGCHLD, SIGUSR1, SIGIO, 40, 64 };
	struct child *child = &self->child;
	size_t i;

	signals_block_all();
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		child_init(child, child_returns, (void *)5);
		child->args.exit_signal = signals[i];
		SPAWN(child);
		signal_tells(_metadata, signals[i], child->pid, 5);
		EXPECT_EQ(signals[i] != SIGCHLD, hidden_from_wait());
		EXPECT_EQ(EXITED(5), child_reap(child));
		EXPECT_EQ(0, signals_pending());
	}
}

TEST_F(spawn, exit_signal_may_be_none)
{
	struct child *child = &self->child;

	signals_block_all();
	child_init(child, child_blocks, child);
	child->args.exit_signal = 0;
	SPAWN(child);
	EXPECT_TRUE(hidden_from_wait());
	word_set(&child->go, 1);
	wait_dead(_metadata, child->pid);
	EXPECT_TRUE(hidden_from_wait());
	EXPECT_EQ(0, signals_pending());
	EXPECT_EQ(EXITED(0), child_reap(child));
}

/* In the child: a thread, whose exec makes it the leader. */
static long start_thread(char *stack_top, int (*run)(void *))
{
	return sys_child(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES |
			 CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
			 (long)stack_top, run, NULL);
}

static int child_execs_in_thread(void *arg)
{
	struct child *child = arg;

	start_thread(child->memory + CHILD_MEMORY / 2, child_execs);
	return child_pauses(NULL);
}

/*
 * A child that execs keeps its exit signal: no wait() loop sees it, and no
 * ignored SIGCHLD loses its status.
 */
static void exit_signal_survives(struct __test_metadata *_metadata,
				 FIXTURE_DATA(spawn) *self, int sig,
				 int (*exec)(void *))
{
	struct child *child = &self->child;
	struct avfork_fd grant;
	int control[2];

	signals_block_all();
	signal(SIGCHLD, SIG_IGN);
	child_init(child, exec, child);
	child->args.exit_signal = sig;
	control_open(_metadata, control, child, &grant);
	SPAWN(child);
	ASSERT_TRUE(child_has_execed(control[0]));
	EXPECT_TRUE(hidden_from_wait());
	EXPECT_TRUE(child_shall_exit(control[0], 9));
	wait_dead(_metadata, child->pid);
	EXPECT_TRUE(hidden_from_wait());
	if (sig)
		signal_tells(_metadata, sig, child->pid, 9);
	EXPECT_EQ(0, signals_pending());
	EXPECT_EQ(EXITED(9), child_reap(child));
	close(control[0]);
	close(control[1]);
}

TEST_F(spawn, exit_signal_survives_exec)
{
	exit_signal_survives(_metadata, self, SIGUSR1, child_execs);
}

TEST_F(spawn, exit_signal_none_survives_exec)
{
	exit_signal_survives(_metadata, self, 0, child_execs);
}

TEST_F(spawn, exit_signal_survives_exec_by_thread)
{
	exit_signal_survives(_metadata, self, SIGUSR1, child_execs_in_thread);
}

TEST_F(spawn, exit_signal_none_survives_exec_by_thread)
{
	exit_signal_survives(_metadata, self, 0, child_execs_in_thread);
}

TEST_F(spawn, sigchld_is_as_after_fork)
{
	struct child *child = &self->child;

	/* The kernel reaps it on its own. */
	signal(SIGCHLD, SIG_IGN);
	child_init(child, child_returns, NULL);
	SPAWN(child);
	EXPECT_EQ(-ECHILD, child_reap(child));
	child_free(child);
	/* Any wait does. */
	signal(SIGCHLD, SIG_DFL);
	child_init(child, child_returns, (void *)1);
	SPAWN(child);
	EXPECT_EQ(child->pid, wait(NULL));
	child_free(child);
}

/* When the parent of a child without an exit signal does what? */
enum { DIES_BEFORE_EXEC, DIES_AFTER_EXEC, DIES_WITHOUT_EXEC, EXECS };

static int child_blocks_and_execs(void *arg)
{
	child_blocks(arg);
	return child_execs(NULL);
}

static int child_blocks_and_returns_9(void *arg)
{
	child_blocks(arg);
	return 9;
}

/* Let somebody else's child exit, and wait for that. */
static void wait_gone(struct __test_metadata *_metadata, pid_t pid,
		      int control, int status)
{
	struct pollfd poller = {
		.fd = syscall(SYS_pidfd_open, pid, 0),
		.events = POLLIN,
	};

	ASSERT_LE(0, poller.fd);
	EXPECT_TRUE(child_shall_exit(control, status));
	EXPECT_EQ(1, poll(&poller, 1, -1));
	close(poller.fd);
}

/*
 * In a process between: make a child that is hidden from plain waits, then
 * leave it to this one, its subreaper, which must be able to reap it plainly.
 */
static void orphan_is_reaped(struct __test_metadata *_metadata,
			     FIXTURE_DATA(spawn) *self, int when)
{
	struct child *child;
	struct avfork_fd grant;
	int control[2], between[2], status;
	pid_t pid;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	signals_block_all();
	child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)child);
	child_init(child, when == DIES_WITHOUT_EXEC ?
		   child_blocks_and_returns_9 : child_blocks_and_execs, child);
	child->args.exit_signal = 0;
	control_open(_metadata, control, child, &grant);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				between));
	pid = fork();
	if (!pid) {
		if (child_spawn(self->device, child) < 0)
			_exit(1);
		if (when == DIES_AFTER_EXEC || when == EXECS) {
			word_set(&child->go, 1);
			word_wait(&child->in_memory, 1);
		}
		if (when == EXECS) {
			dup2(between[1], 0);
			_exit(child_execs(NULL));
		}
		_exit(0);
	}

	if (when == EXECS) {
		ASSERT_TRUE(child_has_execed(control[0]));
		ASSERT_TRUE(child_has_execed(between[0]));
		wait_gone(_metadata, child->pid, control[0], 9);
		EXPECT_TRUE(child_shall_exit(between[0], EXECED_WAITS));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		/* In its death it is the new program's like any other. */
		EXPECT_EQ(EXITED(9), status);
	} else {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(EXITED(0), status);
		signal_tells(_metadata, SIGCHLD, pid, 0);
		/* Still alive, and ours. */
		EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
		word_set(&child->go, 1);
		if (when != DIES_WITHOUT_EXEC) {
			ASSERT_TRUE(child_has_execed(control[0]));
			EXPECT_TRUE(child_shall_exit(control[0], 9));
		}
		signal_tells(_metadata, SIGCHLD, child->pid, 9);
		EXPECT_EQ(child->pid, waitpid(-1, &status, 0));
		EXPECT_EQ(EXITED(9), status);
	}
	close(control[0]);
	close(control[1]);
	close(between[0]);
	close(between[1]);
}

TEST_F(spawn, orphan_is_reaped)
{
	orphan_is_reaped(_metadata, self, DIES_WITHOUT_EXEC);
}

TEST_F(spawn, orphan_is_reaped_after_exec)
{
	orphan_is_reaped(_metadata, self, DIES_AFTER_EXEC);
}

TEST_F(spawn, orphan_is_reaped_before_exec)
{
	orphan_is_reaped(_metadata, self, DIES_BEFORE_EXEC);
}

TEST_F(spawn, child_is_reaped_by_parents_next_program)
{
	orphan_is_reaped(_metadata, self, EXECS);
}

/* The release word: a fixture of its own, for each way to end. */
FIXTURE(release) {
	int device;
	struct child child;
};

FIXTURE_VARIANT(release) {
	int (*end)(void *arg);
	int status;
};

FIXTURE_SETUP(release)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(release)
{
	EXPECT_TRUE(no_child_left());
}

FIXTURE_VARIANT_ADD(release, exec) {
	.end = child_execs,
	.status = EXITED(EXECED),
};

FIXTURE_VARIANT_ADD(release, exec_by_thread) {
	.end = child_execs_in_thread,
	.status = EXITED(EXECED),
};

FIXTURE_VARIANT_ADD(release, exit) {
	.end = child_returns,
	.status = EXITED(0),
};

FIXTURE_VARIANT_ADD(release, sigkill) {
	.end = child_kills_itself,
	.status = SIGKILL,
};

FIXTURE_VARIANT_ADD(release, sigsegv) {
	.end = child_segfaults,
	.status = SIGSEGV,
};

/**
 * struct releasing - a child that ends when somebody waits for that
 * @child:     it
 * @end:       how
 * @requeued:  what the parent sleeps on until the child moves it to the word
 */
struct releasing {
	struct child *child;
	int (*end)(void *arg);
	__u32 requeued;
};

static int child_requeues_and_ends(void *arg)
{
	struct releasing *releasing = arg;

	/* The parent is asleep when it can be moved. */
	while (sys(SYS_futex, &releasing->requeued, FUTEX_CMP_REQUEUE, 0, 1,
		   &releasing->child->in_memory, 0) != 1)
		sys(SYS_sched_yield);
	return releasing->end(releasing->end == child_execs_in_thread ?
			      releasing->child : NULL);
}

TEST_F(release, is_cleared_and_woken)
{
	struct releasing releasing = { &self->child, variant->end, 0 };
	const struct rlimit none = { 0 };

	ASSERT_EQ(0, setrlimit(RLIMIT_CORE, &none));
	child_init(&self->child, child_requeues_and_ends, &releasing);
	SPAWN(&self->child);
	EXPECT_EQ(1, word_get(&self->child.in_memory));
	/* Only the kernel wakes that. */
	EXPECT_EQ(0, sys(SYS_futex, &releasing.requeued, FUTEX_WAIT, 0, NULL));
	EXPECT_EQ(0, word_get(&self->child.in_memory));
	EXPECT_EQ(variant->status, child_reap(&self->child));
}

static int child_fails_to_exec(void *arg)
{
	struct child *child = arg;
	static char *const none[] = { NULL };
	long err = sys(SYS_execve, "/nonexistent", none, none);

	return word_get(&child->in_memory) == 1 ? -err : 0;
}

TEST_F(spawn, release_word_stays_when_exec_fails)
{
	child_init(&self->child, child_fails_to_exec, &self->child);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(ENOENT), child_reap(&self->child));
	EXPECT_EQ(0, self->child.in_memory);
}

TEST_F(spawn, release_word_is_optional)
{
	child_init(&self->child, child_returns, (void *)4);
	self->child.args.release = 0;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(4), child_reap(&self->child));
	EXPECT_EQ(1, self->child.in_memory);
}

/* Whether thread @tid of this process sleeps so that only SIGKILL wakes it. */
static int sleeps_uninterruptibly(pid_t tid)
{
	char path[64], stat[256];
	ssize_t len;
	char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	stat[len] = '\0';
	state = strrchr(stat, ')');
	return state && state[2] == 'D';
}

/**
 * struct sync - a call that is to last until its child is gone
 * @caller: the thread that makes it
 * @child:  it waits on child.go
 */
struct sync {
	pid_t caller;
	struct child *child;
};

static void *release_when_caller_sleeps(void *arg)
{
	struct sync *sync = arg;

	while (!sleeps_uninterruptibly(sync->caller))
		sched_yield();
	word_set(&sync->child->go, 1);
	return NULL;
}

static void sync_returns_after(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self, int (*run)(void *),
			       int status)
{
	struct child *child = &self->child;
	struct sync sync = { gettid(), child };
	pthread_t thread;

	child_init(child, run, child);
	child->args.flags = AVFORK_SYNC;
	ASSERT_EQ(0, pthread_create(&thread, NULL, release_when_caller_sleeps,
				    &sync));
	SPAWN(child);
	EXPECT_EQ(0, word_get(&child->in_memory));
	EXPECT_EQ(1, word_get(&child->go)) {
		/* The thread waits for a sleep that is not to come. */
		kill(child->pid, SIGKILL);
		child_reap(child);
		_exit(1);
	}
	EXPECT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(status, child_reap(child));
}

TEST_F(spawn, sync_returns_after_exec)
{
	sync_returns_after(_metadata, self, child_blocks_and_execs,
			   EXITED(EXECED));
}

TEST_F(spawn, sync_returns_after_exit)
{
	sync_returns_after(_metadata, self, child_blocks_and_returns_9,
			   EXITED(9));
}

/* What its parent and others have of it */

static long fdinfo_pid(int pidfd)
{
	char path[64], text[512];
	ssize_t len;
	char *pid;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	pid = strstr(text, "\nPid:");
	return pid ? strtol(pid + 5, NULL, 10) : -1;
}

TEST_F(spawn, pidfd_is_of_the_child)
{
	struct child *child = &self->child;
	siginfo_t info = { 0 };
	struct pollfd poller;
	int pidfd = -1;

	child_init(child, child_pauses, NULL);
	child->args.pidfd = (uintptr_t)&pidfd;
	SPAWN(child);
	ASSERT_LE(0, pidfd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
	EXPECT_EQ(child->pid, fdinfo_pid(pidfd));

	poller = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	EXPECT_EQ(0, poll(&poller, 1, 0));
	EXPECT_EQ(0, syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	EXPECT_EQ(1, poll(&poller, 1, -1));
	EXPECT_EQ(0, syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, NULL));
	EXPECT_EQ(child->pid, info.si_pid);
	EXPECT_EQ(CLD_KILLED, info.si_code);
	EXPECT_EQ(SIGTERM, info.si_status);
	child_free(child);
	close(pidfd);
}

TEST_F(spawn, cgroup_is_the_given)
{
	struct child *child = &self->child;
	char path[64], procs[96], proc[64], text[256] = "";
	int cgroup = cgroup_make(path, sizeof(path));
	int fd;

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	child_init(child, child_blocks, child);
	child->args.flags = AVFORK_INTO_CGROUP;
	child->args.cgroup_fd = cgroup;
	SPAWN(child);
	close(cgroup);

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	EXPECT_EQ(child->pid, read_number(procs));
	snprintf(proc, sizeof(proc), "/proc/%d/cgroup", child->pid);
	fd = open(proc, O_RDONLY | O_CLOEXEC);
	EXPECT_LT(0, read(fd, text, sizeof(text) - 1));
	close(fd);
	EXPECT_NE(NULL, strstr(text, path + strlen(CGROUP_ROOT)));

	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(0, cgroup_remove(path));
}

static const struct {
	const char *name;
	__u64 flag;
} namespaces[] = {
	{ "mnt", CLONE_NEWNS },
	{ "cgroup", CLONE_NEWCGROUP },
	{ "uts", CLONE_NEWUTS },
	{ "ipc", CLONE_NEWIPC },
	{ "user", CLONE_NEWUSER },
	{ "pid", CLONE_NEWPID },
	{ "net", CLONE_NEWNET },
	{ "time_for_children", CLONE_NEWTIME },
};

#define NS_NAME 64

/* The namespace of kind @name that @pid is in, "" where there is none such. */
static void namespace_of(pid_t pid, const char *name, char ns[NS_NAME])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	memset(ns, 0, NS_NAME);
	if (readlink(path, ns, NS_NAME - 1) < 0)
		ns[0] = '\0';
}

/* The namespaces, as a set of flags, in which @pid is not with us. */
static __u64 namespaces_apart(pid_t pid)
{
	char ours[NS_NAME], theirs[NS_NAME];
	__u64 apart = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		namespace_of(getpid(), namespaces[i].name, ours);
		namespace_of(pid, namespaces[i].name, theirs);
		if (strcmp(ours, theirs))
			apart |= namespaces[i].flag;
	}
	return apart;
}

static __u64 namespaces_known(void)
{
	char ns[NS_NAME];
	__u64 known = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		namespace_of(getpid(), namespaces[i].name, ns);
		if (ns[0])
			known |= namespaces[i].flag;
	}
	return known;
}

static int child_reports_pid(void *arg)
{
	struct exchange *exchange = arg;

	word_set(&exchange->answer, sys(SYS_getpid));
	word_wait(&exchange->question, 0);
	return 0;
}

static void namespaces_are_new(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self, __u64 flags)
{
	struct exchange exchange = { 0 };
	struct child *child = &self->child;

	child_init(child, child_reports_pid, &exchange);
	child->args.namespaces = flags;
	SPAWN(child);
	word_wait(&exchange.answer, 0);
	EXPECT_EQ(flags & CLONE_NEWPID ? 1 : child->pid, exchange.answer);
	EXPECT_EQ(flags, namespaces_apart(child->pid));
	word_set(&exchange.question, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

TEST_F(spawn, namespace_is_new)
{
	__u64 known = namespaces_known();
	size_t i;

	if (geteuid())
		SKIP(return, "needs root");
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		if (known & namespaces[i].flag)
			namespaces_are_new(_metadata, self, namespaces[i].flag);
		else
			TH_LOG("no %s namespaces here", namespaces[i].name);
	}
	namespaces_are_new(_metadata, self, known);
}

/* At the latest: kernels differ in whether the child is in it before. */
TEST_F(spawn, time_namespace_is_entered_at_exec)
{
	char ours[NS_NAME], fresh[NS_NAME], theirs[NS_NAME];
	struct child *child = &self->child;
	struct avfork_fd grant;
	int control[2];

	if (geteuid() || !(namespaces_known() & CLONE_NEWTIME))
		SKIP(return, "needs root and a kernel with time namespaces");
	child_init(child, child_blocks_and_execs, child);
	child->args.namespaces = CLONE_NEWTIME;
	control_open(_metadata, control, child, &grant);
	SPAWN(child);
	namespace_of(getpid(), "time", ours);
	namespace_of(child->pid, "time_for_children", fresh);
	EXPECT_STRNE(ours, fresh);
	word_set(&child->go, 1);
	ASSERT_TRUE(child_has_execed(control[0]));
	namespace_of(child->pid, "time", theirs);
	EXPECT_STREQ(fresh, theirs);
	namespace_of(getpid(), "time", theirs);
	EXPECT_STREQ(ours, theirs);
	EXPECT_TRUE(child_shall_exit(control[0], 0));
	EXPECT_EQ(EXITED(0), child_reap(child));
	close(control[0]);
	close(control[1]);
}

/**
 * struct attributes - of a process, as fork() copies them
 */
struct attributes {
	char cwd[256];
	unsigned int mask;
	struct rlimit limit;
	int nice;
	int group;
	int session;
	unsigned int uids[3];
	unsigned int gids[3];
	__u64 cpus[64];
	unsigned int personality;
	int no_new_privs;
};

static void attributes_read(struct attributes *attributes)
{
	struct attributes *a = attributes;

	sys(SYS_getcwd, a->cwd, sizeof(a->cwd));
	a->mask = sys(SYS_umask, 0);
	sys(SYS_umask, a->mask);
	sys(SYS_getrlimit, RLIMIT_FSIZE, &a->limit);
	a->nice = sys(SYS_getpriority, PRIO_PROCESS, 0);
	a->group = sys(SYS_getpgid, 0);
	a->session = sys(SYS_getsid, 0);
	sys(SYS_getresuid, &a->uids[0], &a->uids[1], &a->uids[2]);
	sys(SYS_getresgid, &a->gids[0], &a->gids[1], &a->gids[2]);
	sys(SYS_sched_getaffinity, 0, sizeof(a->cpus), a->cpus);
	a->personality = sys(SYS_personality, 0xffffffff);
	a->no_new_privs = sys(SYS_prctl, PR_GET_NO_NEW_PRIVS);
}

static int child_changes_attributes(void *arg)
{
	const struct rlimit limit = { 4096, 8192 };
	const __u64 cpus = 2;

	attributes_read(arg);
	sys(SYS_chdir, "/proc");
	sys(SYS_umask, 0777);
	sys(SYS_setrlimit, RLIMIT_FSIZE, &limit);
	sys(SYS_setpriority, PRIO_PROCESS, 0, 15);
	sys(SYS_setsid);
	sys(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus);
	sys(SYS_personality, 0x0040000);
	sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	sys(SYS_chroot, "/proc");
	sys(SYS_setresgid, 8, 8, 8);
	sys(SYS_setresuid, 8, 8, 8);
	return sys(SYS_getppid) == sys(SYS_getpgid, 0);
}

TEST_F(spawn, attributes_are_copies)
{
	const struct rlimit limit = { 1 << 20, 1 << 21 };
	struct attributes before, after, of_child;
	struct child *child = &self->child;
	const __u64 cpus = 1;

	/* Some that are not the defaults. */
	ASSERT_EQ(0, chdir("/dev"));
	umask(027);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 3));
	ASSERT_EQ(0, sys(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus));
	if (!geteuid())
		ASSERT_EQ(0, setresgid(1, 2, 3));

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	memset(&of_child, 0, sizeof(of_child));
	attributes_read(&before);
	child_init(child, child_changes_attributes, &of_child);
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	attributes_read(&after);
	EXPECT_EQ(0, memcmp(&before, &of_child, sizeof(before)));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_STREQ("/dev", of_child.cwd);
	EXPECT_EQ(027, of_child.mask);
}

static int child_reports_parent(void *arg)
{
	return sys(SYS_getppid) == *(pid_t *)arg;
}

TEST_F(spawn, parent_is_the_caller)
{
	pid_t pid = getpid();

	child_init(&self->child, child_reports_parent, &pid);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(1), child_reap(&self->child));
}

/* What a tracer sees: the events of clone(2), by flags and exit signal. */
FIXTURE(ptrace) {
	int device;
	struct child child;
};

FIXTURE_VARIANT(ptrace) {
	__u64 flags;
	int exit_signal;
	int event;
};

FIXTURE_SETUP(ptrace)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(ptrace)
{
	EXPECT_TRUE(no_child_left());
}

FIXTURE_VARIANT_ADD(ptrace, fork) {
	.exit_signal = SIGCHLD,
	.event = PTRACE_EVENT_FORK,
};

FIXTURE_VARIANT_ADD(ptrace, clone) {
	.exit_signal = 0,
	.event = PTRACE_EVENT_CLONE,
};

FIXTURE_VARIANT_ADD(ptrace, vfork) {
	.flags = AVFORK_SYNC,
	.exit_signal = SIGCHLD,
	.event = PTRACE_EVENT_VFORK,
};

#define STOPPED_BY(sig)		((sig) << 8 | 0x7f)
#define STOPPED_AT(event)	((event) << 16 | STOPPED_BY(SIGTRAP))

TEST_F(ptrace, event_is_seen)
{
	struct child *child = &self->child;
	struct start start;
	unsigned long message = 0;
	int status, vfork_done = 0;
	pid_t pid;

	child_init(child, child_returns, (void *)11);
	child->args.flags = variant->flags;
	child->args.exit_signal = variant->exit_signal;
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		child_spawn(self->device, child);
		_exit(child_reap(child) >> 8);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(STOPPED_BY(SIGSTOP), status);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
			    PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE |
			    PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE |
			    PTRACE_O_EXITKILL));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(STOPPED_AT(variant->event), status);
	ASSERT_EQ(0, ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message));

	/* The child is traced, too, and stops before its first instruction. */
	ASSERT_EQ(message, waitpid(message, &status, __WALL));
	EXPECT_EQ(STOPPED_BY(SIGSTOP), status);
	ASSERT_EQ(0, start_read(message, &start));
	EXPECT_EQ(child->args.entry, start.pc);
	EXPECT_EQ(child->args.arg, start.arg);
	EXPECT_EQ(SP_AT_START(child->args.stack + child->args.stack_size),
		  start.sp);
	EXPECT_EQ(-1, start.nr);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, message, NULL, NULL));

	/* Its parent may be told of its death, and goes on. */
	for (;;) {
		int sig = 0;

		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, sig));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (!WIFSTOPPED(status))
			break;
		if (status == STOPPED_AT(PTRACE_EVENT_VFORK_DONE))
			vfork_done++;
		else
			ASSERT_EQ(STOPPED_BY(SIGCHLD), status);
	}
	EXPECT_EQ(EXITED(11), status);
	EXPECT_EQ(variant->event == PTRACE_EVENT_VFORK, vfork_done);
	child_free(child);
}

/*
 * A signal at birth has the kernel look whether a system call is to be made again,
 * which it would tell by the register that a call's result is in: on some
 * architectures the one that the argument is in, too. So it is by a tracer's
 * SIGSTOP, with arguments that are the kernel's own numbers for that.
 */
static long argument_at_birth;

static int child_keeps_argument(void *arg)
{
	argument_at_birth = (long)arg;
	return 12;
}

static void __attribute__((noreturn)) child_start_with(long arg)
{
	sys(SYS_exit_group, child_keeps_argument((void *)arg));
	__builtin_unreachable();
}

TEST_F(spawn, signal_at_birth_restarts_nothing)
{
	/* ERESTARTSYS, -NOINTR, -NOHAND, -_RESTARTBLOCK */
	static const long arguments[] = { -512, -513, -514, -516 };
	struct child *child = &self->child;
	unsigned long message;
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(arguments); i++) {
		child_init(child, NULL, NULL);
		child->args.entry = (uintptr_t)child_start_with;
		child->args.arg = arguments[i];
		pid = fork();
		if (!pid) {
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
			child_spawn(self->device, child);
			status = child_reap(child);
			_exit(argument_at_birth == arguments[i] ?
			      status >> 8 : 1);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
				    PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(STOPPED_AT(PTRACE_EVENT_FORK), status);
		ASSERT_EQ(0, ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
		/* The signal is there, and goes on to be delivered. */
		ASSERT_EQ(message, waitpid(message, &status, __WALL));
		ASSERT_EQ(STOPPED_BY(SIGSTOP), status);
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, message, NULL, SIGWINCH));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(EXITED(12), status);
		child_free(child);
	}
}

/* The other call */

TEST_F(spawn, info_is_complete)
{
	struct {
		struct avfork_info info;
		char tail[100];
	} longer;
	struct avfork_info info;
	size_t i;

	memset(&info, 0x5a, sizeof(info));
	ASSERT_EQ(0, ioctl(self->device, AVFORK_IOC_INFO, &info));
	EXPECT_EQ(3, info.abi_version);
	EXPECT_EQ(0, info.reserved);
	EXPECT_EQ(0, info.reserved1);
	/* AUTOREAP depends on the kernel: its own test finds out. */
	EXPECT_EQ(AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP |
		  AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS |
		  AVFORK_AUTOKILL | AVFORK_NNP | AVFORK_SHARE_FDS,
		  info.flags & ~(__u64)AVFORK_AUTOREAP);
	/* The kernel's tables begin with 64 and grow to powers of two. */
	EXPECT_LE(64, info.table_size);
	ASSERT_EQ(700, fcntl(self->device, F_DUPFD_CLOEXEC, 700));
	ASSERT_EQ(0, ioctl(self->device, AVFORK_IOC_INFO, &info));
	EXPECT_LE(701, info.table_size);
	EXPECT_GE(2048, info.table_size);
	close(700);
	for (i = 0; i < ARRAY_SIZE(namespaces); i++)
		EXPECT_NE(0, info.namespaces & namespaces[i].flag);
	EXPECT_EQ(i, __builtin_popcountll(info.namespaces));

	memset(&longer, 0x5a, sizeof(longer));
	ASSERT_EQ(0, ioctl(self->device,
			   _IOC(_IOC_READ, AVFORK_IOC_MAGIC,
				_IOC_NR(AVFORK_IOC_INFO), sizeof(longer)),
			   &longer));
	EXPECT_EQ(0, memcmp(&info, &longer.info, sizeof(info)));
	for (i = 0; i < sizeof(longer.tail); i++)
		EXPECT_EQ(0, longer.tail[i]);
}

/* What is left */

TEST_F(spawn, nothing_is_left_of_thousands)
{
	struct child *child = &self->child;
	struct avfork_fd grants[100];
	struct slabs before, after;
	int i, pidfd;

	for (i = 0; i < (int)ARRAY_SIZE(grants); i++)
		grants[i] = (struct avfork_fd){ self->device, 2 * i, 0, 0 };
	slabs_read(&before);
	if (!before.nr)
		SKIP(return, "cannot read /proc/slabinfo");
	for (i = 0; i < LEAK_ROUNDS; i++) {
		child_init(child, i % 20 ? child_returns : child_execs,
			   (void *)EXECED);
		child_grant(child, grants, ARRAY_SIZE(grants));
		child->args.exit_signal = i % 2 ? 0 : SIGCHLD;
		child->args.pidfd = (uintptr_t)&pidfd;
		SPAWN(child);
		ASSERT_EQ(EXITED(EXECED), child_reap(child));
		close(pidfd);
	}
	EXPECT_EQ(NULL, slabs_grown(&before, &after)) {
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	}
}

TEST_HARNESS_MAIN
