// SPDX-License-Identifier: GPL-2.0
/*
 * What fork() costs a parent with much memory, and avfork() does not. As in
 * hazards.c each test plays its scenario with both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/resource.h>

#include "../kselftest_harness.h"
#include "scenario.h"

#define MIB	(1024L * 1024)

/* @size bytes of resident, private memory, in pages of the smallest size. */
static char *resident(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A kernel without huge pages says EINVAL. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 1, size);
	return memory;
}

static int exec_true(void *unused)
{
	execl("/bin/sh", "sh", "-c", "exit 0", NULL);
	return 127;
}

static int set_overcommit(int fd, char mode)
{
	return pwrite(fd, &mode, 1, 0) == 1 ? 0 : -1;
}

/*
 * Where the kernel promises no more memory than it has, fork() needs as much
 * again as the parent has, if only for a child that execs at once. So the mode
 * that lets programs rely on their memory is unusable for large ones.
 */
TEST_F(hazard, fork_needs_memory_for_a_second_parent)
{
	long room, by_fork_errno = 0, by_avfork_errno = 0;
	pid_t by_fork_pid, by_avfork_pid;
	char mode = 0;
	void *memory;
	int fd;

	fd = open("/proc/sys/vm/overcommit_memory", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no permission to set vm.overcommit_memory: %s",
		     strerror(errno));
	ASSERT_EQ(1, pread(fd, &mode, 1, 0));

	room = proc_bytes("/proc/meminfo", "CommitLimit") -
	       proc_bytes("/proc/meminfo", "Committed_AS");
	if (room < 256 * MIB)
		SKIP(return, "less than 256 MiB below the commit limit");

	/* Nothing may bail out before the mode is restored. */
	if (set_overcommit(fd, '2'))
		SKIP(return, "cannot set vm.overcommit_memory: %s",
		     strerror(errno));
	memory = mmap(NULL, room / 4 * 3, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	by_fork_pid = by_fork(return_arg, NULL);
	if (by_fork_pid < 0)
		by_fork_errno = errno;
	by_avfork_pid = avfork(exec_true, NULL);
	if (by_avfork_pid < 0)
		by_avfork_errno = errno;
	EXPECT_EQ(0, set_overcommit(fd, mode));

	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(-1, by_fork_pid);
	ASSERT_EQ(ENOMEM, by_fork_errno);
	ASSERT_EQ(0, by_avfork_errno);
	ASSERT_GT(by_avfork_pid, 0);
	ASSERT_EQ(0, reap(by_avfork_pid));
}

#define SMALL	(16 * MIB)
#define LARGE	(512 * MIB)

/**
 * struct parent - a process of a certain size that makes children
 * @resident: its memory
 * @spawn:    the call to make the next child with, NULL: leave
 * @cost:     how long that call took, in nanoseconds
 * @go:       posted to have it make one
 * @done:     posted by it
 */
struct parent {
	size_t resident;
	spawn_fn *spawn;
	long cost;
	sem_t go, done;
};

static long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000 + now.tv_nsec;
}

static int be_parent(void *arg)
{
	struct parent *parent = arg;
	long start;
	pid_t pid;

	if (!resident(parent->resident))
		return 1;
	sem_post(&parent->done);
	while (await(&parent->go)) {
		if (!parent->spawn)
			return 0;
		start = nanoseconds();
		pid = parent->spawn(return_arg, NULL);
		parent->cost = nanoseconds() - start;
		if (reap(pid) != 0)
			return 2;
		sem_post(&parent->done);
	}
	return 3;
}

/*
 * The least cost of a call in each of the two parents: whatever else goes on in
 * the machine can only add to it. On one CPU and in turn, so that it strikes
 * both alike.
 */
static void compare(struct __test_metadata *_metadata, spawn_fn *spawn,
		    int rounds, struct parent *parents, long costs[2])
{
	int i;

	costs[0] = LONG_MAX;
	costs[1] = LONG_MAX;
	while (rounds--) {
		for (i = 0; i < 2; i++) {
			parents[i].spawn = spawn;
			sem_post(&parents[i].go);
			ASSERT_TRUE(await(&parents[i].done));
			if (parents[i].cost < costs[i])
				costs[i] = parents[i].cost;
		}
	}
}

/*
 * fork() copies the page tables: the more memory is resident the longer it
 * takes, and all that time no thread of the parent can map or fault in any.
 */
TEST_F(hazard, time_grows_with_memory)
{
	long costs[2], available;
	struct parent *parents;
	pid_t pids[2];
	cpu_set_t cpu;
	int i;

	available = proc_bytes("/proc/meminfo", "MemAvailable");
	if (available < 2 * LARGE)
		SKIP(return, "%ld MiB of memory available, not %ld",
		     available / MIB, 2 * LARGE / MIB);

	parents = mmap(NULL, 2 * sizeof(*parents), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)parents);
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));
	parents[0].resident = SMALL;
	parents[1].resident = LARGE;
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, sem_init(&parents[i].go, 1, 0));
		ASSERT_EQ(0, sem_init(&parents[i].done, 1, 0));
		pids[i] = by_fork(be_parent, &parents[i]);
		ASSERT_GT(pids[i], 0);
		ASSERT_TRUE(await(&parents[i].done));
	}

	compare(_metadata, by_fork, 9, parents, costs);
	TH_LOG("fork: %ld us and %ld us", costs[0] / 1000, costs[1] / 1000);
	EXPECT_GT(costs[1], 4 * costs[0]);

	compare(_metadata, avfork, 99, parents, costs);
	TH_LOG("avfork: %ld us and %ld us", costs[0] / 1000, costs[1] / 1000);
	EXPECT_LT(2 * costs[1], 3 * costs[0]);

	for (i = 0; i < 2; i++) {
		parents[i].spawn = NULL;
		sem_post(&parents[i].go);
		ASSERT_EQ(0, reap(pids[i]));
	}
}

static long faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? -1 : usage.ru_minflt;
}

static void touch(volatile char *memory, long pages, long page_size)
{
	long i;

	for (i = 0; i < pages; i++)
		memory[i * page_size]++;
}

/* How many page faults the parent has when it writes to all of @memory. */
static long faults_while_child_lives(struct __test_metadata *_metadata,
				     spawn_fn *spawn, char *memory, long pages,
				     long page_size)
{
	long before, after;
	pid_t pid;

	/* What an earlier scenario has left to be paid. */
	touch(memory, pages, page_size);
	pid = spawn(stay_until_go, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await(&stage->ready));
	before = faults();
	touch(memory, pages, page_size);
	after = faults();
	sem_post(&stage->go);
	ASSERT_EQ(0, reap(pid));
	return after - before;
}

/*
 * What fork() does not copy at once it write-protects, in the parent as well:
 * each page that the parent writes to afterwards costs a fault and a copy.
 */
TEST_F(hazard, parent_pays_for_each_page_afterwards)
{
	long page_size = sysconf(_SC_PAGESIZE);
	const long pages = 4096;
	char *memory = resident(pages * page_size);

	ASSERT_NE(NULL, memory);
	ASSERT_GE(faults_while_child_lives(_metadata, by_fork, memory, pages,
					   page_size), pages);
	/* The fork()ed child is dead; who shared the pages with it is not. */
	ASSERT_EQ(0, faults_while_child_lives(_metadata, avfork, memory, pages,
					      page_size));
}

TEST_HARNESS_MAIN
