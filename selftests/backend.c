// SPDX-License-Identifier: GPL-2.0
/*
 * Which backend serves, by request, on old kernels and under seccomp.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "library.h"
#include "seccomp.h"

TEST(backend)
{
	const char *forced = getenv("AVFORK_BACKEND");

	if (!forced || !*forced)
		forced = "kernel";
	ASSERT_STREQ(forced, avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_STREQ(forced, avfork_backend());
}

FIXTURE(backend)
{
};

FIXTURE_VARIANT(backend)
{
	const char *name;
	bool needs_module;
};

FIXTURE_VARIANT_ADD(backend, kernel)
{
	.name = "kernel",
	.needs_module = true,
};

FIXTURE_VARIANT_ADD(backend, clone)
{
	.name = "clone",
};

FIXTURE_VARIANT_ADD(backend, taskq)
{
	.name = "taskq",
};

FIXTURE_SETUP(backend)
{
	if (variant->needs_module && access("/dev/avfork", F_OK))
		SKIP(_exit(255), "there is no /dev/avfork");
}

FIXTURE_TEARDOWN(backend)
{
}

TEST_F(backend, forced)
{
	setenv("AVFORK_BACKEND", variant->name, 1);
	ASSERT_STREQ(variant->name, avfork_backend());
	/* It is chosen once. */
	setenv("AVFORK_BACKEND", "nonesuch", 1);
	ASSERT_STREQ(variant->name, avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

TEST(backend_empty_is_none_forced)
{
	const bool module = !access("/dev/avfork", F_OK);

	setenv("AVFORK_BACKEND", "", 1);
	ASSERT_STREQ(module ? "kernel" : "clone", avfork_backend());
}

/* Without clone3() and close_range(), which Linux has since 5.3 and 5.9. */
static int without_newer_calls(void *arg)
{
	const struct sock_filter instructions[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		REFUSE(ENOSYS),
		ALLOW,
	};
	struct wanted_table table = {
		.nr = 2, .fds = { { .fd = 3 }, { .fd = 900 } },
	};
	struct avfork_fd fds[2] = { { 1, 3, 0, 0 }, { 2, 900, 0, 0 } };
	struct avfork_opts opts = { .size = sizeof(opts), .fds = fds };
	int pidfd = -1;

	(void)arg;
	REQUIRE(!seccomp_filter(instructions));
	REQUIRE(close_range(3, ~0U, 0) == -1 && errno == ENOSYS);

	REQUIRE(reap(avfork(check_no_fds, NULL)) == 0);
	REQUIRE(!fstat(1, &table.fds[0].stat) && !fstat(2, &table.fds[1].stat));
	opts.nr_fds = 2;
	opts.pidfd = &pidfd;
	REQUIRE(reap(avfork_with(&opts, check_table, &table)) == 0);
	REQUIRE(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	opts.flags = AVFORK_WAITPID;
	REQUIRE(reap(avfork_with(&opts, check_table, &table)) == 0);

	errno = 0;
	opts.namespaces = CLONE_NEWTIME;
	REQUIRE(avfork_with(&opts, return_arg, NULL) == -1 && errno == ENOSYS);
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	return 0;
}

TEST(on_an_old_kernel)
{
	if (backend_is("kernel"))
		SKIP(return, "the module needs a newer one");
	ASSERT_PASSED(in_copy(without_newer_calls, NULL));
}

/*
 * Before Linux 5.16 who crashed took all along that shared its memory. There only the
 * library's own functions run in such children, until they exec. @arg: UNAME26, by
 * which any kernel calls itself 2.6. What it is called is asked for but once.
 */
static int on_a_kernel_called(void *arg)
{
	const bool refuses = arg && !backend_is("kernel");
	const struct avfork_opts opts = { .size = sizeof(opts) };
	const struct avfork_opts sync = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "sh", "-c", "exit 3", NULL };
	static const int flags[] = {
		0, AVFORK_SYNC, AVFORK_WAITPID, AVFORK_STDIO | AVFORK_NOSIGCHLD,
		AVFORK_AUTOKILL | AVFORK_NNP,
	};
	struct utsname name;
	unsigned int nr_fds;
	size_t i;
	FILE *file;

	personality(PER_LINUX | (unsigned long)arg);
	REQUIRE(!uname(&name) && !strncmp(name.release, "2.6.", 4) == !!arg);
	REQUIRE(avfork_backend());
	/* The module's descriptors are opened when they are needed. */
	if (!refuses)
		REQUIRE(reap(avforkx(AVFORK_AUTOKILL | AVFORK_NNP, return_arg,
				     (void *)2)) == 2);
	nr_fds = count_fds();

#define REQUIRE_REFUSAL(call) do {					\
	pid_t __pid;							\
									\
	errno = 0;							\
	__pid = (call);							\
	if (refuses)							\
		REQUIRE(__pid == -1 && errno == ENOSYS);		\
	else								\
		REQUIRE(reap(__pid) == 2);				\
} while (0)
	REQUIRE_REFUSAL(avfork(return_arg, (void *)2));
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		REQUIRE_REFUSAL(avforkx(flags[i], return_arg, (void *)2));
	REQUIRE_REFUSAL(avfork_with(NULL, return_arg, (void *)2));
	REQUIRE_REFUSAL(avfork_with(&opts, return_arg, (void *)2));
	if (refuses) {
		errno = 0;
		REQUIRE(avfork_async(return_arg, NULL, NULL) == -1);
		REQUIRE(errno == ENOSYS);
		errno = 0;
		REQUIRE(avfork_async(return_arg, NULL,
				     done_is_not_called) == -1);
		REQUIRE(errno == ENOSYS);
	}
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	REQUIRE(count_fds() == nr_fds);

	REQUIRE(reap(avfork_exec(NULL, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(reap(avfork_exec(&opts, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(reap(avfork_exec(&sync, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(avfork_exec(&sync, "/nonesuch", argv, NULL) == -1);
	REQUIRE(errno == ENOENT);
	REQUIRE(avfork_system("exit 3") == W_EXITCODE(3, 0));
	file = avfork_popen("exit 3", "r");
	REQUIRE(file && avfork_pclose(file) == W_EXITCODE(3, 0));
	file = avfork_popenv(argv, "w");
	REQUIRE(file && avfork_pclose(file) == W_EXITCODE(3, 0));
	return 0;
}

TEST(where_a_crash_is_not_alone)
{
	ASSERT_PASSED(in_copy(on_a_kernel_called, (void *)UNAME26));
	/* The control. */
	ASSERT_PASSED(in_copy(on_a_kernel_called, NULL));
}

static int under_seccomp(void *arg)
{
	(void)arg;
	REQUIRE(!seccomp_allow());
	setenv("AVFORK_BACKEND", "kernel", 1);
	REQUIRE(!avfork_backend() && errno == EPERM);
	REQUIRE(avfork(return_arg, NULL) == -1 && errno == EPERM);
	unsetenv("AVFORK_BACKEND");
	REQUIRE(!strcmp(avfork_backend(), "clone"));
	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	return 0;
}

TEST(backend_under_seccomp)
{
	if (!backend_is("kernel"))
		SKIP(return, "of the kernel backend alone");
	ASSERT_PASSED(in_copy(under_seccomp, NULL));
}

TEST(backend_unknown)
{
	setenv("AVFORK_BACKEND", "nonesuch", 1);
	errno = 0;
	ASSERT_EQ(NULL, avfork_backend());
	ASSERT_EQ(ENOSYS, errno);
	ASSERT_FAILS(ENOSYS, avfork(return_arg, NULL));
	ASSERT_EQ(1, count_threads());
}

TEST_HARNESS_MAIN
