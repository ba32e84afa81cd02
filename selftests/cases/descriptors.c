// SPDX-License-Identifier: GPL-2.0
/*
 * Actions on descriptors and on the working directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../seccomp.h"
#include "cases.h"

static void case_inherit(void)
{
	int fd;

	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	for (fd = 24; fd < 1024; fd++)
		CHECK(dup3(0, fd, O_CLOEXEC) == fd);
	RUN(NULL, NULL, "descriptors", "20");
	RUN(&actions, &attr, "descriptors", "20");
}

static void case_dup2(void)
{
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", O_CLOEXEC);
	put(22, "twenty-two", 0);
	DUP2(20, 5);
	DUP2(22, 6);
	DUP2(5, 7);
	CLOSE(5);
	RUN(&actions, NULL, "descriptors", "6", "7", "22");

	/* Two numbers change places, by means of a third. */
	renew();
	DUP2(20, 23);
	DUP2(21, 20);
	DUP2(23, 21);
	CLOSE(23);
	RUN(&actions, NULL, "descriptors", "20", "21");

	renew();
	DUP2(20, 20);
	DUP2(22, 22);
	OPEN(1, "/proc/self/fd/2", O_WRONLY, 0);
	DUP2(2, 1);
	CLOSE(22);
	RUN(&actions, NULL, "nothing here");
}

static void case_dup2_onto_itself(void)
{
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	DUP2(20, 20);
	DUP2(21, 21);
	RUN(&actions, NULL, "descriptors", "20", "21");
	/* In the caller it stays as it was. */
	CHECK(fcntl(20, F_GETFD) == FD_CLOEXEC);
	RUN(NULL, NULL, "descriptors");
}

static void case_dup2_of_closed(void)
{
	put(20, "twenty", 0);
	DUP2(21, 5);
	RUN(&actions, NULL, "descriptors");
	renew();
	DUP2(21, 21);
	RUN(&actions, NULL, "descriptors");
	renew();
	CLOSE(20);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors");
	renew();
	CLOSEFROM(3);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors");
}

static void case_close(void)
{
	put(20, "twenty", 0);
	put(21, "twenty-one", 0);
	put(22, "twenty-two", O_CLOEXEC);
	CLOSE(20);
	CLOSE(20);
	CLOSE(22);
	CLOSE(300);
	RUN(&actions, NULL, "descriptors", "21");
	CHECK(fcntl(20, F_GETFD) == 0);
}

