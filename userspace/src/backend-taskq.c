// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The portable backend: threads that call vfork(2).
 *
 * A child of vfork() runs on the stack and the thread-local storage of the
 * thread that called it, which the kernel stops for so long. So with a thread
 * that has nothing else to do, these are the child's own, and the caller of the
 * library goes on as soon as the child exists.
 *
 * The thread calls vfork() when it is given the job, and not ahead of it. Time
 * is saved by having the thread; a child made ahead would have the descriptors,
 * directory, credentials and limits of another moment, and the program's wait()
 * would find it. Nor can it be that a child dies with a job that is to come.
 *
 * What vfork() cannot do is left to the clone backend.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "futex.h"
#include "thread.h"
#include "wiped.h"

#define WORKERS		1024	/* children at a time; EAGAIN beyond */
#define IDLE_SECONDS	1	/* a worker idle for this long leaves */
/* For a child's, and for what the thread has below and glibc on top of it. */
#define STACK_SIZE	(POOL_STACK_SIZE + 64 * 1024)

/* Workers' states. A worker that is not ABSENT or IDLE has a job. */
enum { ABSENT, IDLE, GIVEN, STARTED, SEEN };

/**
 * struct worker - a thread, or the place for one, and its job
 * @state:  ABSENT; IDLE; GIVEN a job; the child has STARTED, or there is none;
 *          and the caller has SEEN that. A futex
 * @lent:   @ticket while the job lasts: what struct child points at
 * @ticket: the last
 * @pid:    the child's, or -1; valid while STARTED
 * @error:  why there is none
 * @start:  the job
 * @owned:  what struct child has, freed after it
 */
struct worker {
	_Atomic uint32_t state;
	_Atomic uint32_t lent;
	uint32_t ticket;
	pid_t pid;
	int error;
	struct start *start;
	void *owned;
};

/**
 * struct taskq - the workers; all zero is none
 * @lock: for changes from and to ABSENT and IDLE
 */
struct taskq {
	pthread_mutex_t lock;
	struct worker workers[WORKERS];
};

static void *_Atomic the_taskq;

/* In the child or in the thread, who may both find themselves to be the first. */
static void tell_started(struct worker *worker, pid_t pid)
{
	uint32_t given = GIVEN;

	worker->pid = pid;
	if (atomic_compare_exchange_strong(&worker->state, &given, STARTED))
		futex_wake(&worker->state);
}

static void job_run(struct worker *worker)
{
	kernel_sigset saved;
	pid_t pid;

	/* None of our handlers is to run in the child. */
	start_block_signals(&saved);
	pid = vfork();
	if (!pid) {
		tell_started(worker, getpid());
		start_run(worker->start);
	}
	worker->error = errno;
	start_restore_signals(&saved);

	/* It has exec'd or died. It may have been killed before it could tell. */
	tell_started(worker, pid);
	futex_wait_while(&worker->state, STARTED);
	if (pid >= 0)
		free(worker->owned);
	free(worker->start);
	atomic_store(&worker->lent, 0);
	futex_wake(&worker->lent);
}

/* Whether there is a job, or the worker is ABSENT from now on. */
static bool job_wait(struct taskq *taskq, struct worker *worker)
{
	const struct timespec patience = { .tv_sec = IDLE_SECONDS };
	bool given;

	pthread_mutex_lock(&taskq->lock);
	atomic_store(&worker->state, IDLE);
	pthread_mutex_unlock(&taskq->lock);

	futex_wait_for(&worker->state, IDLE, &patience);

	pthread_mutex_lock(&taskq->lock);
	given = atomic_load(&worker->state) != IDLE;
	if (!given)
		atomic_store(&worker->state, ABSENT);
	pthread_mutex_unlock(&taskq->lock);
	return given;
}

static void *worker_thread(void *arg)
{
	struct worker *worker = arg;

	thread_lends("avfork-worker");
	do
		job_run(worker);
	while (job_wait(atomic_load(&the_taskq), worker));
	return NULL;
}

/*
 * Give @start to the first that is idle, so that the last ones leave, or to a
 * new one. NULL with errno.
 */
static struct worker *worker_give(struct taskq *taskq, struct start *start,
				  void *owned)
{
	struct worker *worker = NULL, *next;
	uint32_t state = ABSENT;
	int error = EAGAIN;

	pthread_mutex_lock(&taskq->lock);
	for (next = taskq->workers; next < taskq->workers + WORKERS; next++) {
		uint32_t its = atomic_load(&next->state);

		if (its == IDLE || (its == ABSENT && !worker)) {
			worker = next;
			state = its;
			if (its == IDLE)
				break;
		}
	}
	if (worker) {
		worker->start = start;
		worker->owned = owned;
		if (!++worker->ticket)
			worker->ticket = 1;
		atomic_store(&worker->lent, worker->ticket);
		atomic_store(&worker->state, GIVEN);
	}
	pthread_mutex_unlock(&taskq->lock);

	if (worker && state == IDLE) {
		futex_wake(&worker->state);
	} else if (worker) {
		error = thread_start(STACK_SIZE, worker_thread, worker);
		if (error) {
			pthread_mutex_lock(&taskq->lock);
			atomic_store(&worker->state, ABSENT);
			pthread_mutex_unlock(&taskq->lock);
			worker = NULL;
		}
	}
	if (!worker)
		errno = error;
	return worker;
}

static bool can_vfork(const struct avfork_opts *opts)
{
	return !(opts->flags & (AVFORK_HIDDEN | AVFORK_INTO_CGROUP |
				AVFORK_AUTOKILL | AVFORK_AUTOREAP)) &&
	       !opts->namespaces && !opts->pidfd && !opts->stack &&
	       opts->stack_size <= POOL_STACK_SIZE;
}

static pid_t taskq_spawn(struct child *child)
{
	struct taskq *taskq;
	struct worker *worker;
	struct start *start;
	pid_t pid;

	if (!can_vfork(child->opts))
		return backend_clone.spawn(child);
	taskq = wiped_get(&the_taskq, sizeof(*taskq));
	if (!taskq)
		return -1;
	start = start_new(child);
	if (!start)
		return -1;
	worker = worker_give(taskq, start, child->owned);
	if (!worker) {
		free(start);
		return -1;
	}
	child->lent = &worker->lent;
	child->ticket = worker->ticket;

	futex_wait_while(&worker->state, GIVEN);
	pid = worker->pid;
	if (pid < 0)
		errno = worker->error;
	atomic_store(&worker->state, SEEN);
	futex_wake(&worker->state);

	if (pid >= 0 && child->opts->flags & AVFORK_SYNC)
		futex_wait_while(child->lent, child->ticket);
	return pid;
}

static bool taskq_available(void)
{
	return true;
}

const struct backend backend_taskq = {
	.name = "taskq",
	.available = taskq_available,
	.spawn = taskq_spawn,
};
