// SPDX-License-Identifier: GPL-2.0
/*
 * Children of /dev/avfork amid whatever else may happen: their parent forks,
 * opens, maps and takes signals meanwhile, dies or execs; they themselves are
 * killed wherever they are. Each test knows what it has started, and finds all
 * of it again: every child is reaped once, every release word is cleared, and
 * every pipe whose writing end was granted is at its end.
 *
 * AVFORK_STRESS_SPAWNS makes it longer or shorter in proportion, as in stress.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "device.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	900

#define NR_SPAWNS	100000	/* the number that stands for the usual length */
#define NR_SPAWNERS	8
#define PATIENCE	100000	/* milliseconds */
#define RETURNED	7

static unsigned int scaled(unsigned int usual)
{
	const char *wanted = getenv("AVFORK_STRESS_SPAWNS");
	unsigned long n = usual;

	if (wanted)
		n = n * strtoul(wanted, NULL, 0) / NR_SPAWNS;
	return n ? n : 1;
}

/* In threads, where the harness's ASSERTs cannot be: return the line. */
#define REQUIRE(condition) do {						\
	if (!(condition))						\
		return (void *)(long)__LINE__;				\
} while (0)

/*
 * Read @pipe to its end. Return: how many bytes there were, the first of them
 * in @buf, or -1 when somebody still has the writing end after @patience ms.
 */
static int read_to_end(int pipe, char *buf, int size, int patience)
{
	struct pollfd poller = { .fd = pipe, .events = POLLIN };
	int total = 0, ret;
	char byte;

	for (;;) {
		ret = poll(&poller, 1, patience);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			return -1;
		ret = read(pipe, &byte, 1);
		if (ret == 0)
			return total;
		if (ret < 0)
			continue;
		if (total < size)
			buf[total] = byte;
		total++;
	}
}

/* Have @child start with the writing end of a new pipe as descriptor 0. */
static int grant_pipe(struct child *child, struct avfork_fd *grant,
		      int pipe[2])
{
	if (pipe2(pipe, O_CLOEXEC))
		return -1;
	*grant = (struct avfork_fd){ .parent_fd = pipe[1] };
	child_grant(child, grant, 1);
	return 0;
}

FIXTURE(turmoil) {
	int device;
	int nr_fds;
};

FIXTURE_SETUP(turmoil)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	if (self->device < 0)
		SKIP(_exit(255), "no " AVFORK_DEVICE);
	self->nr_fds = count_descriptors();
	/* Of children that have lost their parent. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(turmoil)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->nr_fds, count_descriptors());
}

/* What all the other tests look for is there to be found, as long as it is. */
TEST_F(turmoil, control)
{
	struct avfork_fd grant;
	struct child child;
	int pipe[2];
	char byte;

	child_init(&child, child_blocks, &child);
	ASSERT_EQ(0, grant_pipe(&child, &grant, pipe));
	ASSERT_LT(0, child_spawn(self->device, &child));
	close(pipe[1]);
	EXPECT_FALSE(no_child_left());
	EXPECT_EQ(1, word_get(&child.in_memory));
	EXPECT_EQ(-1, read_to_end(pipe[0], &byte, 1, 10));
	word_set(&child.go, 1);
	EXPECT_EQ(EXITED(0), child_reap(&child));
	EXPECT_EQ(0, word_get(&child.in_memory));
	EXPECT_EQ(0, read_to_end(pipe[0], &byte, 1, PATIENCE));
	close(pipe[0]);
}

/*
 * Threads that spawn, and threads that do everything else.
 *
 * The latter send SIGTERM to the process group now and then. It has a handler
 * here; a child of ours, wherever it is at that moment, dies of it or goes on.
 */

static int turmoil_device;
static unsigned int spawns_each;
static __u32 over;
static __u32 handled;

static void count_signal(int signal)
{
	word_increment(&handled);
}

