// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The backend that asks the avfork module.
 *
 * The device's descriptor is opened once and kept. It is one of many in the
 * table of a program that does not know of it: a daemon may close it, and the
 * number may then be some other file's. So every failure is looked into: where
 * the number is not the device any more, it is left alone and the device opened
 * anew. The ioctl itself cannot harm another file, which does not know it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "fd.h"
#include "pool.h"
#include "spawn.h"

#define DEVICE "/dev/avfork"

/*
 * The descriptor, and a count of the times that it was opened, in one word: a
 * thread that replaces what it found stale shall not mistake for that what
 * another has opened since, and found the same number free. 0: not open.
 */
static _Atomic uint64_t device;

static uint64_t device_word(int fd, uint64_t stale)
{
	return (uint64_t)(fd + 1) << 32 | (uint32_t)(stale + 1);
}

static int device_fd(uint64_t word)
{
	return (int)(word >> 32) - 1;
}

static bool is_device(int fd)
{
	struct avfork_info info;

	return !ioctl(fd, AVFORK_IOC_INFO, &info);
}

/* Whether @fd is what DEVICE names: if it is not ours, then another driver's. */
static bool is_named_device(int fd)
{
	struct stat file, named;

	return !fstat(fd, &file) && !stat(DEVICE, &named) &&
	       file.st_dev == named.st_dev && file.st_ino == named.st_ino;
}

/*
 * A new descriptor of the device, or -1 with errno ENOSYS, or EMFILE, ENFILE or
 * ENOMEM when it is only that there is no room for one.
 */
static int open_device(void)
{
	int fd;

	for (;;) {
		fd = fd_above_stdio(open(DEVICE, O_RDWR | O_CLOEXEC));
		if (fd < 0)
			break;
		if (is_device(fd))
			return fd;
		if (errno != EBADF && is_named_device(fd)) {
			close(fd);
			break;
		}
		/* The number was taken at once, and is not ours to close. */
	}
	if (!backend_is_short(errno))
		errno = ENOSYS;
	return -1;
}

/* Open the device in place of @stale. 0 where that fails, with errno. */
static uint64_t device_open(uint64_t stale)
{
	uint64_t word = 0;
	int cancel, fd;

	/* The caller may hold a carrier, and open() is a cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fd = open_device();
	if (fd >= 0) {
		word = device_word(fd, stale);
		/* Another thread may have been faster: its word is the one. */
		if (!atomic_compare_exchange_strong(&device, &stale, word)) {
			close(fd);
			word = stale;
		}
	}
	pthread_setcancelstate(cancel, NULL);
	return word;
}

static uint64_t device_get(void)
{
	uint64_t word = atomic_load_explicit(&device, memory_order_relaxed);

	return word ? word : device_open(0);
}

/* The child's first function. _exit: the parent's atexit handlers stay there. */
static void child_main(struct carrier *carrier)
{
	spawn_enter_child();
	_exit(carrier->start_routine(carrier->arg));
}

static pid_t kernel_make(const struct child *child, struct carrier *carrier)
{
	const struct avfork_opts *opts = child->opts;
	void *stack = opts->stack ? opts->stack : carrier->stack;
	const struct avfork_args args = {
		.flags = (unsigned int)(opts->flags & ~AVFORK_HIDDEN),
		.namespaces = opts->namespaces,
		.entry = (uintptr_t)child_main,
		.arg = (uintptr_t)carrier,
		.stack = (uintptr_t)stack,
		.stack_size = opts->stack ? opts->stack_size :
					    carrier->stack_size,
		.tls = carrier->thread_pointer,
		.release = (uintptr_t)child->lent,
		.pidfd = (uintptr_t)opts->pidfd,
		.fds = (uintptr_t)opts->fds,
		.nr_fds = (uint32_t)opts->nr_fds,
		.exit_signal = opts->flags & AVFORK_HIDDEN ? 0 : SIGCHLD,
		.cgroup_fd = opts->flags & AVFORK_INTO_CGROUP ?
			     opts->cgroup_fd : 0,
	};
	uint64_t word = device_get();
	bool again = false;

	/* More than the kernel's field holds is more than any table. */
	if (opts->nr_fds > UINT32_MAX) {
		errno = EMFILE;
		return -1;
	}

	while (word) {
		pid_t pid = ioctl(device_fd(word), AVFORK_IOC_SPAWN, &args);
		/* 0: another file's ioctl, which happens to know the number. */
		int error = pid ? errno : ENOTTY;

		if (pid > 0)
			return pid;
		if (!is_device(device_fd(word))) {
			word = device_open(word);
			again = false;
			continue;
		}
		/*
		 * It may have been gone at the call, and another thread have
		 * opened it since, under the same number.
		 */
		if (again || (error != EBADF && error != ENOTTY)) {
			errno = error;
			return -1;
		}
		again = true;
	}
	return -1;
}

static pid_t kernel_spawn(struct child *child)
{
	return pool_spawn(child, kernel_make);
}

static bool kernel_available(void)
{
	const int no_struct = _IO(AVFORK_IOC_MAGIC, _IOC_NR(AVFORK_IOC_SPAWN));
	uint64_t word = device_get();

	/* Without a struct it is refused in any case; a filtered caller first. */
	return word && (!ioctl(device_fd(word), no_struct) || errno != EPERM);
}

const struct backend backend_kernel = {
	.name = "kernel",
	.available = kernel_available,
	.spawn = kernel_spawn,
};
