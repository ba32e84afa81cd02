/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/avfork: create a process that shares the caller's memory, runs on a
 * stack of its own and starts with nothing but what it is granted.
 *
 * Documentation/avfork.rst describes every field, flag and error.
 */
#ifndef _UAPI_LINUX_AVFORK_H
#define _UAPI_LINUX_AVFORK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Reported by AVFORK_IOC_INFO; grows when the interface does. */
#define AVFORK_ABI_VERSION	4

/* Return when the child has left the shared memory, as vfork(2) does. */
#define AVFORK_SYNC		0x1
/* Grant descriptors 0, 1 and 2, those that are open, under their own number. */
#define AVFORK_STDIO		0x2
/* Start the child in the cgroup that avfork_args.cgroup_fd names. */
#define AVFORK_INTO_CGROUP	0x4
/* Grant every descriptor that has no FD_CLOEXEC, under its own number. */
#define AVFORK_INHERIT_FDS	0x8
/* Start with the caller's signal mask; what it ignores is ignored. */
#define AVFORK_INHERIT_SIGNALS	0x10
/* Kill the child when the open file that it was made through is closed. */
#define AVFORK_AUTOKILL		0x20
/* Reap the child when it dies; nobody can wait for it. Linux 7.1. */
#define AVFORK_AUTOREAP		0x40
/* Start with no_new_privs set, see prctl(2). */
#define AVFORK_NNP		0x80
/* Have the caller's descriptor table itself until exec, and so no grants. */
#define AVFORK_SHARE_FDS	0x100
/* Make all namespaces anew but for those that avfork_args.namespaces names. */
#define AVFORK_ISOLATE		0x200

/* What a prepared child inherits or dies with: flags of AVFORK_IOC_PREPARE. */
#define AVFORK_PREPARE_FLAGS	(AVFORK_INTO_CGROUP | AVFORK_INHERIT_SIGNALS | \
				 AVFORK_AUTOKILL | AVFORK_AUTOREAP | AVFORK_NNP | \
				 AVFORK_ISOLATE)
/* What it is granted: flags of AVFORK_IOC_START. */
#define AVFORK_START_FLAGS	(AVFORK_STDIO | AVFORK_INHERIT_FDS)

/* More grants than this, or a number of this or above, are beyond any limit. */
#define AVFORK_FD_LIMIT		1048576

/* The smallest stack that the device accepts, in bytes. */
#define AVFORK_STACK_MIN	4096

/**
 * struct avfork_fd - one granted descriptor
 * @parent_fd: an open descriptor of the caller
 * @child_fd:  the number under which the child has it, below RLIMIT_NOFILE and
 *             AVFORK_FD_LIMIT
 * @flags:     FD_CLOEXEC or 0
 * @reserved:  0
 */
