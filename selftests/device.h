/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Children of /dev/avfork, made by the raw ioctl.
 *
 * Such a child has no thread of the C library's behind it. It is given a block
 * of zeroes as its thread pointer, which is enough for what the compiler may
 * add to its code, and makes its system calls through sys(): no errno. What it
 * finds out it stores in memory; to assert is the parent's part.
 */
#ifndef AVFORK_SELFTEST_DEVICE_H
#define AVFORK_SELFTEST_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <linux/limits.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/avfork.h>

#include "arch.h"
#include "file.h"

/* For guests that are emulated, with a kernel that checks all it does. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define AVFORK_DEVICE "/dev/avfork"
#define AVFORK_PARAMETERS "/sys/module/avfork/parameters/"
#define AVFORK_ALLOW_SECCOMP AVFORK_PARAMETERS "allow_seccomp"
#define AVFORK_SPAWNED AVFORK_PARAMETERS "spawned"
#define AVFORK_FAILED AVFORK_PARAMETERS "failed"

#define PAGE		((unsigned long)sysconf(_SC_PAGESIZE))
#define CHILD_MEMORY	(64 * 1024)
#define CHILD_TLS	4096

/* What a child without descriptor 0 exits with when it has exec'd. */
#define EXECED		42

/* Return: what the kernel returns, an errno as a negative number. */
#define sys(...) sys_filled(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define sys_filled(nr, a, b, c, d, e, f, ...)				\
	sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e),	\
	     (long)(f))

/* Those of which newer architectures have but a successor. */
#define sys_fork()		sys(SYS_clone, SIGCHLD)
#define sys_open(path, flags)	sys(SYS_openat, AT_FDCWD, path, flags)
#define sys_pause()		sys(SYS_ppoll, NULL, 0, NULL, NULL)

/*
 * Words that parent and child wait on. Not FUTEX_PRIVATE: the word may lie in
 * memory shared with a process of its own, and the kernel's own wake-up of a
 * release word is not private either.
 */
