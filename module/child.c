// SPDX-License-Identifier: GPL-2.0
/*
 * What is remembered of a child while it lives.
 *
 * Its exit signal, across exec. A child whose exit signal is not SIGCHLD is one
 * that only a wait with __WALL or __WCLONE reaps, and whose status is kept even
 * where SIGCHLD is ignored: it is out of reach of the program's own wait() loop.
 * But exec sets the exit signal back to SIGCHLD (de_thread() in fs/exec.c), and a
 * child that execs is the common case. So the signal is put back
 * - after each exec;
 * - before the parent is told of the death, when do_exit() is on its way to
 *   exit_notify(). No exec can follow, and so a child that is killed in the
 *   middle of an exec keeps its signal as well.
 * Exec sets SIGCHLD for a reason: a task that the program then makes with
 * CLONE_PARENT inherits the exit signal, and its parent, who knows nothing of
 * it, could not reap it. Such a sibling gets SIGCHLD at its birth.
 *
 * And who it dies with: the open file that a child with AVFORK_AUTOKILL was made
 * through, by that file's nursery. And that it is, or was, a prepared child.
 *
 * Where avfork_release is being traced, every child has an entry: nothing else
 * tells it from other processes when it execs or dies.
 *
 * An entry is known by the pid of the child's thread group, and is there from
 * the child's first function in the kernel to the death of its last thread. It
 * is put in and taken out by the child itself. It holds a reference to the
 * module: a promise that was made is kept, rmmod gets EBUSY.
 */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <linux/avfork.h>

#include "child.h"
#include "nursery.h"
#include "prepared.h"
#include "trace.h"

/**
 * struct avfork_child - what is remembered of one child
 * @node:   in children, hashed by @pid
 * @pid:    its thread group; good while the child lives, and until RCU readers
 *          that have found the entry are done
 * @parent: the thread group that made the child; a reference
 * @owner:  of the file whose end is the child's, or NULL. Compared only: who gets
 *          the same address later finds nobody but who has been killed
 * @prepared: of a prepared child, until it has left the memory, or NULL
 * @signal: what @parent gets when the child dies, 0 for nothing
 * @exec:   whether it has left the memory of @parent by an exec
 * @rcu:    frees the entry after the last lookup that may have seen it
 */
struct avfork_child {
	struct hlist_node node;
	struct pid *pid;
	struct pid *parent;
	const struct avfork_nursery *owner;
	struct avfork_prepared *prepared;
	int signal;
	bool exec;
	struct rcu_head rcu;
};

static DEFINE_HASHTABLE(children, 8);
/* Serializes changes of children. Raw: tracepoints cannot sleep. */
static DEFINE_RAW_SPINLOCK(children_lock);
/* How many entries there are: with none, the probes cost next to nothing. */
static atomic_t nr_children = ATOMIC_INIT(0);
/* How many of these have an owner: with none, to close a file costs nothing. */
static atomic_t nr_owned = ATOMIC_INIT(0);

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
static bool parent_asked(const struct avfork_child *child,
			 struct task_struct *parent)
{
	return task_tgid(parent) == child->parent &&
	       current->group_leader->parent_exec_id ==
	       READ_ONCE(parent->self_exec_id);
}

/* Whether a thread of @parent's group is not about to die. */
static bool group_lives(struct task_struct *parent)
{
	struct task_struct *thread;

	for_each_thread(parent, thread) {
		if (!(READ_ONCE(thread->flags) & PF_EXITING))
			return true;
		/*
		 * A thread that this one made is in the list before this one
		 * exits: between the two it has held ->siglock twice.
		 */
		smp_rmb();
	}
	return false;
}

/*
 * Put the signal back, if the parent asked for it. The first look is for those
 * who have adopted the child: not for a moment is it to be out of reach of
 * their wait().
 *
 * The parent's death may be under way on another CPU. There
 * forget_original_parent() stores the new real_parent and then SIGCHLD, but with
 * no barrier between them, so the one says nothing about the other. What does is
 * that it gives a child to another process only when it has read PF_EXITING of
 * every thread of the parent's (find_new_reaper()). Here the signal is stored
 * first, and PF_EXITING read after it, with a full barrier between: either every
 * thread is seen to exit here, or SIGCHLD is stored over the signal there. That
 * is so where all other CPUs see a store at once, which x86 and arm64 warrant:
 * put-back.litmus.
 */
static void put_back(const struct avfork_child *child)
{
	struct task_struct *leader = current->group_leader;
	struct task_struct *parent = rcu_dereference(leader->real_parent);

	if (parent_asked(child, parent)) {
		WRITE_ONCE(leader->exit_signal, child->signal);
		smp_mb(); /* see above; there the store depends on what was read */
		if (group_lives(parent))
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
		if (child->owner)
			atomic_dec(&nr_owned);
		call_rcu(&child->rcu, entry_free_rcu);
		/*
		 * Module exit waits for the probe that called us, and then for
		 * that.
		 */
		module_put(THIS_MODULE);
	}
	return taken;
}

/**
 * avfork_child_made_task - current has made a task, which has not been woken yet
 * @task: the task, not by the device
 */
