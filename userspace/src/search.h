/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking for a program in PATH.
 */
#ifndef SEARCH_H
#define SEARCH_H

#define SEARCH_DEFAULT "/bin:/usr/bin"	/* where there is no PATH */

/*
 * execve(2) or, unless @path is NULL, execvpe(3) in the directories of that; but a
 * file which is no program is no shell script either. Returns, with errno set, when
 * nothing could be run.
 */
void search_exec(const char *file, const char *path, char *const argv[],
		 char *const envp[]);

#endif
