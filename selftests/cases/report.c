// SPDX-License-Identifier: GPL-2.0
/*
 * What a child has, as it prints it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"

static void report_descriptors(void)
{
	int fd;

	printf("open");
	for (fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
}

void report_content(int fd)
{
	char text[64];
	ssize_t size = pread(fd, text, sizeof(text), 0);

	printf("%d: %.*s\n", fd, (int)size, text);
}

void report_mask(void)
{
	sigset_t set;
	int sig;

	sigprocmask(SIG_SETMASK, NULL, &set);
	printf("blocked");
	for (sig = 1; sig < NSIG; sig++)
		if (sigismember(&set, sig) == 1)
			printf(" %d", sig);
	printf("\n");
}

static void report_pending(void)
{
	sigset_t set;
	int sig;

	sigpending(&set);
	printf("pending");
	for (sig = 1; sig < NSIG; sig++)
		if (sigismember(&set, sig) == 1)
			printf(" %d", sig);
	printf("\n");
}

void report_ignored(void)
{
	struct sigaction action;
	int sig;

	printf("ignored");
	for (sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &action) &&
		    action.sa_handler == SIG_IGN)
			printf(" %d", sig);
	printf("\n");
}

static const char *whose(pid_t id, pid_t parents)
{
	if (id == getpid())
		return "its own";
	return id == parents ? "the parent's" : "another";
}

void report_ids(void)
{
	uid_t user, euser, suser;
	gid_t group, egroup, sgroup;

	getresuid(&user, &euser, &suser);
	getresgid(&group, &egroup, &sgroup);
	printf("users %d %d %d groups %d %d %d\n", user, euser, suser, group,
	       egroup, sgroup);
}

void report_scheduler(void)
{
	struct sched_param param;

	sched_getparam(0, &param);
	printf("policy %d priority %d\n", sched_getscheduler(0),
	       param.sched_priority);
}

/* The cgroup2 of process @pid, or "self", by the last part of its name. */
static void read_cgroup(const char *pid, char name[NAME_MAX + 1])
{
	char path[64], line[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	*name = '\0';
	file = fopen(path, "r");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "0::", 3))
			sscanf(strrchr(line, '/'), "/%255s", name);
	}
	fclose(file);
}

static void report_cgroup(void)
{
	char parent[16], parents[NAME_MAX + 1], ours[NAME_MAX + 1];

	snprintf(parent, sizeof(parent), "%d", getppid());
	read_cgroup(parent, parents);
	read_cgroup("self", ours);
	printf("cgroup: %s\n", strcmp(ours, parents) ? ours : "the parent's");
}

void report_directory(void)
{
	char *path = getcwd(NULL, 0);

	printf("in %s\n", path);
	free(path);
}

int report(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		const char *item = argv[i];

		if (!strcmp(item, "descriptors"))
			report_descriptors();
		else if (!strcmp(item, "mask"))
			report_mask();
		else if (!strcmp(item, "pending"))
			report_pending();
		else if (!strcmp(item, "ignored"))
			report_ignored();
		else if (!strcmp(item, "ids"))
			report_ids();
		else if (!strcmp(item, "scheduler"))
			report_scheduler();
		else if (!strcmp(item, "directory"))
			report_directory();
		else if (!strcmp(item, "cgroup"))
			report_cgroup();
		else if (!strcmp(item, "group"))
			printf("group: %s\n",
			       whose(getpgrp(), getpgid(getppid())));
		else if (!strcmp(item, "session"))
			printf("session: %s\n",
			       whose(getsid(0), getsid(getppid())));
		else if (!strcmp(item, "foreground"))
			printf("foreground: %s\n",
			       whose(tcgetpgrp(0), getpgid(getppid())));
		else if (!strcmp(item, "environment"))
			printf("environment: %s\n",
			       environ[0] ? environ[0] : "none");
		else if (*item >= '0' && *item <= '9')
			report_content(atoi(item));
		else
			printf("%s\n", item);
	}
	return 0;
}
