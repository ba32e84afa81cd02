// SPDX-License-Identifier: GPL-2.0
/*
 * What libavfork's pool of carriers, and the descriptor that it keeps, have to
 * survive in a program that does not know of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

/* Children that wait: all of them hold a carrier until the semaphore says. */
#define CROWD_MAX 400

struct crowd {
	sem_t go;
	unsigned int size;
	pid_t pids[CROWD_MAX];
};

static int crowd_start(struct crowd *crowd, unsigned int size)
{
	unsigned int i;

	sem_init(&crowd->go, 0, 0);
	crowd->size = size;
	for (i = 0; i < size; i++) {
		crowd->pids[i] = avfork(wait_for, &crowd->go);
		REQUIRE(crowd->pids[i] > 0);
	}
	return 0;
}

static int crowd_end(struct crowd *crowd)
{
	unsigned int i;

	for (i = 0; i < crowd->size; i++)
		sem_post(&crowd->go);
	for (i = 0; i < crowd->size; i++)
		REQUIRE(reap(crowd->pids[i]) == 0);
	return 0;
}

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

/* Signals. */

static volatile sig_atomic_t handled_by;

static void note_thread(int sig)
{
	(void)sig;
	handled_by = gettid();
}

/* Whether the thread @name of ours blocks all that it can. */
static bool blocks_all(const char *name)
{
	/* SIGKILL and SIGSTOP; glibc's SIGCANCEL and SIGSETXID. */
	const unsigned long long never = 1ULL << 8 | 1ULL << 18 |
					 1ULL << 31 | 1ULL << 32;
	unsigned long long mask = 0;
	char path[PATH_MAX], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", name);
	status = fopen(path, "r");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	fclose(status);
	return (mask | never) == ~0ULL;
}

TEST(signals_stay_ours)
{
	unsigned int others = 0;
	static struct crowd crowd;
	struct dirent *entry;
	sigset_t all, pending;
	DIR *tasks;

	signal(SIGUSR1, note_thread);
	ASSERT_PASSED(crowd_start(&crowd, 10));
	tasks = opendir("/proc/self/task");
	ASSERT_NE(NULL, tasks);
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		ASSERT_TRUE(blocks_all(entry->d_name));
		others++;
	}
	closedir(tasks);
	ASSERT_EQ(10, others);

	/* With the only thread of ours that would, nobody handles it. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	kill(getpid(), SIGUSR1);
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_TRUE(threads_leave());
	ASSERT_EQ(0, handled_by);
	sigpending(&pending);
	ASSERT_EQ(1, sigismember(&pending, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	ASSERT_EQ(getpid(), handled_by);
}

/* What is told to all threads of a program at once, over the carriers, too. */

static atomic_bool quit;

static int work_until_quit(void *arg)
{
	(void)arg;
	while (!quit) {
		char text[32], *copy;

		errno = 77;
		snprintf(text, sizeof(text), "%d", getpid());
		copy = strdup(text);
		REQUIRE(copy && atoi(copy) == getpid());
		free(copy);
		REQUIRE(errno == 77);
		/* The broadcast waits for each thread to have its turn. */
		sched_yield();
	}
	return 0;
}

static void *set_ids(void *arg)
{
	long round;

	(void)arg;
	for (round = 0; round < 200; round++)
		if (setgid(getgid()) || setuid(getuid()))
			return (void *)-1L;
	return NULL;
}

TEST(setxid_broadcast)
{
	static struct crowd parked;
	void *result;
	pthread_t thread;
	pid_t pids[8];
	int i;

	if (backend_is("taskq"))
		SKIP(return, "a thread in vfork() has no turn until its child execs");
	ASSERT_PASSED(crowd_start(&parked, 16));
	ASSERT_PASSED(crowd_end(&parked));
	for (i = 0; i < 8; i++)
		pids[i] = avfork(work_until_quit, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, set_ids, NULL));
	pthread_join(thread, &result);
	ASSERT_EQ(NULL, result);
	quit = true;
	for (i = 0; i < 8; i++)
		ASSERT_PASSED(reap(pids[i]));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

static int drop_privileges(void *arg)
{
	(void)arg;
	REQUIRE(!setgid(54321));
	REQUIRE(!setuid(54321));
	REQUIRE(getuid() == 54321 && getegid() == 54321);
	REQUIRE(setuid(0) == -1);
	return 0;
}

