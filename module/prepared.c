// SPDX-License-Identifier: GPL-2.0
/*
 * Prepared children: made by AVFORK_IOC_PREPARE, started by AVFORK_IOC_START.
 *
 * A prepared child is born as any other, by kernel_clone() and with a birth. It
 * has an empty descriptor table, and waits in avfork_birth_complete(). What it
 * waits for is a word in its struct avfork_prepared, which the descriptor that
 * AVFORK_IOC_PREPARE returns refers to as well.
 *
 *   WAITING ---> STARTING ---> STARTED
 *      |  <---       |
 *      '-----> DEAD <'
 *
 * The birth belongs to the child in WAITING and in STARTED, and to the thread
 * that has claimed it in STARTING. In DEAD it belongs to who has moved the state
 * there, or, out of STARTING, to the thread that finds it there.
 *
 * While it waits, the child sleeps interruptibly and calls get_signal() when
 * there is something to do, as the kernel's own user workers do (io_wq_worker(),
 * vhost_task_fn()). In get_signal() it stops, freezes, is traced and dies, as
 * any task does on its way to user mode.
 *
 * START must not succeed for a child whose death is under way, or the release
 * word would never be cleared. Each way to die sets SIGNAL_GROUP_EXIT under
 * siglock first (complete_signal(), do_group_exit(), synchronize_group_exit()).
 * commit() looks at that under siglock.
 *
 * An unstarted child that dies has exit signal 0, which no kernel before 7.1
 * reaps by itself. Only the maker can: reap().
 */
#include <linux/anon_inodes.h>
#include <linux/errno.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/io_uring_types.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <uapi/linux/wait.h>

#include <linux/avfork.h>

#include "arch/arch.h"
#include "birth.h"
#include "child.h"
#include "compat.h"
#include "prepared.h"
#include "spawn.h"
#include "symbols.h"

/* How long close(2) and an exec wait for the child's death, a matter of less. */
#define CLOSE_JIFFIES (HZ / 10)

enum { WAITING, STARTING, STARTED, DEAD };

/* Bits of struct avfork_prepared's flags. */
enum {
	LEFT,		/* the child has left the shared memory */
	DIED,		/* unstarted; it is a zombie, or less */
	REAPING,	/* a thread of the maker is asked to reap it */
	REAPED,		/* the child's reference is put */
};

/**
 * struct avfork_prepared - a prepared child
 * @users:   the descriptor, the child until it has left or is reaped, and each
 *           task work that is under way
 * @state:   WAITING and so on: see above
 * @flags:   LEFT and so on
 * @autoreap: whether it has no exit signal ever
 * @signals:  whether the child has the maker's mask and ignored signals
 * @ignores:  whether it has begun to ignore all signals that can be
 * @ignored:  what it ignored before
 * @blocked:  what it blocked before
 * @birth:   the child's; NULL once it has completed it
 * @child:   what is remembered of it, while it lives
 * @task:    the child; a reference until it has been started and has left. NULL
 *           until it is made
 * @pid:     its pid; a reference
 * @maker:   the process that made it; a reference
 * @node:    in by_maker
 * @wait:    for poll(2), and for its death
 * @death:   in the queue of @pid's pidfds, which are told of a death
 * @leaving: work of the child, when it leaves
 * @ending:  work of the maker, when that leaves
 * @reaping: work of the maker, when the child is to be reaped
 */
struct avfork_prepared {
	refcount_t users;
	atomic_t state;
	unsigned long flags;
	bool autoreap;
	bool signals;
	bool ignores;
	sigset_t ignored;
	sigset_t blocked;
	struct avfork_birth *birth;
	struct avfork_child *child;
	struct task_struct *task;
	struct pid *pid;
	struct pid *maker;
	struct hlist_node node;
	wait_queue_head_t wait;
	wait_queue_entry_t death;
	struct callback_head leaving;
	struct callback_head ending;
	struct callback_head reaping;
};

/* Those whose descriptor is open and whose maker has not left its memory. */
static DEFINE_HASHTABLE(by_maker, 6);
/* Raw: tracepoints cannot sleep. */
static DEFINE_RAW_SPINLOCK(by_maker_lock);
static atomic_t nr_prepared = ATOMIC_INIT(0);

static struct avfork_prepared *prepared_new(void)
{
	struct avfork_prepared *prepared;

