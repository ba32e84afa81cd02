// SPDX-License-Identifier: GPL-2.0
/*
 * The calls where something runs short. Each call under each limit, when just so
 * much is left that this or that step fails: it succeeds, or fails with one of the
 * errors that it may; nothing remains of it; and when there is more, it works.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "calls.h"
#include "injection.h"

/* The calls: 0, whatever became of the child; -1 with errno. */

static int status_of(pid_t pid)
{
	int status = -1;

	if (avfork_waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

static int limited_avfork(int *status)
{
	pid_t pid = avfork(return_arg, (void *)1);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_exec(int *status)
{
	char *const argv[] = { "echo", "1", NULL };
	pid_t pid = avfork_exec(NULL, sibling("echo"), argv, NULL);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_exec_sync(int *status)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "echo", "1", NULL };
	pid_t pid = avfork_exec(&opts, sibling("echo"), argv, NULL);

	if (pid < 0)
		return -1;
	*status = status_of(pid);
	return 0;
}

static int limited_popen(int *status)
{
	FILE *file = avfork_popen("exit 1", "r");

	if (!file)
		return -1;
	*status = avfork_pclose(file);
	return 0;
}

static int limited_popenv(int *status)
{
	char *const argv[] = { (char *)sibling("echo"), "1", NULL };
	FILE *file = avfork_popenv(argv, "r+");

	if (!file)
		return -1;
	*status = avfork_pclose(file);
	return 0;
}

static int limited_system(int *status)
{
	const int result = avfork_system("exit 1");

	if (result < 0)
		return -1;
	*status = result;
	return 0;
}

static int limited_async(int *status)
{
	async_init();
	if (avfork_async(return_arg, (void *)1, note_done)) {
		if (atomic_load(&async.count))
			abort();
		return -1;
	}
	while (sem_wait(&async.called))
		;
	*status = status_of(async.pid);
	return 0;
}

FIXTURE(limited)
{
};

FIXTURE_VARIANT(limited)
{
	int (*call)(int *status);
};

FIXTURE_VARIANT_ADD(limited, avfork) { .call = limited_avfork, };
FIXTURE_VARIANT_ADD(limited, exec) { .call = limited_exec, };
FIXTURE_VARIANT_ADD(limited, exec_sync) { .call = limited_exec_sync, };
FIXTURE_VARIANT_ADD(limited, popen) { .call = limited_popen, };
FIXTURE_VARIANT_ADD(limited, popenv) { .call = limited_popenv, };
FIXTURE_VARIANT_ADD(limited, system) { .call = limited_system, };
FIXTURE_VARIANT_ADD(limited, async) { .call = limited_async, };

FIXTURE_SETUP(limited)
{
}

FIXTURE_TEARDOWN(limited)
{
}

/**
 * struct limit - one to try a call under
 * @call:     the call
 * @resource: RLIMIT_*
 * @value:    of the limit
 * @errors:   two that the call may fail with
 */
struct limit {
	int (*call)(int *status);
	int resource;
	rlim_t value;
	int errors[2];
};

/* In a copy, which is left without threads and with the descriptors it had. */
static int call_under_limit(void *arg)
{
	const struct limit *limit = arg;
	struct rlimit old, new;
	unsigned int nr_fds;
	int status;

	/* Those of the backend would otherwise count as left. */
	REQUIRE(avfork_backend());
	nr_fds = count_fds();
	if (limit->resource == RLIMIT_NPROC)
		REQUIRE(!become_lone_user());
	REQUIRE(!getrlimit(limit->resource, &old));
	new = old;
	new.rlim_cur = limit->value;
	REQUIRE(!setrlimit(limit->resource, &new));
	errno = 0;
	if (limit->call(&status))
		REQUIRE(errno == limit->errors[0] ||
			errno == limit->errors[1]);
	REQUIRE(!setrlimit(limit->resource, &old));
	REQUIRE(waitpid(-1, NULL, WNOHANG | __WALL) == -1);
	REQUIRE(errno == ECHILD);
	REQUIRE(count_fds() == nr_fds);

	REQUIRE(!limit->call(&status));
	REQUIRE(status == W_EXITCODE(1, 0));
	REQUIRE(count_fds() == nr_fds);
	return 0;
}

#define ASSERT_KEPT(limit)						\
	ASSERT_EQ(0, in_copy(call_under_limit, limit))			\
		TH_LOG("failed at line %d (errno %d) with a limit of %llu", \
		       failure->line, failure->error,			\
		       (unsigned long long)(limit)->value)

TEST_F(limited, descriptors)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_NOFILE,
		.errors = { EMFILE, EMFILE },
	};

	/* From the standard ones on, which are granted in any case. */
	for (limit.value = 3; limit.value < 12; limit.value++)
		ASSERT_KEPT(&limit);
}

TEST_F(limited, processes)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_NPROC,
		.errors = { EAGAIN, EAGAIN },
	};

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	for (limit.value = 1; limit.value < 8; limit.value++)
		ASSERT_KEPT(&limit);
}

/*
 * A call that fails for want of processes has not taken any itself: who fork()s
 * instead finds as much room as before.
 */

/**
 * struct room - for processes
 * @call:  what is tried first
 * @value: of the limit
 * @warm:  the call has been made before, when there was no limit
 */
struct room {
	int (*call)(int *status);
	rlim_t value;
	bool warm;
};