static inline __u32 word_get(__u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void word_set(__u32 *word, __u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	sys(SYS_futex, word, FUTEX_WAKE, INT32_MAX);
}

static inline void word_increment(__u32 *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
	sys(SYS_futex, word, FUTEX_WAKE, INT32_MAX);
}

/* Wait while @word has @value. */
static inline void word_wait(__u32 *word, __u32 value)
{
	while (word_get(word) == value)
		sys(SYS_futex, word, FUTEX_WAIT, value, NULL);
}

/**
 * struct child - a child and all that it needs
 * @args:      what the ioctl is given
 * @run:       what the child runs; its exit status is what that returns
 * @arg:       for @run
 * @memory:    thread pointer block and stack
 * @in_memory: the release word: 1 until the child has left our memory
 * @go:        for child_blocks()
 * @pid:       what the ioctl returned
 */
struct child {
	struct avfork_args args;
	int (*run)(void *arg);
	void *arg;
	char *memory;
	__u32 in_memory;
	__u32 go;
	pid_t pid;
};

static inline void child_start(struct child *child)
{
	sys(SYS_exit_group, child->run(child->arg));
	__builtin_unreachable();
}

/* A child that could be spawned as it is: no descriptors, SIGCHLD. */
static inline void child_init(struct child *child, int (*run)(void *),
			      void *arg)
{
	char *memory = mmap(NULL, CHILD_MEMORY, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	*child = (struct child) {
		.run = run,
		.arg = arg,
		.memory = memory,
		.in_memory = 1,
		.args = {
			.entry = (uintptr_t)child_start,
			.arg = (uintptr_t)child,
			.stack = (uintptr_t)memory + CHILD_TLS,
			.stack_size = CHILD_MEMORY - CHILD_TLS,
			/* The C library has variables below it, too. */
			.tls = (uintptr_t)memory + CHILD_TLS / 2,
			.release = (uintptr_t)&child->in_memory,
			.exit_signal = SIGCHLD,
		},
	};
}

static inline void child_free(struct child *child)
{
	sys(SYS_munmap, child->memory, CHILD_MEMORY);
}

/* Return: the child's pid, or an errno as a negative number. */
static inline int child_spawn(int device, struct child *child)
{
	child->pid = sys(SYS_ioctl, device, AVFORK_IOC_SPAWN, &child->args);
	return child->pid;
}

/* Return: a descriptor of a prepared child, or an errno as a negative number. */
static inline int child_prepare(int device, const struct avfork_args *args)
{
	return sys(SYS_ioctl, device, AVFORK_IOC_PREPARE, args);
}

/* Return: the child's pid, or an errno as a negative number. */
static inline int prepared_start(int prepared, struct child *child)
{
	child->pid = sys(SYS_ioctl, prepared, AVFORK_IOC_START, &child->args);
	return child->pid;
}

/* As child_spawn(), by both calls: what PREPARE takes START does not. */
static inline int child_spawn_prepared(int device, struct child *child)
{
	struct avfork_args *args = &child->args;
	const struct avfork_args inherited = {
		.flags = args->flags & AVFORK_PREPARE_FLAGS,
		.namespaces = args->namespaces,
		.cgroup_fd = args->cgroup_fd,
	};
	int prepared = child_prepare(device, &inherited);

	if (prepared < 0)
		return child->pid = prepared;
	args->flags &= ~(__u64)AVFORK_PREPARE_FLAGS;
	args->namespaces = 0;
	args->cgroup_fd = 0;
	prepared_start(prepared, child);
	sys(SYS_close, prepared);
	return child->pid;
}

/* Return: the child's wait status, or an errno as a negative number. */
static inline int child_reap(struct child *child)
{
	int status, ret;

	do {
		ret = sys(SYS_wait4, child->pid, &status, __WALL, NULL);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	child_free(child);
	return status;
}

#define EXITED(code)	((code) << 8)

static inline void child_grant(struct child *child, struct avfork_fd *fds,
			       unsigned int nr)
{
	child->args.fds = (uintptr_t)fds;
	child->args.nr_fds = nr;
}

/* For child_init(): a child that ends at once, one that waits for its @go. */
static inline int child_returns(void *status)
{
	return (long)status;
}

static inline int child_blocks(void *arg)
{
	struct child *child = arg;

	word_wait(&child->go, 0);
	return 0;
}

/*
 * For child_init(): a child that execs this very program, which then says so on
 * descriptor 0, a socket, reads its exit status there, and ends. A status of
 * EXECED_WAITS makes it wait for a child of its own and end with that's status.
 */
#define EXECED_WAITS	0x100

static char own_path[PATH_MAX];

static inline int child_execs(void *arg)
{
	static char *const argv[] = { "avfork-child", NULL };
	static char *const envp[] = { NULL };

	(void)arg;
	return -sys(SYS_execve, own_path, argv, envp);
}

static void __attribute__((constructor)) execed(int argc, char **argv)
{
	int status = EXECED;

	/* Not for the child to find out: it may be in a pid namespace. */
	if (readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) < 0)
		abort();
	if (argc != 1 || strcmp(argv[0], "avfork-child"))
		return;
	sys(SYS_write, STDIN_FILENO, "", 1);
	if (sys(SYS_read, STDIN_FILENO, &status, sizeof(status)) == 0)
		status = 0;
	if (status == EXECED_WAITS) {
		status = -sys(SYS_wait4, -1, &status, 0, NULL) > 0 ?
			 ECHILD : WEXITSTATUS(status);
	}
	_exit(status);
}

/* The parent's end of descriptor 0 of such a child. */
static inline int child_has_execed(int control)
{
	char byte;

	return read(control, &byte, 1) == 1;
}

static inline int child_shall_exit(int control, int status)
{
	return write(control, &status, sizeof(status)) == sizeof(status);
}

#define NOBODY	65534

/* For root: be somebody without any privilege. Return: 0 or -1 */
static inline int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY))
		return -1;
	return setresuid(NOBODY, NOBODY, NOBODY);
}