	prepared = kzalloc(sizeof(*prepared), GFP_KERNEL_ACCOUNT);
	if (!prepared)
		return NULL;
	refcount_set(&prepared->users, 1);
	atomic_set(&prepared->state, WAITING);
	prepared->maker = get_pid(task_tgid(current));
	init_waitqueue_head(&prepared->wait);
	INIT_LIST_HEAD(&prepared->death.entry);
	__module_get(THIS_MODULE);
	return prepared;
}

static bool is_started(const struct avfork_prepared *prepared)
{
	return atomic_read(&prepared->state) == STARTED;
}

/*
 * Module exit waits for who runs the last instructions of this, as it does for
 * those of a child (avfork_birth_wait_all()).
 */
static void prepared_put(struct avfork_prepared *prepared)
{
	if (!refcount_dec_and_test(&prepared->users))
		return;
	if (prepared->task) {
		/* Nobody else takes it out now: see on_death(). */
		if (!list_empty(&prepared->death.entry))
			remove_wait_queue(&prepared->pid->wait_pidfd,
					  &prepared->death);
		put_pid(prepared->pid);
		if (!is_started(prepared))
			put_task_struct(prepared->task);
	}
	put_pid(prepared->maker);
	kfree(prepared);
	module_put(THIS_MODULE);
}

/* The child needs no more. Several may find out at once. */
static void put_childs(struct avfork_prepared *prepared)
{
	if (!test_and_set_bit(REAPED, &prepared->flags))
		prepared_put(prepared);
}

static bool has_died(const struct avfork_prepared *prepared)
{
	return test_bit(DIED, &prepared->flags);
}

static bool is_maker(const struct avfork_prepared *prepared)
{
	return task_tgid(current) == prepared->maker;
}

/*
 * In the maker: take the child's zombie away, if it is one and not a tracer's.
 * The number of a pid that is not reaped is nobody else's. Another thread may
 * reap the child, by __WALL, between our two steps; for the number to be that of
 * another zombie of the maker's then, it has to go once round pid_max.
 */
static void reap(struct avfork_prepared *prepared)
{
	pid_t pid = task_pid_vnr(prepared->task);

	if (pid && !static_call(avfork_kernel_wait4)(pid, NULL,
						     __WALL | WNOHANG, NULL))
		return;
	put_childs(prepared);
}

/*
 * Nothing starts the child any more. The maker finds it gone afterwards, unless it takes
 * unusually long to die, as in a throttled cgroup. An exiting maker leaves it to who
 * adopts it, and the maker's copy by fork(2), or whoever else closes last, to the maker.
 */
static void end_unstarted(struct avfork_prepared *prepared)
{
	send_sig(SIGKILL, prepared->task, 1);
	if (!is_maker(prepared) || current->flags & PF_EXITING)
		return;
	wait_event_killable_timeout(prepared->wait, has_died(prepared),
				    CLOSE_JIFFIES);
	reap(prepared);
}

static void reaping_work(struct callback_head *work)
{
	struct avfork_prepared *prepared =
		container_of(work, struct avfork_prepared, reaping);

	clear_bit(REAPING, &prepared->flags);
	smp_mb__after_atomic(); /* then the look: who comes later asks again */
	reap(prepared);
	prepared_put(prepared);
}

/* Have a thread of the maker call reap(). Return: whether there is one. */
static bool ask_maker(struct avfork_prepared *prepared)
{
	struct task_struct *leader, *thread;
	bool asked = false;

	rcu_read_lock();
	leader = pid_task(prepared->maker, PIDTYPE_TGID);
	if (leader) {
		for_each_thread(leader, thread) {
			/* The others never return to user mode. */
			asked = !(thread->flags & PF_USER_WORKER) &&
				!task_work_add(thread, &prepared->reaping,
					       TWA_RESUME);
			if (asked)
				break;
		}
	}
	rcu_read_unlock();
	return asked;
}

/*
 * The pidfds of the child are told something: that it has become a zombie, that a
 * tracer gives the zombie back, that it has been reaped. The lock of the queue,
 * and mostly tasklist_lock, is held.
 */
