// SPDX-License-Identifier: GPL-2.0
/*
 * Prepared children that are not started, or just then: nothing is left of them,
 * whoever closes, kills, execs or exits, in whatever order.
 */
#include "../kselftest_harness.h"
#include "prepared.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/prctl.h>

/* The end of what is not started */

TEST_F(prepared, closed)
{
	int i, prepared;
	pid_t pid;

	for (i = 0; i < 100; i++) {
		prepared = PREPARE(&self->none);
		pid = only_child();
		ASSERT_LT(0, pid);
		close(prepared);
		/* Nothing is left, not even a zombie, when close() returns. */
		ASSERT_EQ(0, state_of(pid));
		ASSERT_TRUE(no_child_left());
	}
}

/* Two numbers of one descriptor. */
TEST_F(prepared, closed_once_of_two)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), second = dup(prepared);

	close(prepared);
	child_init(child, child_returns, (void *)3);
	START(second, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(second);
}

TEST_F(prepared, closed_by_a_copy)
{
	int prepared = PREPARE(&self->none), go[2];
	pid_t pid = only_child(), copy;
	char byte;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	copy = fork();
	if (!copy) {
		sys(SYS_read, go[0], &byte, 1);
		_exit(0);
	}
	close(prepared);
	EXPECT_NE(0, state_of(pid));
	ASSERT_EQ(1, write(go[1], "", 1));
	EXPECT_EQ(0, status_of(copy));
	await_gone(pid);
	close_pipe(go);
}

/*
 * A maker, which tells the pid of what it has prepared and then waits for its end
 * of @control, a pair that is made here. A copy of it keeps the descriptor open meanwhile.
 */
static pid_t make_maker(int device, int control[2], pid_t *keeper)
{
	const struct avfork_args none = { 0 };
	pid_t maker, pids[2];
	int prepared;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
		abort();
	maker = fork();
	if (maker) {
		if (read(control[0], pids, sizeof(pids)) != sizeof(pids))
			abort();
		*keeper = pids[1];
		return pids[0];
	}
	prepared = child_prepare(device, &none);
	fcntl(prepared, F_SETFD, 0);
	pids[0] = only_child();
	pids[1] = fork();
	if (!pids[1])
		while (1)
			pause();
	sys(SYS_write, control[1], pids, sizeof(pids));
	sys(SYS_read, control[1], &byte, 1);
	if (byte == 'e')
		_exit(0);
	/* Not even the descriptor's number is lost by this exec. */
	dup2(control[1], 0);
	child_execs(NULL);
	_exit(1);
}

TEST_F(prepared, maker_execs)
{
	pid_t pid, keeper, maker;
	int control[2], status;

	pid = make_maker(self->device, control, &keeper);
	maker = only_child();
	EXPECT_NE(0, state_of(pid));
	close(control[1]);
	ASSERT_EQ(1, write(control[0], "x", 1));
	ASSERT_TRUE(child_has_execed(control[0]));
	/*
	 * On a busy machine it may die later: the maker then reaps it on its way out of
	 * the kernel, where a stop sends it.
	 */
	while (state_of(pid)) {
		kill(maker, SIGSTOP);
		kill(maker, SIGCONT);
		usleep(1000);
	}
	kill(keeper, SIGKILL);
	/* It has no other child than the keeper: see execed(). */
	EXPECT_TRUE(child_shall_exit(control[0], 0));
	EXPECT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	close(control[0]);
}

TEST_F(prepared, maker_exits)
{
	pid_t pid, keeper;
	int control[2], status;

	pid = make_maker(self->device, control, &keeper);
	EXPECT_NE(0, state_of(pid));
	ASSERT_EQ(1, write(control[0], "e", 1));
	EXPECT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	await_gone(pid);
	EXPECT_NE(0, state_of(keeper));
	kill(keeper, SIGKILL);
	close_pipe(control);
}

TEST_F(prepared, maker_is_killed)
{
	pid_t pid, keeper, maker;
	int control[2], status;
	char path[64], text[512];

	pid = make_maker(self->device, control, &keeper);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	maker = strtol(strrchr(text, ')') + 3, NULL, 10);
	ASSERT_EQ(0, kill(maker, SIGKILL));
	EXPECT_EQ(maker, waitpid(-1, &status, 0));
	await_gone(pid);
	kill(keeper, SIGKILL);
	close_pipe(control);
}

/* Limits, and other attributes of a child */

TEST_F(prepared, counts_against_limits)
{
	struct child *child = &self->child;
	const struct rlimit none = { 0, 0 };
	int prepared, copy;

	if (geteuid())
		SKIP(return, "only root becomes somebody else");
	copy = fork();
	if (!copy) {
		if (become_nobody() || setrlimit(RLIMIT_NPROC, &none))
			_exit(1);
		_exit(-child_prepare(self->device, &self->none));
	}
	EXPECT_EQ(EAGAIN, status_of(copy));

	/* One that is there already can be started. */
	prepared = PREPARE(&self->none);
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &none));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

