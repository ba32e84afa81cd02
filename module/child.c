// SPDX-License-Identifier: GPL-2.0
/*
 * What is remembered of a child: its exit signal, across exec.
 *
 * A child whose exit signal is not SIGCHLD is one that only a wait with __WALL
 * or __WCLONE reaps, and whose status is kept even where SIGCHLD is ignored: it
 * is out of reach of the program's own wait() loop. But exec sets the exit
 * signal back to SIGCHLD (de_thread() in fs/exec.c), and a child that execs is
 * the common case. So children with another exit signal are remembered here,
 * by their thread group's pid, from their first instruction in the kernel to
 * the death of their last thread, and the signal is put back
 * - after each exec, in the sched_process_exec tracepoint;
 * - before the parent is told of the death, in sched_process_exit, which
 *   do_exit() passes on its way to exit_notify(). No exec can follow, and so a
 *   child that is killed in the middle of an exec keeps its signal as well.
 *
 * Where avfork_release is being traced, every child has an entry: nothing else
 * tells it from other processes when it execs or dies.
 *
 * Each entry is put in and taken out by the child itself. It holds a reference
 * to the module: a promise that was made is kept, rmmod gets EBUSY.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include <trace/events/sched.h>

#include "child.h"
#include "compat.h"
#include "trace.h"

/**
 * struct avfork_child - what is remembered of one child
 * @node:   in children, hashed by @pid
 * @pid:    its thread group; compared only, and only while it lives
 * @parent: the thread group that made the child; a reference
 * @signal: what @parent gets when the child dies, 0 for nothing
 * @exec:   whether it has left the memory of @parent by an exec
 * @rcu:    frees the entry after the last lookup that may have seen it
 */
struct avfork_child {
	struct hlist_node node;
	struct pid *pid;
	struct pid *parent;
	int signal;
	bool exec;
	struct rcu_head rcu;
};

static DEFINE_HASHTABLE(children, 8);
/* Serializes changes of children. Raw: tracepoints cannot sleep. */
static DEFINE_RAW_SPINLOCK(children_lock);
/* How many entries there are: with none, the probes cost next to nothing. */
static atomic_t nr_children = ATOMIC_INIT(0);

static struct tracepoint *exec_tracepoint, *exit_tracepoint;

static void entry_free(struct avfork_child *child)
{
	put_pid(child->parent);
	kfree(child);
}

static void entry_free_rcu(struct rcu_head *rcu)
{
	entry_free(container_of(rcu, struct avfork_child, rcu));
}

/* The entry of current's thread group. Its own threads alone take it out. */
static struct avfork_child *entry_of_current(void)
{
	struct pid *pid = task_tgid(current);
	struct avfork_child *child;

	/* current's own insertion, if there was one, is before this read. */
	if (!atomic_read(&nr_children))
		return NULL;
	hash_for_each_possible_rcu(children, child, node,
				   (unsigned long)pid)
		if (child->pid == pid)
			return child;
	return NULL;
}

/*
 * Whether current's parent is still the program that asked for the signal: it
 * may have died, and init must be told with SIGCHLD, or have exec'd, which
 * kernel_clone()'s children notice by the same pair of counters.
 */
static bool parent_asked(const struct avfork_child *child)
{
	struct task_struct *leader = current->group_leader;
	struct task_struct *parent = rcu_dereference(leader->real_parent);

	return task_tgid(parent) == child->parent &&
	       leader->parent_exec_id == READ_ONCE(parent->self_exec_id);
}

/*
 * Put the signal back, if the parent asked for it. The first look is for those
 * who have adopted the child: not for a moment is it to be out of reach of
 * their wait().
 *
 * The parent's death may be under way on another CPU. forget_original_parent()
 * first changes real_parent, then stores SIGCHLD. Here the signal is stored
 * first and real_parent read after it, with a full barrier between: either the
 * new parent is seen here, or SIGCHLD is stored over the signal there. The
 * parent's stores stay in order on x86 (TSO).
 */
static void put_back(const struct avfork_child *child)
{
	struct task_struct *leader = current->group_leader;

	if (parent_asked(child)) {
		WRITE_ONCE(leader->exit_signal, child->signal);
		smp_mb(); /* see above; the pair is tasklist_lock and TSO */
		if (parent_asked(child))
			return;
	}
	WRITE_ONCE(leader->exit_signal, SIGCHLD);
}

/* Take @child out, within rcu_read_lock(). Whether nobody else did. */
static bool forget(struct avfork_child *child)
{
	unsigned long flags;
	bool taken;

	raw_spin_lock_irqsave(&children_lock, flags);
	taken = !hlist_unhashed(&child->node);
	hlist_del_init_rcu(&child->node);
	raw_spin_unlock_irqrestore(&children_lock, flags);
	if (taken) {
		atomic_dec(&nr_children);
		call_rcu(&child->rcu, entry_free_rcu);
		/* avfork_child_exit() waits for our caller, and for that. */
		module_put(THIS_MODULE);
	}
	return taken;
}