static void *spawn_amid(void *unused)
{
	struct child *child = mmap(NULL, sizeof(*child), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct avfork_fd grant;
	unsigned int n;
	int pipe[2];
	char byte;

	/*
	 * A child that is killed in an exec may not get through the page fault
	 * that a fork has left on the release word.
	 */
	REQUIRE(child != MAP_FAILED);
	REQUIRE(!madvise(child, sizeof(*child), MADV_DONTFORK));

	for (n = 0; n < spawns_each; n++) {
		bool execs = n % 4 == 1, killed = n % 8 == 3;
		int expected = EXITED(execs ? EXECED : RETURNED), status;

		child_init(child, execs ? child_execs : child_returns,
			   (void *)RETURNED);
		REQUIRE(!grant_pipe(child, &grant, pipe));
		if (n % 3 == 0)
			child->args.exit_signal = 0;
		if (n % 8 == 5)
			child->args.flags = AVFORK_SYNC;
		if (n % 8 == 6)
			child->args.flags = AVFORK_INHERIT_FDS |
					   AVFORK_INHERIT_SIGNALS;
		REQUIRE((n % 8 == 7 ? child_spawn_prepared :
			 child_spawn)(turmoil_device, child) > 0);
		close(pipe[1]);
		if (killed)
			kill(child->pid, SIGKILL);
		status = child_reap(child);
		REQUIRE(status == expected || status == SIGTERM ||
			(killed && status == SIGKILL));
		REQUIRE(!word_get(&child->in_memory));
		/* Copies of our process have it for a moment, too. */
		REQUIRE(read_to_end(pipe[0], &byte, 1, PATIENCE) >= 0);
		close(pipe[0]);
	}
	munmap(child, sizeof(*child));
	return NULL;
}

static void *fork_amid(void *unused)
{
	unsigned int n;

	for (n = 0; !word_get(&over); n++) {
		int expected = EXITED(n % 2 ? EXECED : RETURNED), status;
		pid_t pid = fork();

		if (!pid) {
			/* So that the program ends at once. */
			close(STDIN_FILENO);
			_exit(n % 2 ? child_execs(NULL) : RETURNED);
		}
		REQUIRE(pid > 0);
		while (waitpid(pid, &status, 0) != pid)
			REQUIRE(errno == EINTR);
		REQUIRE(status == expected || status == SIGTERM);
	}
	return NULL;
}

static void *open_amid(void *unused)
{
	unsigned int n;

	for (n = 0; !word_get(&over); n++) {
		int pair[2], high;
		int fd = open(n % 2 ? "/dev/null" : AVFORK_DEVICE,
			      O_RDWR | O_CLOEXEC);

		REQUIRE(fd >= 0);
		/* Beyond what the table has room for. */
		high = fcntl(fd, F_DUPFD_CLOEXEC, 100 + n % 300);
		REQUIRE(high >= 100);
		REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair));
		REQUIRE(dup3(pair[0], high, O_CLOEXEC) == high);
		close(pair[0]);
		close(pair[1]);
		close(high);
		close(fd);
	}
	return NULL;
}

static void *map_amid(void *unused)
{
	const size_t size = 1 << 20;

	while (!word_get(&over)) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		size_t i;

		REQUIRE(memory != MAP_FAILED);
		for (i = 0; i < size; i += 16384)
			memory[i] = 1;
		REQUIRE(!mprotect(memory, size / 2, PROT_READ));
		REQUIRE(!madvise(memory + size / 2, size / 2, MADV_DONTNEED));
		REQUIRE(!munmap(memory, size));
	}
	return NULL;
}

static void *signal_amid(void *unused)
{
	while (!word_get(&over)) {
		__u32 before = word_get(&handled);

		REQUIRE(!kill(0, SIGTERM));
		/* One at a time: a call that is interrupted starts anew. */
		word_wait(&handled, before);
		usleep(2000);
	}
	return NULL;
}

static void *(*const others[])(void *) = {
	fork_amid, open_amid, map_amid, signal_amid,
};

#define NR_OTHERS	ARRAY_SIZE(others)

static void run_turmoil(struct __test_metadata *_metadata, int device,
			unsigned int spawns)
{
	pthread_t threads[NR_SPAWNERS + NR_OTHERS];
	void *line;
	size_t i;

	turmoil_device = device;
	spawns_each = spawns / NR_SPAWNERS;
	over = 0;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    i < NR_SPAWNERS ? spawn_amid :
					    others[i - NR_SPAWNERS], NULL));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		if (i == NR_SPAWNERS)
			word_set(&over, 1);
		ASSERT_EQ(0, pthread_join(threads[i], &line));
		EXPECT_EQ(NULL, line)
			TH_LOG("thread %zu failed at line %ld", i, (long)line);
	}
}

