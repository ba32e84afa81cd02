// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <avfork.h>

#include "method.h"
#include "program.h"

#define STACK_SIZE	(64 * 1024)

/**
 * struct library - a copy of libavfork, or of its preload
 *
 * A process chooses its backend once. With a copy of the library for each they
 * are found in one process all the same, and their figures in one run.
 *
 * @file:        a file of its own, for the dynamic linker to take it as another
 * @backend:     the one that it is forced to, or NULL: method_backend
 * @handle:      the dynamic linker's
 * @avfork_with: its function, where it has it, as those that follow
 * @avfork_exec: likewise
 * @posix_spawn: likewise
 * @avfork_prepare: likewise
 * @avfork_start: likewise
 * @avfork_popen: likewise
 * @avfork_pclose: likewise
 * @avfork_system: likewise
 * @avfork_reserve: likewise
 */
struct library {
	const char *file;
	const char *backend;
	void *handle;
	__typeof__(avfork_with) *avfork_with;
	__typeof__(avfork_exec) *avfork_exec;
	__typeof__(posix_spawn) *posix_spawn;
	__typeof__(avfork_prepare) *avfork_prepare;
	__typeof__(avfork_start) *avfork_start;
	__typeof__(avfork_popen) *avfork_popen;
	__typeof__(avfork_pclose) *avfork_pclose;
	__typeof__(avfork_system) *avfork_system;
	__typeof__(avfork_reserve) *avfork_reserve;
};

#define LIBRARY(name, of)	\
	{ .file = "libavfork-" name ".so", .backend = (of) }

static struct library lib_kernel = LIBRARY("kernel", NULL);
static struct library lib_clone = LIBRARY("clone", "clone");
static struct library lib_taskq = LIBRARY("taskq", "taskq");
static struct library lib_preload = LIBRARY("preload", NULL);

const char *method_backend = "kernel";
void (*method_before_exec)(void);

static void __attribute__((noreturn)) child(void)
{
	if (method_before_exec)
		method_before_exec();
	syscall(SYS_execve, program_argv[0], program_argv, program_envp);
	syscall(SYS_exit_group, 127);
	__builtin_unreachable();
}

static int start_routine(void *arg)
{
	(void)arg;
	child();
}

static int reap_pid(const struct method *method, long pid)
{
	int status;

	(void)method;
	return waitpid(pid, &status, __WALL) == pid && !status ? 0 : -1;
}

/* For what remains: the cost of measuring. */
static long call_none(const struct method *method)
{
	(void)method;
	return 0;
}

static int reap_none(const struct method *method, long none)
{
	(void)method;
	(void)none;
	return 0;
}

static long call_fork(const struct method *method)
{
	pid_t pid = fork();

	(void)method;
	if (!pid)
		child();
	return pid;
}

static long call_vfork(const struct method *method)
{
	pid_t pid = vfork();

	(void)method;
	if (!pid)
		child();
	return pid;
}

static long call_clone(const struct method *method)
{
	/*
	 * One for each child that may be under way. Used before, as what other
	 * methods use is. Threads that call are few.
	 */
	static _Thread_local char (*stacks)[STACK_SIZE];
	static _Thread_local unsigned int next;

	if (!stacks)
		stacks = malloc(METHOD_CHILDREN * sizeof(*stacks));
	if (!stacks)
		return -1;
	return clone(start_routine, stacks[next++ % METHOD_CHILDREN] + STACK_SIZE,
		     method->flags, NULL);
}

static long call_posix_spawn(const struct method *method)
{
	__typeof__(posix_spawn) *spawn = posix_spawn;
	pid_t pid;

	if (method->library)
		spawn = method->library->posix_spawn;
	return spawn(&pid, program_argv[0], NULL, NULL, program_argv,
		     program_envp) ? -1 : pid;
}

static const struct avfork_fd standard_fds[] = {
	{ .parent_fd = 0, .child_fd = 0 },
	{ .parent_fd = 1, .child_fd = 1 },
	{ .parent_fd = 2, .child_fd = 2 },
};

static long call_avfork(const struct method *method)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.fds = standard_fds,
		.nr_fds = method->grants,
	};

	return method->library->avfork_with(&opts, start_routine, NULL);
}

static long call_avfork_exec(const struct method *method)
{
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = AVFORK_STDIO,
	};

	return method->library->avfork_exec(&opts, program_argv[0],
					    program_argv, program_envp);
}

/* For the next call of this thread. */
static _Thread_local struct avfork_prepared *prepared;

static void prepare_avfork_start(const struct method *method)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	if (!prepared)
		prepared = method->library->avfork_prepare(NULL);
	/* One that was prepared long ago sleeps. In exact mode it has not run yet. */
	if (sched_getscheduler(0) != SCHED_OTHER)
		nanosleep(&moment, NULL);
}

static long call_avfork_start(const struct method *method)
{
	struct avfork_prepared *child = prepared;

	if (!child)
		child = method->library->avfork_prepare(NULL);
	prepared = NULL;
	return method->library->avfork_start(child, standard_fds,
					     method->grants, start_routine,
					     NULL);
}

static void *thread_routine(void *arg)
{
	return arg;
}

static long call_pthread_create(const struct method *method)
{
	pthread_t thread;

	(void)method;
	return pthread_create(&thread, NULL, thread_routine, NULL) ? -1 :
	       (long)thread;
}