struct avfork_fd {
	__s32 parent_fd;
	__s32 child_fd;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct avfork_args - how a child starts
 *
 * AVFORK_IOC_SPAWN takes all of it. A prepared child is made and started by two
 * calls: AVFORK_IOC_PREPARE takes @namespaces, @cgroup_fd and the flags that are
 * in AVFORK_PREPARE_FLAGS, AVFORK_IOC_START the other fields and the flags that
 * are in AVFORK_START_FLAGS. What the one takes is zero for the other.
 *
 * @flags:       AVFORK_*
 * @namespaces:  CLONE_NEW*: the namespaces that are made anew for the child; with
 *               AVFORK_ISOLATE those that are not
 * @entry:       address of the child's first instruction
 * @arg:         the first argument that @entry finds, as a C function would
 * @stack:       lowest byte of the child's stack, a multiple of 16
 * @stack_size:  bytes, a multiple of 16, at least AVFORK_STACK_MIN
 * @tls:         the child's thread pointer
 * @release:     address of a __u32, or 0: the kernel stores 0 there and wakes
 *               one waiter (futex without FUTEX_PRIVATE_FLAG) when the child
 *               has left the shared memory
 * @pidfd:       address of an int that receives a pidfd of the child, or 0
 * @fds:         address of @nr_fds struct avfork_fd
 * @nr_fds:      how many descriptors are granted there
 * @exit_signal: sent to the parent when the child dies, or 0 for none; unlike
 *               clone(2)'s it outlives an exec
 * @cgroup_fd:   with AVFORK_INTO_CGROUP a cgroup v2 directory, else 0
 * @reserved:    0
 */
struct avfork_args {
	__aligned_u64 flags;
	__aligned_u64 namespaces;
	__aligned_u64 entry;
	__aligned_u64 arg;
	__aligned_u64 stack;
	__aligned_u64 stack_size;
	__aligned_u64 tls;
	__aligned_u64 release;
	__aligned_u64 pidfd;
	__aligned_u64 fds;
	__u32 nr_fds;
	__u32 exit_signal;
	__s32 cgroup_fd;
	__u32 reserved;
};

#define AVFORK_ARGS_SIZE_VER0	96	/* sizeof the first struct avfork_args */

/**
 * struct avfork_grants - a descriptor table for the calling task itself
 * @flags:    AVFORK_STDIO, AVFORK_INHERIT_FDS
 * @fds:      address of @nr_fds struct avfork_fd
 * @nr_fds:   how many descriptors are granted there
 * @reserved: 0
 */
struct avfork_grants {
	__aligned_u64 flags;
	__aligned_u64 fds;
	__u32 nr_fds;
	__u32 reserved;
};

#define AVFORK_GRANTS_SIZE_VER0	24	/* sizeof the first struct avfork_grants */

/**
 * struct avfork_info - what this device can do
 * @abi_version: AVFORK_ABI_VERSION of the module
 * @reserved:    0
 * @flags:       the AVFORK_* flags that the module and this kernel have
 * @namespaces:  the CLONE_NEW* flags that the module knows
 * @table_size:  how many descriptors the calling task's table has room for:
 *               what clone(2) copies without CLONE_FILES
 * @reserved1:   0
 * @isolated:    the CLONE_NEW* flags of what AVFORK_ISOLATE makes anew here. What
 *               the kernel has besides is to be named as shared
 */
struct avfork_info {
	__u32 abi_version;
	__u32 reserved;
	__aligned_u64 flags;
	__aligned_u64 namespaces;
	__u32 table_size;
	__u32 reserved1;
	__aligned_u64 isolated;
};

#define AVFORK_INFO_SIZE_VER0	24	/* sizeof the first struct avfork_info */
#define AVFORK_INFO_SIZE_VER1	32	/* with table_size */
#define AVFORK_INFO_SIZE_VER2	40	/* with isolated */

#define AVFORK_IOC_MAGIC	0xD7
#define AVFORK_IOC_SPAWN	_IOW(AVFORK_IOC_MAGIC, 0x40, struct avfork_args)
#define AVFORK_IOC_INFO		_IOR(AVFORK_IOC_MAGIC, 0x41, struct avfork_info)
#define AVFORK_IOC_GRANT	_IOW(AVFORK_IOC_MAGIC, 0x42, struct avfork_grants)
/*
 * Since version 4. AVFORK_IOC_PREPARE makes a child that waits in the kernel, and
 * returns a close-on-exec descriptor of it. AVFORK_IOC_START on that descriptor
 * starts the child, and returns its pid. To close the descriptor before ends the
 * child. poll(2) finds the descriptor readable when the child has left the shared
 * memory, by exec or death.
 */
#define AVFORK_IOC_PREPARE	_IOW(AVFORK_IOC_MAGIC, 0x43, struct avfork_args)
#define AVFORK_IOC_START	_IOW(AVFORK_IOC_MAGIC, 0x44, struct avfork_args)

#endif /* _UAPI_LINUX_AVFORK_H */
