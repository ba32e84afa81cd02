// SPDX-License-Identifier: GPL-2.0
/*
 * Hundreds of children at work at the same time, and children and threads that are
 * cut off.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "crowd.h"

/* What children may do at the same time as each other and as the parent. */

static atomic_bool quit;

#define WORK_ROUNDS 50

static pthread_mutex_t counter_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int counter;
static atomic_uint arrived;

/**
 * struct worker - one child of many
 * @go:    posted when all are there
 * @pid:   its
 * @tls:   where its errno is
 * @stack: an address in its stack
 */
struct worker {
	sem_t *go;
	pid_t pid;
	void *tls;
	void *stack;
};

static int work(unsigned int seed)
{
	unsigned int round;

	for (round = 0; round < WORK_ROUNDS; round++) {
		size_t size = 1 + (seed * 7919 + round * 104729) % 5000;
		char text[64], *bytes = malloc(size);
		size_t i;

		REQUIRE(bytes);
		memset(bytes, seed, size);
		REQUIRE(open("/nonexistent/file", O_RDONLY) == -1);
		REQUIRE(errno == ENOENT);
		REQUIRE(snprintf(text, sizeof(text), "%u %f", seed, 0.5) > 0);
		REQUIRE(atoi(text) == (int)seed);
		REQUIRE(fcntl(1000, F_GETFD) == -1);
		pthread_mutex_lock(&counter_lock);
		counter++;
		pthread_mutex_unlock(&counter_lock);
		REQUIRE(errno == EBADF);
		for (i = 0; i < size; i++)
			REQUIRE(bytes[i] == (char)seed);
		free(bytes);
	}
	return 0;
}

static int worker_main(void *arg)
{
	struct worker *worker = arg;
	char here;

	worker->tls = &errno;
	worker->stack = &here;
	arrived++;
	wait_for(worker->go);
	return work(getpid());
}

static void *work_until_quit_thread(void *arg)
{
	unsigned int rounds = 0;

	(void)arg;
	do {
		if (work(1))
			return (void *)-1L;
		rounds++;
	} while (!quit);
	return (void *)(long)rounds;
}

static int compare_addresses(const void *a, const void *b)
{
	const char *first = *(char *const *)a, *second = *(char *const *)b;

	return first < second ? -1 : first > second;
}

TEST(four_hundred_at_work)
{
	static struct worker workers[CROWD_MAX];
	char *tls[CROWD_MAX], *stacks[CROWD_MAX];
	const long page = sysconf(_SC_PAGESIZE);
	pthread_t thread;
	void *rounds;
	sem_t go;
	int i;

	sem_init(&go, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, work_until_quit_thread,
				    NULL));
	for (i = 0; i < CROWD_MAX; i++) {
		workers[i].go = &go;
		workers[i].pid = avfork(worker_main, &workers[i]);
		ASSERT_LT(0, workers[i].pid);
	}
	/* All live at once. */
	while (arrived < CROWD_MAX)
		sched_yield();
	for (i = 0; i < CROWD_MAX; i++)
		sem_post(&go);
	for (i = 0; i < CROWD_MAX; i++) {
		ASSERT_PASSED(reap(workers[i].pid));
		tls[i] = workers[i].tls;
		stacks[i] = workers[i].stack;
	}
	quit = true;
	pthread_join(thread, &rounds);
	ASSERT_LT(0, (long)rounds);
	ASSERT_EQ((CROWD_MAX + (long)rounds) * WORK_ROUNDS, counter);

	qsort(tls, CROWD_MAX, sizeof(*tls), compare_addresses);
	qsort(stacks, CROWD_MAX, sizeof(*stacks), compare_addresses);
	for (i = 1; i < CROWD_MAX; i++) {
		ASSERT_NE(tls[i - 1], tls[i]);
		/* Each has 256 KiB and a guard page of its own. */
		ASSERT_LE(stacks[i - 1] + 256 * 1024 + page, stacks[i]);
	}
	ASSERT_TRUE(threads_leave());
}

