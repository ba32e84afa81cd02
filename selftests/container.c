// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_ISOLATE and avfork_container(): what a child shares with its maker is what
 * the call names, of the kinds of namespaces that the kernel has today and of those
 * that a later one will have.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define KINDS (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

/* Where a time namespace begins at birth, in memory that is the parent's, too. */
static uint64_t not_to_be_had(void)
{
	struct utsname system;
	int major, minor;

	uname(&system);
	sscanf(system.release, "%d.%d", &major, &minor);
	return major < 6 || (major == 6 && minor < 3) ? CLONE_NEWTIME : 0;
}

/* ---- AVFORK_ISOLATE ---- */

/**
 * struct link - one of /proc/self/ns
 * @kind:  CLONE_NEW*
 * @apart: whether the child's leads elsewhere
 */
struct link {
	char name[NAME_MAX + 1];
	uint64_t kind;
	bool apart;
};

static uint64_t kind_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long kind = syscall(SYS_ioctl, fd, NS_GET_NSTYPE);

	close(fd);
	return kind > 0 ? kind : 0;
}

/* Whatever the folder has: the kinds of tomorrow's kernel, too. Their number. */
static unsigned int compare_namespaces(pid_t pid, struct link links[])
{
	char ours[PATH_MAX], theirs[PATH_MAX];
	struct stat our, their;
	struct dirent *entry;
	unsigned int nr = 0;
	DIR *dir = opendir("/proc/self/ns");

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(ours, sizeof(ours), "/proc/self/ns/%s", entry->d_name);
		snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", pid,
			 entry->d_name);
		if (stat(ours, &our) || stat(theirs, &their))
			continue;
		strcpy(links[nr].name, entry->d_name);
		links[nr].kind = kind_of(ours);
		links[nr++].apart = our.st_ino != their.st_ino;
	}
	if (dir)
		closedir(dir);
	return nr;
}

#define MAX_LINKS 64

/* What a child with @opts has for itself when it has exec'd, or 0 with errno. */
static unsigned int namespaces_of(struct avfork_opts opts, struct link links[])
{
	char *const argv[] = { "echo", NULL };
	int stdin_pipe[2], left;
	unsigned int nr = 0;
	char byte;
	pid_t pid;

	if (pipe2(stdin_pipe, O_CLOEXEC))
		return 0;
	opts.size = sizeof(opts);
	opts.fds = &(struct avfork_fd){ .parent_fd = stdin_pipe[0] };
	opts.nr_fds = 1;
	opts.left = &left;
	pid = avfork_exec(&opts, sibling("echo"), argv, NULL);
	if (pid > 0) {
		if (!read(left, &byte, 1))
			nr = compare_namespaces(pid, links);
		close(left);
	}
	close(stdin_pipe[0]);
	close(stdin_pipe[1]);
	if (pid > 0 && reap(pid))
		nr = 0;
	return nr;
}

static void isolates_all_but(struct __test_metadata *_metadata, uint64_t shared)
{
	const struct avfork_opts opts = {
		.flags = AVFORK_ISOLATE, .namespaces = shared,
	};
	struct link links[MAX_LINKS];
	unsigned int nr = namespaces_of(opts, links), i;

	ASSERT_LE(8, nr) TH_LOG("shared %#llx: errno %d",
				(unsigned long long)shared, errno);
	for (i = 0; i < nr; i++) {
		EXPECT_NE(0, links[i].kind);
		EXPECT_EQ(!(links[i].kind & shared), links[i].apart) {
			TH_LOG("%s, shared %#llx", links[i].name,
			       (unsigned long long)shared);
		}
	}
}

TEST(isolated_from_every_kind_that_is_not_shared)
{
	uint64_t kind;

	isolates_all_but(_metadata, not_to_be_had());
	for (kind = 1; kind <= KINDS; kind <<= 1)
		if (kind & KINDS && (kind != CLONE_NEWUSER || !geteuid()))
			isolates_all_but(_metadata, kind | not_to_be_had());
	if (!geteuid())
		isolates_all_but(_metadata, KINDS);
}

/* The control: a list is of the kinds that were known when it was written. */
TEST(a_list_of_namespaces_leaves_a_gap)
{
	const struct avfork_opts opts = {
		.namespaces = KINDS & ~(CLONE_NEWTIME | CLONE_NEWCGROUP),
	};
	struct link links[MAX_LINKS];
	unsigned int nr = namespaces_of(opts, links), gaps = 0, i;

	ASSERT_LE(8, nr);
	for (i = 0; i < nr; i++)
		gaps += !links[i].apart;
	ASSERT_LE(2, gaps);
}

TEST(isolated_or_an_errno)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_ISOLATE,
	};

	if (not_to_be_had()) {
		ASSERT_FAILS(EOPNOTSUPP, avfork_with(&opts, return_arg, NULL));
		ASSERT_FAILS(EOPNOTSUPP,
			     avforkx(AVFORK_ISOLATE, return_arg, NULL));
		opts.namespaces = not_to_be_had();
	}
	ASSERT_EQ(3, reap(avfork_with(&opts, return_arg, (void *)3)));
	/* No kind of any kernel. */
	opts.namespaces |= CLONE_FILES;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
	opts.namespaces = not_to_be_had() | 1ULL << 40;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
}

/* The privilege is for the user namespace that a shared one leaves the child in. */
static int without_privilege(void *unused)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_ISOLATE,
		.namespaces = not_to_be_had(),
	};

	(void)unused;
	REQUIRE(!become_lone_user());
	/* Who has changed its ids may not list /proc/self/ns (PR_SET_DUMPABLE). */
	if (!backend_is("kernel")) {
		errno = 0;
		REQUIRE(avfork_with(&opts, return_arg, NULL) == -1 &&
			errno == EOPNOTSUPP);
		REQUIRE(!prctl(PR_SET_DUMPABLE, 1));
	}
	REQUIRE(reap(avfork_with(&opts, return_arg, (void *)4)) == 4);
	opts.namespaces |= CLONE_NEWUSER;
	errno = 0;
	REQUIRE(avfork_with(&opts, return_arg, NULL) == -1 && errno == EPERM);
	opts.namespaces = KINDS;
	REQUIRE(reap(avfork_with(&opts, return_arg, (void *)5)) == 5);
	return 0;
}

TEST(isolated_without_privilege)
{
	if (geteuid())
		SKIP(return, "needs root, to be somebody else");
	ASSERT_PASSED(in_copy(without_privilege, NULL));
}

TEST(isolated_in_each_way)
{
	static const int ways[] = {
		AVFORK_SYNC, AVFORK_WAITPID, AVFORK_NOSIGCHLD, AVFORK_STDIO,
		AVFORK_INHERIT_FDS, AVFORK_INHERIT_SIGNALS, AVFORK_SHARE_FDS,
		AVFORK_AUTOKILL | AVFORK_NNP,
	};
	struct avfork_opts opts = {
		.size = sizeof(opts), .namespaces = not_to_be_had(),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		opts.flags = AVFORK_ISOLATE | ways[i];
		EXPECT_EQ(6, reap(avfork_with(&opts, return_arg, (void *)6))) {
			TH_LOG("flags %#x: errno %d", opts.flags, errno);
		}
	}
}

TEST_HARNESS_MAIN
