/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls that write nothing but their result: libc's syscall() writes errno,
 * which lies in the thread-local storage that a carrier has lent. And clone3(2),
 * whose child needs another stack than its caller's to return to.
 *
 * All that the library knows about an architecture is here.
 */
#ifndef RAW_H
#define RAW_H

#include <linux/sched.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && defined(__LP64__)

static inline long raw_syscall4(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

/* The child calls @run(@arg), which does not return, on its new stack. */
static inline long raw_clone3(const struct clone_args *args,
			      int (*run)(void *), void *arg)
{
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"	/* the outermost frame */
			 "movq %%rdx, %%rdi\n\t"
			 "call *%%rbx\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)),
			   "b"(run), "d"(arg)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

static inline long raw_syscall4(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return x0;
}

static inline long raw_clone3(const struct clone_args *args,
			      int (*run)(void *), void *arg)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof(*args);
	register long x2 __asm__("x2") = (long)arg;
	register long x3 __asm__("x3") = (long)run;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"		/* the outermost frame */
			 "mov x30, xzr\n\t"
			 "mov x0, x2\n\t"
			 "blr x3\n\t"
			 "brk 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return x0;
}

#else
#error "raw.h does not know this architecture: it has x86-64 and aarch64"
#endif

#endif
