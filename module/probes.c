// SPDX-License-Identifier: GPL-2.0
/*
 * The moments in every task's life that the module looks at: when it has been
 * made, has exec'd, is about to die. For each there is a tracepoint of the
 * scheduler's, which is in every kernel that has tracepoints. For a task that is
 * no child of the module's a probe costs a few instructions.
 *
 * A probe runs with preemption disabled, or in an SRCU reader, and must not
 * sleep.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include <trace/events/sched.h>

#include "birth.h"
#include "child.h"
#include "compat.h"
#include "prepared.h"
#include "probes.h"

/* In kernel_clone(), which is current's: copy_process() is done. */
static void after_fork(void *unused, struct task_struct *parent,
		       struct task_struct *task)
{
	if (!avfork_birth_given(task))
		avfork_child_made_task(task);
}

/* In bprm_execve(), past the point of no return and all that can fail. */
static void after_exec(void *unused, struct task_struct *task, pid_t old_pid,
		       struct linux_binprm *bprm)
{
	avfork_child_execed();
	avfork_prepared_maker_leaves();
}

/*
 * In do_exit(), before exit_notify(). What matters is the last thread of a process.
 * Two that leave at once may both be that here.
 */
static void before_exit(AVFORK_EXIT_PROBE_ARGS)
{
	if (atomic_read(&current->signal->live))
		return;
	avfork_child_exits();
	avfork_prepared_maker_leaves();
}

static struct probe {
	const char *name;
	void *function;
	struct tracepoint *tracepoint;
} probes[] = {
	{ "sched_process_fork", after_fork },
	{ "sched_process_exec", after_exec },
	{ "sched_process_exit", before_exit },
};

/* They are not exported to modules by name. */
static void match_tracepoint(struct tracepoint *tp, void *unused)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tracepoint = tp;
}

static void unregister(size_t nr)
{
	while (nr-- > 0)
		tracepoint_probe_unregister(probes[nr].tracepoint,
					    probes[nr].function, NULL);
	tracepoint_synchronize_unregister();
}

/**
 * avfork_probes_init - begin to look
 *
 * Return: 0 or an errno, with a missing tracepoint named in the log.
 */
int avfork_probes_init(void)
{
	size_t i;
	int err;

	/* The probes must have the types that these headers declare. */
	check_trace_callback_type_sched_process_fork(after_fork);
	check_trace_callback_type_sched_process_exec(after_exec);
	check_trace_callback_type_sched_process_exit(before_exit);

	for_each_kernel_tracepoint(match_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!probes[i].tracepoint) {
			pr_err("this kernel has no tracepoint %s\n",
			       probes[i].name);
			err = -ENOENT;
			goto unregister;
		}
		err = tracepoint_probe_register(probes[i].tracepoint,
						probes[i].function, NULL);
		if (err)
			goto unregister;
	}
	return 0;

unregister:
	unregister(i);
	return err;
}

/**
 * avfork_probes_exit - look no more
 */
void avfork_probes_exit(void)
{
	unregister(ARRAY_SIZE(probes));
	avfork_child_wait_all();
}
