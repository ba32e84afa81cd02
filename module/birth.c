// SPDX-License-Identifier: GPL-2.0
/*
 * A birth: all that a child needs to start, on its way from parent to child.
 *
 * The parent makes it, and everything that can fail happens there. Then it
 * passes it to kernel_clone(). When the child exists and before it is woken the
 * parent passes avfork_birth_given(), which puts right what others could see of
 * the child before it runs; the child then runs avfork_birth_complete() in the
 * kernel before its first user instruction, even when it has been killed by
 * then. So a birth has one owner at any time: the parent until the child is
 * woken, then the child, which turns it into its own state and leaves what
 * remains in the nursery. The birth of a prepared child has an owner of its own
 * between the two: see prepared.c.
 */
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <linux/avfork.h>

#include "arch/arch.h"
#include "birth.h"
#include "child.h"
#include "nursery.h"
#include "oom.h"
#include "prepared.h"
#include "symbols.h"
#include "table.h"
#include "trace.h"

/**
 * struct avfork_birth - what a child starts with
 *
 * Under way it holds a reference to the nursery, and by that to the module: the
 * child runs the module's code when its parent's call has long returned and
 * /dev/avfork may be closed.
 *
 * @start:   its user registers
 * @files:   its descriptor table, a reference; NULL when the child has it, or
 *           shares its parent's
 * @granted: the table that a prepared child is started with, a reference; NULL
 *           until then
 * @empty:   a table for a child that is to come, or that is to be started, or
 *           NULL
 * @nursery: where the birth goes afterwards
 * @child:   what is remembered of the child, or NULL, or the child has it
 * @prepared: of a prepared child, or NULL
 * @signals: whether the child has the parent's mask and ignored signals
 * @nnp:     whether the child begins with no_new_privs
 * @refill:  whether the child is to make @empty
 */
struct avfork_birth {
	struct avfork_start start;
	struct files_struct *files;
	struct files_struct *granted;
	struct files_struct *empty;
	struct avfork_nursery *nursery;
	struct avfork_child *child;
	struct avfork_prepared *prepared;
	bool signals;
	bool nnp;
	bool refill;
};

/**
 * avfork_birth_free - free a birth that is not under way
 * @birth: the birth
 */
void avfork_birth_free(struct avfork_birth *birth)
{
	if (birth->empty)
		static_call(avfork_put_files_struct)(birth->empty);
	kfree(birth);
}

/* One that is not under way, or NULL. */
static struct avfork_birth *birth_get(struct avfork_nursery *nursery)
{
	struct avfork_birth *birth = avfork_nursery_take(nursery);

	if (!birth) {
		birth = kmalloc(sizeof(*birth), GFP_KERNEL_ACCOUNT);
		if (birth)
			birth->empty = NULL;
	}
	return birth;
}

static void birth_put(struct avfork_nursery *nursery,
		      struct avfork_birth *birth)
{
	if (!avfork_nursery_give(nursery, birth))
		avfork_birth_free(birth);
}

/* It is not under way any more. */
static void birth_end(struct avfork_birth *birth)
{
	struct avfork_nursery *nursery = birth->nursery;

	birth_put(nursery, birth);
	avfork_nursery_put(nursery);
}

/* A table that was built, or none, for a child that does not have it. */
static void put_table(struct files_struct *table)
{
	if (table)
		static_call(avfork_put_files_struct)(table);
}

/* The table that @args describes. */
static struct files_struct *build_table(struct avfork_birth *birth,
					const struct avfork_args *args)
{
	const struct avfork_grants grants = {
		.flags = args->flags & AVFORK_GRANT_FLAGS,
		.fds = args->fds,
		.nr_fds = args->nr_fds,
	};

	return avfork_table_build(&grants, false, &birth->empty);
}

/* Where and with what its user code starts. */
static void set_start(struct avfork_birth *birth,
		      const struct avfork_args *args)
{
	birth->start.entry = args->entry;
	birth->start.arg = args->arg;
	birth->start.stack_top = args->stack + args->stack_size;
	birth->start.tls = args->tls;
}