static int on_death(wait_queue_entry_t *entry, unsigned int mode, int sync,
		    void *key)
{
	struct avfork_prepared *prepared =
		container_of(entry, struct avfork_prepared, death);

	/* A started child is for the maker's own waits. */
	if (is_started(prepared))
		return 0;
	set_bit(DIED, &prepared->flags);
	wake_up(&prepared->wait);
	if (test_bit(REAPED, &prepared->flags) ||
	    test_and_set_bit(REAPING, &prepared->flags))
		return 0;
	/* The work's. None is left while prepared_put() waits for our lock. */
	if (!refcount_inc_not_zero(&prepared->users))
		return 0;
	if (!ask_maker(prepared)) {
		/* The maker is dead: its child is another's, who waits for it. */
		list_del_init(&entry->entry);
		put_childs(prepared);
		prepared_put(prepared);
	}
	return 0;
}

/* In the child, which has exec'd, or dies and is no zombie yet. */
static void leaving_work(struct callback_head *work)
{
	struct avfork_prepared *prepared =
		container_of(work, struct avfork_prepared, leaving);
	int state = atomic_read(&prepared->state);

	while (state != STARTED &&
	       !atomic_try_cmpxchg(&prepared->state, &state, DEAD))
		;
	/* Started or not, it may have been killed before it completed it. */
	if (state != STARTING && prepared->birth)
		avfork_birth_abort(prepared->birth);
	set_bit(LEFT, &prepared->flags);
	wake_up(&prepared->wait);
	if (state != STARTED)
		return;
	/*
	 * What has exec'd is a process as any, of which a descriptor keeps no more than
	 * its struct pid. Nobody looks at ->task once it has been started.
	 */
	put_task_struct(prepared->task);
	put_childs(prepared);
}

/**
 * avfork_prepared_leaves - current, started or not, leaves the shared memory
 * @prepared: its own
 *
 * Called once, by a tracepoint's probe, which must not sleep.
 */
void avfork_prepared_leaves(struct avfork_prepared *prepared)
{
	init_task_work(&prepared->leaving, leaving_work);
	/* Fails for nobody: it is done on the way to user mode, or at the end. */
	task_work_add(current, &prepared->leaving, TWA_RESUME);
}

/* In the maker, which has exec'd or dies: no START is under way. */
static void ending_work(struct callback_head *work)
{
	struct avfork_prepared *prepared =
		container_of(work, struct avfork_prepared, ending);

	/*
	 * Of an exec this comes before the descriptors with FD_CLOEXEC are released:
	 * of task works the last is run first.
	 * The next program has made nobody, and gets no SIGCHLD, which
	 * do_notify_parent() has for the children of the program before.
	 */
	if (!is_started(prepared)) {
		WRITE_ONCE(prepared->task->parent_exec_id,
			   current->self_exec_id);
		end_unstarted(prepared);
	}
	prepared_put(prepared);
}

static void by_maker_add(struct avfork_prepared *prepared)
{
	unsigned long flags;

	atomic_inc(&nr_prepared);
	raw_spin_lock_irqsave(&by_maker_lock, flags);
	hash_add(by_maker, &prepared->node, (unsigned long)prepared->maker);
	raw_spin_unlock_irqrestore(&by_maker_lock, flags);
}

static void by_maker_del(struct avfork_prepared *prepared)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&by_maker_lock, flags);
	if (hash_hashed(&prepared->node)) {
		hash_del(&prepared->node);
		atomic_dec(&nr_prepared);
	}
	raw_spin_unlock_irqrestore(&by_maker_lock, flags);
}

/**
 * avfork_prepared_maker_leaves - current, any process, has exec'd or dies
 *
 * For those whose descriptor somebody else has, by fork(2), or who are not closed
 * by the exec. A call of PREPARE cannot be under way: current is the only thread.
 */
void avfork_prepared_maker_leaves(void)
{
	struct pid *maker = task_tgid(current);
	struct avfork_prepared *prepared;
	struct hlist_node *next;
	unsigned long flags;

	/* With none in the system, this is all that an exec or exit pays. */
	if (!atomic_read(&nr_prepared))
		return;
	raw_spin_lock_irqsave(&by_maker_lock, flags);
	hash_for_each_possible_safe(by_maker, prepared, next, node,
				    (unsigned long)maker) {
		if (prepared->maker != maker)
			continue;
		hash_del(&prepared->node);
		atomic_dec(&nr_prepared);
		/* The descriptor's reference is not put while it is hashed. */
		refcount_inc(&prepared->users);
		init_task_work(&prepared->ending, ending_work);
		task_work_add(current, &prepared->ending, TWA_RESUME);
	}
	raw_spin_unlock_irqrestore(&by_maker_lock, flags);
}