TEST_F(turmoil, of_the_parent)
{
	const struct sigaction count = {
		.sa_handler = count_signal, .sa_flags = SA_RESTART,
	};
	struct slabs before, after;

	ASSERT_EQ(0, sigaction(SIGTERM, &count, NULL));
	/* What is allocated once is there after the first. */
	run_turmoil(_metadata, self->device, 20 * NR_SPAWNERS);
	slabs_read(&before);
	run_turmoil(_metadata, self->device, scaled(2400));
	EXPECT_EQ(NULL, slabs_grown(&before, &after))
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	EXPECT_LT(0, handled);
	TH_LOG("%u signals were handled", handled);
}

/*
 * Killed after any time that is less than they take: before they are born, in
 * the entry, in exec, in the new program, in exit.
 */

static long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Says that it is there; the program that it execs says so, too. */
static int says_and_execs(void *arg)
{
	sys(SYS_write, STDIN_FILENO, "", 1);
	return child_execs(arg);
}

TEST_F(turmoil, of_children_killed)
{
	/* Enough to meet some early, however few are wanted. */
	unsigned int rounds = 20 + scaled(180), met[4] = { }, i;
	long lifetime = 0, lived;

	for (i = 0; i < rounds + 5; i++) {
		/* The first are left alone, and tell how long they live. */
		bool killed = i >= 5;
		struct avfork_fd grant;
		struct child child;
		int pipe[2], status, said;
		long start, end;
		char byte;

		child_init(&child, says_and_execs, NULL);
		child.args.exit_signal = i % 2 ? SIGCHLD : 0;
		ASSERT_EQ(0, grant_pipe(&child, &grant, pipe));
		start = nanoseconds();
		ASSERT_LT(0, child_spawn(self->device, &child));
		close(pipe[1]);
		if (killed) {
			/* More of them soon, when there is more to meet. */
			end = start + lifetime * (i - 5) / rounds *
				      (i - 5) / rounds * 5 / 4;
			while (nanoseconds() < end)
				;
			ASSERT_EQ(0, kill(child.pid, SIGKILL));
		}
		status = child_reap(&child);
		lived = nanoseconds() - start;
		/* What is more is some other load's. */
		if (!killed && (!lifetime || lived < lifetime))
			lifetime = lived;
		EXPECT_EQ(0, word_get(&child.in_memory));
		said = read_to_end(pipe[0], &byte, 1, PATIENCE);
		close(pipe[0]);
		if (status == EXITED(EXECED)) {
			EXPECT_EQ(2, said);
			met[3]++;
			continue;
		}
		ASSERT_TRUE(killed);
		ASSERT_EQ(SIGKILL, status);
		ASSERT_LE(0, said);
		ASSERT_GE(2, said);
		met[said]++;
	}
	TH_LOG("killed %u before they ran, %u before they exec'd, %u after that; %u were gone",
	       met[0], met[1], met[2], met[3]);
	EXPECT_LT(0, met[0] + met[1]);
}

/*
 * Parents that start children as fast as they can, reap none, and are gone in
 * the middle of it: killed, or become another program. What they have made is
 * known from the module's count, and what they have left from shared memory.
 */

#define LITTER	16	/* of each of NR_SPAWNERS threads */

/**
 * struct litter - what such a parent has started
 * @begun: how many spawns
 * @words: the children's release words
 */
struct litter {
	__u32 begun;
	__u32 words[NR_SPAWNERS][LITTER];
};

#define UNTOUCHED	2

static struct litter *litter;
static struct avfork_fd litter_grant;

static void *spawn_litter(void *arg)
{
	__u32 *words = arg;
	struct child *child;
	int i;

	for (i = 0; i < LITTER; i++) {
		child = malloc(sizeof(*child));
		child_init(child, i % 2 ? child_execs : child_returns,
			   (void *)RETURNED);
		child_grant(child, &litter_grant, 1);
		child->args.exit_signal = i % 4 < 2 ? SIGCHLD : 0;
		child->args.flags = i % 8 == 5 ? AVFORK_SYNC : 0;
		child->args.release = (uintptr_t)&words[i];
		word_set(&words[i], 1);
		if (child_spawn(turmoil_device, child) < 0)
			abort();
		word_increment(&litter->begun);
	}
	return NULL;
}

