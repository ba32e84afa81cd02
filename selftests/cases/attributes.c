// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

static void case_signals(void)
{
	sigset_t set;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGUSR1, on_signal);
	fill(&set, SIGHUP, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	RUN(NULL, NULL, "ignored", "mask");

	fill(&set, SIGUSR1, SIGRTMAX);
	CHECK(!posix_spawnattr_setsigmask(&attr, &set));
	fill(&set, SIGINT, SIGUSR1);
	CHECK(!posix_spawnattr_setsigdefault(&attr, &set));
	RUN(NULL, &attr, "ignored", "mask");
	FLAGS(POSIX_SPAWN_SETSIGMASK);
	RUN(NULL, &attr, "ignored", "mask");
	FLAGS(POSIX_SPAWN_SETSIGDEF);
	RUN(NULL, &attr, "ignored", "mask");
	FLAGS(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	sigfillset(&set);
	CHECK(!posix_spawnattr_setsigdefault(&attr, &set));
	RUN(NULL, &attr, "ignored", "mask");
	/* The caller's are as they were. */
	report_ignored();
	report_mask();
}

static volatile sig_atomic_t handled;

static void count_handled(int sig)
{
	handled++;
}

static void *meet_child(void *unused)
{
	CHECK(open("child", O_RDONLY | O_CLOEXEC) >= 0);
	/* The child is on its way. */
	CHECK(!kill(0, SIGUSR1));
	CHECK(open("parent", O_WRONLY | O_CLOEXEC) >= 0);
	return NULL;
}

/*
 * A signal that the child shall have blocked in the end neither kills it
 * earlier, nor runs the parent's handler in it.
 */
static void case_signal_meanwhile(void)
{
	pthread_t thread;
	sigset_t set;

	make_dir();
	CHECK(!setpgid(0, 0));
	signal(SIGUSR1, count_handled);
	CHECK(!mkfifo("child", 0600) && !mkfifo("parent", 0600));
	CHECK(!pthread_create(&thread, NULL, meet_child, NULL));
	OPEN(5, "child", O_WRONLY, 0);
	OPEN(6, "parent", O_RDONLY, 0);
	CLOSEFROM(5);
	fill(&set, SIGUSR1, 0);
	CHECK(!posix_spawnattr_setsigmask(&attr, &set));
	FLAGS(POSIX_SPAWN_SETSIGMASK);
	/* Where this fails, the thread waits in vain, and is not waited for. */
	RUN(&actions, &attr, "pending");
	CHECK(handled == 1);
}

static void case_groups(void)
{
	pid_t group;

	RUN(NULL, NULL, "group", "session");
	CHECK(!posix_spawnattr_setpgroup(&attr, 0));
	FLAGS(POSIX_SPAWN_SETPGROUP);
	RUN(NULL, &attr, "group", "session");
	FLAGS(POSIX_SPAWN_SETSID);
	RUN(NULL, &attr, "group", "session");
	/* The leader of a session stays in its group. */
	FLAGS(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETPGROUP);
	RUN(NULL, &attr, "group", "session");

	group = fork();
	CHECK(group >= 0);
	if (!group) {
		pause();
		_exit(0);
	}
	CHECK(!setpgid(group, group));
	FLAGS(POSIX_SPAWN_SETPGROUP);
	CHECK(!posix_spawnattr_setpgroup(&attr, group));
	RUN(NULL, &attr, "group", "session");
	CHECK(!kill(group, SIGKILL) && waitpid(group, NULL, 0) == group);
	RUN(NULL, &attr, "group", "session");
}

/* In a session of our own, whose terminal is descriptor 20. */
static void take_terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	CHECK(master >= 0 && !grantpt(master) && !unlockpt(master));
	CHECK(setsid() > 0);
	put_open(20, ptsname(master), O_RDWR | O_CLOEXEC);
}

static void case_tcsetpgrp(void)
{
	take_terminal();
	DUP2(20, 0);
	RUN(&actions, &attr, "foreground");
	FLAGS(POSIX_SPAWN_SETPGROUP);
	RUN(&actions, &attr, "foreground");
	TCSETPGRP(20);
	RUN(&actions, &attr, "foreground", "group");
	/* By one of the background, too. */
	RUN(&actions, &attr, "foreground", "group");
	FLAGS(0);
	RUN(&actions, &attr, "foreground", "group");
	renew();
	put(21, "twenty-one", 0);
	TCSETPGRP(21);
	RUN(&actions, &attr, "foreground");
	renew();
	TCSETPGRP(99);
	RUN(&actions, &attr, "foreground");
}

static void case_reset_ids(void)
{
	if (geteuid())
		skip("needs root");
	CHECK(!setegid(12) && !seteuid(34));
	FLAGS(POSIX_SPAWN_RESETIDS);
	RUN(NULL, &attr, "ids");
	report_ids();
	CHECK(!seteuid(0) && !setresuid(0, 34, 34));
	RUN(NULL, &attr, "ids");
	report_ids();
}

static void case_scheduler(void)
{
	struct sched_param param = { 0 };

	/* Of these glibc knows no other: a child starts as its parent is. */
	CHECK(!sched_setscheduler(0, SCHED_BATCH, &param));
	CHECK(!posix_spawnattr_setschedpolicy(&attr, SCHED_OTHER));
	RUN(NULL, &attr, "scheduler");
	FLAGS(POSIX_SPAWN_SETSCHEDULER);
	RUN(NULL, &attr, "scheduler");
	FLAGS(POSIX_SPAWN_SETSCHEDPARAM);
	RUN(NULL, &attr, "scheduler");
	FLAGS(POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM);
	RUN(NULL, &attr, "scheduler");
	param.sched_priority = 1;
	CHECK(!posix_spawnattr_setschedparam(&attr, &param));
	RUN(NULL, &attr, "scheduler");
	FLAGS(POSIX_SPAWN_SETSCHEDPARAM);
	RUN(NULL, &attr, "scheduler");
	report_scheduler();
}

static void case_realtime(void)
{
	struct sched_param param = { .sched_priority = 3 };

	if (geteuid())
		skip("needs root");
	CHECK(!posix_spawnattr_setschedparam(&attr, &param));
	CHECK(!posix_spawnattr_setschedpolicy(&attr, SCHED_RR));
	FLAGS(POSIX_SPAWN_SETSCHEDULER);
	RUN(NULL, &attr, "scheduler");
	report_scheduler();
}

static void case_vfork_flag(void)
{
	FLAGS(POSIX_SPAWN_USEVFORK);
	RUN(NULL, &attr, "it ran");
}

const struct spawner_case attributes_cases[] = {
	CASE(signals),
	CASE(signal_meanwhile),
	CASE(groups),
	CASE(tcsetpgrp),
	CASE(reset_ids),
	CASE(scheduler),
	CASE(realtime),
	CASE(vfork_flag),
	{ NULL, NULL },
};
