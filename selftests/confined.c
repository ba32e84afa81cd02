// SPDX-License-Identifier: GPL-2.0
/*
 * libavfork in processes that a seccomp filter has been put on, before or after
 * their first call: containers, units, browsers. Where /dev/avfork is there, it
 * makes them no children, but gives a child of clone(2) its table.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "arch.h"
#include "helpers.h"
#include "seccomp.h"

/* Enough for a table that is not worth copying. */
#define MANY 3000

static int open_many(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < MANY + 100)
		return -1;
	limit.rlim_cur = MANY + 100;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (dup(0) < MANY)
		;
	return 0;
}

/**
 * struct expected - the descriptors that a child shall find
 * @nr:  how many
 * @fds: the numbers, and FD_CLOEXEC
 */
struct expected {
	int nr;
	struct avfork_fd fds[3];
};

static int has_expected(void *arg)
{
	const struct expected *expected = arg;
	int fd, i;

	for (fd = 0; fd < MANY + 100; fd++) {
		int flags = -1;

		for (i = 0; i < expected->nr; i++)
			if (expected->fds[i].child_fd == fd)
				flags = expected->fds[i].flags;
		REQUIRE(fcntl(fd, F_GETFD) == flags);
	}
	return 0;
}

/* Children of all sorts, in a process that need not have any privilege. */
static int spawns(void)
{
	int fds[2], round;
	char byte;

	/* The library opens the device. */
	REQUIRE(reap(avfork(return_arg, NULL)) == 0);
	for (round = 0; round < 3; round++) {
		struct expected none = { .nr = 0 };
		const unsigned int open_fds = count_fds();

		REQUIRE(reap(avfork(has_expected, &none)) == 0);
		REQUIRE(reap(avforkx(AVFORK_SYNC, has_expected, &none)) == 0);
		REQUIRE(reap(avforkx(AVFORK_WAITPID, has_expected, &none)) ==
			0);

		/* A source twice, two that change places, and one by itself. */
		REQUIRE(!pipe2(fds, O_CLOEXEC));
		struct expected granted = {
			.nr = 3, .fds = {
				{ fds[1], fds[0], FD_CLOEXEC, 0 },
				{ fds[0], fds[1], 0, 0 },
				{ fds[1], 700, 0, 0 },
			},
		};
		const struct avfork_opts opts = {
			.size = sizeof(opts), .fds = granted.fds,
			.nr_fds = granted.nr,
		};
		pid_t pid = avfork_with(&opts, has_expected, &granted);

		/* They are pinned by the call. */
		close(fds[1]);
		REQUIRE(reap(pid) == 0);
		/* And the child's are gone with it. */
		REQUIRE(read(fds[0], &byte, 1) == 0);
		close(fds[0]);
		REQUIRE(count_fds() == open_fds);
	}
	return 0;
}

static int try_filter_comes_first(void *arg)
{
	(void)arg;
	REQUIRE(!seccomp_allow());
	return spawns();
}

TEST(filter_comes_first)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_filter_comes_first, NULL));
}

/* What the library found out before there was a filter does not hold any more. */
static int try_filter_comes_later(void *arg)
{
	(void)arg;
	REQUIRE(!spawns());
	REQUIRE(!seccomp_allow());
	return spawns();
}

TEST(filter_comes_later)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_filter_comes_later, NULL));
}

static int try_filter_refuses_ioctl(void *arg)
{
	REQUIRE(!spawns());
	REQUIRE(!seccomp_refuse(SYS_ioctl, *(int *)arg));
	REQUIRE(ioctl(0, AVFORK_IOC_INFO, NULL) == -1);
	return spawns();
}

TEST(filter_refuses_ioctl)
{
	int errors[] = { EPERM, EACCES, ENOSYS };
	size_t i;

	unsetenv("AVFORK_BACKEND");
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		ASSERT_PASSED(in_copy(try_filter_refuses_ioctl, &errors[i]));
}

/* A filter is a thread's: the others go on by the module. */
static void *confined_thread(void *arg)
{
	*(int *)arg = seccomp_allow() || spawns();
	return NULL;
}

static int try_filter_of_one_thread(void *arg)
{
	pthread_t thread;
	int failed = 1;

	(void)arg;
	REQUIRE(!spawns());
	REQUIRE(!pthread_create(&thread, NULL, confined_thread, &failed));
	REQUIRE(!pthread_join(thread, NULL) && !failed);
	return spawns();
}

TEST(filter_of_one_thread)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_filter_of_one_thread, NULL));
}

static int try_large_table(void *later)
{
	REQUIRE(!open_many());
	return later ? try_filter_comes_later(NULL) : try_filter_comes_first(NULL);
}

TEST(large_table)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_large_table, NULL));
	ASSERT_PASSED(in_copy(try_large_table, ""));
}

/*
 * A user shadow stack is another reason to be refused by the module. No emulated
 * CPU has them: a filter has the ioctl fail as it would.
 */
static int refuse_as_with_shadow_stack(void)
{
	const struct sock_filter instructions[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(unsigned int)IOCSIZE_MASK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 AVFORK_IOC_SPAWN & ~IOCSIZE_MASK, 0, 1),
		REFUSE(ENOPROTOOPT),
		ALLOW,
	};

	return seccomp_filter(instructions);
}

static int try_shadow_stack(void *later)
{
	if (later)
		REQUIRE(!spawns());
	REQUIRE(!refuse_as_with_shadow_stack());
	REQUIRE(!spawns());
	REQUIRE(later || !strcmp(avfork_backend(), "clone"));
	return 0;
}

