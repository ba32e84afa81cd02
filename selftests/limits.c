// SPDX-License-Identifier: GPL-2.0
/*
 * Limits reached, and left again: on processes, by a cgroup or by RLIMIT_NPROC,
 * and on memory, where the kernel kills. What is refused or killed leaves
 * nothing behind, and the limit has room for just as many as before.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sys/prctl.h>

#include "../kselftest_harness.h"
#include "device.h"

#define LIMIT		20
#define NR_THREADS	8
#define NR_SPAWNS	25	/* of each thread */
#define NR_REFUSALS	100	/* of all threads */
#define CROWD		1000
#define SOMEBODY	54321	/* a user without any process */

/**
 * struct crowd - children at a limit, in memory that copies of us share
 * @device:   to make them with
 * @cgroup:   to make them in, or -1
 * @grant:    the writing end of a pipe, for each of them
 * @nr:       how many there are
 * @children: they wait for their @go
 * @refused:  how often there was no room
 * @line:     where something went wrong in a thread or a copy
 */
struct crowd {
	int device;
	int cgroup;
	struct avfork_fd grant;
	int nr;
	struct child children[CROWD];
	__u32 refused;
	int line;
};

static struct crowd *crowd;

#define REQUIRE(condition) do {						\
	if (!(condition)) {						\
		crowd->line = __LINE__;					\
		return 1;						\
	}								\
} while (0)

/* Return: the child's pid, or an errno as a negative number. */
static int crowd_spawn(struct child *child, int (*run)(void *))
{
	int ret;

	child_init(child, run, child);
	child_grant(child, &crowd->grant, 1);
	if (crowd->cgroup >= 0) {
		child->args.flags = AVFORK_INTO_CGROUP;
		child->args.cgroup_fd = crowd->cgroup;
	}
	ret = child_spawn(crowd->device, child);
	if (ret < 0)
		child_free(child);
	return ret;
}

static int crowd_add(void)
{
	int ret = crowd_spawn(&crowd->children[crowd->nr], child_blocks);

	if (ret > 0)
		crowd->nr++;
	return ret;
}

static int crowd_remove(void)
{
	struct child *child = &crowd->children[--crowd->nr];

	word_set(&child->go, 1);
	REQUIRE(child_reap(child) == EXITED(0));
	REQUIRE(!word_get(&child->in_memory));
	return 0;
}

/* There is room for @room children, no more and no less. */
static int crowd_fills(int room)
{
	int i, ret;

	while ((ret = crowd_add()) > 0)
		REQUIRE(crowd->nr <= room);
	REQUIRE(ret == -EAGAIN);
	REQUIRE(crowd->nr == room);
	for (i = 0; i < 10; i++)
		REQUIRE(crowd_add() == -EAGAIN);
	REQUIRE(!crowd_remove());
	REQUIRE(crowd_add() > 0);
	REQUIRE(crowd_add() == -EAGAIN);
	while (crowd->nr)
		REQUIRE(!crowd_remove());
	return 0;
}

static int returns(void *unused)
{
	return 0;
}

static int spawn_until_let(void)
{
	struct child child;
	int done = 0, ret;

	/* Not before crowd_storms() has seen what it waits for. */
	while (done < NR_SPAWNS || word_get(&crowd->refused) < NR_REFUSALS) {
		ret = crowd_spawn(&child, returns);
		if (ret == -EAGAIN) {
			word_increment(&crowd->refused);
			sched_yield();
			continue;
		}
		REQUIRE(ret > 0);
		REQUIRE(child_reap(&child) == EXITED(0));
		REQUIRE(!word_get(&child.in_memory));
		done++;
	}
	return 0;
}

static void *spawn_in_thread(void *unused)
{
	return (void *)(long)spawn_until_let();
}

