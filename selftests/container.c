// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_ISOLATE and avfork_container(): what a child shares with its maker is what
 * the call names, of the kinds of namespaces that the kernel has today and of those
 * that a later one will have.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* ---- avfork_container() ---- */

/* What a container has that execs a program of this machine's. */
static const struct avfork_bind system_binds[] = {
	{ "/usr", "/usr", 0 }, { "/bin", "/bin", 0 }, { "/lib", "/lib", 0 },
	{ "/lib64", "/lib64", 0 },	/* the last, as arm64 has none */
};

FIXTURE(container) {
	struct avfork_opts opts;
	struct avfork_container container;
	char dir[64];
};

FIXTURE_SETUP(container)
{
	self->opts = (struct avfork_opts){ .size = sizeof(self->opts) };
	self->container = (struct avfork_container){
		.size = sizeof(self->container), .shared = not_to_be_had(),
	};
	strcpy(self->dir, "/tmp/avfork-container-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
}

FIXTURE_TEARDOWN(container)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", self->dir);
	unlink(path);
	rmdir(self->dir);
}

#define CONTAINED(run, arg)						\
	reap(avfork_container(&self->opts, &self->container, run, arg))

static int sees_nothing(void *unused)
{
	char name[65];
	struct stat file;

	(void)unused;
	REQUIRE(getpid() == 1 && getuid() == 0 && getgid() == 0);
	REQUIRE(!count_entries("/sys") && stat("/usr", &file));
	REQUIRE(!gethostname(name, sizeof(name)) && !strcmp(name, "container"));
	REQUIRE(mkdir("/mine", 0755) == -1 && errno == EROFS);
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	REQUIRE(sethostname("other", 5) == -1 && errno == EPERM);
	REQUIRE(fcntl(0, F_GETFD) == -1 && fcntl(63, F_GETFD) == -1);
	REQUIRE(!stat("/dev/null", &file) && S_ISCHR(file.st_mode));
	REQUIRE(chmod("/dev/null", 0600) == -1 && errno == EROFS);
	REQUIRE(stat("/proc/sys", &file) == -1 && !stat("/proc/1/stat", &file));
	return 0;
}

TEST_F(container, shares_nothing)
{
	ASSERT_PASSED(CONTAINED(sees_nothing, NULL));
	if (!not_to_be_had())
		ASSERT_PASSED(reap(avfork_container(NULL, NULL, sees_nothing,
						    NULL)));
}

static int loopback_works(void *unused)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)unused;
	/* Without an interface that is up it is ENETUNREACH. */
	REQUIRE(connect(fd, (void *)&to, sizeof(to)) == -1 &&
		errno == ECONNREFUSED);
	close(fd);
	return 0;
}

TEST_F(container, loopback_is_up)
{
	ASSERT_PASSED(CONTAINED(loopback_works, NULL));
}

