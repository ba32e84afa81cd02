// SPDX-License-Identifier: LGPL-2.1-or-later
#include <err.h>
#include <sched.h>

#include "take.h"

void set_undisturbed(bool undisturbed)
{
	const struct sched_param param = { .sched_priority = undisturbed };

	if (sched_setscheduler(0, undisturbed ? SCHED_FIFO | SCHED_RESET_ON_FORK
					      : SCHED_OTHER, &param))
		err(1, "sched_setscheduler (this needs root)");
}

double take(const struct method *method, struct samples *caller,
	    struct samples *spawn)
{
	double start, returned, end;
	long child;

	if (method->prepare)
		method->prepare(method);
	start = sample_clock();
	child = method->call(method);
	returned = sample_clock();
	if (child == -1)
		err(1, "%s", method->name);
	if (method->reap(method, child))
		errx(1, "%s: the child failed", method->name);
	end = sample_clock();
	if (caller)
		sample_add(caller, returned - start);
	if (spawn)
		sample_add(spawn, end - start);
	return end - start;
}
