/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Children that wait: all of them hold a carrier until the semaphore says. Include it
 * after the harness.
 */
#ifndef AVFORK_SELFTEST_CROWD_H
#define AVFORK_SELFTEST_CROWD_H

#include <avfork.h>

#include "helpers.h"

#define CROWD_MAX 400

struct crowd {
	sem_t go;
	unsigned int size;
	pid_t pids[CROWD_MAX];
};

static inline int crowd_start(struct crowd *crowd, unsigned int size)
{
	unsigned int i;

	sem_init(&crowd->go, 0, 0);
	crowd->size = size;
	for (i = 0; i < size; i++) {
		crowd->pids[i] = avfork(wait_for, &crowd->go);
		REQUIRE(crowd->pids[i] > 0);
	}
	return 0;
}

static inline int crowd_end(struct crowd *crowd)
{
	unsigned int i;

	for (i = 0; i < crowd->size; i++)
		sem_post(&crowd->go);
	for (i = 0; i < crowd->size; i++)
		REQUIRE(reap(crowd->pids[i]) == 0);
	return 0;
}

#endif
