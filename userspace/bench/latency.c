// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a busy thread feels of children that another thread makes: the time that
 * it takes to write to a page of the parent's memory, one after the other.
 * Percentiles, in nanoseconds.
 */
#include <err.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS		5
#define PAUSE_NS	10000000	/* between two children */
#define PAGE_SIZE	((size_t)sysconf(_SC_PAGESIZE))

/* Logarithmic: within 1 %, from 1 ns to more than a minute. */
#define PER_OCTAVE	64
#define NR_BUCKETS	(40 * PER_OCTAVE)

/**
 * struct busy - the thread, and how long its writes took
 * @size:   of the memory that it writes to
 * @stop:   it shall end
 * @writes: how many there were
 * @bucket: how many of them took so long
 */
struct busy {
	size_t size;
	atomic_bool stop;
	long writes;
	long bucket[NR_BUCKETS];
};

static void *write_pages(void *arg)
{
	struct busy *busy = arg;
	double start = sample_clock();
	size_t at = 0;

	while (!busy->stop) {
		double end;
		int bucket;

		parent_memory[at]++;
		end = sample_clock();
		bucket = end > start ? PER_OCTAVE * log2(end - start) : 0;
		busy->bucket[bucket < NR_BUCKETS ? bucket : NR_BUCKETS - 1]++;
		busy->writes++;
		at = (at + PAGE_SIZE) % busy->size;
		start = sample_clock();
	}
	return NULL;
}

static double percentile(const struct busy *busy, double percent)
{
	double above = busy->writes * (1 - percent / 100);
	int bucket = NR_BUCKETS;
	long seen = 0;

	do
		seen += busy->bucket[--bucket];
	while (bucket && seen <= above);
	return exp2((bucket + 0.5) / PER_OCTAVE);
}

static void spawn_meanwhile(const struct method *method, double seconds)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	double until = sample_clock() + seconds * 1e9;

	do {
		long child = method->call(method);

		if (child == -1 || method->reap(method, child))
			err(1, "%s", method->name);
		nanosleep(&pause, NULL);
	} while (sample_clock() < until);
}

static const struct {
	const char *name;
	double percent;
} figures[] = {
	{ "latency_p50", 50 },
	{ "latency_p99", 99 },
	{ "latency_p99.9", 99.9 },
	{ "latency_max", 100 },
};

#define NR_FIGURES (sizeof(figures) / sizeof(*figures))

static void measure(const struct bench *bench, const struct method *method,
		    struct samples samples[NR_FIGURES])
{
	struct busy *busy = calloc(1, sizeof(*busy));
	pthread_t thread;
	size_t i;

	if (!busy)
		err(1, "calloc");
	busy->size = bench->parent.mib << 20;
	/* The method before may have left them write-protected. */
	for (i = 0; i < busy->size; i += PAGE_SIZE)
		parent_memory[i]++;
	if (pthread_create(&thread, NULL, write_pages, busy))
		errx(1, "pthread_create");
	spawn_meanwhile(method, bench->seconds / ROUNDS);
	busy->stop = true;
	pthread_join(thread, NULL);
	for (i = 0; i < NR_FIGURES; i++)
		sample_add(&samples[i], percentile(busy, figures[i].percent));
	free(busy);
}

void latency(const struct bench *bench)
{
	struct samples (*samples)[NR_FIGURES];
	int round, i;
	size_t f;

	samples = calloc(bench->nr, sizeof(*samples));
	if (!samples)
		err(1, "calloc");
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < bench->nr; i++)
			measure(bench, bench->methods[i], samples[i]);
	for (i = 0; i < bench->nr; i++)
		for (f = 0; f < NR_FIGURES; f++)
			bench_result(bench, figures[f].name, bench->methods[i],
				     &samples[i][f]);
	free(samples);
}