static int reap_thread(const struct method *method, long thread)
{
	(void)method;
	return pthread_join(thread, NULL) ? -1 : 0;
}

/* The shell becomes the program. */
static const char *command(void)
{
	static char line[128];

	if (!*line)
		snprintf(line, sizeof(line), "exec %s", program_argv[0]);
	return line;
}

static long call_popen(const struct method *method)
{
	FILE *stream = popen(command(), "r");

	(void)method;
	return stream ? (long)stream : -1;
}

static int reap_popen(const struct method *method, long stream)
{
	(void)method;
	return pclose((FILE *)stream);
}

static long call_avfork_popen(const struct method *method)
{
	FILE *stream = method->library->avfork_popen(command(), "r");

	return stream ? (long)stream : -1;
}

static int reap_avfork_popen(const struct method *method, long stream)
{
	return method->library->avfork_pclose((FILE *)stream);
}

static long call_system(const struct method *method)
{
	(void)method;
	return system(command()) ? -1 : 0;
}

static long call_avfork_system(const struct method *method)
{
	return method->library->avfork_system(command()) ? -1 : 0;
}

#define METHOD(name_, call_, reap_, ...) \
	{ .name = #name_, .call = call_, .reap = reap_, __VA_ARGS__ }

const struct method methods[] = {
	METHOD(none, call_none, reap_none, .runs = false),
	METHOD(fork, call_fork, reap_pid, .runs = true),
	METHOD(vfork, call_vfork, reap_pid, .runs = false),
	METHOD(posix_spawn, call_posix_spawn, reap_pid, .runs = false),
	METHOD(popen, call_popen, reap_popen, .runs = false),
	METHOD(system, call_system, reap_none, .runs = false),
	METHOD(clone_vm, call_clone, reap_pid, .runs = true,
	       .flags = CLONE_VM | SIGCHLD),
	METHOD(clone_vm_files, call_clone, reap_pid, .runs = true,
	       .flags = CLONE_VM | CLONE_FILES | SIGCHLD),
	METHOD(pthread_create, call_pthread_create, reap_thread, .runs = false),
	METHOD(avfork, call_avfork, reap_pid, .runs = true,
	       .library = &lib_kernel, .grants = 3),
	METHOD(avfork_bare, call_avfork, reap_pid, .runs = true,
	       .library = &lib_kernel),
	METHOD(avfork_exec, call_avfork_exec, reap_pid, .runs = false,
	       .library = &lib_kernel),
	METHOD(avfork_start, call_avfork_start, reap_pid, .runs = true,
	       .prepare = prepare_avfork_start, .library = &lib_kernel,
	       .grants = 3),
	METHOD(avfork_start_bare, call_avfork_start, reap_pid, .runs = true,
	       .prepare = prepare_avfork_start, .library = &lib_kernel),
	METHOD(avfork_clone, call_avfork, reap_pid, .runs = true,
	       .library = &lib_clone, .grants = 3),
	METHOD(avfork_taskq, call_avfork, reap_pid, .runs = true,
	       .library = &lib_taskq, .grants = 3),
	METHOD(avfork_popen, call_avfork_popen, reap_avfork_popen,
	       .runs = false, .library = &lib_kernel),
	METHOD(avfork_system, call_avfork_system, reap_none, .runs = false,
	       .library = &lib_kernel),
	METHOD(preload, call_posix_spawn, reap_pid, .runs = false,
	       .library = &lib_preload),
};

const int nr_methods = sizeof(methods) / sizeof(*methods);

const struct method *method_find(const char *name)
{
	int i;

	for (i = 0; i < nr_methods; i++) {
		if (!strcmp(methods[i].name, name))
			return &methods[i];
	}
	errx(1, "no method is named %s", name);
}

static void *find(const struct library *library, const char *name)
{
	return dlsym(library->handle, name);
}

void method_load(const struct method *method)
{
	struct library *library = method->library;

	if (!library)
		return;
	if (!library->handle) {
		library->handle = dlopen(program_sibling(library->file),
					 RTLD_NOW | RTLD_LOCAL);
		if (!library->handle)
			errx(1, "%s", dlerror());
		library->avfork_with = find(library, "avfork_with");
		library->avfork_exec = find(library, "avfork_exec");
		library->posix_spawn = find(library, "posix_spawn");
		library->avfork_prepare = find(library, "avfork_prepare");
		library->avfork_start = find(library, "avfork_start");
		library->avfork_popen = find(library, "avfork_popen");
		library->avfork_pclose = find(library, "avfork_pclose");
		library->avfork_system = find(library, "avfork_system");
		library->avfork_reserve = find(library, "avfork_reserve");
	}
	setenv("AVFORK_BACKEND",
	       library->backend ? library->backend : method_backend, true);
}

void method_try(const struct method *method)
{
	/* The first child has the backend chosen, and its device opened. */
	long handle = method->call(method);

	if (handle == -1 || method->reap(method, handle))
		errx(1, "%s does not work here", method->name);
	unsetenv("AVFORK_BACKEND");
}

void method_reserve(const struct method *method, int children)
{
	const struct library *library = method->library;

	if (library && library->avfork_reserve &&
	    library->avfork_reserve(children))
		err(1, "avfork_reserve");
}