TEST_F(prepared, counts_against_a_cgroups_limit)
{
	struct avfork_args args = { .flags = AVFORK_INTO_CGROUP };
	struct child *child = &self->child;
	char path[64];
	int prepared;

	args.cgroup_fd = cgroup_make(path, sizeof(path));
	if (args.cgroup_fd < 0)
		SKIP(return, "no cgroup v2 that can be written");
	ASSERT_EQ(0, cgroup_write(path, "pids.max", "1"));
	prepared = PREPARE(&args);
	EXPECT_EQ(-EAGAIN, child_prepare(self->device, &args));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
	/* What has ended counts no more. */
	close(PREPARE(&args));
	EXPECT_EQ(0, cgroup_remove(path));
	close(args.cgroup_fd);
}

/* Its memory is its maker's, and another process's to give back. */
TEST_F(prepared, is_not_chosen_for_memory)
{
	struct avfork_args args = { .flags = AVFORK_INTO_CGROUP };
	struct child *child = &self->child;
	int prepared, status;
	char path[64];
	pid_t hog;

	args.cgroup_fd = cgroup_make(path, sizeof(path));
	if (args.cgroup_fd < 0)
		SKIP(return, "no cgroup v2 that can be written");
	if (cgroup_write(path, "memory.max", "4M")) {
		rmdir(path);
		SKIP(return, "no cgroups for memory");
	}
	cgroup_write(path, "memory.swap.max", "0");
	prepared = PREPARE(&args);
	hog = fork();
	if (!hog)
		_exit(cgroup_write(path, "cgroup.procs", "0") ?:
		      hog_memory(NULL));
	ASSERT_EQ(hog, waitpid(hog, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
	EXPECT_EQ(0, cgroup_remove(path));
	close(args.cgroup_fd);
}

/* An exit signal of its own outlives an exec, as any child's does. */
TEST_F(prepared, exit_signal)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), control;

	child_init(child, child_execs, NULL);
	child->args.exit_signal = 0;
	control = start_and_exec(prepared, child);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(-ECHILD, sys(SYS_wait4, child->pid, NULL, WNOHANG, NULL));
	close(control);
	EXPECT_EQ(0, child_reap(child));
	close(prepared);
}

TEST_F(prepared, autokill)
{
	const struct avfork_args args = {
		.flags = AVFORK_AUTOKILL | AVFORK_NNP,
	};
	struct child *child = &self->child;
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	int waiting = child_prepare(device, &args), started = child_prepare(device, &args);

	ASSERT_LE(0, waiting);
	ASSERT_LE(0, started);
	child_init(child, child_blocks, child);
	START(started, child);
	close(device);
	EXPECT_TRUE(has_left(waiting, FOREVER));
	EXPECT_TRUE(has_left(started, FOREVER));
	EXPECT_EQ(SIGKILL, child_reap(child));
	EXPECT_EQ(-ESRCH, prepared_start(waiting, child));
	close(waiting);
	close(started);
}

TEST_F(prepared, autoreap)
{
	const struct avfork_args args = { .flags = AVFORK_AUTOREAP };
	struct child *child = &self->child;
	int prepared = child_prepare(self->device, &args);

	if (prepared == -EOPNOTSUPP)
		SKIP(return, "the kernel has no CLONE_AUTOREAP");
	ASSERT_LE(0, prepared);
	child_init(child, child_returns, (void *)3);
	EXPECT_EQ(-EINVAL, prepared_start(prepared, child));
	child->args.exit_signal = 0;
	START(prepared, child);
	EXPECT_TRUE(has_left(prepared, FOREVER));
	while (!no_child_left())
		sched_yield();
	child_free(child);
	close(prepared);
}

TEST_F(prepared, init_of_a_namespace)
{
	const struct avfork_args args = { .namespaces = CLONE_NEWPID };
	struct child *child = &self->child;
	int prepared;

	if (geteuid())
		SKIP(return, "only root makes a pid namespace");
	prepared = PREPARE(&args);
	close(prepared);
	EXPECT_TRUE(no_child_left());
	prepared = PREPARE(&args);
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

/* Races, and what is left of thousands */

struct race {
	int prepared;
	pthread_barrier_t barrier;
	struct child child[2];
};

static void *race_to_start(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->barrier);
	prepared_start(race->prepared, &race->child[1]);
	return NULL;
}

/* One of two threads starts it, and the other is told so. */
TEST_F(prepared, started_by_two)
{
	struct race race;
	pthread_t thread;
	int i, first;

	ASSERT_EQ(0, pthread_barrier_init(&race.barrier, NULL, 2));
	for (i = 0; i < 200; i++) {
		race.prepared = PREPARE(&self->none);
		child_init(&race.child[0], child_returns, (void *)3);
		child_init(&race.child[1], child_returns, (void *)3);
		ASSERT_EQ(0, pthread_create(&thread, NULL, race_to_start,
					    &race));
		pthread_barrier_wait(&race.barrier);
		prepared_start(race.prepared, &race.child[0]);
		pthread_join(thread, NULL);
		first = race.child[0].pid > 0 ? 0 : 1;
		ASSERT_LT(0, race.child[first].pid);
		ASSERT_TRUE(race.child[!first].pid == -EALREADY ||
			    race.child[!first].pid == -EBUSY);
		ASSERT_EQ(EXITED(3), child_reap(&race.child[first]));
		child_free(&race.child[!first]);
		close(race.prepared);
	}
}

