// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A descriptor of the device is opened once and kept. It is one of many in the
 * table of a program that does not know of it: a daemon may close it, and the
 * number may then be some other file's. So every failure is looked into: where
 * the number is not the device any more, it is left alone and the device opened
 * anew. The ioctl itself cannot harm another file, which does not know it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "device.h"
#include "fd.h"

#define DEVICE "/dev/avfork"

struct device device_common, device_own;

static uint64_t device_word(int fd, uint64_t stale)
{
	return (uint64_t)(fd + 1) << 32 | (uint32_t)(stale + 1);
}

bool device_ask(int fd, struct avfork_info *info)
{
	return !ioctl(fd, AVFORK_IOC_INFO, info);
}

/* Whether @fd is what DEVICE names: if it is not ours, then another driver's. */
static bool is_named_device(int fd)
{
	struct stat file, named;

	return !fstat(fd, &file) && !stat(DEVICE, &named) &&
	       file.st_dev == named.st_dev && file.st_ino == named.st_ino;
}

void device_close(struct device *device)
{
	uint64_t word = atomic_exchange(&device->word, 0);
	struct avfork_info info;

	if (word && device_ask(device_fd(word), &info))
		close(device_fd(word));
}

/* In a fork()ed copy: it has children of its own to live as long as. */
static void forget_own(void)
{
	device_close(&device_own);
}

static pthread_once_t forget_in_copies_once = PTHREAD_ONCE_INIT;

static void forget_in_copies(void)
{
	pthread_atfork(NULL, NULL, forget_own);
}

/*
 * A new descriptor of the device, or -1 with errno ENOSYS, or EMFILE, ENFILE or
 * ENOMEM when it is only that there is no room for one.
 */
static int open_device(void)
{
	struct avfork_info info;
	int fd;

	for (;;) {
		fd = fd_above_stdio(open(DEVICE, O_RDWR | O_CLOEXEC));
		if (fd < 0)
			break;
		if (device_ask(fd, &info))
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

uint64_t device_open(struct device *device, uint64_t stale)
{
	uint64_t word = 0;
	int cancel, fd;

	/* The caller may hold a carrier, and open() is a cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (device == &device_own)
		pthread_once(&forget_in_copies_once, forget_in_copies);
	fd = open_device();
	if (fd >= 0) {
		word = device_word(fd, stale);
		/* Another thread may have been faster: its word is the one. */
		if (!atomic_compare_exchange_strong(&device->word, &stale,
						    word) &&
		    /* Or has closed it. */
		    (stale ||
		     !atomic_compare_exchange_strong(&device->word, &stale,
						     word))) {
			close(fd);
			word = stale;
		}
	}
	pthread_setcancelstate(cancel, NULL);
	return word;
}

uint64_t device_get(struct device *device)
{
	uint64_t word = atomic_load_explicit(&device->word,
					     memory_order_relaxed);

	return word ? word : device_open(device, 0);
}
