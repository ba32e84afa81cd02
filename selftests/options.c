// SPDX-License-Identifier: GPL-2.0
/*
 * The options of avfork_with(): a pidfd, a cgroup, namespaces, a stack; and which of
 * them are refused.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <linux/magic.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "library.h"

#define MIB (1024 * 1024)

TEST(pidfd)
{
	struct avfork_opts opts = { .size = sizeof(opts) };
	struct pollfd poll_for = { .events = POLLIN };
	siginfo_t info = { };
	int pidfd = -1;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	opts.pidfd = &pidfd;
	pid = avfork_with(&opts, wait_for, &go);
	ASSERT_LT(0, pid);
	ASSERT_LE(0, pidfd);
	ASSERT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
	poll_for.fd = pidfd;
	ASSERT_EQ(0, poll(&poll_for, 1, 0));
	ASSERT_EQ(0, syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	ASSERT_EQ(1, poll(&poll_for, 1, -1));
	ASSERT_EQ(0, waitid(P_PIDFD, pidfd, &info, WEXITED));
	ASSERT_EQ(pid, info.si_pid);
	ASSERT_EQ(CLD_KILLED, info.si_code);
	ASSERT_EQ(SIGTERM, info.si_status);
}

FIXTURE(cgroup)
{
	char path[64];
	int fd;
};

FIXTURE_SETUP(cgroup)
{
	struct statfs fs;

	self->fd = -1;
	if (statfs("/sys/fs/cgroup", &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		SKIP(return, "no cgroup2 at /sys/fs/cgroup");
	snprintf(self->path, sizeof(self->path),
		 "/sys/fs/cgroup/avfork-test-%d", getpid());
	if (mkdir(self->path, 0755))
		SKIP(return, "may not make a cgroup");
	self->fd = open(self->path, O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(cgroup)
{
	rmdir(self->path);
}

TEST_F(cgroup, into)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_INTO_CGROUP,
		.cgroup_fd = self->fd,
	};
	char path[64], line[128] = "";
	sem_t go;
	FILE *file;
	pid_t pid;

	if (self->fd < 0)
		return;
	sem_init(&go, 0, 0);
	pid = avfork_with(&opts, wait_for, &go);
	ASSERT_LT(0, pid);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "r");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file) && strncmp(line, "0::", 3))
		;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	ASSERT_STREQ(self->path + strlen("/sys/fs/cgroup"), line + 3);
	sem_post(&go);
	ASSERT_EQ(0, reap(pid));
}

TEST_F(cgroup, errors)
{
	struct avfork_opts opts = { .size = sizeof(opts), .cgroup_fd = -1 };
	unsigned int nr_fds;

	if (self->fd < 0)
		return;
	/* Not looked at without the flag. */
	ASSERT_EQ(0, reap(avfork_with(&opts, return_arg, NULL)));
	nr_fds = count_fds();

	opts.flags = AVFORK_INTO_CGROUP;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	opts.cgroup_fd = 1023;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	opts.cgroup_fd = STDERR_FILENO;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	/* There is no descriptor in this call. */
	ASSERT_FAILS(EINVAL, avforkx(AVFORK_INTO_CGROUP, return_arg, NULL));
	ASSERT_NOTHING_LEFT(nr_fds);
}

static int in_new_namespaces(void *arg)
{
	(void)arg;
	REQUIRE(getpid() == 1);
	REQUIRE(!sethostname("avfork-child", 12));
	return 0;
}

TEST(namespaces)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .namespaces = CLONE_NEWUTS | CLONE_NEWPID,
	};
	struct utsname before, after;

	if (geteuid())
		SKIP(return, "needs root");
	uname(&before);
	ASSERT_PASSED(reap(avfork_with(&opts, in_new_namespaces, NULL)));
	uname(&after);
	ASSERT_STREQ(before.nodename, after.nodename);

	opts.namespaces = CLONE_VM;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
	opts.namespaces = 1ULL << 40;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
}

static int show_frame(void *arg)
{
	*(void **)arg = __builtin_frame_address(0);
	return 0;
}

TEST(own_stack)
{
	static char area[3 * 65536] __attribute__((aligned(16)));
	char *stack = area + 65536;
	struct avfork_opts opts = {
		.size = sizeof(opts), .stack = stack, .stack_size = 65536,
	};
	char *frame = NULL;
	size_t i;

	ASSERT_EQ(0, reap(avfork_with(&opts, show_frame, &frame)));
	ASSERT_LT(stack, frame);
	ASSERT_GT(stack + 65536, frame);
	/* Nothing was written outside of it. */
	for (i = 0; i < 65536; i++)
		ASSERT_EQ(0, area[i] | area[2 * 65536 + i]);

	opts.stack_size = AVFORK_STACK_MIN;
	ASSERT_EQ(7, reap(avfork_with(&opts, return_arg, (void *)7)));
}

TEST(own_stack_errors)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct avfork_opts opts = { .size = sizeof(opts) };
	unsigned int nr_fds;

	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	nr_fds = count_fds();

