// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a child costs: its caller, until the call returns, and in all, until it
 * has exec'd, exited and been reaped. Both are taken from the same children.
 *
 * In exact mode, on one CPU, the caller is in a real-time class that its
 * children do not inherit: no child runs before its caller waits, in the call
 * itself or for the child's end, and then all that the child does is counted
 * before the caller goes on. So what a caller pays has no part of the child in
 * it, unless the call waits for the child; and the whole has each part once.
 *
 * Otherwise callers and children are scheduled as programs are, and the methods
 * take turns.
 */
#include <err.h>
#include <stdlib.h>

#include "bench.h"
#include "take.h"

#define ROUNDS		10	/* that the methods take turns in */

/*
 * As many as there is time for, one at least. The first ones are left out: the
 * kernel's caches are not yet in the state that many such children bring about.
 */
static void take_many(const struct method *method, double seconds,
		      struct samples *caller, struct samples *spawn, int max)
{
	double took = take(method, NULL, NULL);
	double affordable = seconds * 1e9 / took;
	int i, count = affordable < max ? affordable : max;

	for (i = 0; i < count * 2 / 3; i++)
		take(method, NULL, NULL);
	for (i = 0; i < count || i < 1; i++)
		take(method, caller, spawn);
}

void cost(const struct bench *bench)
{
	struct samples *caller = calloc(bench->nr, sizeof(*caller));
	struct samples *spawn = calloc(bench->nr, sizeof(*spawn));
	int rounds = bench->exact ? 1 : ROUNDS, round, i;

	if (!caller || !spawn)
		err(1, "calloc");
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < bench->nr; i++) {
			if (bench->exact)
				set_undisturbed(true);
			take_many(bench->methods[i], bench->seconds / rounds,
				  &caller[i], &spawn[i], bench->samples / rounds);
			if (bench->exact)
				set_undisturbed(false);
		}
	}
	for (i = 0; i < bench->nr; i++) {
		bench_result(bench, "caller", bench->methods[i], &caller[i]);
		bench_result(bench, "spawn", bench->methods[i], &spawn[i]);
	}
	free(caller);
	free(spawn);
}
