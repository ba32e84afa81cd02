/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is measured, one a file, and how it is reported.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>

#include "method.h"
#include "parent.h"
#include "sample.h"

/**
 * struct bench - one run for one parent
 * @exact:   for the clock that counts instructions
 * @seconds: how long a method may take, about
 * @samples: of each method at most
 * @methods: that are measured
 * @nr:      how many these are
 * @parent:  who calls
 */
struct bench {
	bool exact;
	double seconds;
	int samples;
	const struct method **methods;
	int nr;
	struct parent parent;
};

/* Say on standard error what is measured now, where one takes more than seconds. */
void bench_progress(const char *quantity, const struct method *method);

/* Print one line of results. */
void bench_result(const struct bench *bench, const char *quantity,
		  const struct method *method, struct samples *samples);

/* What a child costs: "caller", until the call returns, and "spawn", in all. */
void cost(const struct bench *bench);

/* How long until the child runs: "entry", its own code, and "program". */
void start(const struct bench *bench);

/* A server that answers with programs: percentiles, "held_p50", "reply_p50" and so on. */
void serve(const struct bench *bench);

/* What a call costs after a pause of seconds, "cold", and otherwise, "warm". */
void cold(const struct bench *bench);

/* What the first call of a process costs, of one process for each sample. */
void first(const struct bench *bench);

/* The same of this process. */
void once(const struct bench *bench);

/* What the parent's pages cost it after the call. */
void faults(const struct bench *bench);

/* How many children a second parent.threads threads make: "throughput". */
void throughput(const struct bench *bench);

/* How long a busy thread is held up: percentiles, "latency_p50" and so on. */
void latency(const struct bench *bench);

#endif
