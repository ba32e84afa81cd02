/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints, for perf, bpftrace, trace-cmd and tracefs.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM avfork

#if !defined(AVFORK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define AVFORK_TRACE_H

#include <linux/avfork.h>
#include <linux/tracepoint.h>

/**
 * avfork_spawn - AVFORK_IOC_SPAWN or AVFORK_IOC_PREPARE has made a child, or none
 * @args: what was asked for
 * @ret:  the child's pid as the caller's namespace has it, or an errno
 * @ns:   how long it took the caller; 0 if this was turned on meanwhile
 */
TRACE_EVENT(avfork_spawn,
	    TP_PROTO(const struct avfork_args *args, long ret, u64 ns),
	    TP_ARGS(args, ret, ns),
	    TP_STRUCT__entry(__field(long, ret)
			     __field(u64, ns)
			     __field(u64, flags)
			     __field(u64, namespaces)
			     __field(u32, nr_fds)
			     __field(u32, exit_signal)),
	    TP_fast_assign(__entry->ret = ret;
			   __entry->ns = ns;
			   __entry->flags = args->flags;
			   __entry->namespaces = args->namespaces;
			   __entry->nr_fds = args->nr_fds;
			   __entry->exit_signal = args->exit_signal;),
	    TP_printk("ret=%ld ns=%llu flags=%#llx namespaces=%#llx nr_fds=%u exit_signal=%u",
		      __entry->ret, __entry->ns, __entry->flags,
		      __entry->namespaces, __entry->nr_fds,
		      __entry->exit_signal)
);

/**
 * avfork_start - a child is about to enter user space
 * @parent: its parent, which may have died: then who has adopted it
 * @ip:     its first instruction
 */
TRACE_EVENT(avfork_start,
	    TP_PROTO(pid_t parent, unsigned long ip),
	    TP_ARGS(parent, ip),
	    TP_STRUCT__entry(__field(pid_t, parent)
			     __field(unsigned long, ip)),
	    TP_fast_assign(__entry->parent = parent;
			   __entry->ip = ip;),
	    TP_printk("parent=%d ip=%#lx", __entry->parent, __entry->ip)
);

/**
 * avfork_release - a child leaves its parent's memory
 * @exec: whether it has exec'd; else it is about to die
 *
 * Of children that were made while the tracepoint was on, for it takes memory
 * to recognize them.
 */
TRACE_EVENT(avfork_release,
	    TP_PROTO(bool exec),
	    TP_ARGS(exec),
	    TP_STRUCT__entry(__field(bool, exec)),
	    TP_fast_assign(__entry->exec = exec;),
	    TP_printk("by=%s", __entry->exec ? "exec" : "exit")
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
