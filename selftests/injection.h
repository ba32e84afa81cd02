/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults that the kernel injects: allocations that it makes for us fail. See
 * Documentation/fault-injection/fault-injection.rst of the kernel, which has to
 * be built with FAULT_INJECTION.
 */
#ifndef AVFORK_SELFTEST_INJECTION_H
#define AVFORK_SELFTEST_INJECTION_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"

#define INJECTION	"/sys/kernel/debug/"
#define NO_INJECTION	"this kernel injects no faults, or not for us"

/* Return: 0 or -1 */
static inline int injection_set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), INJECTION "%s", name);
	return write_file(path, value);
}

/*
 * Let allocations fail that may wait, and those of single pages. Nobody notices
 * who has not set a fail-nth of his own, while the probability is 0.
 *
 * Return: the calling thread's fail-nth, or -1 where there is no such thing.
 */
static inline int nth_open(void)
{
	if (injection_set("failslab/ignore-gfp-wait", "N") ||
	    injection_set("failslab/verbose", "0") ||
	    injection_set("fail_page_alloc/ignore-gfp-wait", "N") ||
	    injection_set("fail_page_alloc/min-order", "0") ||
	    injection_set("fail_page_alloc/verbose", "0"))
		return -1;
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

/* The @n-th allocation from here on shall fail; 0: none. */
static inline void nth_set(int nth, unsigned int n)
{
	char text[16];

	if (pwrite(nth, text, snprintf(text, sizeof(text), "%u", n), 0) <= 0)
		abort();
}

/* Return: which one it would be from here on; 0: it has failed. */
static inline unsigned int nth_end(int nth)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		abort();
	nth_set(nth, 0);
	return strtoul(text, NULL, 10);
}

/*
 * Let @function of the kernel's fail with @error, where nth_set() of the calling
 * thread says so: by probability it would be others' as well, and the kernel takes
 * locks for that which it must not take there. Return: 0 or -1 where functions
 * cannot be made to fail.
 */
static inline int function_fails(const char *function, int error)
{
	char name[64], value[32];

	if (injection_set("fail_function/inject", function))
		return -1;
	snprintf(name, sizeof(name), "fail_function/%s/retval", function);
	snprintf(value, sizeof(value), "%#lx", -(long)error);
	return injection_set(name, value) ||
	       injection_set("fail_function/verbose", "0") ? -1 : 0;
}

static inline void function_works(void)
{
	/* Of an empty line it takes all functions away. */
	injection_set("fail_function/inject", "\n");
}

#endif
