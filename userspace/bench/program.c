// SPDX-License-Identifier: LGPL-2.1-or-later
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

/* A tmpfs, everywhere. */
static char path[] = "/dev/shm/avfork-bench-XXXXXX";
static pid_t owner;

char *program_argv[] = { path, NULL };
char *program_envp[] = { "PATH=/usr/bin:/bin", NULL };

const char *program_sibling(const char *name)
{
	static char sibling[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", sibling,
				  sizeof(sibling) - 1);
	char *end;

	if (length < 0)
		err(1, "/proc/self/exe");
	sibling[length] = '\0';
	end = strrchr(sibling, '/') + 1;
	snprintf(end, sizeof(sibling) - (end - sibling), "%s", name);
	return sibling;
}

static void remove_program(void)
{
	if (getpid() == owner)
		unlink(path);
}

static void copy_to(int out, const char *name)
{
	const char *from = program_sibling(name);
	int in = open(from, O_RDONLY | O_CLOEXEC);

	if (in < 0 || out < 0)
		err(1, "%s", in < 0 ? from : path);
	while (sendfile(out, in, NULL, INT_MAX) > 0)
		;
	if (fchmod(out, 0700) || close(out))
		err(1, "%s", path);
	close(in);
}

void program_prepare(void)
{
	int out = mkostemp(path, 0);

	owner = getpid();
	atexit(remove_program);
	copy_to(out, "nothing");
	environ = program_envp;
}

void program_tells(void)
{
	unlink(path);
	copy_to(open(path, O_WRONLY | O_CREAT | O_EXCL, 0700), "telling");
}
