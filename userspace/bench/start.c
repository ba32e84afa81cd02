// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How long after the call began the child runs: "entry", its first instruction, of
 * those that run code of ours, and "program", the first of the program that it execs.
 * That one reads the clock and writes what it read to standard error, a pipe here,
 * which every child must have.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "program.h"

#define ROUNDS 10	/* that the methods take turns in */

/* In memory that copies of the process share. */
static double *entered;
static int saved_stderr;

static void enter(void)
{
	*entered = sample_clock();
}

static void take_start(const struct method *method, int told,
		       struct samples *entry, struct samples *program)
{
	double start, started;
	long child;

	*entered = 0;
	if (method->prepare)
		method->prepare(method);
	start = sample_clock();
	child = method->call(method);
	if (child == -1 || method->reap(method, child) ||
	    read(told, &started, sizeof(started)) != sizeof(started)) {
		dup2(saved_stderr, STDERR_FILENO);
		errx(1, "%s: no child, or none with standard error",
		     method->name);
	}
	if (*entered)
		sample_add(entry, *entered - start);
	sample_add(program, started - start);
}

void start(const struct bench *bench)
{
	struct samples *entry = calloc(bench->nr, sizeof(*entry));
	struct samples *program = calloc(bench->nr, sizeof(*program));
	int told[2], round, i, j;

	entered = mmap(NULL, sizeof(*entered), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	if (!entry || !program || entered == MAP_FAILED || saved_stderr < 0 ||
	    pipe2(told, O_CLOEXEC | O_NONBLOCK) ||
	    dup2(told[1], STDERR_FILENO) < 0)
		err(1, "start");
	program_tells();
	method_before_exec = enter;
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < bench->nr; i++)
			for (j = 0; j * ROUNDS < bench->samples; j++)
				take_start(bench->methods[i], told[0],
					   &entry[i], &program[i]);
	dup2(saved_stderr, STDERR_FILENO);
	for (i = 0; i < bench->nr; i++) {
		if (entry[i].count)
			bench_result(bench, "entry", bench->methods[i],
				     &entry[i]);
		bench_result(bench, "program", bench->methods[i], &program[i]);
	}
	free(entry);
	free(program);
}
