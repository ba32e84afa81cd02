/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is an architecture's own in the tests, in one file each, which has
 *
 *   sys6()             a system call, and nothing of libc's
 *   sys_child()        one that makes a child with a stack of its own
 *   compat_sys()       one of those that 32-bit programs make, perhaps by one
 *   struct registers   what a child finds in its registers, as REGISTERS_ENTRY
 *                      stores it; what a parent has in them that a child must
 *                      not get; how they are at the start
 *   SPAWN_WITH_FLAGS   a system call with the flags register as given
 *   start_read()       where a stopped task goes on
 *   restarts_call()    whether a signal handler returns to a system call
 *   is_user_address()  whether an address may be a child's
 *   FUZZ_ENTRIES       where children begin that end in odd ways, at FUZZ_LABELS
 *
 * Assembly is in strings, for those who use it. Its labels are global: gcc may
 * take the address of a local one by way of the global offset table, which on
 * arm64 leads to the start of the section.
 */
#ifndef AVFORK_SELFTEST_ARCH_H
#define AVFORK_SELFTEST_ARCH_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/**
 * struct start - where a stopped task goes on
 * @pc:  the next instruction
 * @sp:  the stack pointer
 * @arg: the register of a function's first argument
 * @nr:  the system call that the task is in, -1 for none
 */
struct start {
	unsigned long pc;
	unsigned long sp;
	unsigned long arg;
	int nr;
};

#define FUZZ_LABELS							\
	"	.globl	entry_exit, entry_push, entry_undefined\n"	\
	"	.globl	entry_breakpoint, entry_halt, entry_null\n"	\
	"	.globl	entry_divide, entry_sigreturn\n"

#if defined(__x86_64__)
#include "arch/x86.h"
#elif defined(__aarch64__)
#include "arch/arm64.h"
#else
#error "the tests know x86-64 and arm64"
#endif

#endif
