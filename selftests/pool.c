// SPDX-License-Identifier: GPL-2.0
/*
 * The carriers: how their number grows and shrinks, and the reserve of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>
#include <pthread.h>
#include <sys/resource.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "crowd.h"

/* Growing and shrinking. */

static unsigned int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int count = 0;
	int c;

	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

TEST(grows_and_shrinks)
{
	unsigned int maps = 0, maps_before, fds = 0, round = 0;
	static struct crowd crowd;

	ASSERT_EQ(1, count_threads());
	/*
	 * After the first round, glibc has a cache of thread stacks. That grows
	 * again if carriers leave while others come, on a slow machine; what
	 * is lost is lost in every round.
	 */
	do {
		ASSERT_PASSED(crowd_start(&crowd, 50));
		ASSERT_EQ(1 + 50, count_threads());
		ASSERT_PASSED(crowd_end(&crowd));
		/*
		 * They are used again, before they leave, but for the few that
		 * are just looking whether to. A worker needs a moment from its
		 * child's death on.
		 */
		ASSERT_PASSED(crowd_start(&crowd, 50));
		ASSERT_GE(1 + 50 + (backend_is("taskq") ? 50 : 10),
			  count_threads());
		ASSERT_PASSED(crowd_end(&crowd));
		ASSERT_TRUE(threads_leave());
		if (round)
			ASSERT_EQ(fds, count_fds());
		fds = count_fds();
		maps_before = maps;
		maps = count_maps();
	} while (++round < 3 || (maps != maps_before && round < 10));
	/* How many stacks glibc kept depends on how many workers ran. */
	if (!backend_is("taskq"))
		ASSERT_EQ(maps_before, maps);
}

static __thread int thread_local_value = 1;

static int outlast_the_others(void *arg)
{
	pthread_t thread = pthread_self();

	thread_local_value = 2;
	errno = 77;
	wait_for(arg);
	REQUIRE(errno == 77);
	REQUIRE(thread_local_value == 2);
	REQUIRE(pthread_equal(thread, pthread_self()));
	free(malloc(100000));
	return 0;
}

TEST(busy_carriers_stay)
{
	static struct crowd crowd;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	ASSERT_PASSED(crowd_start(&crowd, 5));
	pid = avfork(outlast_the_others, &go);
	ASSERT_PASSED(crowd_end(&crowd));
	/* Ours, the reserve, and the one. */
	ASSERT_TRUE(COMES_TRUE(count_threads() == 2 + RESERVED,
			       IDLE_LIMIT));
	sem_post(&go);
	ASSERT_PASSED(reap(pid));
	ASSERT_EQ(1, thread_local_value);
	ASSERT_TRUE(threads_leave());
}

/* What is mapped, in bytes. */
static long address_space(void)
{
	return proc_bytes("/proc/self/status", "VmSize");
}

#define MIB		(1024L * 1024)
/* What libc itself may map anew, or somewhere else. */
#define LITTLE		(4 * MIB)

static pthread_barrier_t barrier;

static void *allocate_and_wait(void *arg)
{
	void *volatile memory = malloc(1000);

	(void)arg;
	free(memory);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* A thread that allocates or frees has malloc() map an arena for it. */
TEST(carriers_leave_no_arenas)
{
	static struct crowd crowd;
	long waiting, left;
	pthread_t threads[4];
	int i;

	if (SANITIZED)
		SKIP(return, "the sanitizer has a malloc() of its own");
	ASSERT_PASSED(crowd_start(&crowd, 100));
	waiting = address_space();
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_TRUE(threads_leave());
	left = address_space();
	ASSERT_GT(waiting + LITTLE, left)
		TH_LOG("%ld MiB with 100 children, %ld when all have left",
		       waiting / MIB, left / MIB);
	/* And again: what the first ones have left is used. */
	ASSERT_PASSED(crowd_start(&crowd, 100));
	ASSERT_GT(waiting + LITTLE, address_space());
	ASSERT_PASSED(crowd_end(&crowd));

	/* The control. */
	pthread_barrier_init(&barrier, NULL, 5);
	left = address_space();
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    allocate_and_wait, NULL));
	pthread_barrier_wait(&barrier);
	ASSERT_LT(left + 100 * MIB, address_space());
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

