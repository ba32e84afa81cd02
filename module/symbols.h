/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_SYMBOLS_H
#define AVFORK_SYMBOLS_H

#include <linux/fdtable.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/signal.h>
#include <linux/static_call.h>

/*
 * The kernel functions that are not exported to modules. Call them with
 * static_call(), after avfork_symbols_bind() has succeeded.
 */
DECLARE_STATIC_CALL(avfork_kernel_clone, kernel_clone);
DECLARE_STATIC_CALL(avfork_dup_fd, dup_fd);
DECLARE_STATIC_CALL(avfork_put_files_struct, put_files_struct);
DECLARE_STATIC_CALL(avfork_get_signal, get_signal);
DECLARE_STATIC_CALL(avfork_kernel_wait4, kernel_wait4);
DECLARE_STATIC_CALL(avfork_pidfd_prepare, pidfd_prepare);

int avfork_symbols_bind(void);

#endif