void avfork_child_made_task(struct task_struct *task)
{
	const struct avfork_child *child;

	rcu_read_lock();
	/* Of another process, and not current's child: by CLONE_PARENT. */
	if (task->tgid != current->tgid &&
	    rcu_dereference(task->real_parent)->tgid != current->tgid) {
		child = entry_of_current();
		if (child && child->exec)
			WRITE_ONCE(task->exit_signal, SIGCHLD);
	}
	rcu_read_unlock();
}

/* Within rcu_read_lock(). */
static void leaves(const struct avfork_child *child, bool exec)
{
	trace_avfork_release(exec);
	if (child->prepared)
		avfork_prepared_leaves(child->prepared);
}

/**
 * avfork_child_execed - current, the only thread left, has exec'd
 */
void avfork_child_execed(void)
{
	struct avfork_child *child;

	rcu_read_lock();
	child = entry_of_current();
	if (child) {
		put_back(child);
		if (!child->exec)
			leaves(child, true);
		child->exec = true;
		if (child->signal == SIGCHLD && !child->owner)
			forget(child);
	}
	rcu_read_unlock();
}

/**
 * avfork_child_exits - current, the last thread of a group, is about to die
 *
 * do_exit() has counted it off ->live: an earlier one may be outlived by another
 * that execs. Two threads that leave at once may both have read 0 there; the lock
 * lets one of them take the entry.
 * Its leader cannot have told the parent yet, as it does that when it is the
 * only thread left in the group, and this thread is still in it.
 */
void avfork_child_exits(void)
{
	struct avfork_child *child;

	rcu_read_lock();
	child = entry_of_current();
	if (child) {
		put_back(child);
		if (forget(child) && !child->exec)
			leaves(child, false);
	}
	rcu_read_unlock();
}

/**
 * avfork_child_wanted - whether a child is to be remembered
 * @args: how it starts
 *
 * Return: true if it needs an entry.
 */
bool avfork_child_wanted(const struct avfork_args *args)
{
	return args->exit_signal != SIGCHLD ||
	       args->flags & AVFORK_AUTOKILL ||
	       trace_avfork_release_enabled();
}

/**
 * avfork_child_new - make an entry for a child to be
 * @args:    how it starts
 * @nursery: of the open file that it is asked of
 *
 * Called by the parent; current must hold /dev/avfork open.
 *
 * Return: the entry, which belongs to the caller until the child has passed it
 * to avfork_child_enter(), or NULL without memory.
 */
struct avfork_child *avfork_child_new(const struct avfork_args *args,
				      const struct avfork_nursery *nursery)
{
	struct avfork_child *child;

	child = kmalloc(sizeof(*child), GFP_KERNEL_ACCOUNT);
	if (!child)
		return NULL;
	child->parent = get_pid(task_tgid(current));
	child->owner = args->flags & AVFORK_AUTOKILL ? nursery : NULL;
	child->prepared = NULL;
	child->signal = args->exit_signal;
	child->exec = false;
	__module_get(THIS_MODULE);
	return child;
}

/**
 * avfork_child_set_prepared - note that a child to be is a prepared one
 * @child:    its entry
 * @prepared: what is told when it leaves the memory
 */
void avfork_child_set_prepared(struct avfork_child *child,
			       struct avfork_prepared *prepared)
{
	child->prepared = prepared;
}

/**
 * avfork_child_set_signal - set the exit signal of a prepared child
 * @child:  its entry. The child lives, and has yet to be started
 * @signal: the signal
 */
void avfork_child_set_signal(struct avfork_child *child, int signal)
{
	child->signal = signal;
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
 * @child:   the entry that current's parent made
 * @nursery: of the open file that current was made through; a reference
 */
void avfork_child_enter(struct avfork_child *child,
			const struct avfork_nursery *nursery)
{
	unsigned long flags;

	child->pid = task_tgid(current);
	atomic_inc(&nr_children);
	if (child->owner)
		atomic_inc(&nr_owned);
	raw_spin_lock_irqsave(&children_lock, flags);
	hash_add_rcu(children, &child->node, (unsigned long)child->pid);
	raw_spin_unlock_irqrestore(&children_lock, flags);

	/*
	 * The file may have been closed since the call. avfork_child_kill_all()
	 * runs when the nursery says so, we look after the entry is in, and
	 * there is a full barrier on either side: one of the two sees the other.
	 */
	smp_mb();
	if (child->owner && avfork_nursery_closed(nursery))
		kill_pid(child->pid, SIGKILL, 1);
}

/**
 * avfork_child_kill_all - kill the children of an open file
 * @nursery: the file's, closed
 *
 * All with AVFORK_AUTOKILL that were made through it. The signal is the kernel's
 * own, which no child is beyond, whoever it has become.
 */
void avfork_child_kill_all(const struct avfork_nursery *nursery)
{
	struct avfork_child *child;
	size_t chain;

	smp_mb(); /* see avfork_child_enter() */
	if (!atomic_read(&nr_owned))
		return;
	for (chain = 0; chain < HASH_SIZE(children); chain++) {
		rcu_read_lock();
		hlist_for_each_entry_rcu(child, &children[chain], node)
			if (child->owner == nursery)
				kill_pid(child->pid, SIGKILL, 1);
		rcu_read_unlock();
		cond_resched();
	}
}

/**
 * avfork_child_wait_all - wait until the last entry is freed
 *
 * For module exit, when none is left, as each held a reference to the module,
 * and no probe runs.
 */
void avfork_child_wait_all(void)
{
	rcu_barrier();
}