static int writes_there_alone(void *unused)
{
	int fd = open("/there/file", O_CREAT | O_WRONLY, 0644);

	(void)unused;
	REQUIRE(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
	REQUIRE(open("/read/file", O_WRONLY) == -1 && errno == EROFS);
	REQUIRE(!access("/read/file", R_OK));
	return 0;
}

TEST_F(container, one_directory_can_be_written)
{
	const struct avfork_bind binds[] = {
		{ self->dir, "/there", AVFORK_WRITABLE },
		{ self->dir, "/read", 0 },
	};
	char path[128];

	self->container.binds = binds;
	self->container.nr_binds = 2;
	ASSERT_PASSED(CONTAINED(writes_there_alone, NULL));
	snprintf(path, sizeof(path), "%s/file", self->dir);
	ASSERT_EQ(0, access(path, F_OK));
}

static int others_get_there(void *unused)
{
	struct stat file;

	(void)unused;
	REQUIRE(!stat("/a", &file) && (file.st_mode & 0777) == 0755);
	REQUIRE(umask(0) == 077);
	return 0;
}

TEST_F(container, folders_above_a_bind_are_for_all)
{
	const struct avfork_bind bind = { self->dir, "/a/b", 0 };
	mode_t mask = umask(077);

	self->container.binds = &bind;
	self->container.nr_binds = 1;
	EXPECT_EQ(0, CONTAINED(others_get_there, NULL));
	umask(mask);
}

static int has_no_more_than(void *nr)
{
	REQUIRE(count_fds() <= *(unsigned int *)nr);
	return 0;
}

TEST_F(container, inherits_nothing_of_the_call)
{
	unsigned int nr;

	/* Which leaves the library's own descriptor of the device open. */
	ASSERT_EQ(8, CONTAINED(return_arg, (void *)8));
	nr = count_fds();
	self->opts.flags |= AVFORK_INHERIT_FDS;
	ASSERT_PASSED(CONTAINED(has_no_more_than, &nr));
}

TEST_F(container, makes_no_place_in_a_bind)
{
	struct avfork_bind binds[] = {
		{ self->dir, "/there", AVFORK_WRITABLE },
		{ "/etc", "/there/made/etc", 0 },
	};
	char path[128];

	self->container.binds = binds;
	self->container.nr_binds = 2;
	ASSERT_FAILS(ENOENT, avfork_container(&self->opts, &self->container,
					      return_arg, NULL));
	snprintf(path, sizeof(path), "%s/made", self->dir);
	ASSERT_FAILS(ENOENT, access(path, F_OK));
	/* Control: one that is there is found. */
	ASSERT_EQ(0, mkdir(path, 0755));
	binds[1].target = "/there/made";
	ASSERT_EQ(0, CONTAINED(return_arg, NULL));
	rmdir(path);
}

static int execs(void *arg)
{
	execl("/bin/sh", "sh", "-c", arg, NULL);
	return 99;
}

TEST_F(container, a_program_has_no_capabilities)
{
	self->container.binds = system_binds;
	self->container.nr_binds = ARRAY_SIZE(system_binds) - !!access("/lib64", F_OK);
	ASSERT_EQ(0, CONTAINED(execs,
			       "while read name value; do "
			       "  case $name in Cap*) [ $((0x$value)) = 0 ] || exit 1;;"
			       "  esac; done </proc/self/status"));
	self->container.capabilities = 1;	/* CAP_CHOWN */
	ASSERT_EQ(1, CONTAINED(execs,
			       "while read name value; do "
			       "  case $name in CapEff*) exit $((0x$value));;"
			       "  esac; done </proc/self/status"));
}

TEST_F(container, of_a_directory)
{
	self->container.root = "/";
	self->container.shared |= CLONE_NEWUTS;
	ASSERT_EQ(7, CONTAINED(execs, "[ -e /etc/passwd ] && ! touch /etc/avfork "
				      "2>/dev/null && exit 7"));
}

TEST_F(container, ids_are_mapped_before_it_runs)
{
	const struct avfork_ids ids = { 0, 100000, 65536 };

	if (geteuid())
		SKIP(return, "needs root");
	self->container.uids = self->container.gids = &ids;
	self->container.nr_uids = self->container.nr_gids = 1;
	ASSERT_PASSED(CONTAINED(sees_nothing, NULL));
}

/* Version 2's line in /proc/self/cgroup has the path from the namespace's root on. */
static int is_at_root_of_cgroups(void *unused)
{
	FILE *file = fopen("/proc/self/cgroup", "r");
	char line[256] = "";

	(void)unused;
	REQUIRE(file);
	while (fgets(line, sizeof(line), file) && strncmp(line, "0::", 3))
		;
	REQUIRE(!strcmp(line, "0::/\n"));
	fclose(file);
	return 0;
}

TEST_F(container, its_cgroup_is_all_of_them)
{
	char path[128];

	if (geteuid())
		SKIP(return, "needs root");
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/avfork-container-%d",
		 access("/sys/fs/cgroup/unified", F_OK) ? "" : "/unified",
		 getpid());
	if (mkdir(path, 0755))
		SKIP(return, "no cgroup of version 2 can be made");
	self->opts.flags = AVFORK_INTO_CGROUP;
	self->opts.cgroup_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_PASSED(CONTAINED(is_at_root_of_cgroups, NULL));
	/* The control. */
	self->container.shared |= CLONE_NEWCGROUP;
	ASSERT_EQ(1, CONTAINED(is_at_root_of_cgroups, NULL));
	ASSERT_TRUE(COMES_TRUE(!rmdir(path), 60));
}

static int unprivileged(void *arg)
{
	const struct avfork_container *container = arg;

	REQUIRE(!become_lone_user());
	/* Who has changed its ids may not write its child's maps. */
	errno = 0;
	REQUIRE(avfork_container(NULL, container, sees_nothing, NULL) == -1 &&
		errno == (backend_is("kernel") ? EACCES : EOPNOTSUPP));
	REQUIRE(!prctl(PR_SET_DUMPABLE, 1));
	return reap(avfork_container(NULL, container, sees_nothing, NULL));
}

TEST_F(container, without_privilege)
{
	if (geteuid())
		SKIP(return, "needs root, to be somebody else");
	ASSERT_PASSED(in_copy(unprivileged, &self->container));
}

