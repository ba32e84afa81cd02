// SPDX-License-Identifier: GPL-2.0
/*
 * A program that knows nothing of avfork, for preload.c.
 *
 * spawner case CASE   play that one: spawn, and print what came of it
 * spawner ITEM...     the child: print what one has, see report()
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "seccomp.h"

#define SKIPPED	4

static char self[PATH_MAX];

/* The child */

static void report_descriptors(void)
{
	int fd;

	printf("open");
	for (fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
}

static void report_content(int fd)
{
	char text[64];
	ssize_t size = pread(fd, text, sizeof(text), 0);

	printf("%d: %.*s\n", fd, (int)size, text);
}

static void report_mask(void)
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

static void report_ignored(void)
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

static void report_ids(void)
{
	uid_t user, euser, suser;
	gid_t group, egroup, sgroup;

	getresuid(&user, &euser, &suser);
	getresgid(&group, &egroup, &sgroup);
	printf("users %d %d %d groups %d %d %d\n", user, euser, suser, group,
	       egroup, sgroup);
}

static void report_scheduler(void)
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

static void report_directory(void)
{
	char *path = getcwd(NULL, 0);

	printf("in %s\n", path);
	free(path);
}

static int report(int argc, char **argv)
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

/* What cases have in common */

static void check(bool right, const char *what, int line)
{
	if (right)
		return;
	printf("line %d: %s (errno %s)\n", line, what, strerrorname_np(errno));
	exit(1);
}

#define CHECK(condition) check(condition, #condition, __LINE__)

static void skip(const char *why)
{
	printf("%s", why);
	exit(SKIPPED);
}

/* A file at descriptor @number that holds @text. */
static void put(int number, const char *text, int flags)
{
	int fd = memfd_create(text, 0);

	CHECK(fd >= 0 && number > fd);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(dup3(fd, number, flags) == number);
	CHECK(!close(fd));
}

static void put_open(int number, const char *path, int flags)
{
	int fd = open(path, flags);

	CHECK(fd >= 0 && number > fd);
	CHECK(dup3(fd, number, flags & O_CLOEXEC) == number);
	CHECK(!close(fd));
}

static void print_error(const char *what, int error)
{
	printf("%s: %s\n", what, error ? strerrorname_np(error) : "0");
}

/* What became of a call that returned @error and, perhaps, @pid. */
static void finish(int error, pid_t pid)
{
	int status;

	if (error) {
		print_error("error", error);
		CHECK(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
		return;
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		printf("status %x\n", status);
}

static void run(const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[])
{
	pid_t pid = -1;
	int error;

	fflush(stdout);
	error = posix_spawn(&pid, self, actions, attr, argv, environ);
	finish(error, pid);
}

#define RUN(actions, attr, ...) \
	run(actions, attr, (char *[]){ "spawner", __VA_ARGS__, NULL })

static posix_spawn_file_actions_t actions;
static posix_spawnattr_t attr;

/* Begin anew in the middle of a case. */
static void renew(void)
{
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawnattr_destroy(&attr));
	CHECK(!posix_spawnattr_init(&attr));
}

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

static char dir[] = "/tmp/spawner.XXXXXX";

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		perror(command);
}

/* Enter a new directory, which is gone at exit. */
static void make_dir(void)
{
	CHECK(mkdtemp(dir));
	atexit(remove_dir);
	CHECK(!chmod(dir, 0755) && !chdir(dir));
}

static void make_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(!close(fd));
}

/* Descriptors */

static void case_inherit(void)
{
	int fd;

	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	for (fd = 24; fd < 1024; fd++)
		CHECK(dup3(0, fd, O_CLOEXEC) == fd);
	RUN(NULL, NULL, "descriptors", "20");
	RUN(&actions, &attr, "descriptors", "20");
}

static void case_dup2(void)
{
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", O_CLOEXEC);
	put(22, "twenty-two", 0);
	DUP2(20, 5);
	DUP2(22, 6);
	DUP2(5, 7);
	CLOSE(5);
	RUN(&actions, NULL, "descriptors", "6", "7", "22");

	/* Two numbers change places, by means of a third. */
	renew();
	DUP2(20, 23);
	DUP2(21, 20);
	DUP2(23, 21);
	CLOSE(23);
	RUN(&actions, NULL, "descriptors", "20", "21");

	renew();
	DUP2(20, 20);
	DUP2(22, 22);
	OPEN(1, "/proc/self/fd/2", O_WRONLY, 0);
	DUP2(2, 1);
	CLOSE(22);
	RUN(&actions, NULL, "nothing here");
}

static void case_dup2_onto_itself(void)
{
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	DUP2(20, 20);
	DUP2(21, 21);
	RUN(&actions, NULL, "descriptors", "20", "21");
	/* In the caller it stays as it was. */
	CHECK(fcntl(20, F_GETFD) == FD_CLOEXEC);
	RUN(NULL, NULL, "descriptors");
}