static int show_cpu(void *arg)
{
	(void)arg;
	return sched_getcpu();
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

TEST(sched_getcpu_is_not_the_carriers)
{
	int cpu;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	if (backend_is("taskq"))
		SKIP(return, "the CPUs are those of the thread that calls vfork()");
	/* The carrier is made on the first, and told of no other. */
	for (cpu = 0; cpu < 2; cpu++) {
		pin_to(cpu);
		ASSERT_EQ(cpu, reap(avfork(show_cpu, NULL)));
	}
	/* Of one carrier, if it was not late enough for that to leave. */
	ASSERT_GE(2, count_threads());
}

/* Threads that are cancelled. */

static pid_t spawned;

static void *spawn_while_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	if (arg)
		close_range(3, ~0U, 0);
	spawned = avfork(return_arg, (void *)2);
	pthread_testcancel();
	return NULL;
}

static void *spawn_and_reap(void *arg)
{
	(void)arg;
	for (;;)
		reap(avfork(return_arg, NULL));
	return NULL;
}

TEST(cancelled_threads_lose_nothing)
{
	unsigned int round, i;
	pthread_t thread;
	void *result;

	/* The call is no cancellation point: with a new carrier, a used one. */
	for (round = 0; round < 20; round++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL,
					    spawn_while_cancelled,
					    (void *)(long)(round & 1)));
		pthread_join(thread, &result);
		ASSERT_EQ(PTHREAD_CANCELED, result);
		ASSERT_EQ(2, reap(spawned));
	}
	for (round = 0; round < 100; round++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, spawn_and_reap,
					    NULL));
		for (i = 0; i < round; i++)
			sched_yield();
		pthread_cancel(thread);
		pthread_join(thread, &result);
		ASSERT_EQ(PTHREAD_CANCELED, result);
		while (waitpid(-1, NULL, __WALL) > 0)
			;
	}
	ASSERT_TRUE(threads_leave());
}

/* Children that are killed. */

static int spin(void *arg)
{
	for (;;)
		++*(volatile unsigned long *)arg;
	return 0;
}

TEST(killed_children_give_back)
{
	volatile unsigned long spins;
	unsigned int round, i;

	for (round = 0; round < 500; round++) {
		pid_t pid;

		spins = 0;
		pid = avfork(spin, (void *)&spins);
		ASSERT_LT(0, pid);
		/* Before its first instruction, or somewhere after. */
		if (round % 4 == 0)
			while (!spins)
				sched_yield();
		for (i = 0; i < round % 5; i++)
			sched_yield();
		kill(pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, reap(pid));
		/* One, and another when that was just looking whether to leave. */
		ASSERT_TRUE(COMES_TRUE(count_threads() <= 4, IDLE_LIMIT));
	}
	ASSERT_TRUE(threads_leave());
}

static int kill_self(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

TEST(killed_sync_child_gives_back)
{
	ASSERT_EQ(-SIGKILL, reap(avforkx(AVFORK_SYNC, kill_self, NULL)));
	ASSERT_TRUE(threads_leave());
}

static int dump_core(void *arg)
{
	(void)arg;
	abort();
}

TEST(dumping_child_gives_back)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char dir[] = "/tmp/avfork-test-XXXXXX";
	struct dirent *entry;
	int status = 0, fd;
	pid_t pid;
	DIR *files;

	if (setrlimit(RLIMIT_CORE, &all))
		SKIP(return, "may not dump core");
	ASSERT_NE(NULL, mkdtemp(dir));
	fd = open(dir, O_DIRECTORY);
	ASSERT_EQ(0, fchdir(fd));
	pid = avfork(dump_core, NULL);
	ASSERT_EQ(pid, avfork_waitpid(pid, &status, 0));
	files = fdopendir(fd);
	while ((entry = readdir(files)))
		unlink(entry->d_name);
	closedir(files);
	rmdir(dir);

	ASSERT_EQ(SIGABRT, WTERMSIG(status));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_TRUE(threads_leave());
	if (!WCOREDUMP(status))
		SKIP(return, "no core is dumped here");
}

static int become_a_program(void *arg)
{
	char *argv[] = { "echo", NULL };

	execv(arg, argv);
	return 127;
}

TEST(exec_gives_back)
{
	struct avfork_opts opts = { .size = sizeof(opts), .nr_fds = 1 };
	const char *program = sibling("echo");
	struct avfork_fd fd = { };
	int ends[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	fd.parent_fd = ends[0];
	opts.fds = &fd;
	pid = avfork_with(&opts, become_a_program, (void *)program);
	ASSERT_LT(0, pid);
	/* It waits for its input, for as long as it likes. */
	ASSERT_TRUE(threads_leave());
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	close(ends[1]);
	ASSERT_EQ(0, reap(pid));
}

TEST_HARNESS_MAIN