/**
 * avfork_birth_new - prepare a child
 * @nursery: of the open file that it is asked of
 * @args:    how it starts; checked by the caller, but for the descriptors
 *
 * Return: a birth for kernel_clone(), or an ERR_PTR: those of
 * avfork_table_build(), or -ENOMEM.
 */
struct avfork_birth *avfork_birth_new(struct avfork_nursery *nursery,
				      const struct avfork_args *args)
{
	struct avfork_birth *birth;
	long err;

	birth = birth_get(nursery);
	if (!birth)
		return ERR_PTR(-ENOMEM);
	set_start(birth, args);
	birth->signals = args->flags & AVFORK_INHERIT_SIGNALS;
	birth->nnp = args->flags & AVFORK_NNP;

	/*
	 * The memory for a child that is to come is charged to the one that
	 * allocates it, which shall not be one in another cgroup. A child that
	 * has used no table replaces none.
	 */
	birth->refill = !(args->flags &
			  (AVFORK_INTO_CGROUP | AVFORK_SHARE_FDS));

	birth->prepared = NULL;
	birth->granted = NULL;
	birth->files = NULL;
	if (!(args->flags & AVFORK_SHARE_FDS)) {
		birth->files = build_table(birth, args);
		if (IS_ERR(birth->files)) {
			err = PTR_ERR(birth->files);
			goto put_birth;
		}
	}

	birth->child = NULL;
	if (avfork_child_wanted(args)) {
		birth->child = avfork_child_new(args, nursery);
		if (!birth->child) {
			err = -ENOMEM;
			goto put_files;
		}
	}

	avfork_nursery_get(nursery);
	birth->nursery = nursery;
	return birth;

put_files:
	put_table(birth->files);
put_birth:
	birth_put(nursery, birth);
	return ERR_PTR(err);
}

/**
 * avfork_birth_abort - undo avfork_birth_new(), when kernel_clone() has failed or
 * a prepared child has died
 * @birth: the birth
 */
void avfork_birth_abort(struct avfork_birth *birth)
{
	if (birth->child)
		avfork_child_free(birth->child);
	put_table(birth->granted);
	put_table(birth->files);
	birth_end(birth);
}

/**
 * avfork_birth_prepare - have the child wait when it is born
 * @birth:    a birth that avfork_birth_new() has just made, without grants
 * @prepared: what it waits with
 */
void avfork_birth_prepare(struct avfork_birth *birth,
			  struct avfork_prepared *prepared)
{
	birth->prepared = prepared;
	avfork_child_set_prepared(birth->child, prepared);
	/* For avfork_birth_grant(), whose caller is in a hurry. */
	if (!birth->empty)
		birth->empty = avfork_table_empty();
	avfork_prepared_conceive(prepared, birth, birth->child);
}

/**
 * avfork_birth_grant - give a prepared child what it is to start with
 * @birth: the child's, which the caller owns
 * @args:  the fields of AVFORK_IOC_START; checked by the caller, but for the
 *         descriptors, which are the caller's
 *
 * Return: 0 or an errno of avfork_table_build().
 */
int avfork_birth_grant(struct avfork_birth *birth,
		       const struct avfork_args *args)
{
	struct files_struct *table = build_table(birth, args);

	if (IS_ERR(table))
		return PTR_ERR(table);
	birth->granted = table;
	set_start(birth, args);
	return 0;
}

/**
 * avfork_birth_revoke - undo avfork_birth_grant()
 * @birth: the birth
 */
void avfork_birth_revoke(struct avfork_birth *birth)
{
	put_table(birth->granted);
	birth->granted = NULL;
}

/*
 * Have @task use its own table, with its alloc_lock held, which is what /proc
 * and pidfd_getfd() read ->files under. Return: what it had before.
 */
static struct files_struct *exchange_files(struct task_struct *task,
					   struct avfork_birth *birth)
{
	struct files_struct *before = task->files;

	task->files = birth->files;
	birth->files = NULL;
	return before;
}

/**
 * avfork_birth_given - a task was made, by current, and has not been woken yet
 * @task: the task, ours or not
 *
 * A child in a throttled cgroup may first run a minute later. Until then the OOM
 * killer may choose it (see oom.c). And on kernels without no_files it
 * holds a reference to its parent's table, which the parent's next calls would
 * notice, and which would outlive the parent. Both are put right here. A child
 * with AVFORK_SHARE_FDS is to have that table, and keeps it.
 *
 * Return: whether the task is a child of ours.
 */
