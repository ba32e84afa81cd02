// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a caller pays for a child now and then: after the program has made none for
 * a while. Next to it, what the same caller pays for one of many.
 */
#include <err.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "take.h"

#define PAUSE_SECONDS	3	/* more than anything here is kept idle for */
#define SAMPLES		9	/* of each method */
#define WARMING		40	/* children, before the first of these */
#define WARM		6	/* children, after each pause's first */

void cold(const struct bench *bench)
{
	const struct timespec pause = { .tv_sec = PAUSE_SECONDS };
	struct samples *cold = calloc(bench->nr, sizeof(*cold));
	struct samples *warm = calloc(bench->nr, sizeof(*warm));
	int round, i, j;

	if (!cold || !warm)
		err(1, "calloc");
	for (i = 0; i < bench->nr; i++) {
		const struct method *method = bench->methods[i];

		bench_progress("cold", method);
		if (bench->exact)
			set_undisturbed(true);
		for (j = 0; j < WARMING; j++)
			take(method, NULL, NULL);
		for (round = 0; round < SAMPLES; round++) {
			nanosleep(&pause, NULL);
			take(method, &cold[i], NULL);
			/* The one after it still has the kernel's caches to fill. */
			take(method, NULL, NULL);
			for (j = 0; j < WARM; j++)
				take(method, &warm[i], NULL);
		}
		if (bench->exact)
			set_undisturbed(false);
	}
	for (i = 0; i < bench->nr; i++) {
		bench_result(bench, "cold", bench->methods[i], &cold[i]);
		bench_result(bench, "warm", bench->methods[i], &warm[i]);
	}
	free(cold);
	free(warm);
}