TEST(setxid_in_a_child)
{
	static struct crowd crowd;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_PASSED(crowd_start(&crowd, 8));
	ASSERT_PASSED(reap(avfork(drop_privileges, NULL)));
	ASSERT_EQ(0, geteuid());
	ASSERT_PASSED(crowd_end(&crowd));
}

/* Copies of the program: they have none of its threads. */

static int use_in_copy(void *arg)
{
	static struct crowd crowd;
	int depth = (int)(long)arg;

	REQUIRE(count_threads() == 1);
	REQUIRE(reap(avfork(return_arg, (void *)5)) == 5);
	if (crowd_start(&crowd, 5))
		return 1;
	/*
	 * The first worker may yet have to see that its child has died, or the
	 * first carrier be on its way out.
	 */
	REQUIRE(COMES_TRUE(count_threads() == 1 + 5, IDLE_LIMIT));
	if (depth && in_copy(use_in_copy, (void *)(depth - 1L)))
		return 1;
	if (crowd_end(&crowd))
		return 1;
	REQUIRE(depth || threads_leave());
	return 0;
}

static pid_t raw_clone(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

FIXTURE(copy)
{
};

FIXTURE_VARIANT(copy)
{
	pid_t (*make)(void);
};

FIXTURE_VARIANT_ADD(copy, fork)
{
	.make = fork,
};

FIXTURE_VARIANT_ADD(copy, _Fork)
{
	.make = _Fork,
};

FIXTURE_VARIANT_ADD(copy, raw_clone)
{
	.make = raw_clone,
};

FIXTURE_SETUP(copy)
{
}

FIXTURE_TEARDOWN(copy)
{
}

TEST_F(copy, of_a_busy_pool)
{
	static struct crowd crowd;
	pid_t pid;

	ASSERT_PASSED(crowd_start(&crowd, 10));
	pid = variant->make();
	if (!pid)
		_exit(use_in_copy((void *)2));
	ASSERT_PASSED(reap(pid));
	/* Nothing of this was ours. */
	ASSERT_EQ(1 + 10, count_threads());
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_TRUE(threads_leave());
}

struct forker {
	pthread_t thread;
	pid_t (*make)(void);
};

static void *copy_until_quit(void *arg)
{
	const struct forker *forker = arg;
	int round;

	for (round = 0; !quit; round++) {
		pid_t pid = forker->make();

		if (!pid)
			_exit(round % 8 ? 0 : reap(avfork(return_arg, NULL)));
		if (reap(pid))
			return (void *)-1L;
	}
	return round ? NULL : (void *)-2L;
}

TEST(fork_storm)
{
	struct forker forkers[3];
	void *result;
	int i;

	for (i = 0; i < 3; i++) {
		forkers[i].make = fork;
		ASSERT_EQ(0, pthread_create(&forkers[i].thread, NULL,
					    copy_until_quit, &forkers[i]));
	}
	for (i = 0; i < 500; i++) {
		pid_t first = avfork(return_arg, (void *)1);
		pid_t second = avforkx(AVFORK_WAITPID, return_arg, (void *)2);

		ASSERT_EQ(1, reap(first));
		ASSERT_EQ(2, reap(second));
	}
	quit = true;
	for (i = 0; i < 3; i++) {
		pthread_join(forkers[i].thread, &result);
		ASSERT_EQ(NULL, result);
	}
	ASSERT_TRUE(threads_leave());
}

/* The descriptor of the device. */

FIXTURE(device)
{
	int fd;
};

/* The highest number that is the device, or -1. */
static int find_device(void)
{
	char path[64], target[64];
	int fd, found = -1;
	ssize_t length;

	for (fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (!strcmp(target, "/dev/avfork"))
			found = fd;
	}
	return found;
}

FIXTURE_SETUP(device)
{
	/* What returns here would still run the test. */
	if (!backend_is("kernel"))
		SKIP(_exit(255), "of the kernel backend alone");
	setenv("AVFORK_BACKEND", "kernel", 1);
	ASSERT_STREQ("kernel", avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	self->fd = find_device();
	ASSERT_LE(3, self->fd);
	ASSERT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

FIXTURE_TEARDOWN(device)
{
}

static int close_everything(void *arg)
{
	int round, fd;

	for (round = 0; round < 3; round++) {
		REQUIRE(!close_range(0, ~0U, 0));
		REQUIRE(reap(avfork(return_arg, arg)) == 8);
		REQUIRE(reap(avforkx(AVFORK_STDIO, return_arg, arg)) == 8);
		/* The three are left to those who care for them. */
		for (fd = 0; fd < 3; fd++)
			REQUIRE(fcntl(fd, F_GETFD) == -1);
		REQUIRE(find_device() >= 3);
		REQUIRE(count_fds() == 1);
	}
	return 0;
}

TEST_F(device, closed_by_a_daemon)
{
	ASSERT_PASSED(in_copy(close_everything, (void *)8));
	ASSERT_EQ(self->fd, find_device());
}

/* Lend the device's number @taken to @file, and check that nothing happens. */
static int take_number(int taken, int file)
{
	unsigned int fds;
	struct stat before, after;
	int flags, found;
	off_t offset;

	REQUIRE(dup2(file, taken) == taken);
	fds = count_fds();
	flags = fcntl(file, F_GETFL);
	offset = lseek(file, 0, SEEK_CUR);
	REQUIRE(!fstat(file, &before));

	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	found = find_device();
	REQUIRE(found >= 3 && found != taken);
	REQUIRE(count_fds() == fds + 1);
	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	REQUIRE(count_fds() == fds + 1);

	REQUIRE(!fstat(taken, &after));
	REQUIRE(after.st_dev == before.st_dev);
	REQUIRE(after.st_ino == before.st_ino);
	REQUIRE(after.st_size == before.st_size);
	REQUIRE(fcntl(taken, F_GETFD) == 0);
	REQUIRE(fcntl(taken, F_GETFL) == flags);
	REQUIRE(lseek(taken, 0, SEEK_CUR) == offset);

	/* And the number becomes the device's again. */
	REQUIRE(dup3(found, taken, O_CLOEXEC) == taken);
	close(found);
	close(file);
	return 0;
}

TEST_F(device, number_taken_by_a_file)
{
	char name[] = "/tmp/avfork-test-XXXXXX", buf[16] = "";
	int file, copy;

	file = mkstemp(name);
	ASSERT_LE(0, file);
	unlink(name);
	copy = dup(file);
	ASSERT_EQ(7, write(file, "content", 7));
	ASSERT_EQ(3, lseek(file, 3, SEEK_SET));
	ASSERT_PASSED(take_number(self->fd, file));
	ASSERT_EQ(7, pread(copy, buf, sizeof(buf), 0));
	ASSERT_STREQ("content", buf);

	ASSERT_PASSED(take_number(self->fd, open("/dev/null", O_RDWR)));
	ASSERT_PASSED(take_number(self->fd, open("/dev/zero", O_RDWR)));
	ASSERT_PASSED(take_number(self->fd, open("/", O_DIRECTORY)));
	ASSERT_PASSED(take_number(self->fd, open("/", O_PATH)));
}

TEST_F(device, number_taken_by_a_pipe)
{
	int ends[2], pending, copy;

	ASSERT_EQ(0, pipe(ends));
	copy = dup(ends[0]);
	ASSERT_EQ(2, write(ends[1], "hi", 2));
	ASSERT_PASSED(take_number(self->fd, ends[0]));
	ASSERT_PASSED(take_number(self->fd, ends[1]));
	ASSERT_EQ(0, ioctl(copy, FIONREAD, &pending));
	ASSERT_EQ(2, pending);
}

TEST_F(device, number_taken_by_a_socket)
{
	int ends[2], pending, copy;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	copy = dup(ends[0]);
	ASSERT_EQ(2, write(ends[1], "hi", 2));
	ASSERT_PASSED(take_number(self->fd, ends[0]));
	ASSERT_EQ(0, ioctl(copy, FIONREAD, &pending));
	ASSERT_EQ(2, pending);
}

TEST_F(device, number_taken_by_an_eventfd)
{
	int event = eventfd(3, EFD_NONBLOCK), copy = dup(event);
	eventfd_t value;

	ASSERT_PASSED(take_number(self->fd, event));
	ASSERT_EQ(0, eventfd_read(copy, &value));
	ASSERT_EQ(3, value);
}

/* A number that is closed and taken again and again while others spawn. */
static int spawn_all_along(void)
{
	while (!quit) {
		pid_t pid = avfork(return_arg, (void *)9);

		REQUIRE(pid > 0);
		REQUIRE(reap(pid) == 9);
	}
	return 0;
}

static void *spawn_until_quit(void *arg)
{
	(void)arg;
	return (void *)(long)spawn_all_along();
}

TEST_F(device, number_taken_under_way)
{
	unsigned int before = count_fds();
	pthread_t threads[3];
	void *result;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    spawn_until_quit, NULL));
	for (i = 0; i < 100; i++) {
		int fd = find_device();

		if (fd < 0)
			continue;
		if (i % 2)
			dup2(STDERR_FILENO, fd);
		close(fd);
		sched_yield();
	}
	quit = true;
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		ASSERT_PASSED((long)result);
	}
	/* Nobody lost one that he had opened: there is at most one device. */
	ASSERT_GE(before, count_fds());
	ASSERT_TRUE(threads_leave());
}

