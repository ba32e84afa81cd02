// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs that were linked with glibc before 2.15 get from it a posix_spawn() by
 * which a script without "#!" is run by a shell. That is left to glibc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>

typedef __typeof__(posix_spawn) spawn_fn;

#ifdef __x86_64__	/* others are younger */

#define OLD "GLIBC_2.2.5"

#if defined(__has_attribute) && __has_attribute(symver)
#define VERSION(function) __attribute__((symver(#function "@" OLD)))
#else
#define VERSION(function)
__asm__(".symver old_posix_spawn, posix_spawn@" OLD);
__asm__(".symver old_posix_spawnp, posix_spawnp@" OLD);
#endif

spawn_fn old_posix_spawn VERSION(posix_spawn);
spawn_fn old_posix_spawnp VERSION(posix_spawnp);

static int by_libc(const char *name, pid_t *pid, const char *file,
		   const posix_spawn_file_actions_t *actions,
		   const posix_spawnattr_t *attr,
		   char *const argv[], char *const envp[])
{
	spawn_fn *real = dlvsym(RTLD_NEXT, name, OLD);

	return real ? real(pid, file, actions, attr, argv, envp) : ENOSYS;
}

int old_posix_spawn(pid_t *pid, const char *path,
		    const posix_spawn_file_actions_t *actions,
		    const posix_spawnattr_t *attr,
		    char *const argv[], char *const envp[])
{
	return by_libc("posix_spawn", pid, path, actions, attr, argv, envp);
}

int old_posix_spawnp(pid_t *pid, const char *file,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr,
		     char *const argv[], char *const envp[])
{
	return by_libc("posix_spawnp", pid, file, actions, attr, argv, envp);
}

#endif