TEST_F(container, refused_with_an_errno)
{
	const struct avfork_bind none = { "/nowhere/at/all", "/x", 0 };
	const struct avfork_bind relative = { "/", "x", 0 };
	static char long_target[512 * 1024];
	const struct avfork_bind long_bind = { "/", long_target, 0 };
	const struct avfork_ids wrong = { 0, 0, 0 };
	struct avfork_container asked = self->container;
	unsigned int fds;
	int pidfd, left, closed;

	/* Which leaves the library's own descriptor of the device open. */
	ASSERT_EQ(8, CONTAINED(return_arg, (void *)8));
	fds = count_fds();
	self->opts.pidfd = &pidfd;
	self->opts.left = &left;
#define REFUSED(error, ...) do {					\
	self->container = asked;					\
	__VA_ARGS__;							\
	ASSERT_FAILS(error, avfork_container(&self->opts,		\
				&self->container, return_arg, NULL));	\
} while (0)
	REFUSED(ENOENT, self->container.binds = &none,
		self->container.nr_binds = 1);
	REFUSED(EINVAL, self->container.binds = &relative,
		self->container.nr_binds = 1);
	memset(long_target, 'x', sizeof(long_target) - 1);
	*long_target = '/';
	REFUSED(ENAMETOOLONG, self->container.binds = &long_bind,
		self->container.nr_binds = 1);
	REFUSED(ENOENT, self->container.root = "/nowhere");
	/* The next two numbers: the call itself opens both. */
	for (closed = 0; closed < 2; closed++) {
		int first = dup(0), second = dup(0);
		struct avfork_fd grant = {
			.parent_fd = closed ? second : first, .child_fd = 7,
		};

		close(first);
		close(second);
		self->opts.fds = &grant;
		self->opts.nr_fds = 1;
		REFUSED(EBADF, );
	}
	self->opts.fds = NULL;
	self->opts.nr_fds = 0;
	REFUSED(EINVAL, self->container.uids = &wrong,
		self->container.nr_uids = 1);
	REFUSED(EINVAL, self->container.flags = 2);
	REFUSED(EINVAL, self->container.size = 8);
	REFUSED(EINVAL, self->container.shared |= CLONE_NEWNS,
		self->container.root = "/");
	if (not_to_be_had())
		REFUSED(EOPNOTSUPP, self->container.shared = 0);
	self->opts.flags = AVFORK_SYNC;
	REFUSED(EINVAL, );
	self->opts.flags = AVFORK_SHARE_FDS;
	REFUSED(EINVAL, );
	self->opts.flags = 0;
	ASSERT_FAILS(EINVAL, avfork_container(NULL, &asked, NULL, NULL));
	ASSERT_EQ(fds, count_fds());
	ASSERT_EQ(-1, waitpid(-1, NULL, __WALL | WNOHANG));
	ASSERT_EQ(ECHILD, errno);
}

/*
 * What a hostile program in there could try. Each gets through, returning 0, where the
 * child was made with a list of namespaces, as by today's tools.
 */
#define LIST (CLONE_NEWNS | CLONE_NEWUTS)

struct target {
	pid_t maker;
	int memory;
	long key;
	char file[128];
	struct sockaddr_un name;
	socklen_t name_size;
};

static int kills(void *arg)
{
	struct target *target = arg;

	return kill(target->maker, 0);
}

static int opens_file(void *arg)
{
	struct target *target = arg;
	/* From however deep: above the root there is the root. */
	char path[256] = "../../../../../../../../../../../../../../../..";

	strcat(path, target->file);
	return open(path, O_RDONLY) < 0;
}

static int enters_by_proc(void *arg)
{
	struct target *target = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root/etc", target->maker);
	return open(path, O_RDONLY) < 0;
}

static int reads_key(void *arg)
{
	struct target *target = arg;
	char secret[16];

	return syscall(SYS_keyctl, 11 /* KEYCTL_READ */, target->key, secret,
		       sizeof(secret)) < 0;
}

static int connects(void *arg)
{
	struct target *target = arg;

	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&target->name,
		       target->name_size);
}

static int attaches(void *arg)
{
	struct target *target = arg;

	return shmctl(target->memory, IPC_STAT, &(struct shmid_ds){ 0 });
}

static int enters_by_descriptor(void *unused)
{
	int fd;

	(void)unused;
	for (fd = 0; fd < 1024; fd++)
		if (!setns(fd, 0))
			return 0;
	return 1;
}

static int mounts(void *unused)
{
	(void)unused;
	return mount("none", "/dev", "tmpfs", 0, NULL);
}

static int reads_log(void *unused)
{
	(void)unused;
	return syscall(SYS_syslog, 3, (char[8]){ 0 }, 8) < 0;
}

static const struct {
	const char *name;
	int (*attempt)(void *target);
} attempts[] = {
	{ "kills", kills }, { "opens_file", opens_file },
	{ "enters_by_proc", enters_by_proc }, { "reads_key", reads_key },
	{ "connects", connects }, { "attaches", attaches },
	{ "enters_by_descriptor", enters_by_descriptor }, { "mounts", mounts },
	{ "reads_log", reads_log },
};