static void *race_to_kill(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->barrier);
	sys(SYS_kill, race->child[1].pid, SIGKILL);
	return NULL;
}

/* Either it is started, and its death is as any child's, or there was none. */
TEST_F(prepared, killed_while_it_starts)
{
	struct child *child;
	struct race race;
	pthread_t thread;
	int i, status;

	child = &race.child[0];
	ASSERT_EQ(0, pthread_barrier_init(&race.barrier, NULL, 2));
	for (i = 0; i < 200; i++) {
		race.prepared = PREPARE(&self->none);
		race.child[1].pid = only_child();
		child_init(child, child_returns, (void *)3);
		ASSERT_EQ(0, pthread_create(&thread, NULL, race_to_kill,
					    &race));
		pthread_barrier_wait(&race.barrier);
		prepared_start(race.prepared, child);
		pthread_join(thread, NULL);
		ASSERT_TRUE(has_left(race.prepared, FOREVER));
		if (child->pid > 0) {
			word_wait(&child->in_memory, 1);
			status = child_reap(child);
			ASSERT_TRUE(status == SIGKILL || status == EXITED(3));
		} else {
			ASSERT_EQ(-ESRCH, child->pid);
			ASSERT_EQ(1, word_get(&child->in_memory));
			child_free(child);
		}
		close(race.prepared);
		ASSERT_TRUE(no_child_left());
	}
}

#define CHURNERS	3

struct churn {
	int device;
	__u32 done;
};

/* Prepare children, and start two of three, for as long as the process is there. */
static void *churn(void *arg)
{
	const struct avfork_args none = { 0 };
	struct churn *churn = arg;
	struct child child;
	int prepared, i;

	for (i = 0;; i++) {
		prepared = child_prepare(churn->device, &none);
		if (i % 3) {
			child_init(&child, child_returns, NULL);
			prepared_start(prepared, &child);
			child_reap(&child);
		}
		close(prepared);
		word_increment(&churn->done);
	}
	return NULL;
}

static void churn_until_exec(struct churn *churn_, bool execs)
{
	pthread_t thread;
	int i;

	for (i = 0; i < CHURNERS; i++)
		pthread_create(&thread, NULL, churn, churn_);
	while (!execs || word_get(&churn_->done) < 10)
		usleep(1000);
	child_execs(NULL);
}

/*
 * Whatever stage its children are at when a maker is gone, all end: the last wait
 * would not return.
 */
TEST_F(prepared, makers_leave_at_any_point)
{
	struct churn *churn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int round, ret;
	pid_t maker;

	ASSERT_NE(MAP_FAILED, (void *)churn);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (round = 0; round < 12; round++) {
		*churn = (struct churn) { .device = self->device };
		maker = fork();
		if (!maker)
			churn_until_exec(churn, round % 2);
		while (word_get(&churn->done) < 1 + round / 2)
			usleep(1000);
		if (round % 2 == 0)
			kill(maker, SIGKILL);
		do {
			ret = sys(SYS_wait4, -1, NULL, __WALL, NULL);
		} while (ret > 0 || ret == -EINTR);
		ASSERT_EQ(-ECHILD, ret);
	}
	munmap(churn, PAGE);
}

#define AT_ONCE	64

/* Some are started, some are not. */
static void use_many(struct __test_metadata *_metadata, int device,
		     unsigned long nr)
{
	const struct avfork_args none = { 0 };
	static struct child child[AT_ONCE];
	int prepared[AT_ONCE], i;

	while (nr > 0) {
		int batch = nr < AT_ONCE ? nr : AT_ONCE;

		for (i = 0; i < batch; i++) {
			prepared[i] = child_prepare(device, &none);
			ASSERT_LE(0, prepared[i]);
		}
		for (i = 0; i < batch; i++) {
			if (i % 4) {
				child_init(&child[i], child_returns, NULL);
				START(prepared[i], &child[i]);
			}
			close(prepared[i]);
		}
		for (i = 0; i < batch; i++)
			if (i % 4)
				ASSERT_EQ(0, child_reap(&child[i]));
		nr -= batch;
	}
}

/* AVFORK_PREPARED makes it longer, to a million for instance. */
TEST_F_TIMEOUT(prepared, nothing_is_left_of_thousands, 24 * 60 * 60)
{
	const char *wanted = getenv("AVFORK_PREPARED");
	static struct slabs before, after;
	const char *grown;

	use_many(_metadata, self->device, 2 * AT_ONCE);
	slabs_read(&before);
	use_many(_metadata, self->device,
		 wanted ? strtoul(wanted, NULL, 0) : LEAK_ROUNDS);
	grown = slabs_grown(&before, &after);
	EXPECT_EQ(NULL, grown) {
		TH_LOG("%s has grown", grown);
	}
}

TEST_HARNESS_MAIN
