// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that wait for their child (AVFORK_SYNC). The calling thread does nothing
 * meanwhile, so the child has its thread pointer: such a call makes no thread, and
 * takes no lock, in the child's memory or the caller's.
 */
#define _GNU_SOURCE
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/resource.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <sys/single_threaded.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

/* With these it needs nothing but the caller's thread. */
static const int ways[] = {
	AVFORK_SYNC, AVFORK_SYNC | AVFORK_STDIO, AVFORK_SYNC | AVFORK_NNP,
	AVFORK_SYNC | AVFORK_INHERIT_SIGNALS,
	AVFORK_SYNC | AVFORK_INHERIT_FDS,
};

static __thread int thread_local = 1;

/**
 * struct seen - by a child
 * @thread:  pthread_self()
 * @error:   where errno is
 * @local:   where thread_local is
 * @locale:  of the thread
 * @threads: of its parent
 */
struct seen {
	pthread_t thread;
	int *error;
	int *local;
	locale_t locale;
	unsigned int threads;
};

static int see(void *arg)
{
	struct seen *seen = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", getppid());
	*seen = (struct seen) {
		.thread = pthread_self(), .error = &errno,
		.local = &thread_local, .locale = uselocale((locale_t)0),
		.threads = count_entries(path),
	};
	errno = 77;
	thread_local++;
	return 5;
}

TEST(child_has_the_callers_thread)
{
	struct seen seen;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		errno = 1234;
		ASSERT_EQ(5, reap(avforkx(ways[i], see, &seen)));
		ASSERT_EQ(1234, errno);
		ASSERT_TRUE(pthread_equal(pthread_self(), seen.thread));
		ASSERT_EQ(&errno, seen.error);
		ASSERT_EQ(&thread_local, seen.local);
		ASSERT_EQ(2 + i, thread_local);
		ASSERT_EQ(1, seen.threads);
		ASSERT_EQ(1, count_threads());
	}
	/* What makes a thread knows this, too: libc's locks rely on it. */
	ASSERT_TRUE(__libc_single_threaded);

	/* The control. */
	ASSERT_EQ(5, reap(avfork(see, &seen)));
	ASSERT_FALSE(pthread_equal(pthread_self(), seen.thread));
	ASSERT_NE(&errno, seen.error);
	ASSERT_NE(&thread_local, seen.local);
	ASSERT_EQ(1 + i, thread_local);
	ASSERT_EQ(2, seen.threads);
	ASSERT_FALSE(__libc_single_threaded);
}

TEST(hidden_child_has_the_callers_thread)
{
	struct seen seen;

	if (!backend_is("kernel"))
		SKIP(return, "without the module a hidden child needs threads");
	ASSERT_EQ(5, reap(avforkx(AVFORK_SYNC | AVFORK_WAITPID, see, &seen)));
	ASSERT_EQ(&errno, seen.error);
	ASSERT_EQ(1, count_threads());
	ASSERT_TRUE(__libc_single_threaded);
}

TEST(programs_need_no_thread)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "echo", "1", "2", NULL };
	const char *echo = sibling("echo");

	errno = 1234;
	ASSERT_EQ(2, reap(avfork_exec(&opts, echo, argv, NULL)));
	ASSERT_EQ(1234, errno);
	ASSERT_EQ(-1, avfork_exec(&opts, "/nonesuch", argv, NULL));
	ASSERT_EQ(ENOENT, errno);
	ASSERT_EQ(1, count_threads());
	ASSERT_TRUE(__libc_single_threaded);
}

/* What the caller's thread has set is the child's, and the caller's afterwards. */
TEST(locale_is_the_callers)
{
	locale_t own = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	struct seen seen;

	if (!own)
		SKIP(return, "there is no other locale here");
	uselocale(own);
	ASSERT_EQ(5, reap(avforkx(AVFORK_SYNC, see, &seen)));
	ASSERT_EQ(own, seen.locale);
	ASSERT_EQ(own, uselocale((locale_t)0));
	/* The control. */
	ASSERT_EQ(5, reap(avfork(see, &seen)));
	ASSERT_EQ(LC_GLOBAL_LOCALE, seen.locale);
	ASSERT_EQ(own, uselocale((locale_t)0));
}

#ifdef RSEQ_SIG

/* -1: not registered. */
static int rseq_cpu(void)
{
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() +
				     __rseq_offset);

	return *(volatile int *)&area->cpu_id;
}

static int tell_rseq_cpu(void *arg)
{
	*(int *)arg = rseq_cpu();
	return 0;
}

/* The child is no thread that sequences are restarted for; the caller still is. */
TEST(restartable_sequences)
{
	int childs = 0;

	if (!__rseq_size)
		SKIP(return, "libc has registered no area");
	ASSERT_LE(0, rseq_cpu());
	ASSERT_EQ(0, reap(avforkx(AVFORK_SYNC, tell_rseq_cpu, &childs)));
	ASSERT_GT(0, childs);
	ASSERT_LE(0, rseq_cpu());
}

