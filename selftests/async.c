// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_async().
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "calls.h"

static int wait_and_exec(void *arg)
{
	wait_for(&async.go);
	return execl(arg, "sleep", "1000", NULL);
}

static int wait_and_die(void *arg)
{
	wait_for(&async.go);
	return raise(SIGKILL);
}

TEST_F(call, async_until_exit)
{
	async_init();
	errno = 1234;
	ASSERT_EQ(0, avfork_async(wait_for, &async.go, note_done));
	ASSERT_EQ(1234, errno);
	ASSERT_EQ(0, waitpid(-1, NULL, WNOHANG));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_until_exec)
{
	async_init();
	ASSERT_EQ(0, avfork_async(wait_and_exec, "/bin/sleep", note_done));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	/* The program still runs. */
	ASSERT_EQ(0, waitpid(async.pid, NULL, WNOHANG));
	ASSERT_EQ(0, kill(async.pid, SIGTERM));
	ASSERT_EQ(-SIGTERM, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_until_death)
{
	async_init();
	ASSERT_EQ(0, avfork_async(wait_and_die, NULL, note_done));
	ASSERT_EQ(0, atomic_load(&async.count));
	sem_post(&async.go);
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(-SIGKILL, reap(async.pid));
	ASSERT_EQ(1, atomic_load(&async.count));
}

TEST_F(call, async_without_done)
{
	int status;

	ASSERT_EQ(0, avfork_async(return_arg, (void *)5, NULL));
	ASSERT_LT(0, wait(&status));
	ASSERT_EQ(W_EXITCODE(5, 0), status);
}

static char *async_text;
static int async_errors;

static int use_text(void *text)
{
	int fd;

	for (fd = 0; fd < 100; fd++)
		REQUIRE(fcntl(fd, F_GETFD) == -1);
	return *(char *)text;
}

/* What a thread may: free memory, wait, and make another child. */
static void free_and_reap(pid_t pid)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	async_errors += sigismember(&blocked, SIGUSR1) != 1;
	async_errors += reap(pid) != 'x';
	free(async_text);
	async_errors += reap(avfork(return_arg, (void *)4)) != 4;
	sem_post(&async.called);
}

TEST_F(call, async_done_may_do_much)
{
	async_init();
	async_errors = 0;
	async_text = strdup("x");
	ASSERT_EQ(0, avfork_async(use_text, async_text, free_and_reap));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, async_errors);
}

static int async_in_child(void *arg)
{
	REQUIRE(avfork_async(return_arg, NULL, note_done) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_async(return_arg, NULL, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	return 0;
}

TEST_F(call, async_errors)
{
	async_init();
	ASSERT_FAILS(EINVAL, avfork_async(NULL, NULL, note_done));
	ASSERT_FAILS(EINVAL, avfork_async(NULL, NULL, NULL));
	ASSERT_PASSED(reap(avfork(async_in_child, NULL)));
	ASSERT_TRUE(threads_leave());
	ASSERT_EQ(0, atomic_load(&async.count));
}

#define ASYNC_CHILDREN 300

static void reap_done(pid_t pid)
{
	if (reap(pid) != 0)
		async_errors++;
	note_done(pid);
}

/* How many threads of the library's wait for children. */
static unsigned int count_watchers(void)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[64], name[16];
	unsigned int count = 0;
	struct dirent *entry;
	FILE *comm;

	while ((entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm",
			 entry->d_name);
		comm = fopen(path, "re");
		if (!comm)
			continue;
		count += fgets(name, sizeof(name), comm) &&
			 !strncmp(name, "avfork-async", 12);
		fclose(comm);
	}
	closedir(tasks);
	return count;
}

static int async_in_copy(void *arg)
{
	async_init();
	REQUIRE(!avfork_async(return_arg, NULL, reap_done));
	sem_wait(&async.called);
	REQUIRE(!async_errors && atomic_load(&async.count) == 1);
	return 0;
}

TEST_F(call, async_hundreds)
{
	int i;

	async_init();
	async_errors = 0;
	for (i = 0; i < ASYNC_CHILDREN; i++) {
		ASSERT_EQ(0, avfork_async(wait_for, &async.go, reap_done));
		if (i == 99)
			ASSERT_EQ(1, count_watchers());
	}
	/* Each waits for 127 children at the most. */
	ASSERT_EQ(3, count_watchers());
	ASSERT_EQ(0, atomic_load(&async.count));
	/* A copy of the program has none of this, and its own. */
	ASSERT_PASSED(in_copy(async_in_copy, NULL));
	for (i = 0; i < ASYNC_CHILDREN; i++)
		sem_post(&async.go);
	for (i = 0; i < ASYNC_CHILDREN; i++)
		ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(ASYNC_CHILDREN, atomic_load(&async.count));
	ASSERT_EQ(0, async_errors);
	/*
	 * The threads that have called us have yet to free what they had, for
	 * which malloc opens a file of /proc, once. None of them stays.
	 */
	ASSERT_TRUE(threads_leave());
}

static void exit_thread(pid_t pid)
{
	reap_done(pid);
	pthread_exit(NULL);
}

/* The others are told all the same, and so is the next. */
TEST_F(call, async_done_exits)
{
	int i;

	async_init();
	async_errors = 0;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, avfork_async(wait_for, &async.go, exit_thread));
	for (i = 0; i < 3; i++)
		sem_post(&async.go);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, avfork_async(return_arg, NULL, exit_thread));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, async_errors);
	ASSERT_TRUE(threads_leave());
}

static pid_t async_copy;

static void fork_copy(pid_t pid)
{
	reap_done(pid);
	async_copy = fork();
	/* The copy's only thread is this, which ends. */
	if (async_copy)
		sem_post(&async.called);
}

TEST_F(call, async_done_forks)
{
	async_init();
	async_errors = 0;
	ASSERT_EQ(0, avfork_async(return_arg, NULL, fork_copy));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, sem_wait(&async.called));
	ASSERT_EQ(0, reap(async_copy));
}

/* As many as there are of these calls, each makes the next and takes its time. */
static void make_next(pid_t pid)
{
	reap_done(pid);
	usleep(2000);
	if (atomic_load(&async.count) < 1000 &&
	    avfork_async(return_arg, NULL, make_next))
		async_errors++;
}

static atomic_int async_told_after;

static void note_told(pid_t pid)
{
	atomic_store(&async_told_after, atomic_load(&async.count));
	reap_done(pid);
	/* The others end. */
	atomic_store(&async.count, 1000);
}

TEST_F(call, async_each_has_its_turn)
{
	async_init();
	async_errors = 0;
	ASSERT_EQ(0, avfork_async(return_arg, NULL, make_next));
	ASSERT_EQ(0, avfork_async(return_arg, NULL, make_next));
	ASSERT_EQ(0, avfork_async(wait_for, &async.go, note_told));
	sem_post(&async.go);
	while (atomic_load(&async.count) < 1000)
		sem_wait(&async.called);
	ASSERT_GT(500, atomic_load(&async_told_after));
	/* The last of the others has been told. */
	ASSERT_TRUE(COMES_TRUE(!count_watchers(), IDLE_LIMIT));
	ASSERT_EQ(0, async_errors);
}

TEST_HARNESS_MAIN
