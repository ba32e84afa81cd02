// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Measures ways to make a child, side by side, in parents of several sizes.
 * Prints CSV, and its progress to stderr.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "program.h"

#define VALUES_MAX 16

/**
 * struct quantity - what may be measured
 * @name:         its name
 * @measure:      how
 * @threads_call: the parent's threads are those that call, not others that wait
 * @unused:       of methods that have made no child before
 * @quiet:        it is part of another
 */
static const struct quantity {
	const char *name;
	void (*measure)(const struct bench *bench);
	bool threads_call;
	bool unused;
	bool quiet;
} quantities[] = {
	{ .name = "cost", .measure = cost },
	{ .name = "start", .measure = start },
	{ .name = "serve", .measure = serve },
	{ .name = "cold", .measure = cold },
	{ .name = "first", .measure = first, .unused = true },
	{ .name = "once", .measure = once, .unused = true, .quiet = true },
	{ .name = "faults", .measure = faults },
	{ .name = "throughput", .measure = throughput, .threads_call = true },
	{ .name = "latency", .measure = latency },
};

static void __attribute__((noreturn)) usage(void)
{
	int i;

	fprintf(stderr,
		"usage: bench QUANTITY [OPTION...] [METHOD...]\n"
		"\n"
		"  -m LIST  MiB resident (16)\n"
		"  -d LIST  open descriptors (10)\n"
		"  -t LIST  threads, ascending (1)\n"
		"  -H       in huge pages\n"
		"  -i       descriptors that are inherited, without FD_CLOEXEC\n"
		"  -b NAME  backend of what is not named after one (kernel)\n"
		"  -x       exact: one CPU, in \"qemu/vm --icount\"; as root\n"
		"  -n N     samples of each method, at most 1024 (60); of \"cost\", \"start\"\n"
		"  -s N     seconds for each method and parent, about (1)\n"
		"\n"
		"Lists are numbers with commas between them. Quantities:");
	for (i = 0; i < (int)(sizeof(quantities) / sizeof(*quantities)); i++)
		fprintf(stderr, " %s", quantities[i].name);
	fprintf(stderr, "\nMethods, by default all:");
	for (i = 0; i < nr_methods; i++)
		fprintf(stderr, " %s", methods[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

/**
 * struct list - an axis
 * @count: how many points it has
 * @value: these
 */
struct list {
	int count;
	long value[VALUES_MAX];
};

static void parse(struct list *list, char *text)
{
	char *word;

	list->count = 0;
	while ((word = strsep(&text, ","))) {
		if (list->count == VALUES_MAX || atol(word) <= 0)
			usage();
		list->value[list->count++] = atol(word);
	}
}

void bench_progress(const char *quantity, const struct method *method)
{
	fprintf(stderr, "bench: %s: %s\n", quantity, method->name);
}

void bench_result(const struct bench *bench, const char *quantity,
		  const struct method *method, struct samples *samples)
{
	const struct parent *parent = &bench->parent;

	printf("%s,%s,%zu,%s,%d,%s,%d,%ld,%d,%.0f,%.0f,%.0f\n", quantity,
	       method->name, parent->mib, parent->huge ? "huge" : "small",
	       parent->descriptors, parent->inherit ? "inherited" : "cloexec",
	       parent->threads, sysconf(_SC_NPROCESSORS_ONLN), samples->count,
	       sample_quantile(samples, 0.5), sample_quantile(samples, 0.25),
	       sample_quantile(samples, 0.75));
}

static void measure(const struct quantity *quantity, const struct bench *bench)
{
	struct parent parent = bench->parent;

	if (!quantity->quiet)
		fprintf(stderr,
			"bench: %s: %zu MiB in %s pages, %d descriptors, threads: %d\n",
			quantity->name, parent.mib,
			parent.huge ? "huge" : "small", parent.descriptors,
			parent.threads);
	if (quantity->threads_call)
		parent.threads = 1;
	parent_become(&parent);
	quantity->measure(bench);
}

int main(int argc, char **argv)
{
	struct list mib = { 1, { 16 } }, descriptors = { 1, { 10 } };
	struct list threads = { 1, { 1 } };
	struct bench bench = { .seconds = 1, .samples = 60 };
	const struct quantity *quantity = quantities;
	int option, m, d, t, i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		usage();
	while (strcmp(quantity->name, argv[1])) {
		if (++quantity == quantities +
				  sizeof(quantities) / sizeof(*quantities))
			usage();
	}
	while ((option = getopt(argc - 1, argv + 1, "m:d:t:Hib:xn:s:")) != -1) {
		switch (option) {
		case 'm':
			parse(&mib, optarg);
			break;
		case 'd':
			parse(&descriptors, optarg);
			break;
		case 't':
			parse(&threads, optarg);
			break;
		case 'H':
			bench.parent.huge = true;
			break;
		case 'i':
			bench.parent.inherit = true;
			break;
		case 'b':
			method_backend = optarg;
			break;
		case 'x':
			bench.exact = true;
			break;
		case 'n':
			bench.samples = atoi(optarg);
			if (bench.samples < 1 || bench.samples > SAMPLES_MAX)
				usage();
			break;
		case 's':
			bench.seconds = atof(optarg);
			break;
		default:
			usage();
		}
	}
	argc -= optind + 1;
	argv += optind + 1;

	bench.nr = argc ? argc : nr_methods;
	bench.methods = calloc(bench.nr, sizeof(*bench.methods));
	if (!bench.methods)
		err(1, "calloc");
	program_prepare();
	for (i = 0; i < bench.nr; i++) {
		bench.methods[i] = argc ? method_find(argv[i]) : &methods[i];
		method_load(bench.methods[i]);
		if (!quantity->unused)
			method_try(bench.methods[i]);
	}

	printf("quantity,method,mib,pages,descriptors,kind,threads,cpus,samples,median,low,high\n");
	for (t = 0; t < threads.count; t++)
		for (m = 0; m < mib.count; m++)
			for (d = 0; d < descriptors.count; d++) {
				bench.parent.mib = mib.value[m];
				bench.parent.descriptors = descriptors.value[d];
				bench.parent.threads = threads.value[t];
				measure(quantity, &bench);
			}
	return 0;
}
