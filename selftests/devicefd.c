// SPDX-License-Identifier: GPL-2.0
/*
 * The library's descriptor of the device, whatever the program does to its table.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

static atomic_bool quit;

FIXTURE(device)
{
	int fd;
};

/* The highest number that is the device, or -1. */
static int find_device(void)
{
	char path[64], target[64];
	int fd, found = -1;
	ssize_t length;

	for (fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (!strcmp(target, "/dev/avfork"))
			found = fd;
	}
	return found;
}

FIXTURE_SETUP(device)
{
	/* What returns here would still run the test. */
	if (!backend_is("kernel"))
		SKIP(_exit(255), "of the kernel backend alone");
	setenv("AVFORK_BACKEND", "kernel", 1);
	ASSERT_STREQ("kernel", avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	self->fd = find_device();
	ASSERT_LE(3, self->fd);
	ASSERT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

FIXTURE_TEARDOWN(device)
{
}

static int close_everything(void *arg)
{
	int round, fd;

	for (round = 0; round < 3; round++) {
		REQUIRE(!close_range(0, ~0U, 0));
		REQUIRE(reap(avfork(return_arg, arg)) == 8);
		REQUIRE(reap(avforkx(AVFORK_STDIO, return_arg, arg)) == 8);
		/* The three are left to those who care for them. */
		for (fd = 0; fd < 3; fd++)
			REQUIRE(fcntl(fd, F_GETFD) == -1);
		REQUIRE(find_device() >= 3);
		REQUIRE(count_fds() == 1);
	}
	return 0;
}

TEST_F(device, closed_by_a_daemon)
{
	ASSERT_PASSED(in_copy(close_everything, (void *)8));
	ASSERT_EQ(self->fd, find_device());
}

/* Lend the device's number @taken to @file, and check that nothing happens. */
static int take_number(int taken, int file)
{
	unsigned int fds;
	struct stat before, after;
	int flags, found;
	off_t offset;

	REQUIRE(dup2(file, taken) == taken);
	fds = count_fds();
	flags = fcntl(file, F_GETFL);
	offset = lseek(file, 0, SEEK_CUR);
	REQUIRE(!fstat(file, &before));

	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	found = find_device();
	REQUIRE(found >= 3 && found != taken);
	REQUIRE(count_fds() == fds + 1);
	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	REQUIRE(count_fds() == fds + 1);

	REQUIRE(!fstat(taken, &after));
	REQUIRE(after.st_dev == before.st_dev);
	REQUIRE(after.st_ino == before.st_ino);
	REQUIRE(after.st_size == before.st_size);
	REQUIRE(fcntl(taken, F_GETFD) == 0);
	REQUIRE(fcntl(taken, F_GETFL) == flags);
	REQUIRE(lseek(taken, 0, SEEK_CUR) == offset);

	/* And the number becomes the device's again. */
	REQUIRE(dup3(found, taken, O_CLOEXEC) == taken);
	close(found);
	close(file);
	return 0;
}

TEST_F(device, number_taken_by_a_file)
{
	char name[] = "/tmp/avfork-test-XXXXXX", buf[16] = "";
	int file, copy;

	file = mkstemp(name);
	ASSERT_LE(0, file);
	unlink(name);
	copy = dup(file);
	ASSERT_EQ(7, write(file, "content", 7));
	ASSERT_EQ(3, lseek(file, 3, SEEK_SET));
	ASSERT_PASSED(take_number(self->fd, file));
	ASSERT_EQ(7, pread(copy, buf, sizeof(buf), 0));
	ASSERT_STREQ("content", buf);

	ASSERT_PASSED(take_number(self->fd, open("/dev/null", O_RDWR)));
	ASSERT_PASSED(take_number(self->fd, open("/dev/zero", O_RDWR)));
	ASSERT_PASSED(take_number(self->fd, open("/", O_DIRECTORY)));
	ASSERT_PASSED(take_number(self->fd, open("/", O_PATH)));
}

TEST_F(device, number_taken_by_a_pipe)
{
	int ends[2], pending, copy;

	ASSERT_EQ(0, pipe(ends));
	copy = dup(ends[0]);
	ASSERT_EQ(2, write(ends[1], "hi", 2));
	ASSERT_PASSED(take_number(self->fd, ends[0]));
	ASSERT_PASSED(take_number(self->fd, ends[1]));
	ASSERT_EQ(0, ioctl(copy, FIONREAD, &pending));
	ASSERT_EQ(2, pending);
}

TEST_F(device, number_taken_by_a_socket)
{
	int ends[2], pending, copy;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	copy = dup(ends[0]);
	ASSERT_EQ(2, write(ends[1], "hi", 2));
	ASSERT_PASSED(take_number(self->fd, ends[0]));
	ASSERT_EQ(0, ioctl(copy, FIONREAD, &pending));
	ASSERT_EQ(2, pending);
}

TEST_F(device, number_taken_by_an_eventfd)
{
	int event = eventfd(3, EFD_NONBLOCK), copy = dup(event);
	eventfd_t value;

	ASSERT_PASSED(take_number(self->fd, event));
	ASSERT_EQ(0, eventfd_read(copy, &value));
	ASSERT_EQ(3, value);
}

/* A number that is closed and taken again and again while others spawn. */
static int spawn_all_along(void)
{
	while (!quit) {
		pid_t pid = avfork(return_arg, (void *)9);

		REQUIRE(pid > 0);
		REQUIRE(reap(pid) == 9);
	}
	return 0;
}

static void *spawn_until_quit(void *arg)
{
	(void)arg;
	return (void *)(long)spawn_all_along();
}

TEST_F(device, number_taken_under_way)
{
	unsigned int before = count_fds();
	pthread_t threads[3];
	void *result;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    spawn_until_quit, NULL));
	for (i = 0; i < 100; i++) {
		int fd = find_device();

		if (fd < 0)
			continue;
		if (i % 2)
			dup2(STDERR_FILENO, fd);
		close(fd);
		sched_yield();
	}
	quit = true;
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		ASSERT_PASSED((long)result);
	}
	/* Nobody lost one that he had opened: there is at most one device. */
	ASSERT_GE(before, count_fds());
	ASSERT_TRUE(threads_leave());
}