#define GENERATIONS	8

/**
 * struct dynasty - copies of copies, each with children at its copying
 * @leaves: the control: what each has mapped for that stays its copies'
 * @sizes:  the address space of each generation. Shared
 */
struct dynasty {
	bool leaves;
	long sizes[GENERATIONS];
};

static struct dynasty *dynasty;

static int be_generation(void *arg)
{
	static struct crowd crowd;
	long number = (long)arg;

	if (crowd_start(&crowd, 50))
		return 1;
	if (dynasty->leaves)
		REQUIRE(mmap(NULL, 50 * 320 * 1024, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	dynasty->sizes[number] = address_space();
	if (number + 1 < GENERATIONS)
		REQUIRE(!in_copy(be_generation, (void *)(number + 1)));
	return crowd_end(&crowd);
}

TEST(copies_of_copies_do_not_grow)
{
	long grown;

	dynasty = mmap(NULL, sizeof(*dynasty), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, dynasty);
	ASSERT_PASSED(in_copy(be_generation, NULL));
	grown = dynasty->sizes[GENERATIONS - 1] - dynasty->sizes[1];
	ASSERT_GT(2 * LITTLE, grown)
		TH_LOG("from %ld MiB to %ld", dynasty->sizes[1] / MIB,
		       dynasty->sizes[GENERATIONS - 1] / MIB);
	dynasty->leaves = true;
	ASSERT_PASSED(in_copy(be_generation, NULL));
	grown = dynasty->sizes[GENERATIONS - 1] - dynasty->sizes[1];
	ASSERT_LT(2 * LITTLE, grown);
}

/* What one child has set of the carrier's, the next does not have. */

/**
 * struct speaker - a child
 * @thread: its carrier
 * @locale: as it finds that
 */
struct speaker {
	pthread_t thread;
	locale_t locale;
};

static int change_locale(void *arg)
{
	struct speaker *speaker = arg;
	locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

	speaker->thread = pthread_self();
	speaker->locale = uselocale(locale);
	if (!locale)
		return 2;
	/* Nobody else is to have it, for it is gone. */
	freelocale(locale);
	return uselocale((locale_t)0) != locale;
}

TEST(locale_is_no_other_childs)
{
	struct speaker speakers[2];
	int status, i;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		status = reap(avfork(change_locale, &speakers[i]));
		if (status == 2)
			SKIP(return, "there is no other locale here");
		ASSERT_EQ(0, status);
		ASSERT_EQ(LC_GLOBAL_LOCALE, speakers[i].locale);
	}
	if (RESERVED)
		ASSERT_TRUE(pthread_equal(speakers[0].thread,
					  speakers[1].thread));
	/* The control: a child of vfork() changes the thread that it runs on. */
	ASSERT_EQ(LC_GLOBAL_LOCALE, uselocale((locale_t)0));
	pid = vfork();
	if (!pid)
		_exit(change_locale(&speakers[0]));
	ASSERT_EQ(0, reap(pid));
	ASSERT_NE(LC_GLOBAL_LOCALE, uselocale(LC_GLOBAL_LOCALE));
}

/* The reserve: carriers that do not leave. */

TEST(reserve_stays)
{
	static struct crowd crowd;

	ASSERT_EQ(0, avfork_reserve(20));
	ASSERT_EQ(1 + 20, count_threads());
	/* Once they have been used, too; the others do leave. */
	ASSERT_PASSED(crowd_start(&crowd, 25));
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_TRUE(COMES_TRUE(count_threads() == 1 + 20, IDLE_LIMIT));
	ASSERT_FALSE(COMES_TRUE(count_threads() != 1 + 20, 3));
	/* The same again changes nothing. */
	ASSERT_EQ(0, avfork_reserve(20));
	ASSERT_EQ(1 + 20, count_threads());
	ASSERT_EQ(0, avfork_reserve(2));
	ASSERT_TRUE(COMES_TRUE(count_threads() == 1 + 2, IDLE_LIMIT));
	ASSERT_EQ(0, avfork_reserve(0));
	ASSERT_TRUE(COMES_TRUE(count_threads() == 1, IDLE_LIMIT));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_TRUE(COMES_TRUE(count_threads() == 1, IDLE_LIMIT));
}

static int reserve_fails(void *arg)
{
	(void)arg;
	REQUIRE(avfork_reserve(1) == -1 && errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_reserve(0) == -1 && errno == EDEADLK);
	return 0;
}

static int reserve_in_copy(void *arg)
{
	(void)arg;
	REQUIRE(count_threads() == 1);
	REQUIRE(!avfork_reserve(3) && count_threads() == 1 + 3);
	return 0;
}

TEST(reserve_errors)
{
	pid_t pid;

	ASSERT_EQ(-1, avfork_reserve(16385));
	ASSERT_EQ(EINVAL, errno);
	errno = 0;
	ASSERT_EQ(-1, avfork_reserve(UINT_MAX));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(1, count_threads());
	ASSERT_PASSED(reap(avfork(reserve_fails, NULL)));
	ASSERT_PASSED(reap(avforkx(AVFORK_SYNC, reserve_fails, NULL)));
	pid = vfork();
	if (!pid)
		_exit(reserve_fails(NULL));
	ASSERT_PASSED(reap(pid));
	/* A copy has what it asks for itself. */
	ASSERT_EQ(0, avfork_reserve(5));
	ASSERT_PASSED(in_copy(reserve_in_copy, NULL));
	ASSERT_EQ(1 + 5, count_threads());
}

/* Room for some of them alone: those stay, and the rest is made by the calls. */
static int reserve_too_many(void *arg)
{
	const struct rlimit limit = { 10, 10 };

	(void)arg;
	REQUIRE(!become_lone_user());
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	REQUIRE(avfork_reserve(50) == -1 && errno == EAGAIN);
	REQUIRE(!avfork_reserve(4));
	REQUIRE(COMES_TRUE(count_threads() == 1 + 4, IDLE_LIMIT));
	REQUIRE(reap(avfork(return_arg, (void *)2)) == 2);
	return 0;
}

TEST(reserve_without_room)
{
	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	ASSERT_PASSED(in_copy(reserve_too_many, NULL));
}

/* The ids of all threads, in the order of /proc. */
static void list_threads(char *list, size_t size)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	size_t length = 0;

	list[0] = '\0';
	while ((entry = readdir(tasks)) && length < size - 16)
		length += sprintf(list + length, "%s ", entry->d_name);
	closedir(tasks);
}

