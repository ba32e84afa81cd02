/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that differs between the kernels this module builds for. Kbuild
 * looks each difference up in the headers, because distributions backport.
 */
#ifndef AVFORK_COMPAT_H
#define AVFORK_COMPAT_H

#include <linux/bitops.h>
#include <linux/fdtable.h>
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

/* A tree whose kernel was never built cannot say which one it is. */
#ifndef UTS_VERSION
#define UTS_VERSION "(unknown)"
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
