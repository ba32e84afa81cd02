// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the calling thread pays for a child: the time until the call returns,
 * for a raw clone(CLONE_VM | CLONE_FILES) and for avfork(), with little and
 * much memory resident and few and many descriptors open.
 *
 * Meant for "qemu/vm --icount", where the clock counts instructions. The
 * caller runs in a real-time class that its children do not inherit, so that
 * on the one CPU of that mode no child runs before its caller waits for it, and
 * none of a child's instructions are counted. Elsewhere the figures are times,
 * and noisy.
 *
 * The output is TAP: each row of figures a comment, each limit that they must
 * keep a test.
 */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <avfork.h>

#define SAMPLES		201
#define WARM_UP		20
#define STACK_SIZE	(64 * 1024)
#define MIB		(1024 * 1024UL)

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* The child has its caller's thread-local storage: it must not touch it. */
static int exit_at_once(void *arg)
{
	(void)arg;
	syscall(SYS_exit_group, 0);
	__builtin_unreachable();
}

static pid_t raw_clone(void)
{
	static char stack[STACK_SIZE] __attribute__((aligned(16)));

	return clone(exit_at_once, stack + sizeof(stack),
		     CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
}

static pid_t avfork_nothing(void)
{
	return avfork(nothing, NULL);
}

enum { RAW_CLONE, AVFORK, NR_METHODS };

static const struct method {
	const char *name;
	pid_t (*spawn)(void);
} methods[NR_METHODS] = {
	[RAW_CLONE] = { "clone(CLONE_VM|CLONE_FILES)", raw_clone },
	[AVFORK] = { "avfork", avfork_nothing },
};

static const struct size {
	unsigned long mib;
	int descriptors;
} sizes[] = {
	{ 16, 10 },
	{ 16, 20000 },
	{ 1024, 10 },
	{ 1024, 20000 },
};

#define NR_SIZES (sizeof(sizes) / sizeof(*sizes))

static long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* Enter or leave a class that no other task here preempts. */
static void set_undisturbed(bool undisturbed)
{
	const struct sched_param param = { .sched_priority = undisturbed };

	if (sched_setscheduler(0, undisturbed ? SCHED_FIFO | SCHED_RESET_ON_FORK
					      : SCHED_OTHER, &param))
		err(1, "sched_setscheduler (this needs root)");
}

/* The median over SAMPLES children, in nanoseconds. */
static long measure(const struct method *method)
{
	long samples[SAMPLES];
	int i;

	set_undisturbed(true);
	for (i = -WARM_UP; i < SAMPLES; i++) {
		long start = now();
		pid_t pid = method->spawn();
		long end = now();
		int status;

		if (pid < 0)
			err(1, "%s", method->name);
		if (waitpid(pid, &status, __WALL) != pid || status)
			errx(1, "%s: the child failed", method->name);
		if (i >= 0)
			samples[i] = end - start;
	}
	set_undisturbed(false);
	qsort(samples, SAMPLES, sizeof(*samples), compare);
	return samples[SAMPLES / 2];
}

static void resize_memory(unsigned long bytes)
{
	static char *memory;
	static unsigned long resident;

	if (resident == bytes)
		return;
	if (resident)
		munmap(memory, resident);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap %lu bytes", bytes);
	/* Small pages: the most that there can be to copy. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	resident = bytes;
}

static void resize(const struct size *size)
{
	int fd;

	resize_memory(size->mib * MIB);
	if (close_range(size->descriptors, ~0U, 0))
		err(1, "close_range");
	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			err(1, "open %d descriptors", size->descriptors);
	} while (fd < size->descriptors - 1);
}

static void limit(bool kept, const char *what, double figure, double at_most)
{
	static int number;

	printf("%s %d %s: %.3f, at most %.2f\n", kept ? "ok" : "not ok",
	       ++number, what, figure, at_most);
}

/* The greatest of one method's figures over its smallest. */
static double spread(long figures[NR_SIZES][NR_METHODS], int method)
{
	long least = figures[0][method], most = figures[0][method];
	size_t i;

	for (i = 1; i < NR_SIZES; i++) {
		if (figures[i][method] < least)
			least = figures[i][method];
		if (figures[i][method] > most)
			most = figures[i][method];
	}
	return (double)most / least;
}

int main(void)
{
	const struct rlimit descriptors = { 20001, 20001 };
	long figures[NR_SIZES][NR_METHODS];
	double worst = 0, flat;
	size_t i, m;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	if (!avfork_backend())
		err(1, "no backend");
	if (setrlimit(RLIMIT_NOFILE, &descriptors))
		err(1, "setrlimit");

	printf("# caller pays, ns (with -icount: instructions), backend %s\n",
	       avfork_backend());
	printf("# %8s %12s %28s %10s %6s\n", "MiB", "descriptors",
	       methods[RAW_CLONE].name, methods[AVFORK].name, "ratio");
	for (i = 0; i < NR_SIZES; i++) {
		double ratio;

		resize(&sizes[i]);
		for (m = 0; m < NR_METHODS; m++)
			figures[i][m] = measure(&methods[m]);
		ratio = (double)figures[i][AVFORK] / figures[i][RAW_CLONE];
		if (ratio > worst)
			worst = ratio;
		printf("# %8lu %12d %28ld %10ld %6.3f\n", sizes[i].mib,
		       sizes[i].descriptors, figures[i][RAW_CLONE],
		       figures[i][AVFORK], ratio);
	}

	limit(worst <= 1.10, "avfork to a raw clone", worst, 1.10);
	flat = spread(figures, AVFORK);
	limit(flat <= 1.05, "avfork's most to its least over the sizes", flat,
	      1.05);
	return worst <= 1.10 && flat <= 1.05 ? 0 : 1;
}