/*
 * A child once in a while makes no thread, so its call is as cheap as one of many. But
 * it does if nothing is kept for it.
 */
static void spawn_once_in_a_while(struct __test_metadata *_metadata,
				  unsigned int reserve)
{
	char before[256], after[256];

	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_TRUE(COMES_TRUE(count_threads() == 1 + reserve, IDLE_LIMIT));
	/* What would leave has left after this; no event tells of what stays. */
	sleep(3);
	list_threads(before, sizeof(before));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	list_threads(after, sizeof(after));
	ASSERT_EQ(reserve > 0, !strcmp(before, after))
		TH_LOG("threads: %s, then %s", before, after);
}

TEST(cold_call_makes_no_thread)
{
	if (backend_is("taskq"))
		SKIP(return, "a thread for each child is what it does");
	spawn_once_in_a_while(_metadata, 1);
	ASSERT_EQ(0, avfork_reserve(3));
	spawn_once_in_a_while(_metadata, 3);
	/* The control. */
	ASSERT_EQ(0, avfork_reserve(0));
	spawn_once_in_a_while(_metadata, 0);
}

/* Spawn at the very moment when the last carrier leaves. */
static int meet_the_leaving(void *arg)
{
	int round;

	/* Otherwise it stays. */
	REQUIRE(!avfork_reserve(0));
	for (round = 0; round < 4; round++) {
		REQUIRE(reap(avfork(return_arg, arg)) == 3);
		REQUIRE(COMES_TRUE(count_threads() == 1, IDLE_LIMIT));
	}
	REQUIRE(reap(avfork(return_arg, arg)) == 3);
	REQUIRE(threads_leave());
	return 0;
}

