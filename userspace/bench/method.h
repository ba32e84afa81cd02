/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ways to make a child.
 */
#ifndef METHOD_H
#define METHOD_H

#include <stdbool.h>

struct library;

/* How many a thread may have under way: the oldest is reaped before another. */
#define METHOD_CHILDREN 4

/**
 * struct method - a way to make a child
 * @name:    in the results
 * @prepare: unless NULL: what somebody else may do before the call, or the call does
 * @call:    what the calling thread pays for: make a child that execs the
 *           program nothing. What reap() is to be told of it, or -1
 * @reap:    wait until the child is gone: 0, or -1 where it has not ended well
 * @runs:    the child runs code of ours, and the caller goes on meanwhile
 * @flags:   of clone(2)
 * @library: which copy of libavfork
 * @grants:  how many descriptors the child is granted
 */
struct method {
	const char *name;
	void (*prepare)(const struct method *method);
	long (*call)(const struct method *method);
	int (*reap)(const struct method *method, long child);
	bool runs;
	int flags;
	struct library *library;
	int grants;
};

extern const struct method methods[];
extern const int nr_methods;

/* The method of that name, or the program ends. */
const struct method *method_find(const char *name);

/* The backend of the libraries that are forced to no other. */
extern const char *method_backend;

/*
 * Load what @method needs, for its first call to come next. For the main thread,
 * before all else.
 */
void method_load(const struct method *method);

/* Make that call. The program ends if that does not work. */
void method_try(const struct method *method);

/* Have it keep what so many children at a time need, from now on. */
void method_reserve(const struct method *method, int children);

/*
 * What children of a method that "runs" do before their exec, where it is not
 * NULL. They may have their caller's thread-local storage: system calls only.
 */
extern void (*method_before_exec)(void);

#endif