static void case_dup2_of_closed(void)
{
	put(20, "twenty", 0);
	DUP2(21, 5);
	RUN(&actions, NULL, "descriptors");
	renew();
	DUP2(21, 21);
	RUN(&actions, NULL, "descriptors");
	renew();
	CLOSE(20);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors");
	renew();
	CLOSEFROM(3);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors");
}

static void case_close(void)
{
	put(20, "twenty", 0);
	put(21, "twenty-one", 0);
	put(22, "twenty-two", O_CLOEXEC);
	CLOSE(20);
	CLOSE(20);
	CLOSE(22);
	CLOSE(300);
	RUN(&actions, NULL, "descriptors", "21");
	CHECK(fcntl(20, F_GETFD) == 0);
}

static void case_closefrom(void)
{
	put(20, "twenty", 0);
	put(21, "twenty-one", 0);
	put(40, "forty", 0);
	DUP2(40, 30);
	CLOSEFROM(21);
	RUN(&actions, NULL, "descriptors", "20");
	CLOSEFROM(3);
	OPEN(50, "/dev/null", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

static void case_open(void)
{
	char path[] = "file";
	struct stat file;

	make_dir();
	make_file("file", 0600, "a file");
	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	umask(027);

	OPEN(20, path, O_RDONLY, 0);
	/* It was copied. */
	path[0] = '?';
	OPEN(5, "/proc/self/fd/21", O_RDONLY, 0);
	OPEN(6, "/dev/fd/20", O_RDONLY, 0);
	OPEN(7, "new", O_WRONLY | O_CREAT | O_EXCL, 0666);
	OPEN(8, "/dev/null", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors", "20", "5", "6");
	CHECK(!stat("new", &file));
	printf("mode %o\n", file.st_mode);
	report_content(20);
}

static void case_open_errors(void)
{
	make_dir();
	OPEN(20, "new", O_WRONLY | O_CREAT, 0600);
	OPEN(21, "absent/file", O_RDONLY, 0);
	OPEN(22, "newer", O_WRONLY | O_CREAT, 0600);
	RUN(&actions, NULL, "descriptors");
	/* As far as it came. */
	printf("%d %d\n", access("new", F_OK), access("newer", F_OK));

	renew();
	OPEN(20, "new/file", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
	renew();
	OPEN(20, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	RUN(&actions, NULL, "descriptors");
	renew();
	OPEN(20, "/proc/self/fd/99", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

/*
 * By ways to a close-on-exec descriptor that nothing but the kernel can follow. A
 * child of libc has it until the exec.
 */
static void case_open_by_descriptor(void)
{
	char thread[64];

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	put_open(21, "/usr", O_RDONLY | O_CLOEXEC);
	CHECK(dup3(20, 0, O_CLOEXEC) == 0);
	CHECK(!symlink("/proc/self/fd/20", "link"));
	snprintf(thread, sizeof(thread), "/proc/%d/../thread-self/fd/20", 1);

	OPEN(5, "/dev/stdin", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(5, "link", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(5, thread, O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	renew();
	OPEN(4, "/dev/null", O_RDONLY, 0);
	OPEN(5, "/proc//self/fd/20", O_RDWR | O_CREAT, 0600);
	RUN(&actions, NULL, "5");
	renew();
	CHDIR("/proc/self/fd");
	OPEN(5, "20", O_RDONLY, 0);
	RUN(&actions, NULL, "5");
	CHDIR("21");
	RUN(&actions, NULL, "5", "directory");
}

/* What a second child would do again is not done by two. */
static void case_open_only_once(void)
{
	char path[64];

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	OPEN(5, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	OPEN(6, "absent", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
	renew();
	CHECK(!mkfifo("fifo", 0600));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	put_open(21, path, O_RDWR | O_CLOEXEC);
	OPEN(5, "fifo", O_RDONLY, 0);
	CLOSE(21);
	OPEN(6, "absent", O_RDONLY, 0);
	RUN(&actions, NULL, "descriptors");
}

/* As in a sandbox that does not know the call, and as Linux before 5.9. */
static void closefrom_without_call(int error)
{
	int fd;

	for (fd = 30; fd < 300; fd++)
		CHECK(dup2(0, fd) == fd);
	CHECK(!seccomp_refuse(SYS_close_range, error));
	CLOSEFROM(3);
	RUN(&actions, NULL, "descriptors");
}

static void case_closefrom_refused(void)
{
	closefrom_without_call(EPERM);
}

static void case_closefrom_unknown(void)
{
	closefrom_without_call(ENOSYS);
}

/* The working directory */

static void case_chdir(void)
{
	char path[] = "/usr";

	CHDIR(path);
	path[1] = '?';
	RUN(&actions, NULL, "directory");
	CHDIR("..");
	RUN(&actions, NULL, "directory");
	CHDIR("absent");
	RUN(&actions, NULL, "directory");
	report_directory();
}

static void case_fchdir(void)
{
	put_open(20, "/usr", O_RDONLY | O_CLOEXEC);
	put_open(21, "/proc", O_PATH | O_CLOEXEC);
	put(22, "twenty-two", 0);
	FCHDIR(20);
	RUN(&actions, NULL, "directory", "descriptors");
	FCHDIR(21);
	RUN(&actions, NULL, "directory");
	renew();
	CHDIR("/proc/self/fd/20/..");
	RUN(&actions, NULL, "directory");
	renew();
	FCHDIR(22);
	RUN(&actions, NULL, "directory");
	renew();
	FCHDIR(99);
	RUN(&actions, NULL, "directory");
	report_directory();
}

static void case_order(void)
{
	make_dir();
	CHECK(!mkdir("a", 0700) && !mkdir("b", 0700));
	make_file("a/file", 0600, "a's");
	make_file("b/file", 0600, "b's");
	put(20, "twenty", O_CLOEXEC);
	CHDIR("a");
	OPEN(5, "file", O_RDONLY, 0);
	CHDIR("../b");
	OPEN(6, "file", O_RDONLY, 0);
	DUP2(5, 7);
	DUP2(6, 5);
	DUP2(20, 6);
	CLOSEFROM(8);
	DUP2(7, 8);
	RUN(&actions, NULL, "descriptors", "5", "6", "7", "8");
}

/* Attributes */

static void on_signal(int sig)
{
}

static void fill(sigset_t *set, int one, int other)
{
	sigemptyset(set);
	if (one)
		sigaddset(set, one);
	if (other)
		sigaddset(set, other);
}

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

/* The program */

static void spawn_file(const char *file, bool search, char *const envp[])
{
	char *argv[] = { "spawner", "environment", NULL };
	pid_t pid = -1;
	int error;

	fflush(stdout);
	error = search ?
		posix_spawnp(&pid, file, &actions, NULL, argv, envp) :
		posix_spawn(&pid, file, &actions, NULL, argv, envp);
	finish(error, pid);
}

static void case_exec(void)
{
	char *environment[] = { "ONE=1", NULL };
	char *none[] = { NULL };

	spawn_file(self, false, environment);
	spawn_file(self, true, environment);
	spawn_file(self, false, none);
	spawn_file(self, false, NULL);
	/* A descriptor that is close-on-exec still names a program. */
	put_open(20, self, O_RDONLY | O_CLOEXEC);
	spawn_file("/proc/self/fd/20", false, environment);
	spawn_file("/dev/fd/20", true, environment);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
}

static void case_exec_errors(void)
{
	char long_name[NAME_MAX + 2];
	char *none[] = { NULL };

	make_dir();
	make_file("data", 0644, "data");
	make_file("script", 0755, "echo run by a shell");
	make_file("orphan", 0755, "#!/absent/interpreter\n");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[NAME_MAX + 1] = '\0';

	spawn_file("", false, none);
	spawn_file("./absent", false, none);
	spawn_file("./data", false, none);
	spawn_file("./data/file", false, none);
	spawn_file("./script", false, none);
	spawn_file("./orphan", false, none);
	spawn_file(long_name, false, none);
	spawn_file("/tmp", false, none);
}

static void case_path(void)
{
	char long_name[NAME_MAX + 2];
	char *none[] = { NULL };

	make_dir();
	CHECK(!mkdir("a", 0755) && !mkdir("b", 0755) && !mkdir("c", 0755));
	make_file("a/program", 0644, "not executable");
	CHECK(!symlink(self, "b/program"));
	make_file("b/script", 0755, "echo run by a shell");
	make_file("c/script", 0755, "echo run by a shell");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[NAME_MAX + 1] = '\0';

	setenv("PATH", "absent:a/program:a:b:c", true);
	spawn_file("program", true, none);
	spawn_file("script", true, none);
	spawn_file("absent", true, none);
	spawn_file("", true, none);
	spawn_file(long_name, true, none);
	setenv("PATH", "absent:a:c", true);
	spawn_file("program", true, none);
	spawn_file("b/program", true, none);
	spawn_file("./script", true, none);
	/* Looked for where the child is. An empty name is that directory. */
	CHDIR("b");
	spawn_file("program", true, none);
	setenv("PATH", "/absent:", true);
	spawn_file("program", true, none);
	setenv("PATH", "", true);
	spawn_file("program", true, none);
	setenv("PATH", "/absent", true);
	spawn_file("program", true, none);
	unsetenv("PATH");
	spawn_file("program", true, none);
	spawn_file("true", true, none);
}

/* Adding actions */

static void case_bad_descriptors(void)
{
	const int bad[] = { -1, INT_MIN, INT_MAX, sysconf(_SC_OPEN_MAX) };
	posix_spawn_file_actions_t *a = &actions;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int fd = bad[i];

		CHECK(posix_spawn_file_actions_addclose(a, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addopen(a, fd, "/", 0, 0) ==
		      EBADF);
		CHECK(posix_spawn_file_actions_adddup2(a, fd, 0) == EBADF);
		CHECK(posix_spawn_file_actions_adddup2(a, 0, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addclosefrom_np(a, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addtcsetpgrp_np(a, fd) == EBADF);
	}
	RUN(&actions, NULL, "none was added");
}

static void case_many_actions(void)
{
	int i;

	put(20, "twenty", O_CLOEXEC);
	for (i = 0; i < 900; i++) {
		DUP2(20, 30 + i);
		OPEN(30 + i, "/dev/null", O_RDONLY, 0);
		CLOSE(30 + i);
	}
	DUP2(20, 21);
	RUN(&actions, NULL, "descriptors", "21");
	RUN(&actions, NULL, "descriptors", "21");
}

/* More close-on-exec descriptors than are looked after. */
static void case_many_descriptors(void)
{
	int i;

	for (i = 0; i < 200; i++) {
		put(50 + i, "some", O_CLOEXEC);
		DUP2(50 + i, 5);
	}
	RUN(&actions, NULL, "descriptors", "5");
}

/* Whoever finds libc's function there can be given the object. */
static void case_libcs_object(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	__typeof__(posix_spawn) *spawn = dlsym(libc, "posix_spawn");
	char *argv[] = { "spawner", "descriptors", "5", "directory", NULL };
	pid_t pid;

	CHECK(spawn);
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	DUP2(20, 5);
	OPEN(6, "/dev/null", O_RDONLY, 0);
	CLOSE(21);
	CHDIR("/usr");
	fflush(stdout);
	CHECK(!spawn(&pid, self, &actions, NULL, argv, environ));
	finish(0, pid);
}

/* What libc's function has initialised, found there and not by its name. */
static void case_foreign_actions(void)
{
	__typeof__(posix_spawn_file_actions_init) *init;
	__typeof__(posix_spawn_file_actions_adddup2) *adddup2;
	void *libc = dlopen("libc.so.6", RTLD_NOW);

	CHECK(libc);
	init = dlsym(libc, "posix_spawn_file_actions_init");
	adddup2 = dlsym(libc, "posix_spawn_file_actions_adddup2");
	CHECK(init && adddup2);
	CHECK(!posix_spawn_file_actions_destroy(&actions));

	put(20, "twenty", O_CLOEXEC);
	CHECK(!init(&actions));
	CHECK(!adddup2(&actions, 20, 5));
	DUP2(20, 6);
	OPEN(7, "/dev/null", O_RDONLY, 0);
	CLOSE(7);
	CHDIR("/");
	RUN(&actions, NULL, "descriptors", "5", "6");
	/* One that was put to zero is as if initialised, in libc. */
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	memset(&actions, 0, sizeof(actions));
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors", "5");
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawn_file_actions_init(&actions));
}

/* What is left behind */

static unsigned int count(const char *path)
{
	unsigned int entries = 0;
	DIR *folder = opendir(path);

	while (readdir(folder))
		entries++;
	closedir(folder);
	return entries;
}

static void case_nothing_left(void)
{
	unsigned int fds;
	int i;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	RUN(&actions, NULL, "first");
	fds = count("/proc/self/fd");
	for (i = 0; i < 100; i++) {
		char *none[] = { NULL };
		pid_t pid = 1234;

		CHECK(posix_spawn(&pid, "/absent", &actions, NULL, none,
				  none) == ENOENT);
		CHECK(pid == 1234);
		CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	}
	CHECK(count("/proc/self/fd") == fds);
	RUN(&actions, NULL, "last");
}

static void case_errno_is_kept(void)
{
	char *none[] = { NULL };
	pid_t pid;

	errno = ENOTNAM;
	CHECK(!posix_spawn(&pid, "/bin/true", NULL, NULL, none, none));
	print_error("errno", errno);
	finish(0, pid);
}

static void case_errno_after_error(void)
{
	char *none[] = { NULL };
	pid_t pid;

	errno = ENOTNAM;
	CHECK(posix_spawn(&pid, "/", NULL, NULL, none, none) == EACCES);
	CHECK(posix_spawn(&pid, "/absent", NULL, NULL, none, none) == ENOENT);
	print_error("errno", errno);
}

/* What the library behind ours has counted, or 0 if there is none. */
static unsigned int counted(const char *name)
{
	const unsigned int *counter = dlsym(RTLD_DEFAULT, name);

	return counter ? *counter : 0;
}

/* No library that stands in for libc's functions has seen the child. */
static void case_unseen(void)
{
	unsigned int before;
	sigset_t set;

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	put_open(22, "/usr", O_RDONLY | O_CLOEXEC);
	signal(SIGINT, SIG_IGN);
	DUP2(20, 5);
	DUP2(21, 21);
	OPEN(6, "/dev/null", O_RDONLY, 0);
	CHDIR("/");
	FCHDIR(22);
	CLOSE(20);
	CLOSEFROM(30);
	fill(&set, SIGINT, SIGUSR1);
	CHECK(!posix_spawnattr_setsigdefault(&attr, &set));
	FLAGS(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
	      POSIX_SPAWN_SETSID);
	before = counted("nospawn_seen");
	RUN(&actions, &attr, "descriptors");
	spawn_file("true", true, environ);
	spawn_file("/absent", false, environ);
	printf("seen %u\n", counted("nospawn_seen") - before);
}

/* A signal handler may have interrupted malloc(). */
static void case_no_malloc(void)
{
	char *argv[] = { "true", NULL };
	unsigned int before;
	pid_t first, second;
	int error;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	CHECK(!posix_spawnattr_setpgroup(&attr, 0));
	FLAGS(POSIX_SPAWN_SETPGROUP);
	before = counted("nospawn_mallocs");
	CHECK(!posix_spawn(&first, "/bin/true", &actions, &attr, argv, environ));
	CHECK(!posix_spawnp(&second, "true", &actions, NULL, argv, environ));
	error = posix_spawnp(NULL, "absent", &actions, NULL, argv, environ);
	printf("mallocs %u\n", counted("nospawn_mallocs") - before);
	finish(0, first);
	finish(0, second);
	finish(error, 0);
}

/* No thread is made, for libc or the kernel to know of. */
static void case_single_threaded(void)
{
	RUN(NULL, NULL, "it ran");
	printf("single %d\n", __libc_single_threaded);
	printf("threads %u\n", count("/proc/self/task") - 2);
}

/* An ordinary user's process, which may have one more. */
static volatile pid_t handled;
static volatile sig_atomic_t unknown;

static void look_for_pid(int signal)
{
	unknown += !handled;
}

/* As a shell's list of jobs: what has ended is what has been made. */
static void case_handler_knows_pid(void)
{
	char *argv[] = { "true", NULL };
	cpu_set_t cpus;
	int i;

	/* On one CPU the child is often gone when the call returns. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	signal(SIGCHLD, look_for_pid);
	for (i = 0; i < 300; i++) {
		handled = 0;
		CHECK(!posix_spawnp((pid_t *)&handled, "true", NULL, NULL, argv,
				    environ));
		while (waitpid(handled, NULL, 0) < 0)
			CHECK(errno == EINTR);
	}
	printf("unknown: %d\n", unknown);
}

/* A process that opens the other end of "fifo" when @told is, or after five seconds. */
static pid_t fork_opener(int told)
{
	struct pollfd poll_told = { .fd = told, .events = POLLIN };
	pid_t pid = fork();
	int ready;

	if (pid)
		return pid;
	ready = poll(&poll_told, 1, 5000);
	if (open("fifo", O_WRONLY) < 0)
		_exit(2);
	_exit(ready ? 0 : 1);
}

/* The child's first step takes until then: who returns before does not wait for it. */
static void case_returns_before_exec(void)
{
	char *argv[] = { "true", NULL };
	int status, wire[2];
	pid_t pid, opener;

	make_dir();
	CHECK(!mkfifo("fifo", 0600) && !pipe2(wire, O_CLOEXEC));
	opener = fork_opener(wire[0]);
	OPEN(0, "fifo", O_RDONLY, 0);
	FLAGS(POSIX_SPAWN_SETPGROUP);
	CHECK(!posix_spawnp(&pid, "true", &actions, &attr, argv, environ));
	CHECK(getpgid(pid) == pid);
	/* What the child still needs are copies. */
	argv[0] = (char *)1;
	renew();
	CHECK(write(wire[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK(waitpid(opener, &status, 0) == opener);
	printf("%s the exec\n", status ? "after" : "before");

	/* A child that fails exits; what can be seen before is an error. */
	DUP2(77, 5);
	spawn_file(self, false, environ);
	renew();
	/* A file may be gone when the child looks for it, so the call waits. */
	OPEN(0, "absent", O_RDONLY, 0);
	spawn_file(self, false, environ);
	renew();
	spawn_file("absent", true, environ);
	spawn_file("/etc/passwd", false, environ);
	spawn_file("/etc", false, environ);
}

static void case_one_more_process(void)
{
	const struct rlimit limit = { .rlim_cur = 2, .rlim_max = 2 };

	if (geteuid())
		skip("needs root");
	CHECK(!setrlimit(RLIMIT_NPROC, &limit));
	CHECK(!setgid(23456) && !setuid(23456));
	spawn_file("true", true, environ);
	spawn_file("true", true, environ);
	printf("two ran\n");
}

static void *spawn_on_little(void *unused)
{
	DUP2(20, 5);
	spawn_file("true", true, environ);
	spawn_file("absent", true, environ);
	return NULL;
}

static void case_small_stack(void)
{
	pthread_attr_t small;
	pthread_t thread;

	put(20, "twenty", O_CLOEXEC);
	CHECK(!pthread_attr_init(&small));
	CHECK(!pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN));
	CHECK(!pthread_create(&thread, &small, spawn_on_little, NULL));
	CHECK(!pthread_join(thread, NULL));
}

static void case_sigchld_ignored(void)
{
	char *none[] = { NULL };

	signal(SIGCHLD, SIG_IGN);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
	signal(SIGCHLD, on_signal);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
}

static void *spawn_cancelled(void *unused)
{
	char *argv[] = { "true", NULL };
	pid_t pid;

	pthread_cancel(pthread_self());
	CHECK(!posix_spawnp(&pid, "true", NULL, NULL, argv, environ));
	pthread_testcancel();
	return NULL;
}

/* The call has its way: nothing is lost. What comes after it is cancelled. */
static void case_cancellation(void)
{
	pthread_t thread;
	void *result;
	int status;

	CHECK(!pthread_create(&thread, NULL, spawn_cancelled, NULL));
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK(wait(&status) > 0);
	printf("status %x\n", status);
}

#define THREADS	8
#define SPAWNS	30

static void *spawn_often(void *number)
{
	posix_spawn_file_actions_t own;
	char expected[16], got[16];
	int i, ends[2], status;

	snprintf(expected, sizeof(expected), "%ld", (long)number);
	for (i = 0; i < SPAWNS; i++) {
		char *argv[] = { "echo", "-n", expected, NULL };
		bool absent = i % 3 == 2;
		ssize_t size;
		pid_t pid;
		int error;

		CHECK(!pipe2(ends, O_CLOEXEC));
		CHECK(!posix_spawn_file_actions_init(&own));
		CHECK(!posix_spawn_file_actions_adddup2(&own, ends[1], 1));
		error = posix_spawnp(&pid, absent ? "absent" : "echo", &own,
				     NULL, argv, environ);
		CHECK(error == (absent ? ENOENT : 0));
		CHECK(!posix_spawn_file_actions_destroy(&own));
		close(ends[1]);
		size = read(ends[0], got, sizeof(got));
		close(ends[0]);
		if (absent) {
			CHECK(!size);
			continue;
		}
		CHECK(size == (ssize_t)strlen(expected));
		CHECK(!memcmp(got, expected, size));
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t threads[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, spawn_often,
				      (void *)i));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	printf("all spawned\n");
}

/* With actions from before it. */
static void case_after_fork(void)
{
	int status;
	pid_t pid;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors", "5");
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		RUN(&actions, NULL, "descriptors", "5");
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

/* Who may do nothing here, but does, is no concern of avfork's. */
static void spawn_in_vfork(void)
{
	char *argv[] = { "true", NULL };
	int status;
	pid_t pid;

	pid = vfork();
	if (!pid) {
		pid_t grandchild;
		int error = posix_spawnp(&grandchild, "true", NULL, NULL, argv,
					 environ);

		if (!error && waitpid(grandchild, &status, 0) != grandchild)
			error = errno;
		_exit(error);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	print_error("in the child", WEXITSTATUS(status));
	RUN(NULL, NULL, "after");
}

static void case_in_vfork(void)
{
	RUN(NULL, NULL, "before");
	spawn_in_vfork();
}

/* A copy whose first to spawn is a guest of its. */
static void case_in_vfork_of_copy(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		spawn_in_vfork();
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

/* What @command prints, and its status. */
static void print_command(const char *command, const char *type)
{
	FILE *stream;
	char line[64];
	int status;

	fflush(stdout);
	stream = popen(command, type);
	if (!stream) {
		print_error("error", errno);
		return;
	}
	while (*type == 'r' && fgets(line, sizeof(line), stream))
		printf("%s", line);
	if (*type == 'w')
		fputs("written\n", stream);
	status = pclose(stream);
	printf("status %x\n", status);
}

static void case_popen(void)
{
	char command[PATH_MAX + 32];
	FILE *first, *second;

	print_command("echo one; echo two; exit 3", "r");
	print_command("cat; exit 4", "w");
	print_command("kill -9 $$", "re");
	print_command("/absent 2>&-", "r");
	print_command(":", "rw");
	print_command(":", "r+");
	print_command(":", "");

	/* Without the first stream, in spite of its flag; with what else is. */
	first = popen("cat", "w");
	second = popen(":", "we");
	CHECK(first && second);
	printf("%d %d\n", fcntl(fileno(first), F_GETFD),
	       fcntl(fileno(second), F_GETFD));
	put(20, "twenty", 0);
	put(21, "twenty-one", O_CLOEXEC);
	snprintf(command, sizeof(command), "%s descriptors", self);
	print_command(command, "r");
	CHECK(!pclose(second));
	CHECK(!pclose(first));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* It is libc's pclose(), as that is libc's fclose(). */
static void case_popen_fclose(void)
{
	/* The compiler knows better than to do so. */
	int (*volatile end_stream)(FILE *file) = fclose;
	int (*volatile end_file)(FILE *file) = pclose;
	FILE *file, *stream = popen("exit 3", "r");
	int i;

	CHECK(stream);
	printf("status %x\n", end_stream(stream));
	for (i = 0; i < 10; i++) {
		file = fopen("/dev/null", "r");
		stream = popen("exit 4", "r");
		CHECK(file && stream);
		CHECK(!fclose(file) && pclose(stream) == 0x400);
	}
	file = fopen("/dev/null", "r");
	CHECK(!end_file(file));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* What could not be written is not lost unseen. */
static void case_popen_lost(void)
{
	const char *const commands[] = { "exec <&-; exit 0", "exec <&-; exit 3" };
	siginfo_t info;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 2; i++) {
		FILE *stream = popen(commands[i], "w");
		int status;

		CHECK(stream && fputs("lost", stream) >= 0);
		CHECK(!waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
		errno = 0;
		status = pclose(stream);
		printf("status %x\n", status);
		if (status < 0)
			print_error("error", errno);
	}
}

static void case_popen_oriented(void)
{
	FILE *stream = popen(":", "r");

	CHECK(stream);
	printf("orientation %d\n", fwide(stream, 0));
	CHECK(!pclose(stream));
}

static void *popen_cancelled(void *stream)
{
	pthread_cancel(pthread_self());
	*(FILE **)stream = popen("exit 3", "r");
	pthread_testcancel();
	return NULL;
}

static void case_popen_cancelled(void)
{
	FILE *stream = NULL;
	pthread_t thread;
	void *result;

	CHECK(!pthread_create(&thread, NULL, popen_cancelled, &stream));
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED && stream);
	printf("status %x\n", pclose(stream));
}

/* A copy has the stream, and is not who the command is a child of. */
static void case_popen_in_copy(void)
{
	FILE *stream = popen("cat >/dev/null; exit 3", "w");
	char command[PATH_MAX + 32];
	int status;
	pid_t pid;

	CHECK(stream);
	snprintf(command, sizeof(command), "%s descriptors", self);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		/* Without the other. */
		print_command(command, "r");
		printf("status %x\n", pclose(stream));
		print_error("error", errno);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	printf("status %x\n", pclose(stream));
}

/* Where POSIX is younger than some glibc. */
static void case_hyphen(void)
{
	printf("status %x\n", system("-absent 2>&-"));
	print_command("-absent 2>&-", "r");
}

static void case_no_process(void)
{
	const struct rlimit limit = { 0 };
	int status;

	if (geteuid())
		skip("needs root");
	CHECK(!setrlimit(RLIMIT_NPROC, &limit));
	CHECK(!setgid(23456) && !setuid(23456));
	status = system("exit 3");
	print_error(status == -1 ? "error" : "status", errno);
	print_command("exit 3", "r");
}

/* Which programs have that were linked long ago. */
static void case_old_version(void)
{
	__typeof__(posix_spawn) *spawn =
		dlvsym(RTLD_DEFAULT, "posix_spawn", "GLIBC_2.2.5");
	char *argv[] = { "script", NULL };
	pid_t pid = -1;
	int error;

	if (!spawn)
		skip("no older posix_spawn()");
	make_dir();
	make_file("script", 0755, "echo run by a shell");
	fflush(stdout);
	error = spawn(&pid, "./script", &actions, NULL, argv, environ);
	finish(error, pid);
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void case_system(void)
{
	struct sigaction action;
	sigset_t mask;

	fflush(stdout);
	printf("status %x\n", system("exit 3"));
	printf("status %x\n", system("kill -9 $$"));
	printf("status %x\n", system("/absent 2>&-"));
	printf("shell %d\n", system(NULL));
	fflush(stdout);

	/* The command has the mask, and what is ignored; it gets SIGINT. */
	signal(SIGINT, count_signal);
	signal(SIGCHLD, count_signal);
	printf("status %x\n", system("kill -INT $PPID; kill -QUIT $PPID"));
	printf("status %x\n", system("kill -INT $$; exit 5"));
	printf("signals %d\n", (int)signals);
	CHECK(!sigaction(SIGINT, NULL, &action));
	CHECK(action.sa_handler == count_signal);
	CHECK(!sigaction(SIGQUIT, NULL, &action));
	CHECK(action.sa_handler == SIG_DFL);
	CHECK(!sigprocmask(SIG_SETMASK, NULL, &mask));
	CHECK(!sigismember(&mask, SIGCHLD));
	signal(SIGINT, SIG_IGN);
	printf("status %x\n", system("kill -INT $$; exit 6"));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* By a handle, as a library that looks for what the system has. */
static void case_looked_up(void)
{
	__typeof__(posix_spawn) *spawn = dlsym(RTLD_DEFAULT, "posix_spawn");
	char *argv[] = { "spawner", "descriptors", NULL };
	pid_t pid;

	DUP2(1, 5);
	CHECK(!spawn(&pid, self, &actions, &attr, argv, environ));
	finish(0, pid);
}

/* By pidfd_spawn() or pidfd_spawnp(), of glibc 2.39. */
static void spawn_pidfd(const char *function, const char *file)
{
	__typeof__(posix_spawn) *spawn = dlsym(RTLD_DEFAULT, function);
	char *argv[] = { "spawner", "descriptors", NULL };
	unsigned int fds;
	siginfo_t info;
	int pidfd, error;

	if (!spawn)
		skip("no pidfd_spawn()");
	fflush(stdout);
	error = spawn(&pidfd, file, &actions, &attr, argv, environ);
	if (error == ENOSYS)
		skip("no pidfd_spawn() for want of a backend");
	CHECK(!error);
	CHECK(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	CHECK(!waitid(3 /* P_PIDFD */, pidfd, &info, WEXITED));
	printf("status %d\n", info.si_status);
	close(pidfd);

	fds = count("/proc/self/fd");
	pidfd = -1;
	CHECK(spawn(&pidfd, "/absent", &actions, &attr, argv, environ) ==
	      ENOENT);
	CHECK(spawn(&pidfd, "/", &actions, &attr, argv, environ) == EACCES);
	CHECK(pidfd == -1);
	CHECK(count("/proc/self/fd") == fds);
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void case_pidfd(void)
{
	char *name = strrchr(self, '/');

	DUP2(1, 5);
	spawn_pidfd("pidfd_spawn", self);
	*name = '\0';
	setenv("PATH", self, true);
	spawn_pidfd("pidfd_spawnp", name + 1);
}

/* With a number for the pidfd and none for another descriptor. */
static void case_pidfd_last_number(void)
{
	const struct rlimit limit = { .rlim_cur = 32, .rlim_max = 32 };
	int fd;

	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	for (fd = 3; fd < 31; fd++)
		CHECK(dup2(0, fd) == fd);
	FLAGS(0);
	CLOSEFROM(3);
	spawn_pidfd("pidfd_spawn", self);
}

#ifndef POSIX_SPAWN_SETCGROUP
#define POSIX_SPAWN_SETCGROUP 0x100
#endif

/* Of glibc 2.39, too. */
static void set_cgroup(int fd)
{
	int (*set)(posix_spawnattr_t *attr, int cgroup) =
		dlsym(RTLD_DEFAULT, "posix_spawnattr_setcgroup_np");

	if (!set)
		skip("no posix_spawnattr_setcgroup_np()");
	CHECK(!set(&attr, fd));
}

static void case_cgroup(void)
{
	const char *path = "/sys/fs/cgroup/spawner";
	int fd;

	/* Skips, if it does, before there is something to remove. */
	set_cgroup(-1);
	if (access("/sys/fs/cgroup/cgroup.procs", W_OK) ||
	    (mkdir(path, 0755) && errno != EEXIST))
		skip("no cgroup2 where we may have one of our own");
	fd = open(path, O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	set_cgroup(fd);
	RUN(NULL, &attr, "cgroup");
	FLAGS(POSIX_SPAWN_SETCGROUP);
	RUN(NULL, &attr, "cgroup", "descriptors");
	/* With another attribute, and file actions. */
	FLAGS(POSIX_SPAWN_SETCGROUP | POSIX_SPAWN_SETSID);
	DUP2(1, 5);
	RUN(&actions, &attr, "cgroup", "session", "descriptors");
	CHECK(!close(fd));
	/* The kernel may let go of it a little after we were told. */
	while (rmdir(path))
		CHECK(errno == EBUSY);
}

static void case_cgroup_of_closed(void)
{
	set_cgroup(99);
	FLAGS(POSIX_SPAWN_SETCGROUP);
	RUN(NULL, &attr, "cgroup");
}

static const struct {
	const char *name;
	void (*play)(void);
} cases[] = {
#define CASE(name)	{ #name, case_##name }
	CASE(inherit),
	CASE(dup2),
	CASE(dup2_onto_itself),
	CASE(dup2_of_closed),
	CASE(close),
	CASE(closefrom),
	CASE(closefrom_refused),
	CASE(closefrom_unknown),
	CASE(open),
	CASE(open_errors),
	CASE(open_by_descriptor),
	CASE(open_only_once),
	CASE(chdir),
	CASE(fchdir),
	CASE(order),
	CASE(signals),
	CASE(signal_meanwhile),
	CASE(groups),
	CASE(tcsetpgrp),
	CASE(reset_ids),
	CASE(scheduler),
	CASE(realtime),
	CASE(vfork_flag),
	CASE(exec),
	CASE(exec_errors),
	CASE(path),
	CASE(bad_descriptors),
	CASE(many_actions),
	CASE(many_descriptors),
	CASE(libcs_object),
	CASE(foreign_actions),
	CASE(nothing_left),
	CASE(errno_is_kept),
	CASE(errno_after_error),
	CASE(unseen),
	CASE(no_malloc),
	CASE(single_threaded),
	CASE(handler_knows_pid),
	CASE(returns_before_exec),
	CASE(one_more_process),
	CASE(small_stack),
	CASE(sigchld_ignored),
	CASE(cancellation),
	CASE(threads),
	CASE(after_fork),
	CASE(in_vfork),
	CASE(in_vfork_of_copy),
	CASE(popen),
	CASE(popen_fclose),
	CASE(popen_lost),
	CASE(popen_oriented),
	CASE(popen_cancelled),
	CASE(popen_in_copy),
	CASE(system),
	CASE(hyphen),
	CASE(no_process),
	CASE(looked_up),
	CASE(old_version),
	CASE(pidfd),
	CASE(pidfd_last_number),
	CASE(cgroup),
	CASE(cgroup_of_closed),
};

/* Whoever has started us. */
static void forget_the_past(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	closefrom(3);
	CHECK(!chdir("/") && !setenv("PATH", "/bin:/usr/bin", true));
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 3 || strcmp(argv[1], "case"))
		return report(argc, argv);

	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	forget_the_past();
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawnattr_init(&attr));
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[2], cases[i].name))
			break;
	CHECK(i < sizeof(cases) / sizeof(*cases));
	cases[i].play();
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawnattr_destroy(&attr));
	return 0;
}