static int fill_table(void)
{
	int fd, last = -1;

	while ((fd = dup(STDERR_FILENO)) >= 0)
		last = fd;
	return errno == EMFILE ? last : -1;
}

static int run_out_of_numbers(void *arg)
{
	const struct rlimit few = { 32, 32 };
	int last, device = (int)(long)arg;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	/* One that is open is all it takes. */
	last = fill_table();
	REQUIRE(last > 0);
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);

	/* Let go of it, and have none left. */
	REQUIRE(dup2(STDERR_FILENO, device) == device);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	close(last);
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);
	close(device);
	REQUIRE(threads_leave());
	return 0;
}

static int run_out_of_low_numbers(void *arg)
{
	const struct rlimit three = { 3, 32 };

	(void)arg;
	/* One is free, but not for us to keep. */
	close_range(3, ~0U, 0);
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &three));
	close(0);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	REQUIRE(fcntl(0, F_GETFD) == -1);
	return 0;
}

TEST_F(device, no_number_left)
{
	ASSERT_PASSED(in_copy(run_out_of_numbers, (void *)(long)self->fd));
	ASSERT_PASSED(in_copy(run_out_of_low_numbers, NULL));
}

static int change_root(void *arg)
{
	REQUIRE(!chroot(arg));
	REQUIRE(!chdir("/"));
	REQUIRE(reap(avfork(return_arg, (void *)4)) == 4);
	close_range(3, ~0U, 0);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == ENOSYS);
	return 0;
}