/* Threads run into the limit, again and again, and then there is room. */
static int crowd_storms(int room)
{
	pthread_t threads[NR_THREADS];
	struct stat tasks;
	void *failed;
	__u32 refused;
	int i;

	REQUIRE(!crowd_fills(room));
	crowd->refused = 0;
	for (i = 0; i < NR_THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, spawn_in_thread,
					NULL));
	while ((refused = word_get(&crowd->refused)) < NR_REFUSALS) {
		if (crowd->nr < room)
			crowd_add();
		else
			word_wait(&crowd->refused, refused);
	}
	while (crowd->nr)
		REQUIRE(!crowd_remove());
	for (i = 0; i < NR_THREADS; i++) {
		REQUIRE(!pthread_join(threads[i], &failed));
		if (failed)
			return 1;
	}
	/* They count as processes until they are gone from there, too. */
	do
		REQUIRE(!stat("/proc/self/task", &tasks));
	while (tasks.st_nlink > 3);
	REQUIRE(!crowd_fills(room));
	return 0;
}

FIXTURE(limit) {
	int nr_fds;
	int cgroup;
	char path[64];
	int pipe[2];
	long made;
};

FIXTURE_SETUP(limit)
{
	self->nr_fds = count_descriptors();
	crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)crowd);
	crowd->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	if (crowd->device < 0)
		SKIP(_exit(255), "no " AVFORK_DEVICE);
	self->cgroup = cgroup_make(self->path, sizeof(self->path));
	crowd->cgroup = -1;
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	crowd->grant = (struct avfork_fd){ .parent_fd = self->pipe[1] };
	self->made = read_number(AVFORK_SPAWNED);
	/* Of children that have lost their parent. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(limit)
{
	char byte;

	EXPECT_TRUE(no_child_left());
	/* At its end, as nobody has what was granted. */
	close(self->pipe[1]);
	EXPECT_EQ(0, read(self->pipe[0], &byte, 1));
	close(self->pipe[0]);
	close(crowd->device);
	if (self->cgroup >= 0) {
		close(self->cgroup);
		EXPECT_EQ(0, cgroup_remove(self->path));
	}
	EXPECT_EQ(self->nr_fds, count_descriptors());
}

/* Return: whether the file of our cgroup is there and takes the value. */
static bool cgroup_set(FIXTURE_DATA(limit) *self, const char *file,
		       const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", self->path, file);
	return self->cgroup >= 0 && !write_file(path, value);
}

/* Return: the number after @key in the file of our cgroup, or -1. */
static long cgroup_get(FIXTURE_DATA(limit) *self, const char *file,
		       const char *key)
{
	char path[128], line[128];
	long value = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", self->path, file);
	stream = fopen(path, "r");
	while (stream && fgets(line, sizeof(line), stream))
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	if (stream)
		fclose(stream);
	return value;
}

TEST_F(limit, pids_of_a_cgroup)
{
	if (!cgroup_set(self, "pids.max", "20"))
		SKIP(return, "no pids controller in " CGROUP_ROOT);
	crowd->cgroup = self->cgroup;
	ASSERT_EQ(0, crowd_storms(LIMIT))
		TH_LOG("failed at line %d", crowd->line);
	EXPECT_LT(100, cgroup_get(self, "pids.events", "max "));
	/* What is counted there goes when the dead are freed, a bit later. */
	while (cgroup_get(self, "pids.current", ""))
		sched_yield();
	EXPECT_TRUE(cgroup_set(self, "pids.max", "21"));
	EXPECT_EQ(0, crowd_fills(LIMIT + 1));
}

TEST_F(limit, processes_of_a_user)
{
	/* The one that asks, and its threads while it has them. */
	const struct rlimit limit = { LIMIT + 1, LIMIT + 2 };
	const struct rlimit more = { LIMIT + 2, LIMIT + 2 };
	int status;
	pid_t pid;

	if (getuid())
		SKIP(return, "only root becomes somebody else");
	pid = fork();
	if (!pid) {
		if (setresuid(SOMEBODY, SOMEBODY, SOMEBODY) ||
		    setrlimit(RLIMIT_NPROC, &limit))
			_exit(2);
		if (crowd_storms(LIMIT) || setrlimit(RLIMIT_NPROC, &more))
			_exit(1);
		_exit(crowd_fills(LIMIT + 1));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status)
		TH_LOG("failed at line %d", crowd->line);
}

/*
 * Memory. Whoever asks for what is not there any more is killed, and with it
 * all that share its memory: a child that has exec'd alone, one that has not
 * together with its parent and that's other children.
 */

