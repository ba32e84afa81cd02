// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the parent pays after the call, when it writes to each of its pages: the
 * page "faults" that it takes, the pages that are "copied" and the nanoseconds
 * of the "pass", once the child has ended; and, with "held_" before the name,
 * with a child that waits before its exec meanwhile, if its caller can go on.
 */
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS		3
#define PAGE_SIZE	((size_t)sysconf(_SC_PAGESIZE))

/* Shared with copies of us, too: 1 as long as children are to wait. */
static uint32_t *held;

static void wait_while_held(void)
{
	while (__atomic_load_n(held, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, held, FUTEX_WAIT, 1, NULL, NULL, 0);
}

static void hold(void)
{
	if (!held) {
		held = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (held == MAP_FAILED)
			err(1, "mmap");
	}
	__atomic_store_n(held, 1, __ATOMIC_RELEASE);
	method_before_exec = wait_while_held;
}

static void let_go(void)
{
	method_before_exec = NULL;
	__atomic_store_n(held, 0, __ATOMIC_RELEASE);
	syscall(SYS_futex, held, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Where the parent's pages are: an entry a page. */
static uint64_t *page_map(size_t pages)
{
	const size_t size = pages * sizeof(uint64_t);
	const off_t at = (uintptr_t)parent_memory / PAGE_SIZE *
			 sizeof(uint64_t);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t *map = malloc(size);

	if (fd < 0 || !map || pread(fd, map, size, at) != (ssize_t)size)
		err(1, "/proc/self/pagemap");
	close(fd);
	return map;
}

static size_t count_moved(const uint64_t *before, const uint64_t *after,
			  size_t pages)
{
	const uint64_t frame = (1ULL << 55) - 1;
	size_t i, moved = 0;

	for (i = 0; i < pages; i++)
		moved += (before[i] & frame) != (after[i] & frame);
	return moved;
}

static long count_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

enum { FAULTS, COPIED, PASS, NR_FIGURES };

static void measure(const struct bench *bench, const struct method *method,
		    bool hold_it, struct samples figures[NR_FIGURES])
{
	const size_t pages = (bench->parent.mib << 20) / PAGE_SIZE;
	uint64_t *before = page_map(pages), *after;
	double start, end;
	long child, faults;
	size_t i;

	if (hold_it)
		hold();
	child = method->call(method);
	if (child == -1)
		err(1, "%s", method->name);
	if (!hold_it && method->reap(method, child))
		errx(1, "%s: the child failed", method->name);

	faults = count_faults();
	start = sample_clock();
	for (i = 0; i < pages; i++)
		parent_memory[i * PAGE_SIZE]++;
	end = sample_clock();
	faults = count_faults() - faults;
	after = page_map(pages);

	if (hold_it) {
		let_go();
		if (method->reap(method, child))
			errx(1, "%s: the child failed", method->name);
	}
	sample_add(&figures[FAULTS], faults);
	sample_add(&figures[COPIED], count_moved(before, after, pages));
	sample_add(&figures[PASS], end - start);
	free(before);
	free(after);
}

static void measure_rounds(const struct bench *bench,
			   const struct method *method, bool hold_it)
{
	static const char *const names[][NR_FIGURES] = {
		{ "faults", "copied", "pass" },
		{ "held_faults", "held_copied", "held_pass" },
	};
	struct samples figures[NR_FIGURES] = { 0 };
	int i;

	for (i = 0; i < ROUNDS; i++)
		measure(bench, method, hold_it, figures);
	for (i = 0; i < NR_FIGURES; i++)
		bench_result(bench, names[hold_it][i], method, &figures[i]);
}

void faults(const struct bench *bench)
{
	int i;

	for (i = 0; i < bench->nr; i++) {
		measure_rounds(bench, bench->methods[i], false);
		if (bench->methods[i]->runs)
			measure_rounds(bench, bench->methods[i], true);
	}
}
