/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large the parent is.
 */
#ifndef PARENT_H
#define PARENT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct parent - what a parent may have much of
 * @mib:         resident memory that is its own
 * @huge:        in huge pages, else all in small ones
 * @descriptors: open ones
 * @inherit:     those without FD_CLOEXEC
 * @threads:     with the one that calls; the others wait
 */
struct parent {
	size_t mib;
	bool huge;
	int descriptors;
	bool inherit;
	int threads;
};

/* Become so. Memory and descriptors may be fewer than before, threads not. */
void parent_become(const struct parent *parent);

/* The memory, of @mib MiB. */
extern char *parent_memory;

#endif
