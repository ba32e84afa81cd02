// SPDX-License-Identifier: GPL-2.0
/*
 * A library that is preloaded behind libavfork-preload.so, and with it.
 *
 * In place of libc's functions, so that a call that was left to libc shows. Only
 * what libc says where avfork asks it once more, or has no process, is passed on.
 *
 * And in place of functions that other libraries stand in for, to count the calls
 * that they are not to see: those of a child in its parent's memory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What libc says is found out in a copy, whose child prints to nowhere. */
static int refuse(const char *name, pid_t *pid, const char *path,
		  const posix_spawn_file_actions_t *actions,
		  const posix_spawnattr_t *attr,
		  char *const argv[], char *const envp[])
{
	__typeof__(posix_spawn) *real = dlsym(RTLD_NEXT, name);
	int *said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t copy;
	int error, null;

	if (!real)
		return ENOSYS;
	copy = fork();
	if (copy < 0)
		return errno;
	if (!copy) {
		null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY);
		syscall(SYS_dup3, null, 1, 0);
		/* There may be just one number for libc's call. */
		syscall(SYS_close, null);
		*said = real(&copy, path, actions, attr, argv, envp);
		_exit(0);
	}
	/* Or, where SIGCHLD is ignored, until it is gone. */
	waitpid(copy, NULL, 0);
	error = *said;
	munmap(said, sizeof(*said));
	return error == ENOENT || error == EACCES || error == EAGAIN ?
		error : ENOTRECOVERABLE;
}

#define REFUSE(function)						\
int function(pid_t *pid, const char *path,				\
	     const posix_spawn_file_actions_t *actions,			\
	     const posix_spawnattr_t *attr,				\
	     char *const argv[], char *const envp[])			\
{									\
	return refuse(#function, pid, path, actions, attr, argv, envp);	\
}

REFUSE(posix_spawn)
REFUSE(posix_spawnp)
/* Since glibc 2.39. */
REFUSE(pidfd_spawn)
REFUSE(pidfd_spawnp)

FILE *popen(const char *command, const char *type)
{
	errno = ENOTRECOVERABLE;
	return NULL;
}

int system(const char *command)
{
	errno = ENOTRECOVERABLE;
	return -1;
}

unsigned int nospawn_seen, nospawn_mallocs;
static pid_t parent;

static void __attribute__((constructor)) note_parent(void)
{
	parent = getpid();
}

static void see(void)
{
	nospawn_seen += getpid() != parent;
}

int close(int fd)
{
	see();
	return syscall(SYS_close, fd);
}

int open(const char *path, int flags, ...)
{
	va_list rest;
	mode_t mode;

	va_start(rest, flags);
	mode = va_arg(rest, mode_t);
	va_end(rest);
	see();
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int dup2(int fd, int newfd)
{
	see();
	return fd == newfd ? fd : syscall(SYS_dup3, fd, newfd, 0);
}

int dup3(int fd, int newfd, int flags)
{
	see();
	return syscall(SYS_dup3, fd, newfd, flags);
}

int fcntl(int fd, int operation, ...)
{
	va_list rest;
	long arg;

	va_start(rest, operation);
	arg = va_arg(rest, long);
	va_end(rest);
	see();
	return syscall(SYS_fcntl, fd, operation, arg);
}

int chdir(const char *path)
{
	see();
	return syscall(SYS_chdir, path);
}

int fchdir(int fd)
{
	see();
	return syscall(SYS_fchdir, fd);
}

pid_t setsid(void)
{
	see();
	return syscall(SYS_setsid);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	see();
	return syscall(SYS_execve, path, argv, envp);
}

int sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	__typeof__(sigaction) *real = dlsym(RTLD_NEXT, "sigaction");

	see();
	return real(sig, new, old);
}

/* glibc's own, by which it has itself replaced. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
	nospawn_mallocs++;
	return __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	nospawn_mallocs++;
	return __libc_calloc(nr, size);
}

void *realloc(void *memory, size_t size)
{
	nospawn_mallocs++;
	return __libc_realloc(memory, size);
}