TEST(carriers_come_and_go)
{
	pid_t pids[8];
	int i;

	for (i = 0; i < 8; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(meet_the_leaving((void *)3));
	}
	for (i = 0; i < 8; i++)
		ASSERT_PASSED(reap(pids[i]));
}

/* A program ends with its main thread. */

static int leave_main_thread(void *arg)
{
	(void)arg;
	REQUIRE(reap(avfork(return_arg, NULL)) == 0);
	pthread_exit(NULL);
}

static int leave_with_reserve(void *arg)
{
	REQUIRE(!avfork_reserve((long)arg));
	return leave_main_thread(NULL);
}

static void *reserve_in_thread(void *arg)
{
	return (void *)(long)(avfork_reserve((long)arg) ||
			      reap(avfork(return_arg, NULL)));
}

/* The library hears nothing of the main thread before that ends. */
static int leave_after_thread(void *arg)
{
	pthread_t thread;
	void *failed;

	REQUIRE(!pthread_create(&thread, NULL, reserve_in_thread, arg));
	REQUIRE(!pthread_join(thread, &failed) && !failed);
	pthread_exit(NULL);
}

TEST(main_thread_exits)
{
	ASSERT_PASSED(in_copy(leave_main_thread, NULL));
	ASSERT_PASSED(in_copy(leave_with_reserve, (void *)5));
	ASSERT_PASSED(in_copy(leave_with_reserve, (void *)0));
}

TEST(main_thread_exits_after_others)
{
	ASSERT_PASSED(in_copy(leave_after_thread, (void *)5));
	ASSERT_PASSED(in_copy(leave_after_thread, (void *)0));
}

static int wait_for_eof(void *arg)
{
	char byte;

	(void)arg;
	return read(STDIN_FILENO, &byte, 1);
}

static int leave_with_child(void *arg)
{
	struct avfork_opts opts = { .size = sizeof(opts), .nr_fds = 1 };
	struct avfork_fd fd = { .parent_fd = ((int *)arg)[0] };

	opts.fds = &fd;
	REQUIRE(avfork_with(&opts, wait_for_eof, NULL) > 0);
	close(((int *)arg)[0]);
	close(((int *)arg)[1]);
	pthread_exit(NULL);
}

TEST(main_thread_exits_with_a_busy_child)
{
	int ends[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid)
		_exit(leave_with_child(ends));
	close(ends[0]);
	/* As for a thread that is still at work. */
	ASSERT_FALSE(COMES_TRUE(waitpid(pid, NULL, WNOHANG), 4));
	close(ends[1]);
	ASSERT_PASSED(reap(pid));
}

/* The library itself. */

TEST(dlclose_with_a_child)
{
	pid_t (*so_avfork)(int (*start_routine)(void *), void *arg);
	void *library;
	int round;
	pid_t pid;
	sem_t go;

	sem_init(&go, 0, 0);
	for (round = 0; round < 2; round++) {
		library = dlopen("libavfork.so.0", RTLD_NOW | RTLD_LOCAL);
		if (!library)
			SKIP(return, "%s", dlerror());
		so_avfork = dlsym(library, "avfork");
		ASSERT_NE(NULL, so_avfork);
		pid = so_avfork(wait_for, &go);
		ASSERT_LT(0, pid);
		ASSERT_EQ(0, dlclose(library));
		/* The carrier is still in there. */
		ASSERT_TRUE(COMES_TRUE(count_threads() == 2, IDLE_LIMIT));
		sem_post(&go);
		ASSERT_EQ(0, reap(pid));
	}
	ASSERT_TRUE(threads_leave());
}

TEST_HARNESS_MAIN