TEST_F(device, chroot_without_dev)
{
	char dir[] = "/tmp/avfork-test-XXXXXX";
	int result;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_NE(NULL, mkdtemp(dir));
	result = in_copy(change_root, dir);
	rmdir(dir);
	ASSERT_PASSED(result);
}

/* Its first use, by a program that cannot open it. */

static int first_use_in_chroot(void *arg)
{
	REQUIRE(!chroot(arg));
	REQUIRE(!avfork_backend());
	REQUIRE(errno == ENOSYS);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == ENOSYS);
	return 0;
}

static int first_use_without_numbers(void *arg)
{
	const struct rlimit few = { 32, 32 };
	int last;

	(void)arg;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	last = fill_table();
	REQUIRE(last > 0);
	REQUIRE(!avfork_backend());
	REQUIRE(errno == EMFILE);
	errno = 0;
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	/* It is not held against us. */
	close(last);
	REQUIRE(!strcmp(avfork_backend(), "kernel"));
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);
	return 0;
}

TEST(device_first_use_fails)
{
	char dir[] = "/tmp/avfork-test-XXXXXX";
	int result;

	if (!backend_is("kernel"))
		SKIP(return, "of the kernel backend alone");
	setenv("AVFORK_BACKEND", "kernel", 1);
	ASSERT_PASSED(in_copy(first_use_without_numbers, NULL));
	if (geteuid())
		SKIP(return, "needs root for a chroot");
	ASSERT_NE(NULL, mkdtemp(dir));
	result = in_copy(first_use_in_chroot, dir);
	rmdir(dir);
	ASSERT_PASSED(result);
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

/* What children may do at the same time as each other and as the parent. */

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
		ASSERT_LE(stacks[i - 1] + 256 * 1024 + 4096, stacks[i]);
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