#define MEMORY_MAX	"16777216"
#define TOO_MUCH	(64UL << 20)
#define NR_EATERS	4

static int eat(void *unused)
{
	char *memory = (char *)sys(SYS_mmap, NULL, TOO_MUCH,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	for (i = 0; i < TOO_MUCH; i += PAGE)
		((volatile char *)memory)[i] = 1;
	return 1;
}

static void __attribute__((constructor)) eater(int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "avfork-eater"))
		_exit(eat(NULL));
}

static int execs_eater(void *unused)
{
	static char *const argv[] = { "avfork-eater", NULL };
	static char *const envp[] = { NULL };

	return -sys(SYS_execve, own_path, argv, envp);
}

static bool limit_memory(FIXTURE_DATA(limit) *self)
{
	/* It is not there without swap. */
	cgroup_set(self, "memory.swap.max", "0");
	return cgroup_set(self, "memory.max", MEMORY_MAX);
}

/* The cgroup, and the module, do as they did. */
static int spawn_works(FIXTURE_DATA(limit) *self)
{
	struct child child;

	crowd->cgroup = self->cgroup;
	REQUIRE(crowd_spawn(&child, returns) > 0);
	REQUIRE(child_reap(&child) == EXITED(0));
	REQUIRE(!word_get(&child.in_memory));
	return 0;
}

TEST_F(limit, memory_of_execed_children)
{
	int i;

	if (!limit_memory(self))
		SKIP(return, "no memory controller in " CGROUP_ROOT);
	crowd->cgroup = self->cgroup;
	for (i = 0; i < NR_EATERS; i++)
		ASSERT_LT(0, crowd_spawn(&crowd->children[i], execs_eater));
	for (i = 0; i < NR_EATERS; i++) {
		EXPECT_EQ(SIGKILL, child_reap(&crowd->children[i]));
		EXPECT_EQ(0, word_get(&crowd->children[i].in_memory));
	}
	EXPECT_LE(NR_EATERS, cgroup_get(self, "memory.events", "oom_kill "));
	EXPECT_EQ(0, spawn_works(self));
}

/*
 * A copy of us enters the cgroup and runs @use_memory there until it is killed.
 * What it leaves is ours.
 */
static void memory_is_used_up(struct __test_metadata *_metadata,
			      FIXTURE_DATA(limit) *self,
			      void (*use_memory)(void))
{
	int status, nr = 0, cleared = 0, i;
	long ret;
	pid_t pid;

	if (!limit_memory(self))
		SKIP(return, "no memory controller in " CGROUP_ROOT);
	pid = fork();
	if (!pid) {
		if (!cgroup_set(self, "cgroup.procs", "0"))
			_exit(1);
		use_memory();
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	/* The kernel kills one after the other, and some may be to come. */
	while ((ret = sys(SYS_wait4, -1, &status, __WALL, NULL)) > 0) {
		EXPECT_EQ(SIGKILL, status);
		nr++;
	}
	EXPECT_EQ(-ECHILD, ret);
	EXPECT_EQ(read_number(AVFORK_SPAWNED) - self->made, nr);
	/* But for the one that was the memory's last user. */
	for (i = 0; i < CROWD; i++)
		cleared += crowd->children[i].memory &&
			   !crowd->children[i].in_memory;
	EXPECT_GE(nr, cleared);
	EXPECT_LE(nr - 1, cleared);
	EXPECT_LE(1, cgroup_get(self, "memory.events", "oom_kill "));
	TH_LOG("%d children were killed", nr);
	EXPECT_EQ(0, spawn_works(self));
}

static void one_eats(void)
{
	while (crowd->nr < LIMIT)
		crowd_add();
	crowd_spawn(&crowd->children[crowd->nr], eat);
	pause();
}

TEST_F(limit, memory_of_the_parent)
{
	memory_is_used_up(_metadata, self, one_eats);
}

/* Whatever is allocated to make a child is what fails, at one time or another. */
static void all_are_born(void)
{
	while (crowd->nr < CROWD)
		crowd_add();
}

TEST_F(limit, memory_of_the_kernel)
{
	memory_is_used_up(_metadata, self, all_are_born);
}

TEST_HARNESS_MAIN
