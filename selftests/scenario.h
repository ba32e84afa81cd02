/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scenario is played several times, and nothing differs but the call that
 * makes the child. What it takes is here: fork() and vfork() in the form of
 * avfork(), and a stage that parent and child share whichever of them was used.
 *
 * Include it after the harness.
 */
#ifndef AVFORK_SCENARIO_H
#define AVFORK_SCENARIO_H

#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include <avfork.h>

#include "helpers.h"

/* An emulated machine on a busy host may be a hundred times slower. */
#define PATIENCE_SECONDS	100

typedef pid_t spawn_fn(int (*routine)(void *), void *arg);

/**
 * struct stage - what parent and child have in common
 * @ready:   for the child to post
 * @go:      for the parent to post
 * @message: what the child has to say
 */
struct stage {
	sem_t ready;
	sem_t go;
	long message;
};

static struct stage *stage;

FIXTURE(hazard) {
};

FIXTURE_SETUP(hazard)
{
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stage);
	ASSERT_EQ(0, sem_init(&stage->ready, 1, 0));
	ASSERT_EQ(0, sem_init(&stage->go, 1, 0));
}

FIXTURE_TEARDOWN(hazard)
{
	/* No child outlives its test, not even one that has failed. */
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	munmap(stage, sizeof(*stage));
}

/* fork(), with a child that ends as programs do, by exit(). */
static inline pid_t by_fork(int (*routine)(void *), void *arg)
{
	pid_t pid = fork();

	if (!pid)
		exit(routine(arg));
	return pid;
}

static inline pid_t by_vfork(int (*routine)(void *), void *arg)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(routine(arg));
	return pid;
}

static inline bool await(sem_t *event)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_SECONDS;
	while (sem_timedwait(event, &deadline))
		if (errno != EINTR)
			return false;
	return true;
}

/* A start routine. */
static inline int stay_until_go(void *unused)
{
	sem_post(&stage->ready);
	return await(&stage->go) ? 0 : 1;
}

#endif