TEST_F(container, a_hostile_program_is_refused)
{
	struct target target = {
		.maker = getpid(),
		.memory = shmget(IPC_PRIVATE, 4096, 0600),
		.name = { .sun_family = AF_UNIX },
	};
	struct avfork_fd fd = { .child_fd = 9 };
	struct avfork_opts list = {
		.size = sizeof(list), .namespaces = LIST, .fds = &fd, .nr_fds = 1,
	};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t i;

	if (geteuid())
		SKIP(return, "needs root, for the control");
	target.name_size = sizeof(sa_family_t) + 1 +
			   sprintf(target.name.sun_path + 1, "avfork-%d", getpid());
	ASSERT_EQ(0, bind(listener, (void *)&target.name, target.name_size));
	ASSERT_EQ(0, listen(listener, 8));
	snprintf(target.file, sizeof(target.file), "%s/file", self->dir);
	close(open(target.file, O_CREAT, 0600));
	fd.parent_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	/* A session keyring of the test's own. */
	if (syscall(SYS_keyctl, 1, NULL) >= 0)
		target.key = syscall(SYS_add_key, "user", "avfork", "secret", 6,
				     -3 /* KEY_SPEC_SESSION_KEYRING */);
	for (i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (attempts[i].attempt == reads_key && target.key <= 0) {
			TH_LOG("no keys here");
			continue;
		}
		EXPECT_EQ(0, reap(avfork_with(&list, attempts[i].attempt,
					      &target))) {
			TH_LOG("control: %s", attempts[i].name);
		}
		EXPECT_NE(0, CONTAINED(attempts[i].attempt, &target)) {
			TH_LOG("%s got through", attempts[i].name);
		}
	}
	shmctl(target.memory, IPC_RMID, NULL);
}

static int waits_for_ever(void *unused)
{
	(void)unused;
	while (pause())
		;
	return 0;
}

static int all_children_died(void)
{
	int status;

	while (waitpid(-1, &status, __WALL | WNOHANG) > 0)
		;
	return waitpid(-1, &status, __WALL | WNOHANG) == -1 && errno == ECHILD;
}

/* A process that makes a container, tells its pid and stays until it is killed. */
static pid_t maker(const struct avfork_opts *opts,
		   const struct avfork_container *container, int told)
{
	pid_t pid = fork(), made;

	if (!pid) {
		made = avfork_container(opts, container, waits_for_ever, NULL);
		if (made < 0)
			_exit(1);
		if (told >= 0 && write(told, &made, sizeof(made)) < 0)
			_exit(1);
		waits_for_ever(NULL);
	}
	return pid;
}

static unsigned int count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	unsigned int lines = 0;
	int byte;

	while (file && (byte = fgetc(file)) != EOF)
		lines += byte == '\n';
	if (file)
		fclose(file);
	return lines;
}

/* The control: without AVFORK_AUTOKILL what was made stays, as any child does. */
TEST_F(container, stays_when_the_maker_is_killed)
{
	int pipes[2], pid = 0;
	struct avfork_fd grant = { .child_fd = 5 };
	pid_t its_maker;
	char byte;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	grant.parent_fd = pipes[1];
	self->opts.fds = &grant;
	self->opts.nr_fds = 1;
	its_maker = maker(&self->opts, &self->container, pipes[1]);
	ASSERT_EQ(sizeof(pid), read(pipes[0], &pid, sizeof(pid)));
	ASSERT_EQ(0, kill(its_maker, SIGKILL));
	ASSERT_EQ(its_maker, waitpid(its_maker, NULL, 0));
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG | __WALL));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, __WALL));
	/* Nobody has the writing end any more. */
	close(pipes[1]);
	ASSERT_EQ(0, read(pipes[0], &byte, 1));
}

#define MOMENTS 60

TEST_F(container, nothing_is_left_when_the_maker_is_killed)
{
	struct timespec moment = { 0 };
	unsigned int before, i;

	/* Orphans become ours. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	/* Mounts that others make on this machine do not count. */
	if (!geteuid()) {
		ASSERT_EQ(0, unshare(CLONE_NEWNS));
		ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	}
	before = count_mounts();
	self->opts.flags = AVFORK_AUTOKILL;
	for (i = 0; i < MOMENTS; i++) {
		pid_t pid = maker(&self->opts, &self->container, -1);

		/* Not a wait for anything: each round has another moment. */
		moment.tv_nsec = 150000L * i;
		nanosleep(&moment, NULL);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_TRUE(COMES_TRUE(all_children_died(), 60))
			TH_LOG("round %u", i);
	}
	ASSERT_EQ(before, count_mounts());
	ASSERT_EQ(0, count_entries(self->dir));
}

TEST_HARNESS_MAIN