/* What a copy ends with, if not with a failure. */
enum { NO_ROOM_BEFORE = 2, ROOM_FOR_CALL, ROOM_AFTERWARDS, ROOM_TAKEN };

static bool fork_works(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid > 0 && reap(pid) == 0;
}

static int fork_after_call(void *arg)
{
	const struct room *room = arg;
	struct rlimit limit = { room->value, 1000 };
	int status;

	REQUIRE(avfork_backend());
	REQUIRE(!become_lone_user());
	if (room->warm)
		REQUIRE(!room->call(&status) && threads_leave());
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	if (!fork_works())
		return NO_ROOM_BEFORE;
	if (!room->call(&status))
		return ROOM_FOR_CALL;
	REQUIRE(errno == EAGAIN);
	return fork_works() ? ROOM_AFTERWARDS : ROOM_TAKEN;
}

TEST_F(limited, leaves_room_for_a_fork)
{
	struct room room = { .call = variant->call };
	bool failed = false;
	int result;

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	for (room.value = 1; room.value < 10; room.value++) {
		for (room.warm = 0; ; room.warm = 1) {
			result = in_copy(fork_after_call, &room);
			ASSERT_LE(NO_ROOM_BEFORE, result)
				TH_LOG("line %d (errno %d) with a limit of %d",
				       failure->line, failure->error,
				       (int)room.value);
			ASSERT_NE(ROOM_TAKEN, result)
				TH_LOG("with a limit of %d, %s",
				       (int)room.value,
				       room.warm ? "warm" : "cold");
			failed |= result == ROOM_AFTERWARDS;
			if (room.warm)
				break;
		}
	}
	/* One process is enough for AVFORK_SYNC, as it is for fork(). */
	if (variant->call != limited_exec_sync)
		ASSERT_TRUE(failed);
}

/* The control: a call that made a thread before it knew that it could do no more. */
static void *stay(void *arg)
{
	pause();
	return arg;
}

static int limited_by_thread(int *status)
{
	pthread_t thread;
	pid_t pid;

	errno = pthread_create(&thread, NULL, stay, NULL);
	if (errno)
		return -1;
	pid = fork();
	if (!pid)
		_exit(0);
	return pid > 0 ? avfork_waitpid(pid, status, 0) != pid : -1;
}

TEST(limited_thread_leaves_none)
{
	struct room room = { .call = limited_by_thread, .value = 2 };

	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	ASSERT_EQ(ROOM_TAKEN, in_copy(fork_after_call, &room));
}

/* How much memory is mapped, in bytes. */
static rlim_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

TEST_F(limited, memory)
{
	struct limit limit = {
		.call = variant->call, .resource = RLIMIT_AS,
		.errors = { ENOMEM, EAGAIN },
	};
	const rlim_t now = address_space();
	rlim_t more;

	if (SANITIZED)
		SKIP(return, "the sanitizer gives up without memory");
	/* In steps that are small at first, up to where it works. */
	for (more = 0; more < 80 << 20; more += 16384 + more / 4) {
		limit.value = now + more;
		ASSERT_KEPT(&limit);
	}
}

/**
 * struct fault - an allocation of the kernel's that fails in the course of a call
 * @call: the call
 * @n:    which one
 */
struct fault {
	int (*call)(int *status);
	unsigned int n;
};

/* What a copy exits with whose call was made with less than @n allocations. */
#define NOT_INJECTED	2

/* In a copy: without a pool, or a descriptor of the device. */
static int call_with_fault(void *arg)
{
	const struct fault *fault = arg;
	int nth, status, failed, error;
	unsigned int nr_fds, left;

	nth = nth_open();
	REQUIRE(nth >= 0);
	nr_fds = count_fds() + backend_is("kernel");
	nth_set(nth, fault->n);
	failed = fault->call(&status);
	error = errno;
	left = nth_end(nth);
	if (failed) {
		errno = error;
		REQUIRE(error == ENOMEM || error == EAGAIN || error == ENFILE);
	} else {
		REQUIRE(status == W_EXITCODE(1, 0));
	}
	REQUIRE(waitpid(-1, NULL, WNOHANG | __WALL) == -1);
	REQUIRE(errno == ECHILD);

	/* It is not held against anything. */
	REQUIRE(backend_is(avfork_backend()));
	REQUIRE(count_fds() == nr_fds);
	REQUIRE(!fault->call(&status));
	REQUIRE(status == W_EXITCODE(1, 0));
	REQUIRE(count_fds() == nr_fds);
	return left ? NOT_INJECTED : 0;
}

/* Of the simplest call, and of one that makes a pipe and a stream as well. */
TEST(kernel_memory)
{
	int (*const calls[])(int *status) = { limited_avfork, limited_popenv };
	int nth = nth_open(), result;
	unsigned int i;

	if (nth < 0)
		SKIP(return, NO_INJECTION);
	close(nth);
	/* Not for a fault to prevent. */
	sibling("echo");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		struct fault fault = { .call = calls[i] };

		do {
			fault.n++;
			result = in_copy(call_with_fault, &fault);
		} while (!result);
		ASSERT_EQ(NOT_INJECTED, result) {
			TH_LOG("failed at line %d (errno %d) with fault %u",
			       failure->line, failure->error, fault.n);
		}
		TH_LOG("%u faults", fault.n - 1);
		ASSERT_LT(1, fault.n);
	}
}

TEST_HARNESS_MAIN