/*
 * A signal that a child is sent while it waits is not for the program that it will
 * be: all but SIGKILL, SIGSTOP and SIGCONT come to nothing. So that they are not
 * kept either, none is blocked. From the start on they are the program's, whether or
 * not the child has run since. So are two that have come before and were not dropped:
 * one for the maker's whole group, as the child was made, if the child has not run
 * until it is started, and what a tracer has not let through.
 *
 * Both with siglock held. The child has not been woken yet, or is in
 * avfork_prepared_wait() and does not change its own mask or dispositions.
 */
static void begin_to_ignore(struct avfork_prepared *prepared,
			    struct task_struct *task)
{
	/* Only exec and exit change a task's ->sighand. */
	struct k_sigaction *ka = rcu_dereference_raw(task->sighand)->action;
	int sig;

	if (prepared->ignores)
		return;
	prepared->ignores = true;
	prepared->blocked = task->blocked;
	sigemptyset(&task->blocked);
	for (sig = 1; sig <= _NSIG; sig++, ka++) {
		if (sig_kernel_only(sig))
			continue;
		if (ka->sa.sa_handler == SIG_IGN)
			sigaddset(&prepared->ignored, sig);
		ka->sa.sa_handler = SIG_IGN;
	}
}

static void end_to_ignore(struct avfork_prepared *prepared,
			  struct task_struct *task)
{
	struct k_sigaction *ka = rcu_dereference_raw(task->sighand)->action;
	int i;

	begin_to_ignore(prepared, task);
	/* A loop of its own for what is mostly asked for: 200 instructions less. */
	if (!prepared->signals) {
		for (i = 0; i < _NSIG; i++)
			ka[i].sa.sa_handler = SIG_DFL;
		return;
	}
	for (i = 0; i < _NSIG; i++)
		if (!sigismember(&prepared->ignored, i + 1))
			ka[i].sa.sa_handler = SIG_DFL;
	task->blocked = prepared->blocked;
}

static void sleep_until_started(const struct avfork_prepared *prepared)
{
	struct ksignal ksig;

	for (;;) {
		/* The state of the task, then that of the child: see commit(). */
		set_current_state(TASK_INTERRUPTIBLE);
		if (atomic_read_acquire(&prepared->state) == STARTED)
			break;
		if (!signal_pending(current))
			schedule();
		__set_current_state(TASK_RUNNING);
		/* There is no handler to be called, so the result is of no use. */
		if (signal_pending(current))
			static_call(avfork_get_signal)(&ksig);
	}
	__set_current_state(TASK_RUNNING);
}

/**
 * avfork_prepared_wait - wait until current is started
 * @prepared: current's
 *
 * Does not return in a child that is not started, which dies in get_signal().
 */
void avfork_prepared_wait(struct avfork_prepared *prepared)
{
	/* No lock but for senders and starters: see reset_signals() in birth.c. */
	struct sighand_struct *sighand = rcu_dereference_raw(current->sighand);

	spin_lock_irq(&sighand->siglock);
	begin_to_ignore(prepared, current);
	/* What was blocked before, and came before this, is now to be dropped. */
	recalc_sigpending();
	spin_unlock_irq(&sighand->siglock);
	sleep_until_started(prepared);
	prepared->birth = NULL;
}

/**
 * avfork_prepared_conceive - what avfork_spawn() makes for a prepared child
 * @prepared: that child's
 * @birth:    its birth
 * @child:    what is remembered of it
 */
void avfork_prepared_conceive(struct avfork_prepared *prepared,
			      struct avfork_birth *birth,
			      struct avfork_child *child)
{
	prepared->birth = birth;
	prepared->child = child;
}

/**
 * avfork_prepared_given - the child is made, and not woken yet
 * @prepared: its own
 * @task:     the child
 *
 * Called once, by a tracepoint's probe, which must not sleep.
 */
void avfork_prepared_given(struct avfork_prepared *prepared,
			   struct task_struct *task)
{
	struct sighand_struct *sighand = rcu_dereference_raw(task->sighand);
	unsigned long flags;

	/* The child's. */
	refcount_inc(&prepared->users);
	prepared->task = get_task_struct(task);
	prepared->pid = get_pid(task_pid(task));
	init_task_work(&prepared->reaping, reaping_work);
	init_waitqueue_func_entry(&prepared->death, on_death);
	/*
	 * A signal may come before the child first runs. With PREEMPT_RT the lock may
	 * sleep, which a probe must not. In the rare case that somebody has it, the
	 * child begins to ignore when it runs.
	 */
	if (spin_trylock_irqsave(&sighand->siglock, flags)) {
		begin_to_ignore(prepared, task);
		spin_unlock_irqrestore(&sighand->siglock, flags);
	}
}