/* As far as the hard limit allows. */
static inline void limit_descriptors(rlim_t nr)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = nr < limit.rlim_max ? nr : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static inline int count_descriptors(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 2048; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			nr++;
	return nr;
}

/* Return: whether the caller has no child of any kind, dead or alive. */
static inline int no_child_left(void)
{
	return sys(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL) == -ECHILD;
}

/*
 * What the kernel has allocated, to see leaks. Its caches hold objects back, so
 * that only growth of LEAK_ROUNDS / 2 objects counts.
 */
#define LEAK_ROUNDS	2000
#define NR_SLABS	512

struct slabs {
	int nr;
	struct slab {
		char name[32];
		long objects;
	} slab[NR_SLABS];
};

static inline void slabs_read(struct slabs *slabs)
{
	FILE *info = fopen("/proc/slabinfo", "r");
	char line[512];

	slabs->nr = 0;
	while (info && slabs->nr < NR_SLABS &&
	       fgets(line, sizeof(line), info)) {
		struct slab *slab = &slabs->slab[slabs->nr];

		/* The kernel gives back its stacks' addresses in bulk, late. */
		if (sscanf(line, "%31s %ld", slab->name, &slab->objects) == 2 &&
		    strcmp(slab->name, "vmap_area"))
			slabs->nr++;
	}
	if (info)
		fclose(info);
}

/* Return: what has grown between the two, or NULL. */
static inline const char *slabs_compare(const struct slabs *before,
					const struct slabs *after)
{
	int i, j;

	for (i = 0; i < before->nr; i++)
		for (j = 0; j < after->nr; j++)
			if (!strcmp(before->slab[i].name,
				    after->slab[j].name) &&
			    after->slab[j].objects >
			    before->slab[i].objects + LEAK_ROUNDS / 2)
				return after->slab[j].name;
	return NULL;
}

/* Return: what has grown since, and stays so, or NULL. */
static inline const char *slabs_grown(const struct slabs *before,
				      struct slabs *now)
{
	const char *grown = NULL;
	int i;

	/*
	 * KASAN holds back what is freed, so the counts say nothing there; it is
	 * kmemleak that does, after the tests (see qemu/init).
	 */
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		return NULL;

	/* Much is freed by RCU callbacks, in the course of grace periods. */
	for (i = 0; i < 100; i++) {
		slabs_read(now);
		grown = slabs_compare(before, now);
		if (!grown)
			break;
		sys(SYS_membarrier, MEMBARRIER_CMD_GLOBAL);
	}
	return grown;
}

/*
 * A cgroup of our own below the root of cgroup v2. Return: an O_PATH descriptor
 * of it, its name in @path, or -1 where there is no cgroup v2.
 */
#define CGROUP_ROOT "/sys/fs/cgroup"

static inline int cgroup_make(char *path, size_t size)
{
	if (access(CGROUP_ROOT "/cgroup.procs", F_OK))
		return -1;
	/* They may not be there: the tests that need them find out. */
	write_file(CGROUP_ROOT "/cgroup.subtree_control", "+pids");
	write_file(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	snprintf(path, size, CGROUP_ROOT "/avfork-%d", getpid());
	if (mkdir(path, 0755))
		return -1;
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/*
 * The kernel lets go of it a little after the last child's parent was told.
 * Return: 0 or -1 with errno.
 */
static inline int cgroup_remove(const char *path)
{
	int ret;

	while ((ret = rmdir(path)) && errno == EBUSY)
		sched_yield();
	return ret;
}

/* Return: 0 or -1 */
static inline int cgroup_write(const char *path, const char *file,
			       const char *text)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/%s", path, file);
	return write_file(name, text);
}

/*
 * Have memory, as much as there is in a small cgroup, until the kernel kills the
 * caller. Return: 1, when it has not.
 */
static inline int hog_memory(void *unused)
{
	const size_t size = 64 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	if (memory != MAP_FAILED)
		memset(memory, 1, size);
	return 1;
}

#endif