TEST(shadow_stack)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_shadow_stack, NULL));
	ASSERT_PASSED(in_copy(try_shadow_stack, ""));
}

/*
 * A filter that lets a program have threads, and no processes but by vfork(2): clone(2)
 * without CLONE_THREAD is refused, and so is clone3(2), which it cannot look into.
 * Where vfork(2) is a clone(2), that is let through by its flag.
 */
static int refuse_clone(int error)
{
	const unsigned int allowed = 0x00010000 |	/* CLONE_THREAD */
		(SYS_OF_VFORK == SYS_clone ? 0x00004000 /* _VFORK */ : 0);
	const struct sock_filter instructions[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, allowed, 0, 2),
		ALLOW,
		REFUSE(ENOSYS),
		REFUSE(error),
	};

	return seccomp_filter(instructions);
}

static void *nothing(void *arg)
{
	return arg;
}

/* What vfork() can do. */
static int spawns_by_vfork(void)
{
	const struct expected none = { .nr = 0 };
	const struct avfork_opts sync = {
		.size = sizeof(sync), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "sh", "-c", "exit 3", NULL };
	const unsigned int open_fds = count_fds();
	int i;

	for (i = 0; i < 20; i++) {
		REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
		REQUIRE(reap(avforkx(AVFORK_SYNC, return_arg, (void *)9)) == 9);
	}
	REQUIRE(reap(avfork(has_expected, (void *)&none)) == 0);
	REQUIRE(reap(avforkx(AVFORK_SYNC, has_expected, (void *)&none)) == 0);
	REQUIRE(reap(avfork_exec(NULL, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(reap(avfork_exec(&sync, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(avfork_exec(&sync, "/nonesuch", argv, NULL) == -1 &&
		errno == ENOENT);
	REQUIRE(count_fds() == open_fds);
	/* And what it cannot fails as clone(2) does. */
	errno = 0;
	REQUIRE(avforkx(AVFORK_WAITPID, return_arg, NULL) == -1);
	REQUIRE(errno == EPERM || errno == EACCES || errno == ENOSYS);
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	return 0;
}

/**
 * struct refusal - of clone(2)
 * @error: the filter's
 * @later: put on when the library has chosen how to make children
 */
struct refusal {
	int error;
	bool later;
};

static int try_vfork_alone(void *arg)
{
	const struct refusal *refusal = arg;
	pthread_t thread;

	if (refusal->later)
		REQUIRE(!spawns());
	REQUIRE(!refuse_clone(refusal->error));
	/* The controls: there are no processes, but threads. */
	REQUIRE(fork() == -1 && errno == refusal->error);
	REQUIRE(!pthread_create(&thread, NULL, nothing, NULL));
	REQUIRE(!pthread_join(thread, NULL));
	if (!refusal->later)
		REQUIRE(!strcmp(avfork_backend(), "taskq"));
	return spawns_by_vfork();
}

TEST(vfork_alone)
{
	const int errors[] = { EPERM, EACCES, ENOSYS };
	size_t i;

	unsetenv("AVFORK_BACKEND");
	for (i = 0; i < 2 * sizeof(errors) / sizeof(*errors); i++) {
		struct refusal refusal = { errors[i / 2], i % 2 };

		ASSERT_PASSED(in_copy(try_vfork_alone, &refusal));
	}
}

/* What is named in the environment is used, or the call fails. */
static int try_forced_is_refused(void *arg)
{
	(void)arg;
	setenv("AVFORK_BACKEND", "kernel", 1);
	REQUIRE(reap(avfork(return_arg, NULL)) == 0);
	REQUIRE(!seccomp_allow());
	REQUIRE(avfork(return_arg, NULL) == -1 && errno == EPERM);
	return 0;
}

TEST(forced_is_refused)
{
	if (!backend_is("kernel"))
		SKIP(return, "of the kernel backend alone");
	ASSERT_PASSED(in_copy(try_forced_is_refused, NULL));
}

/* What else is refused with EPERM is no reason to ask another backend. */
static int try_refused_namespace(void *arg)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .namespaces = 0x04000000 /* CLONE_NEWUTS */,
	};

	(void)arg;
	REQUIRE(!syscall(SYS_setresuid, 65534, 65534, 65534));
	REQUIRE(avfork_with(&opts, return_arg, NULL) == -1 && errno == EPERM);
	return 0;
}

TEST(refused_namespace)
{
	if (geteuid())
		SKIP(return, "only root can become somebody else");
	ASSERT_PASSED(in_copy(try_refused_namespace, NULL));
}

/*
 * The call is back before the child goes on, whose table is its own by then: the
 * threads that open and close beside it are not its concern, nor it theirs.
 */
static void *churn(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		int fd = dup(0);

		if (fcntl(fd, F_GETFD) < 0 || close(fd))
			return "";
	}
	return NULL;
}

static int try_beside_busy_threads(void *arg)
{
	struct expected none = { .nr = 0 };
	atomic_bool stop = false;
	pthread_t thread;
	void *failed;
	int i;

	(void)arg;
	REQUIRE(!open_many() && !seccomp_allow());
	REQUIRE(!pthread_create(&thread, NULL, churn, &stop));
	for (i = 0; i < 50; i++)
		REQUIRE(reap(avfork(has_expected, &none)) == 0);
	atomic_store(&stop, true);
	REQUIRE(!pthread_join(thread, &failed) && !failed);
	return 0;
}

TEST(beside_busy_threads)
{
	unsetenv("AVFORK_BACKEND");
	ASSERT_PASSED(in_copy(try_beside_busy_threads, NULL));
}

TEST_HARNESS_MAIN
