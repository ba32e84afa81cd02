// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <time.h>

#include "sample.h"

void sample_add(struct samples *samples, double value)
{
	if (samples->count < SAMPLES_MAX)
		samples->value[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double sample_quantile(struct samples *samples, double quantile)
{
	double at = quantile * (samples->count - 1), *value = samples->value;
	int below = at;

	qsort(value, samples->count, sizeof(*value), compare);
	if (below == samples->count - 1)
		return value[below];
	return value[below] + (at - below) * (value[below + 1] - value[below]);
}

double sample_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}