static void case_closefrom(void)
{
	put(20, "twenty", 0);
	put(21, "twenty-one", 0);
	put(40, "forty", 0);
	DUP2(40, 30);
	CLOSEFROM(21);
	RUN(&actions, NULL, "descriptors", "20");
	CLOSEFROM(3);
	OPEN(50, "/dev/null", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

static void case_open(void)
{
	char path[] = "file";
	struct stat file;

	make_dir();
	make_file("file", 0600, "a file");
	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	umask(027);

	OPEN(20, path, O_RDONLY, 0);
	/* It was copied. */
	path[0] = '?';
	OPEN(5, "/proc/self/fd/21", O_RDONLY, 0);
	OPEN(6, "/dev/fd/20", O_RDONLY, 0);
	OPEN(7, "new", O_WRONLY | O_CREAT | O_EXCL, 0666);
	OPEN(8, "/dev/null", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors", "20", "5", "6");
	CHECK(!stat("new", &file));
	printf("mode %o\n", file.st_mode);
	report_content(20);
}

static void case_open_errors(void)
{
	make_dir();
	OPEN(20, "new", O_WRONLY | O_CREAT, 0600);
	OPEN(21, "absent/file", O_RDONLY, 0);
	OPEN(22, "newer", O_WRONLY | O_CREAT, 0600);
	RUN(&actions, NULL, "descriptors");
	/* As far as it came. */
	printf("%d %d\n", access("new", F_OK), access("newer", F_OK));

	renew();
	OPEN(20, "new/file", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
	renew();
	OPEN(20, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	RUN(&actions, NULL, "descriptors");
	renew();
	OPEN(20, "/proc/self/fd/99", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

/*
 * By ways to a close-on-exec descriptor that nothing but the kernel can follow. A
 * child of libc has it until the exec.
 */
static void case_open_by_descriptor(void)
{
	char thread[64];

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	put_open(21, "/usr", O_RDONLY | O_CLOEXEC);
	CHECK(dup3(20, 0, O_CLOEXEC) == 0);
	CHECK(!symlink("/proc/self/fd/20", "link"));
	snprintf(thread, sizeof(thread), "/proc/%d/../thread-self/fd/20", 1);

	OPEN(5, "/dev/stdin", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(5, "link", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(5, thread, O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(4, "/dev/null", O_RDONLY, 0);
	OPEN(5, "/proc//self/fd/20", O_RDWR | O_CREAT, 0600);
	RUN(&actions, NULL, "5");
	renew();
	CHDIR("/proc/self/fd");
	OPEN(5, "20", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	CHDIR("21");
	RUN(&actions, NULL, "5", "directory");
}

/* What a second child would do again is not done by two. */
static void case_open_only_once(void)
{
	char path[64];

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	OPEN(5, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	OPEN(6, "absent", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
	renew();
	CHECK(!mkfifo("fifo", 0600));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	put_open(21, path, O_RDWR | O_CLOEXEC);
	OPEN(5, "fifo", O_RDONLY, 0);
	CLOSE(21);
	OPEN(6, "absent", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

/* As in a sandbox that does not know the call, and as Linux before 5.9. */
static void closefrom_without_call(int error)
{
	int fd;

	for (fd = 30; fd < 300; fd++)
		CHECK(dup2(0, fd) == fd);
	CHECK(!seccomp_refuse(SYS_close_range, error));
	CLOSEFROM(3);
	RUN(&actions, NULL, "descriptors");
}

static void case_closefrom_refused(void)
{
	closefrom_without_call(EPERM);
}

static void case_closefrom_unknown(void)
{
	closefrom_without_call(ENOSYS);
}

/* The working directory */

static void case_chdir(void)
{
	char path[] = "/usr";

	CHDIR(path);
	path[1] = '?';
	RUN(&actions, NULL, "directory");
	CHDIR("..");
	RUN(&actions, NULL, "directory");
	CHDIR("absent");
	RUN(&actions, NULL, "directory");
	report_directory();
}

static void case_fchdir(void)
{
	put_open(20, "/usr", O_RDONLY | O_CLOEXEC);
	put_open(21, "/proc", O_PATH | O_CLOEXEC);
	put(22, "twenty-two", 0);
	FCHDIR(20);
	RUN(&actions, NULL, "directory", "descriptors");
	FCHDIR(21);
	RUN(&actions, NULL, "directory");
	renew();
	CHDIR("/proc/self/fd/20/..");
	RUN(&actions, NULL, "directory");
	renew();
	FCHDIR(22);
	RUN(&actions, NULL, "directory");
	renew();
	FCHDIR(99);
	RUN(&actions, NULL, "directory");
	report_directory();
}

static void case_order(void)
{
	make_dir();
	CHECK(!mkdir("a", 0700) && !mkdir("b", 0700));
	make_file("a/file", 0600, "a's");
	make_file("b/file", 0600, "b's");
	put(20, "twenty", O_CLOEXEC);
	CHDIR("a");
	OPEN(5, "file", O_RDONLY, 0);
	CHDIR("../b");
	OPEN(6, "file", O_RDONLY, 0);
	DUP2(5, 7);
	DUP2(6, 5);
	DUP2(20, 6);
	CLOSEFROM(8);
	DUP2(7, 8);
	RUN(&actions, NULL, "descriptors", "5", "6", "7", "8");
}

const struct spawner_case descriptors_cases[] = {
	CASE(inherit),
	CASE(dup2),
	CASE(dup2_onto_itself),
	CASE(dup2_of_closed),
	CASE(close),
	CASE(closefrom),
	CASE(closefrom_refused),
	CASE(closefrom_unknown),
	CASE(open),
	CASE(open_errors),
	CASE(open_by_descriptor),
	CASE(open_only_once),
	CASE(chdir),
	CASE(fchdir),
	CASE(order),
	{ NULL, NULL },
};