static int check_starter(const struct avfork_prepared *prepared)
{
	if (!is_maker(prepared))
		return -EPERM;
	return avfork_arch_check();
}

#ifdef CONFIG_SECCOMP_FILTER
static bool same_filter(const struct task_struct *task)
{
	return READ_ONCE(task->seccomp.filter) ==
	       READ_ONCE(current->seccomp.filter);
}
#else
static bool same_filter(const struct task_struct *task)
{
	return true;
}
#endif

/*
 * Whether current had all that it keeps off io_uring when @task was made. Of what
 * io_uring_fork() copies, operations are restricted once, and a change of the BPF
 * filters makes others.
 */
#if defined(AVFORK_HAVE_IO_URING_RESTRICT) && defined(CONFIG_IO_URING)
static bool same_io_uring(const struct task_struct *task)
{
	const struct io_restriction *now = current->io_uring_restrict;
	const struct io_restriction *then = task->io_uring_restrict;

	return !now || (then && then->bpf_filters == now->bpf_filters &&
			then->op_registered == now->op_registered &&
			then->reg_registered == now->reg_registered);
}
#else
static bool same_io_uring(const struct task_struct *task)
{
	return true;
}
#endif

/*
 * The filters and no_new_privs that a process has taken upon itself for good do
 * not end with a child that it has prepared before. (Ids and capabilities are those
 * of the preparation, which is what they are prepared for.)
 */
static bool is_less_confined(const struct task_struct *task)
{
	return !same_filter(task) || !same_io_uring(task) ||
	       (task_no_new_privs(current) &&
		!task_no_new_privs((struct task_struct *)task));
}

/*
 * Start the child, or not at all. Whatever it dies of after that, it dies as a
 * child that has been started: its release word is cleared, its parent gets the
 * signal and can wait for it.
 */
static int commit(struct avfork_prepared *prepared,
		  const struct avfork_args *args)
{
	struct task_struct *task = prepared->task;
	struct sighand_struct *sighand;
	int err = 0;

	/*
	 * A waiting child keeps its ->sighand until release_task() stores NULL,
	 * under siglock. The memory is that of some sighand_struct within RCU.
	 */
	rcu_read_lock();
	sighand = rcu_dereference(task->sighand);
	if (!sighand) {
		rcu_read_unlock();
		return -ESRCH;
	}
	spin_lock_irq(&sighand->siglock);
	if (rcu_access_pointer(task->sighand) != sighand ||
	    task->signal->flags & SIGNAL_GROUP_EXIT) {
		err = -ESRCH;
	} else if (is_less_confined(task)) {
		err = -EPERM;
	} else {
		if (args->release)
			task->clear_child_tid = u64_to_user_ptr(args->release);
		avfork_child_set_signal(prepared->child, args->exit_signal);
		WRITE_ONCE(task->exit_signal, args->exit_signal);
		end_to_ignore(prepared, task);
		/* With all that it is started with, for the child's acquire. */
		atomic_set_release(&prepared->state, STARTED);
	}
	spin_unlock_irq(&sighand->siglock);
	/*
	 * A full barrier, if the task sleeps; or it has yet to read the state. RCU keeps
	 * the task, which may have left already and put the reference.
	 */
	if (!err)
		wake_up_process(task);
	rcu_read_unlock();
	return err;
}

/* A pidfd, which is not in current's table yet, and its number at args->pidfd. */
static int make_pidfd(const struct avfork_prepared *prepared,
		      const struct avfork_args *args, struct file **file)
{
	int fd = static_call(avfork_pidfd_prepare)(prepared->pid, 0, file);

	/* It has been reaped: the kernels have each an errno for that. */
	if (fd == -EINVAL || fd == -ENOENT)
		return -ESRCH;
	if (fd < 0)
		return fd;
	if (!put_user(fd, (int __user *)u64_to_user_ptr(args->pidfd)))
		return fd;
	put_unused_fd(fd);
	fput(*file);
	return -EFAULT;
}

