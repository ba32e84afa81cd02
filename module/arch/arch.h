/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an architecture provides: one file beside this one, named in Kbuild.
 */
#ifndef AVFORK_ARCH_H
#define AVFORK_ARCH_H

#include <linux/types.h>

struct task_struct;

/**
 * struct avfork_start - where a child's user code starts
 * @entry:     its first instruction
 * @arg:       the first argument of a C function there
 * @stack_top: the end of its stack, a multiple of 16
 * @tls:       its thread pointer
 *
 * The caller has checked that the addresses lie in user space.
 */
struct avfork_start {
	unsigned long entry;
	unsigned long arg;
	unsigned long stack_top;
	unsigned long tls;
};

/**
 * avfork_arch_in_user_space - whether an address may go to a user register
 * @start: the address
 * @size:  how much a child is to find there
 *
 * Return: true where clone(2) would take it, and neither the kernel nor the CPU
 * comes to harm when it is loaded.
 */
bool avfork_arch_in_user_space(u64 start, u64 size);

/**
 * avfork_arch_start - make current return to user space at @start
 * @start: where
 *
 * Runs in the child, in the function that kernel_clone() started it with. Every
 * register that @start does not set reads as zero afterwards, so the child
 * learns nothing that its parent held there.
 */
void avfork_arch_start(const struct avfork_start *start);

/**
 * avfork_arch_check - whether current may have children that start so
 *
 * Return: 0, or -ENOPROTOOPT for a task whose user shadow stack is on. The kernel
 * gives a child of clone(2) one of its own; avfork_arch_start() could only turn
 * it off, and so undo what the task may have locked.
 */
int avfork_arch_check(void);

/**
 * avfork_arch_given - give a task what copy_thread() gives to none but children of
 *                     clone(2)
 * @task: the task, made by current, and not woken yet
 */
void avfork_arch_given(struct task_struct *task);

/**
 * avfork_arch_first_arg - what a task that has never run begins with
 * @task:     the task, before it is woken
 * @function: a function
 *
 * Return: the argument that kernel_clone() was given for @task, if the function
 * was @function, or NULL.
 */
void *avfork_arch_first_arg(struct task_struct *task, int (*function)(void *));

#endif
