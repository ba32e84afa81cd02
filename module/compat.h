/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that differs between the kernels this module builds for. Kbuild
 * looks each difference up in the headers, because distributions backport.
 */
#ifndef AVFORK_COMPAT_H
#define AVFORK_COMPAT_H

#include <linux/bitops.h>
#include <linux/fdtable.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#ifdef AVFORK_HAVE_UTS_VERSION
#include <generated/utsversion.h>
#endif

/*
 * dup_fd() once took the highest descriptor to copy and returned the error
 * through a pointer; it now takes a range to leave out and returns ERR_PTR.
 */
#ifdef AVFORK_DUP_FD_PUNCHES
#define avfork_dup_all(dup, files) ((dup)((files), NULL))
#else
#define avfork_dup_all(dup, files) ({					\
	int __err = 0;							\
	struct files_struct *__new = (dup)((files), UINT_MAX, &__err); \
									\
	__new ?: ERR_PTR(__err);					\
})
#endif

/* It has become private to fs/file.c. */
#ifndef AVFORK_HAVE_FD_IS_OPEN
static inline bool fd_is_open(unsigned int fd, const struct fdtable *fdt)
{
	return test_bit(fd, fdt->open_fds);
}
#endif

/*
 * kernel_clone() can be asked, from 6.4 on, for a child without a descriptor
 * table. Before that, what costs least is a reference to the caller's table,
 * which avfork_birth_given() takes away again.
 */
#ifdef AVFORK_HAVE_NO_FILES
static inline void avfork_copy_no_files(struct kernel_clone_args *clone)
{
	clone->no_files = 1;
}
#else
static inline void avfork_copy_no_files(struct kernel_clone_args *clone)
{
	clone->flags |= CLONE_FILES;
}
#endif

/* Linux 7.1 has brought it. */
#ifndef CLONE_AUTOREAP
#define CLONE_AUTOREAP 0ULL
#endif

/* Those threads of a process that never see user mode were once io_uring's alone. */
#ifndef PF_USER_WORKER
#define PF_USER_WORKER PF_IO_WORKER
#endif

/*
 * All kinds of namespaces. Linux 7.3 says so itself, which covers the kinds of
 * kernels to come, for the module is built for each. Those before have eight.
 */
#ifdef AVFORK_HAVE_NS_ALL
#include <linux/ns_common.h>
#else
#define CLONE_NS_ALL \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)
#endif

/* Each of the eight but one can be left out of a kernel; /proc/PID/ns shows it. */
#define AVFORK_LEFT_OUT(config, kind) \
	(IS_ENABLED(CONFIG_##config) ? 0 : (kind))
#define AVFORK_KINDS_LEFT_OUT \
	(AVFORK_LEFT_OUT(CGROUPS, CLONE_NEWCGROUP) | \
	 AVFORK_LEFT_OUT(UTS_NS, CLONE_NEWUTS) | \
	 AVFORK_LEFT_OUT(IPC_NS, CLONE_NEWIPC) | \
	 AVFORK_LEFT_OUT(USER_NS, CLONE_NEWUSER) | \
	 AVFORK_LEFT_OUT(PID_NS, CLONE_NEWPID) | \
	 AVFORK_LEFT_OUT(NET_NS, CLONE_NEWNET) | \
	 AVFORK_LEFT_OUT(TIME_NS, CLONE_NEWTIME))

/*
 * Before Linux 6.3 a child enters its time namespace at birth, and has the vDSO's
 * data page of that mapped into the memory that its parent shares, where the page
 * stays mapped when the namespace is gone. Since then the exec enters it.
 */
#ifdef AVFORK_TIME_BEGINS_AT_EXEC
#define AVFORK_KINDS_SHARED 0
#else
#define AVFORK_KINDS_SHARED CLONE_NEWTIME
#endif

/* A tree whose kernel was never built cannot say which one it is. */
#ifndef UTS_VERSION
#define UTS_VERSION "(unknown)"
#endif

/* arm64's part of start_thread() that is inline; it once left PSTATE to others. */
#ifdef CONFIG_ARM64
#ifdef AVFORK_START_SETS_PSTATE
#define avfork_start_thread(regs, pc) \
	start_thread_common((regs), (pc), PSR_MODE_EL0t)
#else
#define avfork_start_thread(regs, pc) do {				\
	struct pt_regs *__regs = (regs);				\
									\
	start_thread_common(__regs, (pc));				\
	__regs->pstate = PSR_MODE_EL0t;					\
} while (0)
#endif
#endif

/* The sched_process_exit tracepoint has grown a second argument. */
#ifdef AVFORK_EXIT_TELLS_GROUP
#define AVFORK_EXIT_PROBE_ARGS \
	void *unused, struct task_struct *task, bool group_dead
#else
#define AVFORK_EXIT_PROBE_ARGS \
	void *unused, struct task_struct *task
#endif

#endif
