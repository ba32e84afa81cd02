// SPDX-License-Identifier: GPL-2.0
/*
 * Children for unload.sh. Usage: starter once|kept|prepared|storm|asleep CGROUP|hog
 *
 * once   make one child.
 * kept   make one whose exit signal the module has to keep, close the device,
 *        say so, and let the child live until the end of stdin.
 * prepared
 *        prepare one, close the device, say so, and start the child at the end of
 *        stdin.
 * storm  several processes open the device, start children of all kinds and
 *        close it at once, when some of these have yet to leave the kernel for
 *        the first time; until the end of stdin. Half of the children start in
 *        a cgroup that runs out of memory over and over. Says how many children
 *        there were, and how many processes the kernel killed for memory.
 * asleep with much memory make one in CGROUP, close the device, say so when the
 *        child runs, and let it live until the end of stdin.
 * hog    have memory until it is killed for that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>

#include "device.h"

#define PROCESSES	2
#define BATCH		7
#define MIB		(1024 * 1024UL)
/* What the cgroup has, and what each parent has. */
#define CGROUP_MEMORY	"8M"
#define PARENT_MEMORY	(32 * MIB)

/**
 * struct storm - shared by its processes
 * @over:    they shall end
 * @started: how many children there were
 * @killed:  how many hogs the kernel has killed
 * @cgroup:  a descriptor of the cgroup of the hogs, or -1 where there can be none
 * @path:    its name
 */
struct storm {
	__u32 over;
	__u32 started;
	__u32 killed;
	int cgroup;
	char path[64];
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

static int prepared(void)
{
	const struct avfork_args none = { 0 };
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	int fd = child_prepare(device, &none);
	struct child child;

	if (fd < 0)
		return 1;
	close(device);
	puts("prepared");
	fflush(stdout);
	wait_for_end_of_input();
	child_init(&child, child_returns, (void *)7);
	return prepared_start(fd, &child) < 0 || child_reap(&child) != EXITED(7);
}

static __u32 is_asleep;

static int child_sleeps(void *child)
{
	word_set(&is_asleep, 1);
	return child_blocks(child);
}

static int asleep(const char *cgroup)
{
	struct child child;
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);

	/* More than what a hog has there. */
	memset(mmap(NULL, PARENT_MEMORY, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, PARENT_MEMORY);
	child_init(&child, child_sleeps, &child);
	child.args.flags = AVFORK_INTO_CGROUP;
	child.args.cgroup_fd = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (child_spawn(device, &child) < 0)
		return 1;
	close(device);
	word_wait(&is_asleep, 0);
	puts("asleep");
	fflush(stdout);
	wait_for_end_of_input();
	word_set(&child.go, 1);
	return child_reap(&child) != EXITED(0);
}

enum kind { RETURNS, HIDDEN, EXECS, KILLED, SYNC, AUTOKILLED, PREPARED };

/* Not those that exec go into the cgroup: there the kernel may well kill them. */
static void storm_child_init(struct child *child, enum kind kind, int cgroup)
{
	child_init(child, kind == EXECS ? child_execs : child_returns,
		   (void *)EXECED);
	if (kind == HIDDEN)
		child->args.exit_signal = 0;
	if (kind == SYNC)
		child->args.flags = AVFORK_SYNC;
	if (kind == AUTOKILLED) {
		child->run = child_blocks;
		child->arg = child;
		child->args.flags = AVFORK_AUTOKILL;
	}
	if (cgroup >= 0 && kind != EXECS) {
		child->args.flags |= AVFORK_INTO_CGROUP;
		child->args.cgroup_fd = cgroup;
	}
}

/* Return: whether it has ended as it should, and left our memory. */
static int storm_child_ended(struct child *child, enum kind kind)
{
	int status = child_reap(child);

	if (word_get(&child->in_memory))
		return 0;
	switch (kind) {
	case AUTOKILLED:
		return status == SIGKILL;
	case KILLED:
		return status == EXITED(EXECED) || status == SIGKILL;
	default:
		return status == EXITED(EXECED);
	}
}

static int storm_child_spawn(struct child *child, enum kind kind, int device)
{
	const struct avfork_args args = child->args;

	if (kind != PREPARED)
		return child_spawn(device, child);
	if (child_spawn_prepared(device, child) < 0)
		child->args = args;
	return child->pid;
}

/* Return: 0, or 1 when something has gone wrong. */
static int start_children(struct storm *storm)
{
	static struct child children[BATCH];
	char *memory = malloc(PARENT_MEMORY);
	unsigned int round = 0;
	int device, i;

	/* In the cgroup a child of ours would be the largest by far. */
	memset(memory, 1, PARENT_MEMORY);
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
		round++;
		for (i = 0; i < BATCH; i++) {
			storm_child_init(&children[i], i,
					 round % 2 ? storm->cgroup : -1);
			/* Where the cgroup has no memory there is no child. */
			while (storm_child_spawn(&children[i], i, device) < 0)
				if (children[i].pid != -ENOMEM)
					return 1;
			if (i == KILLED)
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

static void hog(const struct storm *storm)
{
	_exit(cgroup_write(storm->path, "cgroup.procs", "0") ?:
	      hog_memory(NULL));
}

/* One hog after another. Return: 0, or 1 when one was not killed. */
static int start_hogs(struct storm *storm)
{
	int status;

	while (!word_get(&storm->over)) {
		pid_t pid = fork();

		if (!pid)
			hog(storm);
		if (waitpid(pid, &status, 0) != pid || status != SIGKILL)
			return 1;
		storm->killed++;
	}
	return 0;
}

static void storm_cgroup(struct storm *storm)
{
	storm->cgroup = cgroup_make(storm->path, sizeof(storm->path));
	if (storm->cgroup < 0)
		return;
	/* Without swap there is no such file. */
	cgroup_write(storm->path, "memory.swap.max", "0");
	if (cgroup_write(storm->path, "memory.max", CGROUP_MEMORY)) {
		rmdir(storm->path);
		storm->cgroup = -1;
	}
}

static int storm(void)
{
	struct storm *storm = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, status, failed = 0;

	if (storm == MAP_FAILED)
		return 1;
	storm_cgroup(storm);
	for (i = 0; i < PROCESSES; i++)
		if (!fork())
			_exit(start_children(storm));
	if (storm->cgroup >= 0 && !fork())
		_exit(start_hogs(storm));
	wait_for_end_of_input();
	word_set(&storm->over, 1);
	while (wait(&status) > 0)
		failed |= status;
	if (storm->cgroup >= 0)
		failed |= cgroup_remove(storm->path);
	printf("%u %u\n", storm->started, storm->killed);
	return failed != 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "once"))
		return once();
	if (argc == 2 && !strcmp(argv[1], "kept"))
		return kept();
	if (argc == 2 && !strcmp(argv[1], "prepared"))
		return prepared();
	if (argc == 2 && !strcmp(argv[1], "storm"))
		return storm();
	if (argc == 3 && !strcmp(argv[1], "asleep"))
		return asleep(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "hog"))
		return hog_memory(NULL);
	return 2;
}