#endif

/* Room for one process, where another thread would be one too many. */
static int try_room_for_one(void *arg)
{
	const struct rlimit limit = { 2, 2 };

	(void)arg;
	REQUIRE(!become_lone_user());
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	REQUIRE(avfork(return_arg, NULL) == -1 && errno == EAGAIN);
	REQUIRE(reap(avforkx(AVFORK_SYNC, return_arg, (void *)3)) == 3);
	return 0;
}

TEST(room_for_one)
{
	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	ASSERT_PASSED(in_copy(try_room_for_one, NULL));
}

/*
 * A signal handler that spawns, as crash handlers do, in a thread that it has
 * interrupted in malloc(): locks of malloc's are taken.
 */

#define ROUNDS 300

/**
 * struct interrupted - shared with the process that is interrupted
 * @spawn:  what its handler does; whether that went well
 * @rounds: that it has done
 * @failed: that it has not done well
 */
struct interrupted {
	bool (*spawn)(void);
	atomic_uint rounds;
	atomic_uint failed;
};

static struct interrupted *interrupted;
static sem_t handled;

static bool spawn_function(void)
{
	return reap(avforkx(AVFORK_SYNC, return_arg, (void *)3)) == 3;
}

static char *const echo_argv[] = { "echo", "1", NULL };

static bool spawn_program(void)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};

	return reap(avfork_exec(&opts, sibling("echo"), echo_argv, NULL)) == 1;
}

static bool spawn_by_libc(void)
{
	pid_t pid;

	return !posix_spawn(&pid, sibling("echo"), NULL, NULL, echo_argv,
			    environ) && reap(pid) == 1;
}

static bool use_malloc(void)
{
	void *volatile memory = malloc(3000);

	free(memory);
	return memory;
}

static void spawn_in_handler(int sig)
{
	int saved = errno;

	(void)sig;
	if (!interrupted->spawn())
		interrupted->failed++;
	interrupted->rounds++;
	sem_post(&handled);
	errno = saved;
}

static void *interrupt(void *arg)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		wait_for(&handled);
	}
	return NULL;
}

static int be_interrupted(void *arg)
{
	const struct sigaction action = { .sa_handler = spawn_in_handler };
	pthread_t self = pthread_self(), thread;
	void *volatile chunks[16] = { };
	unsigned int i;

	(void)arg;
	/* Input for the program to end at. */
	close(0);
	REQUIRE(sibling("echo"));
	REQUIRE(!sigaction(SIGUSR1, &action, NULL));
	sem_init(&handled, 0, 0);
	REQUIRE(!pthread_create(&thread, NULL, interrupt, &self));
	/* Sizes for which malloc() takes the lock of an arena. */
	for (i = 0; interrupted->rounds < ROUNDS; i++) {
		free(chunks[i % 16]);
		chunks[i % 16] = malloc(2000 + i * 131 % 4000);
	}
	REQUIRE(!pthread_join(thread, NULL));
	REQUIRE(!interrupted->failed);
	return 0;
}

FIXTURE(handler)
{
};

FIXTURE_VARIANT(handler)
{
	bool (*spawn)(void);
};

FIXTURE_SETUP(handler)
{
	interrupted = mmap(NULL, sizeof(*interrupted), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, interrupted);
}

FIXTURE_TEARDOWN(handler)
{
}

FIXTURE_VARIANT_ADD(handler, function) { .spawn = spawn_function };
FIXTURE_VARIANT_ADD(handler, program) { .spawn = spawn_program };
FIXTURE_VARIANT_ADD(handler, posix_spawn) { .spawn = spawn_by_libc };

TEST_F(handler, spawns)
{
	interrupted->spawn = variant->spawn;
	ASSERT_PASSED(in_copy(be_interrupted, NULL));
	ASSERT_EQ(ROUNDS, interrupted->rounds);
}

/* The control: a handler that needs what it has interrupted comes to a stop. */
TEST(handler_hangs_in_malloc)
{
	unsigned int rounds;
	int status;
	pid_t pid;

	if (SANITIZED)
		SKIP(return, "the sanitizer has a malloc() of its own");
	interrupted = mmap(NULL, sizeof(*interrupted), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, interrupted);
	interrupted->spawn = use_malloc;
	pid = fork();
	if (!pid) {
		/* For as long as it takes. */
		do
			interrupted->rounds = 0;
		while (!be_interrupted(NULL));
		_exit(1);
	}
	do {
		rounds = interrupted->rounds;
		usleep(500000);
	} while (rounds != interrupted->rounds);
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, reap(pid));
}

TEST_HARNESS_MAIN