static int fill_table(void)
{
	int fd, last = -1;

	while ((fd = dup(STDERR_FILENO)) >= 0)
		last = fd;
	return errno == EMFILE ? last : -1;
}

static int run_out_of_numbers(void *arg)
{
	const struct rlimit few = { 32, 32 };
	int last, device = (int)(long)arg;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	/* One that is open is all it takes. */
	last = fill_table();
	REQUIRE(last > 0);
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);

	/* Let go of it, and have none left. */
	REQUIRE(dup2(STDERR_FILENO, device) == device);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	close(last);
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);
	close(device);
	REQUIRE(threads_leave());
	return 0;
}

static int run_out_of_low_numbers(void *arg)
{
	const struct rlimit three = { 3, 32 };

	(void)arg;
	/* One is free, but not for us to keep. */
	close_range(3, ~0U, 0);
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &three));
	close(0);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	REQUIRE(fcntl(0, F_GETFD) == -1);
	return 0;
}

TEST_F(device, no_number_left)
{
	ASSERT_PASSED(in_copy(run_out_of_numbers, (void *)(long)self->fd));
	ASSERT_PASSED(in_copy(run_out_of_low_numbers, NULL));
}

static int change_root(void *arg)
{
	REQUIRE(!chroot(arg));
	REQUIRE(!chdir("/"));
	REQUIRE(reap(avfork(return_arg, (void *)4)) == 4);
	close_range(3, ~0U, 0);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == ENOSYS);
	return 0;
}

TEST_F(device, chroot_without_dev)
{
	char dir[] = "/tmp/avfork-test-XXXXXX";
	int result;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_NE(NULL, mkdtemp(dir));
	result = in_copy(change_root, dir);
	rmdir(dir);
	ASSERT_PASSED(result);
}

/* Its first use, by a program that cannot open it. */

static int first_use_in_chroot(void *arg)
{
	REQUIRE(!chroot(arg));
	REQUIRE(!avfork_backend());
	REQUIRE(errno == ENOSYS);
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == ENOSYS);
	return 0;
}

static int first_use_without_numbers(void *arg)
{
	const struct rlimit few = { 32, 32 };
	int last;

	(void)arg;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	last = fill_table();
	REQUIRE(last > 0);
	REQUIRE(!avfork_backend());
	REQUIRE(errno == EMFILE);
	errno = 0;
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EMFILE);
	/* It is not held against us. */
	close(last);
	REQUIRE(!strcmp(avfork_backend(), "kernel"));
	REQUIRE(reap(avfork(return_arg, (void *)6)) == 6);
	return 0;
}

TEST(device_first_use_fails)
{
	char dir[] = "/tmp/avfork-test-XXXXXX";
	int result;

	if (!backend_is("kernel"))
		SKIP(return, "of the kernel backend alone");
	setenv("AVFORK_BACKEND", "kernel", 1);
	ASSERT_PASSED(in_copy(first_use_without_numbers, NULL));
	if (geteuid())
		SKIP(return, "needs root for a chroot");
	ASSERT_NE(NULL, mkdtemp(dir));
	result = in_copy(first_use_in_chroot, dir);
	rmdir(dir);
	ASSERT_PASSED(result);
}

TEST_HARNESS_MAIN