/* The thread that execs is the only one left. */
static void after_exec(void *unused, struct task_struct *task, pid_t old_pid,
		       struct linux_binprm *bprm)
{
	struct avfork_child *child;

	rcu_read_lock();
	child = entry_of_current();
	if (child) {
		put_back(child);
		if (!child->exec)
			trace_avfork_release(true);
		child->exec = true;
		if (child->signal == SIGCHLD)
			forget(child);
	}
	rcu_read_unlock();
}

/*
 * Only for a group's last thread, when do_exit() has counted it off ->live: an
 * earlier one may be outlived by another that execs. Two threads that leave at
 * once may both read 0 here; the lock lets one of them take the entry. Its
 * leader cannot have told the parent yet, as it does that when it is the only
 * thread left in the group, and this thread is still in it.
 */
static void before_exit(AVFORK_EXIT_PROBE_ARGS)
{
	struct avfork_child *child;

	if (atomic_read(&current->signal->live))
		return;

	rcu_read_lock();
	child = entry_of_current();
	if (child) {
		put_back(child);
		if (forget(child) && !child->exec)
			trace_avfork_release(false);
	}
	rcu_read_unlock();
}

/**
 * avfork_child_wanted - whether a child is to be remembered
 * @signal: its exit signal
 *
 * Return: true if it needs an entry.
 */
bool avfork_child_wanted(int signal)
{
	return signal != SIGCHLD || trace_avfork_release_enabled();
}

/**
 * avfork_child_new - make an entry for a child to be
 * @signal: its exit signal
 *
 * Called by the parent; current must hold /dev/avfork open.
 *
 * Return: the entry, which belongs to the caller until the child has passed it
 * to avfork_child_enter(), or NULL without memory.
 */
struct avfork_child *avfork_child_new(int signal)
{
	struct avfork_child *child;

	child = kmalloc(sizeof(*child), GFP_KERNEL_ACCOUNT);
	if (!child)
		return NULL;
	child->parent = get_pid(task_tgid(current));
	child->signal = signal;
	child->exec = false;
	__module_get(THIS_MODULE);
	return child;
}

/**
 * avfork_child_free - free an entry whose child was not made
 * @child: the entry
 */
void avfork_child_free(struct avfork_child *child)
{
	entry_free(child);
	module_put(THIS_MODULE);
}

/**
 * avfork_child_enter - remember current
 * @child: the entry that current's parent made
 */
void avfork_child_enter(struct avfork_child *child)
{
	unsigned long flags;

	child->pid = task_tgid(current);
	atomic_inc(&nr_children);
	raw_spin_lock_irqsave(&children_lock, flags);
	hash_add_rcu(children, &child->node, (unsigned long)child->pid);
	raw_spin_unlock_irqrestore(&children_lock, flags);
}

static void match_tracepoint(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_process_exec"))
		exec_tracepoint = tp;
	else if (!strcmp(tp->name, "sched_process_exit"))
		exit_tracepoint = tp;
}

/**
 * avfork_child_init - attach to the two tracepoints
 *
 * They are not exported to modules by name, but for_each_kernel_tracepoint()
 * lists them.
 *
 * Return: 0 or an errno, with the missing tracepoint named in the log.
 */
int avfork_child_init(void)
{
	int err;

	/* The probes must have the types that these headers declare. */
	check_trace_callback_type_sched_process_exec(after_exec);
	check_trace_callback_type_sched_process_exit(before_exit);

	for_each_kernel_tracepoint(match_tracepoint, NULL);
	if (!exec_tracepoint || !exit_tracepoint) {
		pr_err("this kernel has no tracepoint sched_process_%s\n",
		       exec_tracepoint ? "exit" : "exec");
		return -ENOENT;
	}

	err = tracepoint_probe_register(exec_tracepoint, after_exec, NULL);
	if (err)
		return err;
	err = tracepoint_probe_register(exit_tracepoint, before_exit, NULL);
	if (err) {
		tracepoint_probe_unregister(exec_tracepoint, after_exec, NULL);
		tracepoint_synchronize_unregister();
	}
	return err;
}

/**
 * avfork_child_exit - detach
 *
 * There is no entry left: each held a reference to the module.
 */
void avfork_child_exit(void)
{
	tracepoint_probe_unregister(exit_tracepoint, before_exit, NULL);
	tracepoint_probe_unregister(exec_tracepoint, after_exec, NULL);
	tracepoint_synchronize_unregister();
	/* For entries that are about to be freed. */
	rcu_barrier();
}
