/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of libavfork share.
 */
#ifndef HELPERS_H
#define HELPERS_H

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <avfork.h>

/* For emulated CPUs, and kernels that check all that they do. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

/*
 * The harness's ASSERTs jump, which neither a child nor a copy of a test can:
 * a function that runs there returns 1 from where it fails, and leaves here
 * why. Shared, so that copies reach it, too.
 */
struct failure {
	int line;
	int error;
};

static struct failure *failure;

static void __attribute__((constructor)) failure_map(void)
{
	failure = mmap(NULL, sizeof(*failure), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (failure == MAP_FAILED)
		abort();
}

#define REQUIRE(condition) do {						\
	if (!(condition)) {						\
		failure->error = errno;					\
		failure->line = __LINE__;				\
		return 1;						\
	}								\
} while (0)

/* For what such a function returned: 0, or say where it failed. */
#define ASSERT_PASSED(status)						\
	ASSERT_EQ(0, status)						\
		TH_LOG("failed at line %d (errno %d)", failure->line,	\
		       failure->error)

/* For calls that return -1 with errno. */
#define ASSERT_FAILS(error, call) do {					\
	errno = 0;							\
	ASSERT_EQ(-1, call);						\
	ASSERT_EQ(error, errno);					\
} while (0)

/* How @pid ends: its exit status, or minus the signal that killed it. */
static inline int reap(pid_t pid)
{
	int status;

	if (pid <= 0 || avfork_waitpid(pid, &status, 0) != pid)
		return INT_MIN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* How @run ends in a fork()ed copy. */
static inline int in_copy(int (*run)(void *), void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(run(arg));
	return reap(pid);
}

/* The backend that is under test: what is forced, or the first there is. */
static inline bool backend_is(const char *name)
{
	const char *forced = getenv("AVFORK_BACKEND");

	return !strcmp(forced && *forced ? forced : "kernel", name);
}

/* Whether what the test measures is the sanitizer's doing as well. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

/* A thread of ThreadSanitizer's own. */
#ifdef __SANITIZE_THREAD__
#define SANITIZER_THREADS 1
#else
#define SANITIZER_THREADS 0
#endif

/* What musl lacks. */
#ifndef W_EXITCODE
#define W_EXITCODE(status, signal) ((status) << 8 | (signal))
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

#ifdef __GLIBC__
static inline size_t allocated_bytes(void)
{
	return mallinfo2().uordblks;
}
#else
static inline size_t allocated_bytes(void)
{
	return 0;
}

static inline int close_range(unsigned int first, unsigned int last, int flags)
{
	return syscall(SYS_close_range, first, last, flags);
}
#endif

/* The carrier that stays for as long as the main thread, once there was a child. */
#define RESERVED (backend_is("taskq") ? 0 : 1)

static inline bool past(const struct timespec *deadline)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec ||
	       (now.tv_sec == deadline->tv_sec &&
		now.tv_nsec >= deadline->tv_nsec);
}

/* Poll, for what no event tells of: whether it came true within @seconds. */
#define COMES_TRUE(condition, seconds) ({				\
	struct timespec __deadline;					\
	bool __true;							\
									\
	clock_gettime(CLOCK_MONOTONIC, &__deadline);			\
	__deadline.tv_sec += (seconds);					\
	while (!(__true = (condition)) && !past(&__deadline))		\
		usleep(5000);						\
	__true;								\
})

static inline unsigned int count_entries(const char *path)
{
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static inline unsigned int count_threads(void)
{
	return count_entries("/proc/self/task") - SANITIZER_THREADS;
}

/* The amount that @path has under @name, in bytes, -1 when it is not there. */
static inline long proc_bytes(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	size_t length = strlen(name);
	long value = -1;
	char line[128];

	if (!file)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && line[length] == ':')
			value = 1024 * atol(line + length + 1);
	fclose(file);
	return value;
}

/* Seconds for what takes one or two on a machine that has nothing else to do. */
#define IDLE_LIMIT 100

/*
 * Whether all threads of the library's leave that are not the reserve. Idle carriers
 * do so after one or two seconds: so the number of those that are left at any earlier
 * time is up to chance. What never leaves is a carrier that has been lost.
 */
static inline bool threads_leave(void)
{
	return COMES_TRUE(count_threads() <= 2, IDLE_LIMIT);
}

/* Without the one that looks. */
static inline unsigned int count_fds(void)
{
	return count_entries("/proc/self/fd") - 1;
}

/*
 * The path of @program, which was built next to this one. Only the first call
 * makes a system call.
 */
static inline const char *sibling(const char *program)
{
	static char path[PATH_MAX], *end;
	ssize_t length;

	if (!end) {
		length = readlink("/proc/self/exe", path, sizeof(path) - 1);
		if (length < 0)
			return program;
		path[length] = '\0';
		end = strrchr(path, '/') + 1;
	}
	snprintf(end, sizeof(path) - (end - path), "%s", program);
	return path;
}

/*
 * Become a user who has no other process, whoever else tests here: what counts
 * against RLIMIT_NPROC is our own. 0 or -1.
 */
static inline int become_lone_user(void)
{
	const uid_t lone = 1000000000 + getpid();

	return setresgid(lone, lone, lone) ? -1 : setresuid(lone, lone, lone);
}

/* A start routine: returns its argument. */
static inline int return_arg(void *arg)
{
	return (int)(long)arg;
}

/* A start routine: returns when the semaphore @arg is posted. */
static inline int wait_for(void *arg)
{
	while (sem_wait(arg))
		;
	return 0;
}

#endif
