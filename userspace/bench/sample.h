/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Samples of a quantity.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#define SAMPLES_MAX	1024

/**
 * struct samples - those taken so far
 * @count: how many
 * @value: each
 */
struct samples {
	int count;
	double value[SAMPLES_MAX];
};

void sample_add(struct samples *samples, double value);

/* What the part @quantile of the samples is below. Sorts them. */
double sample_quantile(struct samples *samples, double quantile);

/* Nanoseconds; with "qemu/vm --icount" instructions. */
double sample_clock(void);

#endif