/* By the thread that has claimed the birth. */
static long start_claimed(struct avfork_prepared *prepared,
			  const struct avfork_args *args)
{
	/* Before the child can be reaped. */
	pid_t pid = task_pid_vnr(prepared->task);
	struct file *pidfd_file;
	int err, pidfd = -1;

	err = avfork_birth_grant(prepared->birth, args);
	if (err)
		return err;
	if (args->pidfd) {
		pidfd = make_pidfd(prepared, args, &pidfd_file);
		if (pidfd < 0) {
			err = pidfd;
			goto revoke;
		}
	}
	err = commit(prepared, args);
	if (err)
		goto put_pidfd;
	if (args->pidfd)
		fd_install(pidfd, pidfd_file);
	return pid;

put_pidfd:
	if (args->pidfd) {
		put_unused_fd(pidfd);
		fput(pidfd_file);
	}
revoke:
	avfork_birth_revoke(prepared->birth);
	return err;
}

static long prepared_start(struct avfork_prepared *prepared,
			   const struct avfork_args *args)
{
	struct avfork_birth *birth = prepared->birth;
	int state = WAITING;
	long ret;

	if (!atomic_try_cmpxchg(&prepared->state, &state, STARTING))
		return state == STARTED	 ? -EALREADY :
		       state == STARTING ? -EBUSY :
					   -ESRCH;
	ret = start_claimed(prepared, args);
	if (ret < 0) {
		state = STARTING;
		/* The child has died meanwhile and left its birth to us. */
		if (!atomic_try_cmpxchg(&prepared->state, &state, WAITING))
			avfork_birth_abort(birth);
	}
	return ret;
}

static long prepared_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct avfork_prepared *prepared = file->private_data;
	struct avfork_args args;
	int err;

	if ((cmd & ~IOCSIZE_MASK) != (AVFORK_IOC_START & ~IOCSIZE_MASK))
		return -ENOTTY;
	err = check_starter(prepared) ?:
	      avfork_args_read(&args, (void __user *)arg, _IOC_SIZE(cmd)) ?:
	      avfork_args_check_start(&args);
	if (!err && prepared->autoreap && args.exit_signal)
		err = -EINVAL;
	return err ?: prepared_start(prepared, &args);
}

static __poll_t prepared_poll(struct file *file, poll_table *table)
{
	struct avfork_prepared *prepared = file->private_data;

	poll_wait(file, &prepared->wait, table);
	return test_bit(LEFT, &prepared->flags) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int prepared_release(struct inode *inode, struct file *file)
{
	struct avfork_prepared *prepared = file->private_data;

	by_maker_del(prepared);
	if (prepared->task && !is_started(prepared))
		end_unstarted(prepared);
	prepared_put(prepared);
	return 0;
}

static const struct file_operations prepared_fops = {
	.owner = THIS_MODULE,
	.release = prepared_release,
	.unlocked_ioctl = prepared_ioctl,
	.poll = prepared_poll,
	.llseek = noop_llseek,
};

/* Be told of the death of the child, which may be dead. */
static void watch(struct avfork_prepared *prepared)
{
	add_wait_queue(&prepared->pid->wait_pidfd, &prepared->death);
	by_maker_add(prepared);
	/*
	 * Stored before the queue is woken. If that was before ours was in it,
	 * its lock has let us see the store.
	 */
	if (READ_ONCE(prepared->task->exit_state)) {
		set_bit(DIED, &prepared->flags);
		reap(prepared);
	}
}

/**
 * avfork_prepare - make a child that waits to be started
 * @nursery: of the open file that it is asked of
 * @args:    what it inherits; unchecked
 *
 * Return: a close-on-exec descriptor, which starts it, or an errno:
 * avfork_spawn()'s, -EMFILE, -ENFILE or -ENOMEM.
 */
long avfork_prepare(struct avfork_nursery *nursery,
		    const struct avfork_args *args)
{
	struct avfork_prepared *prepared;
	struct file *file;
	long pid;
	int fd;

	prepared = prepared_new();
	if (!prepared)
		return -ENOMEM;
	prepared->autoreap = args->flags & AVFORK_AUTOREAP;
	prepared->signals = args->flags & AVFORK_INHERIT_SIGNALS;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		prepared_put(prepared);
		return fd;
	}
	file = anon_inode_getfile("[avfork]", &prepared_fops, prepared,
				  O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		prepared_put(prepared);
		return PTR_ERR(file);
	}
	/* prepared is the file's. */

	pid = avfork_spawn(nursery, args, prepared);
	if (pid < 0) {
		put_unused_fd(fd);
		fput(file);
		return pid;
	}
	watch(prepared);
	fd_install(fd, file);
	return fd;
}
