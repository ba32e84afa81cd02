/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program that the children exec.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

extern char *program_argv[], *program_envp[];

/*
 * Copy it to memory, where no other file system is measured, until this process
 * exits, and have an environment that is the same on every machine.
 */
void program_prepare(void);

/*
 * From now on its first act is to write to standard error what sample_clock()
 * returned there.
 */
void program_tells(void);

/* The path of @name, which was built next to us. */
const char *program_sibling(const char *name);

#endif
