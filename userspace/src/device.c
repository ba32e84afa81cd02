// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A descriptor of the device is opened once and kept. It is one of many in the
 * table of a program that does not know of it: a daemon may close it, and the
 * number may then be some other file's. So every failure is looked into: where
 * the number is not the device any more, it is left alone and the device opened
 * anew. The ioctl itself cannot harm another file, which does not know it.
 *
 * Two threads may find the same number lost, one of them after the other has opened
 * the device anew and got that number again. Then a descriptor stays open that
 * nobody uses; none of the program's is ever closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "device.h"
#include "fds.h"

#define DEVICE "/dev/avfork"

_Atomic int device_common, device_own;

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

void device_lost(_Atomic int *device, int fd)
{
	atomic_compare_exchange_strong(device, &fd, 0);
}

void device_close(_Atomic int *device)
{
	int fd = atomic_exchange(device, 0);
	struct avfork_info info;

	if (fd && device_ask(fd, &info))
		close(fd);
}

/* In a fork()ed copy: it has children of its own to live as long as. */
static void forget_own(void)
{
	device_close(&device_own);
}

static void forget_in_copies(void)
{
	pthread_atfork(NULL, NULL, forget_own);
}

/*
 * A new descriptor of the device, or 0 with errno ENOSYS, or EMFILE, ENFILE or
 * ENOMEM when it is only that there is no room for one.
 */
static int device_open(void)
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
	return 0;
}

int device_get(_Atomic int *device)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int cancel, fd, found = atomic_load_explicit(device, memory_order_relaxed);

	if (found)
		return found;
	/* The caller may hold a carrier, and open() is a cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (device == &device_own)
		pthread_once(&once, forget_in_copies);
	fd = device_open();
	/* Another thread may have been faster. */
	if (fd && !atomic_compare_exchange_strong(device, &found, fd)) {
		close(fd);
		fd = found;
	}
	pthread_setcancelstate(cancel, NULL);
	return fd;
}

bool device_has_prepared(int fd)
{
	const int no_struct = _IOC(_IOC_WRITE, AVFORK_IOC_MAGIC,
				   _IOC_NR(AVFORK_IOC_START), 0);

	return ioctl(fd, no_struct) && errno != ENOTTY && errno != EBADF;
}

/*
 * Whether @ret, which is not negative, is the device's: a pid, or the descriptor of a
 * prepared child, which may be 0. Another file may know the number of the request.
 */
static bool is_answer(unsigned long request, int ret)
{
	return ret || (request == AVFORK_IOC_PREPARE && device_has_prepared(ret));
}

int device_call(_Atomic int *device, unsigned long request, const void *args)
{
	struct avfork_info info;
	bool again = false;
	int fd;

	while ((fd = device_get(device))) {
		int ret = ioctl(fd, request, args);
		int error = ret < 0 ? errno : ENOTTY;

		if (ret >= 0 && is_answer(request, ret))
			return ret;
		if (!device_ask(fd, &info)) {
			device_lost(device, fd);
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
