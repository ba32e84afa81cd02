// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the first child of a process costs its caller. Each sample is of a process
 * of its own, which execs this program again, for the quantity "once". Libraries
 * are loaded and their symbols bound before the call; all that they put off until
 * then is in it.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "program.h"
#include "take.h"

#define SAMPLES 9	/* of each method */

void once(const struct bench *bench)
{
	struct samples samples = { 0 };

	if (bench->nr != 1)
		errx(1, "once: of one method");
	if (bench->exact)
		set_undisturbed(true);
	/* The clock's own first time. */
	sample_clock();
	take(bench->methods[0], &samples, NULL);
	if (bench->exact)
		set_undisturbed(false);
	bench_result(bench, "once", bench->methods[0], &samples);
}

static double ask(const struct bench *bench, const struct method *method)
{
	const struct parent *parent = &bench->parent;
	char command[256], line[256];
	double value;
	int values = 0;
	FILE *out;

	snprintf(command, sizeof(command),
		 "exec %s once -m %zu -d %d -t %d -b %s %s %s %s %s",
		 program_sibling("bench"), parent->mib, parent->descriptors,
		 parent->threads, method_backend, parent->huge ? "-H" : "",
		 parent->inherit ? "-i" : "", bench->exact ? "-x" : "",
		 method->name);
	out = popen(command, "r");
	if (!out)
		err(1, "popen");
	while (fgets(line, sizeof(line), out))
		if (sscanf(line, "once,%*[^,],%*d,%*[^,],%*d,%*[^,],%*d,%*d,%*d,%lf",
			   &value) == 1)
			values++;
	if (pclose(out) || values != 1)
		errx(1, "%s does not work here", method->name);
	return value;
}

void first(const struct bench *bench)
{
	struct samples *samples = calloc(bench->nr, sizeof(*samples));
	int round, i;

	if (!samples)
		err(1, "calloc");
	for (round = 0; round < SAMPLES; round++)
		for (i = 0; i < bench->nr; i++)
			sample_add(&samples[i], ask(bench, bench->methods[i]));
	for (i = 0; i < bench->nr; i++)
		bench_result(bench, "first", bench->methods[i], &samples[i]);
	free(samples);
}