bool avfork_birth_given(struct task_struct *task)
{
	struct files_struct *before;
	struct avfork_birth *birth;

	birth = avfork_arch_first_arg(task, avfork_birth_complete);
	if (!birth)
		return false;
	avfork_arch_given(task);
	/* For AVFORK_SYNC kernel_clone() stores a completion of its own next. */
	avfork_oom_spare(task);
	if (birth->nnp)
		task_set_no_new_privs(task);
	if (birth->prepared)
		avfork_prepared_given(birth->prepared, task);
	if (!birth->files)
		return true;
	/*
	 * A tracepoint's probe must not sleep, and with PREEMPT_RT task_lock()
	 * does. In the rare case that somebody there reads the child's /proc
	 * files already, the child takes its table itself.
	 */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		task_lock(task);
	else if (!spin_trylock(&task->alloc_lock))
		return true;
	before = exchange_files(task, birth);
	task_unlock(task);
	/* Not the last reference, which would sleep: current has another. */
	if (before)
		static_call(avfork_put_files_struct)(before);
	return true;
}

/*
 * In the child: what avfork_birth_given() could not do. Nothing, in a child that
 * shares its parent's table.
 */
static void take_files(struct avfork_birth *birth)
{
	struct files_struct *before;

	if (!birth->files)
		return;
	avfork_oom_spare(current);
	task_lock(current);
	before = exchange_files(current, birth);
	task_unlock(current);
	if (before)
		static_call(avfork_put_files_struct)(before);
}

/*
 * The child has a copy of the caller's dispositions, mask and alternate stack.
 * A signal that arrived meanwhile is pending, and is acted on by what stands
 * here when the child leaves the kernel.
 */
static void reset_signals(bool inherit)
{
	/* No lock: only exec and exit change a task's own ->sighand. */
	struct sighand_struct *sighand = rcu_dereference_raw(current->sighand);
	struct k_sigaction *ka;
	sigset_t none;

	BUILD_BUG_ON(SIG_DFL);
	spin_lock_irq(&sighand->siglock);
	for (ka = sighand->action; ka < sighand->action + _NSIG; ka++) {
		bool ignore = inherit && ka->sa.sa_handler == SIG_IGN;

		memset(ka, 0, sizeof(*ka));
		if (ignore)
			ka->sa.sa_handler = SIG_IGN;
	}
	spin_unlock_irq(&sighand->siglock);

	if (!inherit) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
	}
	/* copy_process() does this, but not for CLONE_VFORK. */
	sas_ss_reset(current);
}

/* In a prepared child, which may die here, and has to leave its birth whole. */
static void wait_for_grant(struct avfork_birth *birth)
{
	avfork_prepared_wait(birth->prepared);
	birth->files = birth->granted;
	take_files(birth);
}

/**
 * avfork_birth_complete - the child's first function
 * @data: its birth
 *
 * Nothing here can fail, as the child sees it. It goes to user space when this
 * returns.
 *
 * Return: 0
 */
int avfork_birth_complete(void *data)
{
	struct avfork_birth *birth = data;

	take_files(birth);
	if (birth->child) {
		avfork_child_enter(birth->child, birth->nursery);
		birth->child = NULL;
	}
	if (birth->prepared)
		wait_for_grant(birth);
	reset_signals(birth->signals);
	avfork_arch_start(&birth->start);
	if (trace_avfork_start_enabled())
		trace_avfork_start(task_ppid_nr(current), birth->start.entry);
	if (birth->refill && !birth->empty)
		birth->empty = avfork_table_empty();
	birth_end(birth);
	return 0;
}

/**
 * avfork_birth_wait_all - wait until no child runs the module's code
 *
 * For module exit, when no new birth can begin.
 */
void avfork_birth_wait_all(void)
{
	/*
	 * Every child has put its reference to the module, or this would not
	 * run, but may not have returned from avfork_birth_complete(), and may
	 * be preempted there. It has not slept of its own accord since, which
	 * is what this waits for. So does a task in the end of avfork_grant() or
	 * of ioctl_spawn().
	 */
	synchronize_rcu_tasks();
}
