// SPDX-License-Identifier: LGPL-2.1-or-later
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "parent.h"

#define MAX_MIB		(1UL << 20)
#define MAX_DESCRIPTORS	1048576		/* fs.nr_open, by default */
#define THREAD_STACK	(64 * 1024)

char *parent_memory;

/* One mapping for all sizes, so that one which grows keeps what it has. */
static void have_memory(size_t size, bool huge)
{
	static size_t resident;
	const size_t max = MAX_MIB << 20;
	size_t page;

	if (!parent_memory) {
		parent_memory = mmap(NULL, max, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS |
				     MAP_NORESERVE, -1, 0);
		if (parent_memory == MAP_FAILED)
			err(1, "mmap");
		madvise(parent_memory, max,
			huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	}
	for (page = resident; page < size; page += sysconf(_SC_PAGESIZE))
		parent_memory[page] = 1;
	if (size < resident)
		madvise(parent_memory + size, resident - size, MADV_DONTNEED);
	resident = size;
}

static void have_descriptors(int count, bool inherit)
{
	static bool raised;
	int fd;

	if (!raised) {
		const struct rlimit limit = {
			MAX_DESCRIPTORS, MAX_DESCRIPTORS
		};

		/* Without root as many as there may be. */
		raised = !setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (close_range(count, ~0U, 0))
		err(1, "close_range");
	do {
		fd = fcntl(STDIN_FILENO,
			   inherit ? F_DUPFD : F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			err(1, "%d descriptors", count);
	} while (fd < count - 1);
	if (fd >= count)
		close(fd);
}

static void *wait_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void have_threads(int count)
{
	static int threads = 1;
	pthread_attr_t attr;
	pthread_t thread;
	int error = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (; threads < count && !error; threads++)
		error = pthread_create(&thread, &attr, wait_forever, NULL);
	if (error)
		errx(1, "%d threads: %s", count, strerror(error));
	pthread_attr_destroy(&attr);
}

void parent_become(const struct parent *parent)
{
	have_memory(parent->mib << 20, parent->huge);
	have_descriptors(parent->descriptors, parent->inherit);
	have_threads(parent->threads);
}
