// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the children exec: the smallest program that ends well. No C library
 * starts up in it, so that what is measured is the making of processes. Built as
 * "telling" it reads the clock first, and writes what sample_clock() would return.
 */
#include <time.h>
#include <unistd.h>

#include "../src/raw.h"

void __attribute__((noreturn)) _start(void);

#ifdef telling
static void tell(void)
{
	struct timespec ts;
	double now;

	raw_syscall4(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0, 0);
	now = ts.tv_sec * 1e9 + ts.tv_nsec;
	raw_syscall4(SYS_write, STDERR_FILENO, (long)&now, sizeof(now), 0);
}
#else
static void tell(void)
{
}
#endif

void _start(void)
{
	tell();
	raw_syscall4(SYS_exit_group, 0, 0, 0, 0);
	__builtin_unreachable();
}
