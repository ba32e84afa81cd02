/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the cases of spawner have in common.
 */
#ifndef AVFORK_SELFTEST_CASES_H
#define AVFORK_SELFTEST_CASES_H

#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/* For preload.c. */
#define SKIPPED	4

/**
 * struct spawner_case - one thing to try
 * @name: what preload.c calls it
 * @play: does so, and prints what came of it
 */
struct spawner_case {
	const char *name;
	void (*play)(void);
};

#define CASE(name)	{ #name, case_##name }

/* Each ends with an entry of NULLs. */
extern const struct spawner_case descriptors_cases[], attributes_cases[],
	program_cases[], caller_cases[], command_cases[], glibc_cases[];

/* What the child does. Return: its exit status */
int report(int argc, char **argv);
void report_content(int fd);
void report_mask(void);
void report_ignored(void);
void report_directory(void);
void report_ids(void);
void report_scheduler(void);

/* The path of this program, and the directory of make_dir(). */
extern char self[PATH_MAX], dir[];
/* For the call; at the start of a case they are as initialised. */
extern posix_spawn_file_actions_t actions;
extern posix_spawnattr_t attr;

void check(bool right, const char *what, int line);
void skip(const char *why);
void put(int number, const char *text, int flags);
void put_open(int number, const char *path, int flags);
void make_dir(void);
void make_file(const char *path, mode_t mode, const char *text);
unsigned int count(const char *path);
void on_signal(int sig);
void fill(sigset_t *set, int one, int other);

void print_error(const char *what, int error);
void finish(int error, pid_t pid);
void run(const posix_spawn_file_actions_t *actions,
	 const posix_spawnattr_t *attr, char *const argv[]);
void spawn_file(const char *file, bool search, char *const envp[]);
void renew(void);

#define CHECK(condition) check(condition, #condition, __LINE__)

#define RUN(actions, attr, ...) \
	run(actions, attr, (char *[]){ "spawner", __VA_ARGS__, NULL })

#define CLOSE(...)	\
	CHECK(!posix_spawn_file_actions_addclose(&actions, __VA_ARGS__))
#define OPEN(...)	\
	CHECK(!posix_spawn_file_actions_addopen(&actions, __VA_ARGS__))
#define DUP2(...)	\
	CHECK(!posix_spawn_file_actions_adddup2(&actions, __VA_ARGS__))
#define CHDIR(...)	\
	CHECK(!posix_spawn_file_actions_addchdir_np(&actions, __VA_ARGS__))
#define FCHDIR(...)	\
	CHECK(!posix_spawn_file_actions_addfchdir_np(&actions, __VA_ARGS__))
#define CLOSEFROM(...)	\
	CHECK(!posix_spawn_file_actions_addclosefrom_np(&actions, __VA_ARGS__))
#define TCSETPGRP(...)	\
	CHECK(!posix_spawn_file_actions_addtcsetpgrp_np(&actions, __VA_ARGS__))
#define FLAGS(flags)	\
	CHECK(!posix_spawnattr_setflags(&attr, flags))

#endif
