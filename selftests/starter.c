// SPDX-License-Identifier: GPL-2.0
/*
 * Children for unload.sh. Usage: starter once|kept|storm
 *
 * once   make one child.
 * kept   make one whose exit signal the module has to keep, close the device,
 *        say so, and let the child live until the end of stdin.
 * storm  several processes open the device, start children of all kinds and
 *        close it at once, when some of these have yet to leave the kernel for
 *        the first time; until the end of stdin. Says how many there were.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>

#include "device.h"

#define PROCESSES	2
#define BATCH		5

/**
 * struct storm - shared by its processes
 * @over:    they shall end
 * @started: how many children there were
 */
struct storm {
	__u32 over;
	__u32 started;
};

static void wait_for_end_of_input(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static int once(void)
{
	struct child child;
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);

	child_init(&child, child_returns, (void *)7);
	return child_spawn(device, &child) < 0 ||
	       child_reap(&child) != EXITED(7);
}

static int kept(void)
{
	struct child child;
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);

	child_init(&child, child_blocks, &child);
	child.args.exit_signal = 0;
	if (child_spawn(device, &child) < 0)
		return 1;
	close(device);
	puts("kept");
	fflush(stdout);
	wait_for_end_of_input();
	word_set(&child.go, 1);
	return child_reap(&child) != EXITED(0);
}

/* One that ends, is hidden, execs, is killed; one whose parent has waited. */
static void storm_child_init(struct child *child, int kind)
{
	child_init(child, kind == 2 ? child_execs : child_returns,
		   (void *)EXECED);
	child->args.exit_signal = kind == 1 ? 0 : SIGCHLD;
	child->args.flags = kind == 4 ? AVFORK_SYNC : 0;
}

/* Return: whether it has ended as it should, and left our memory. */
static int storm_child_ended(struct child *child, int kind)
{
	int status = child_reap(child);

	return !word_get(&child->in_memory) &&
	       (status == EXITED(EXECED) ||
		(kind == 3 && status == SIGKILL));
}

/* Return: 0, or 1 when something has gone wrong. */
static int start_children(struct storm *storm)
{
	static struct child children[BATCH];
	int device, i;

	while (!word_get(&storm->over)) {
		device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
		if (device < 0) {
			/* Just unloaded, or going. */
			if (errno != ENOENT && errno != ENODEV &&
			    errno != ENXIO)
				return 1;
			sched_yield();
			continue;
		}
		for (i = 0; i < BATCH; i++) {
			storm_child_init(&children[i], i);
			if (child_spawn(device, &children[i]) < 0)
				return 1;
			if (i == 3)
				kill(children[i].pid, SIGKILL);
		}
		close(device);
		for (i = 0; i < BATCH; i++)
			if (!storm_child_ended(&children[i], i))
				return 1;
		__atomic_add_fetch(&storm->started, BATCH, __ATOMIC_RELAXED);
	}
	return 0;
}

static int storm(void)
{
	struct storm *storm = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, status, failed = 0;

	if (storm == MAP_FAILED)
		return 1;
	for (i = 0; i < PROCESSES; i++)
		if (!fork())
			_exit(start_children(storm));
	wait_for_end_of_input();
	word_set(&storm->over, 1);
	while (wait(&status) > 0)
		failed |= status;
	printf("%u\n", storm->started);
	return failed != 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "once"))
		return once();
	if (argc == 2 && !strcmp(argv[1], "kept"))
		return kept();
	if (argc == 2 && !strcmp(argv[1], "storm"))
		return storm();
	return 2;
}
