/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a container has: a tree of mounts in the child's own mount namespace,
 * which ends with the child. Nothing is made outside.
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>

#include <avfork.h>

#define TREE_DEVICES 5

/**
 * struct tree - on the way to the child's root
 * @container: what the caller chose
 * @has_proc:  whether there is a pid namespace for a /proc
 * @proc:      that, a mount that is attached nowhere
 * @root:      the root, likewise
 * @devices:   what /dev has, likewise
 * @binds:     room for container->nr_binds more of these
 */
struct tree {
	const struct avfork_container *container;
	bool has_proc;
	int proc;
	int root;
	int devices[TREE_DEVICES];
	int *binds;
};

/*
 * Take what the tree is made of from the caller's files, while the child still has the
 * ids by which the caller may reach these. Return: 0 or an errno.
 */
int tree_take(struct tree *tree);

/* Put the tree together, and leave all other files. Return: 0 or an errno. */
int tree_enter(struct tree *tree);

#endif