#define ASSERT_STACK_REFUSED(error, address, bytes) do {		\
	opts.stack = (void *)(address);					\
	opts.stack_size = (bytes);					\
	ASSERT_FAILS(error, avfork_with(&opts, return_arg, NULL));	\
} while (0)
	ASSERT_STACK_REFUSED(EINVAL, stack + 8, 32768);
	ASSERT_STACK_REFUSED(EINVAL, stack, 32768 + 8);
	ASSERT_STACK_REFUSED(EINVAL, stack, 0);
	ASSERT_STACK_REFUSED(EINVAL, stack, AVFORK_STACK_MIN - 16);
	ASSERT_STACK_REFUSED(EFAULT, stack, SIZE_MAX & ~15UL);
	ASSERT_STACK_REFUSED(EFAULT, UINTPTR_MAX & ~0xffffUL, 32768);
	ASSERT_NOTHING_LEFT(nr_fds);
}

/* What the frames above that of use_stack() may have. */
#define FRAMES 4096L

/* Touch @arg bytes of stack. */
static int __attribute__((noinline)) use_stack(void *arg)
{
	size_t size = (size_t)arg, at;
	volatile char *bytes = __builtin_alloca(size);

	/* In steps no longer than a page, in order. */
	for (at = size; at > 4096; at -= 4096)
		bytes[at - 1] = 1;
	bytes[0] = 1;
	return 0;
}

TEST(stack_size)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .stack_size = MIB,
	};
	unsigned int nr_fds;

	ASSERT_EQ(0, reap(avfork_with(&opts, use_stack,
				      (void *)(MIB - FRAMES))));
	ASSERT_EQ(0, reap(avfork(use_stack, (void *)(256 * 1024 - FRAMES))));
	opts.stack_size = 1;
	ASSERT_EQ(0, reap(avfork_with(&opts, use_stack,
				      (void *)(256 * 1024 - FRAMES))));
	nr_fds = count_fds();

	opts.stack_size = SIZE_MAX;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	opts.stack_size = PTRDIFF_MAX;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	opts.stack_size = 1ULL << 47;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	ASSERT_NOTHING_LEFT(nr_fds);
}

TEST(stack_overflow)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	ASSERT_EQ(-SIGSEGV, reap(avfork(use_stack,
					(void *)(512 * 1024L))));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

/* What is refused. */

/* More than that nobody can mean. */
#define OPTS_SIZE_MAX 4096

TEST(opts_size)
{
	long page = sysconf(_SC_PAGESIZE);
	struct avfork_opts *opts;
	char *map, *end;

	/* What lies beyond the struct, or before it, cannot be read. */
	map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	end = map + 2 * page;
	ASSERT_EQ(0, mprotect(end, page, PROT_NONE));

	opts = (void *)(end - sizeof(*opts));
	opts->size = sizeof(*opts);
	ASSERT_EQ(5, reap(avfork_with(opts, return_arg, (void *)5)));
	opts->size = sizeof(*opts) - 1;
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));

	opts = (void *)(end - sizeof(opts->size));
	opts->size = 0;
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));
	opts->size = sizeof(opts->size);
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));
	opts->size = OPTS_SIZE_MAX + 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	opts->size = SIZE_MAX;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));

	/* One of the future: it may be longer, with nothing in what we lack. */
	memset(map, 0, 2 * page);
	opts = (void *)(end - sizeof(*opts) - 24);
	opts->size = sizeof(*opts) + 24;
	ASSERT_EQ(6, reap(avfork_with(opts, return_arg, (void *)6)));
	end[-1] = 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	end[-1] = 0;
	end[-24] = 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	end[-24] = 0;
	memset(map, 0, 2 * page);
	opts = (void *)(end - OPTS_SIZE_MAX);
	opts->size = OPTS_SIZE_MAX;
	ASSERT_EQ(7, reap(avfork_with(opts, return_arg, (void *)7)));
}

TEST(unknown_flags)
{
	const unsigned int known = AVFORK_SYNC | AVFORK_STDIO |
				   AVFORK_INTO_CGROUP | AVFORK_INHERIT_FDS |
				   AVFORK_INHERIT_SIGNALS | AVFORK_NOSIGCHLD |
				   AVFORK_WAITPID | AVFORK_AUTOKILL |
				   AVFORK_AUTOREAP | AVFORK_NNP |
				   AVFORK_SHARE_FDS | AVFORK_ISOLATE;
	struct avfork_opts opts = { .size = sizeof(opts) };
	unsigned int bit;

	for (bit = 1; bit; bit <<= 1) {
		if (bit & known)
			continue;
		opts.flags = (int)bit;
		ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
		ASSERT_FAILS(EINVAL, avforkx((int)bit, return_arg, NULL));
	}
}

TEST(no_start_routine)
{
	struct avfork_opts opts = { .size = sizeof(opts) };

	ASSERT_FAILS(EINVAL, avfork(NULL, NULL));
	ASSERT_FAILS(EINVAL, avforkx(AVFORK_STDIO, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_with(&opts, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_with(NULL, NULL, NULL));
	ASSERT_EQ(1, count_threads());
}

TEST_HARNESS_MAIN
