// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many children a second threads make that do nothing else. Each thread has
 * several under way, as what runs many programs has. The methods take turns. What
 * they keep is reserved: else carriers would leave while others have theirs, and
 * whoever comes first afterwards would have to make them anew.
 */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench.h"

#define ROUNDS 15

/**
 * struct work - what the threads do
 * @method:  how they make children
 * @until:   when they stop
 * @spawned: how many children there were
 */
struct work {
	const struct method *method;
	double until;
	atomic_long spawned;
};

static void *spawn_until(void *arg)
{
	struct work *work = arg;
	const struct method *method = work->method;
	long children[METHOD_CHILDREN], made, reaped = 0;

	for (made = 0; sample_clock() < work->until; made++) {
		long *child = &children[made % METHOD_CHILDREN];

		if (made - reaped == METHOD_CHILDREN) {
			if (method->reap(method, *child))
				errx(1, "%s: the child failed", method->name);
			reaped++;
		}
		*child = method->call(method);
		if (*child == -1)
			err(1, "%s", method->name);
	}
	for (; reaped < made; reaped++)
		if (method->reap(method, children[reaped % METHOD_CHILDREN]))
			errx(1, "%s: the child failed", method->name);
	work->spawned += made;
	return NULL;
}

/* Children a second, over @seconds. */
static double rate(const struct method *method, int threads, double seconds)
{
	double start = sample_clock();
	struct work work = {
		.method = method,
		.until = start + seconds * 1e9,
	};
	pthread_t thread[threads];
	int i;

	for (i = 0; i < threads; i++) {
		if (pthread_create(&thread[i], NULL, spawn_until, &work))
			errx(1, "pthread_create");
	}
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return work.spawned * 1e9 / (sample_clock() - start);
}

void throughput(const struct bench *bench)
{
	struct samples *rates = calloc(bench->nr, sizeof(*rates));
	int round, i;

	if (!rates)
		err(1, "calloc");
	for (i = 0; i < bench->nr; i++)
		method_reserve(bench->methods[i],
			       bench->parent.threads * METHOD_CHILDREN);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < bench->nr; i++)
			sample_add(&rates[i],
				   rate(bench->methods[i],
					bench->parent.threads,
					bench->seconds / ROUNDS));
	for (i = 0; i < bench->nr; i++)
		bench_result(bench, "throughput", bench->methods[i], &rates[i]);
	free(rates);
}