static void litter_start(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < NR_SPAWNERS; i++)
		if (pthread_create(&thread, NULL, spawn_litter,
				   litter->words[i]))
			abort();
}

static void litter_wait(__u32 wanted)
{
	__u32 begun;

	while ((begun = word_get(&litter->begun)) < wanted)
		word_wait(&litter->begun, begun);
}

/* Reap all: how many there were, or -1 when one had not ended as it should. */
static int reap_litter(void)
{
	int status, nr = 0;
	long ret;

	for (;;) {
		ret = sys(SYS_wait4, -1, &status, __WALL, NULL);
		if (ret == -ECHILD)
			return nr;
		if (ret == -EINTR)
			continue;
		if (ret < 0 || (status != EXITED(RETURNED) &&
				status != EXITED(EXECED)))
			return -1;
		nr++;
	}
}

/* The program that such a parent becomes: what it says is for us. */
static void __attribute__((constructor)) reaper(int argc, char **argv)
{
	int nr;

	if (argc != 1 || strcmp(argv[0], "avfork-reaper"))
		return;
	nr = reap_litter();
	_exit(write(STDOUT_FILENO, &nr, sizeof(nr)) != sizeof(nr));
}

static void *become_reaper(void *unused)
{
	static char *const argv[] = { "avfork-reaper", NULL };
	static char *const envp[] = { NULL };

	execve(own_path, argv, envp);
	abort();
}

static void parents_leave(struct __test_metadata *_metadata, int device,
			  unsigned int rounds, bool by_exec)
{
	unsigned int round, total = 0;

	turmoil_device = device;
	litter = mmap(NULL, sizeof(*litter), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)litter);
	for (round = 0; round < rounds; round++) {
		__u32 wanted = 1 + round * 37 % (NR_SPAWNERS * LITTER / 2);
		long made = read_number(AVFORK_SPAWNED);
		int pipe[2], report[2], reaped, status, i, cleared = 0;
		__u32 *words = litter->words[0];
		pthread_t thread;
		char byte;
		pid_t pid;

		litter->begun = 0;
		for (i = 0; i < NR_SPAWNERS * LITTER; i++)
			words[i] = UNTOUCHED;
		ASSERT_EQ(0, pipe2(pipe, O_CLOEXEC));
		ASSERT_EQ(0, pipe2(report, O_CLOEXEC));
		litter_grant = (struct avfork_fd){ .parent_fd = pipe[1] };
		pid = fork();
		if (!pid) {
			dup2(report[1], STDOUT_FILENO);
			litter_start();
			if (by_exec) {
				litter_wait(wanted);
				/* By another thread than the first, too. */
				if (round % 2)
					become_reaper(NULL);
				pthread_create(&thread, NULL, become_reaper,
					       NULL);
			}
			for (;;)
				pause();
		}
		ASSERT_LT(0, pid);
		close(pipe[1]);
		close(report[1]);
		if (by_exec) {
			ASSERT_EQ((ssize_t)sizeof(reaped),
				  read(report[0], &reaped, sizeof(reaped)));
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(0, status);
		} else {
			litter_wait(wanted);
			kill(pid, SIGKILL);
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(SIGKILL, status);
			reaped = reap_litter();
		}
		EXPECT_TRUE(no_child_left());
		made = read_number(AVFORK_SPAWNED) - made;
		EXPECT_EQ(made, reaped);
		EXPECT_LE(0, read_to_end(pipe[0], &byte, 1, PATIENCE));
		/* But for the one that was the memory's last user. */
		for (i = 0; i < NR_SPAWNERS * LITTER; i++)
			cleared += !words[i];
		EXPECT_GE(made, cleared);
		EXPECT_LE(made - 1, cleared);
		close(pipe[0]);
		close(report[0]);
		total += made;
	}
	TH_LOG("%u children of %u parents", total, rounds);
	munmap(litter, sizeof(*litter));
}

TEST_F(turmoil, of_parents_killed)
{
	parents_leave(_metadata, self->device, scaled(12), false);
}

TEST_F(turmoil, of_parents_that_exec)
{
	parents_leave(_metadata, self->device, scaled(10), true);
}

TEST_HARNESS_MAIN
