// SPDX-License-Identifier: GPL-2.0
/*
 * The OOM killer and children: why it does not choose them.
 *
 * A child that shares its parent's memory counts for as large as its parent. In
 * a small cgroup of its own it would be chosen first when that runs out, and the
 * kernel kills whoever shares the memory of what it has chosen: the parent, which
 * is elsewhere. Children of vfork(2) are spared: oom_badness() passes over tasks
 * for which in_vfork() holds, that is, tasks with a ->vfork_done and the memory
 * of their living parent. So every child has a ->vfork_done.
 *
 * mm_release() completes what ->vfork_done points at, when the child execs or
 * dies. The completion has to outlive every child, and the module may be unloaded
 * long before that. Hence it is one of the kernel's. The idle task of the boot
 * CPU, init_task, has the completion that every kernel thread has for those who
 * wait for its end (set_kthread_struct() in sched_init()), and never ends: nobody
 * waits, and nobody frees it. complete() counts up to UINT_MAX and then no
 * further.
 *
 * The other readers of ->vfork_done, in 6.1 to 7.3: __set_oom_adj(), to which
 * oom_score_adj is then the child's own, as vfork's child's is;
 * wait_for_vfork_done(), which waits for a completion of its own, so that ptrace
 * and the freezer see no difference; and kunit. A core dump does not look.
 *
 * There are two moments in which a task shares its parent's memory and has no
 * ->vfork_done: when copy_process() has put it into its cgroup and has not
 * returned, and when mm_release() is done and the memory not yet given up, for
 * which an exit and an exec wait for mmap_lock. Where a cgroup runs out of memory
 * over and over the killer does come by just then (vfork's children die of that,
 * and their parents). So oom_badness() has a kprobe, which gives the task a
 * ->vfork_done first. It costs nothing but where memory is short.
 *
 * One moment is left: when the thread that made the child, and is its real_parent,
 * ends before the others of its process, has given up its memory, and has not yet
 * left the child to one of these. vfork(2) does not know it, as it stops the thread.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/kprobes.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "oom.h"

static struct completion *nobody_waits;

/**
 * avfork_oom_spare - have the OOM killer pass over a child
 * @child: a task of which nobody knows yet, or current
 *
 * The child may have a ->vfork_done, by AVFORK_SYNC, whose parent waits for it.
 */
void avfork_oom_spare(struct task_struct *child)
{
	cmpxchg(&child->vfork_done, NULL, nobody_waits);
}

/* Whether @task has just been made, or is about to give up its memory. */
static bool between(struct task_struct *task)
{
	return READ_ONCE(task->__state) == TASK_NEW ||
	       READ_ONCE(task->flags) & PF_EXITING || task->in_execve ||
	       __fatal_signal_pending(task);
}

/*
 * oom_badness() is about to judge a task, anybody's: that it is one of ours does
 * not show any more, or not yet. Those of others that are in one of the moments,
 * and have their parent's memory, are spared with ours.
 *
 * The exchange loses nobody's completion. kernel_clone() stores that of vfork(2)
 * before its child runs: if before us, there is no NULL to be exchanged; if after
 * us, over ours. In the other moment mm_release() is done with ->vfork_done for
 * good, or, in an exec, until the task leaves its next memory, when ours is
 * completed for nobody.
 */
static int before_badness(struct kprobe *kp, struct pt_regs *regs)
{
	struct task_struct *task = (void *)regs_get_kernel_argument(regs, 0);
	struct task_struct *parent;

	rcu_read_lock();
	parent = rcu_dereference(task->real_parent);
	if (between(task) && !same_thread_group(task, parent) &&
	    READ_ONCE(task->mm) && READ_ONCE(task->mm) == READ_ONCE(parent->mm))
		avfork_oom_spare(task);
	rcu_read_unlock();
	return 0;
}

static struct kprobe badness_probe = {
	.symbol_name = "oom_badness",
	.pre_handler = before_badness,
};

/**
 * avfork_oom_init - find the completion, and set the probe
 *
 * Return: 0 or an errno, with the cause in the log.
 */
int avfork_oom_init(void)
{
	int err;

	nobody_waits = init_task.vfork_done;
	if (!nobody_waits) {
		pr_err("this kernel's idle task has no completion\n");
		return -ENOENT;
	}
	err = register_kprobe(&badness_probe);
	if (err)
		pr_err("this kernel has no usable %s() (error %d)\n",
		       badness_probe.symbol_name, err);
	return err;
}

/**
 * avfork_oom_exit - take the probe away
 *
 * Children that live on keep their ->vfork_done.
 */
void avfork_oom_exit(void)
{
	unregister_kprobe(&badness_probe);
}
