// SPDX-License-Identifier: GPL-2.0
/*
 * That the servers of a parent's files get no request because of a spawn. Next to it what
 * fork(2), vfork(2) and posix_spawn(3) do.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "maker.h"

#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define NR_FILES	8
#define NR_CLOEXEC	3

/*
 * Answer the requests of a file system with a folder and files of any name in
 * it, until that is unmounted.
 */
static int serve(int fd, __u32 *flushes)
{
	union {
		struct fuse_in_header header;
		char bytes[2 * FUSE_MIN_READ_BUFFER];
	} in;
	struct {
		struct fuse_out_header header;
		union {
			struct fuse_init_out init;
			struct fuse_entry_out entry;
			struct fuse_attr_out attr;
			struct fuse_open_out open;
		};
	} out;

	while (read(fd, &in, sizeof(in)) > 0) {
		size_t size = 0;

		memset(&out, 0, sizeof(out));
		out.header.unique = in.header.unique;
		switch (in.header.opcode) {
		case FUSE_INIT:
			out.init.major = FUSE_KERNEL_VERSION;
			out.init.minor = FUSE_KERNEL_MINOR_VERSION;
			out.init.max_write = PAGE;
			size = sizeof(out.init);
			break;
		case FUSE_LOOKUP:
			out.entry.nodeid = FUSE_ROOT_ID + 1;
			out.entry.attr.ino = FUSE_ROOT_ID + 1;
			out.entry.attr.mode = S_IFREG | 0600;
			out.entry.attr.nlink = 1;
			size = sizeof(out.entry);
			break;
		case FUSE_GETATTR:
			out.attr.attr.ino = in.header.nodeid;
			out.attr.attr.mode = in.header.nodeid == FUSE_ROOT_ID ?
					     S_IFDIR | 0700 : S_IFREG | 0600;
			out.attr.attr.nlink = 1;
			size = sizeof(out.attr);
			break;
		case FUSE_OPEN:
			size = sizeof(out.open);
			break;
		case FUSE_FLUSH:
			__atomic_add_fetch(flushes, 1, __ATOMIC_RELEASE);
			break;
		case FUSE_RELEASE:
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			continue;
		default:
			out.header.error = -EOPNOTSUPP;
		}
		out.header.len = sizeof(out.header) + size;
		if (write(fd, &out, out.header.len) < 0 && errno != ENOENT)
			return errno;
	}
	return errno == ENODEV ? 0 : errno;
}

/**
 * struct flushing - what a child's descriptors cost
 * @at_exec: flush requests by the time that it has exec'd
 * @in_all:  those until it has died, too
 */
struct flushing {
	__u32 at_exec;
	__u32 in_all;
};

static struct flushing flushing(struct __test_metadata *_metadata,
				struct maker *maker, __u32 *flushes,
				enum way way)
{
	__u32 before = word_get(flushes);
	struct flushing by = { 0 };

	ASSERT_LT(0, make(maker, way));
	if (maker->exec) {
		ASSERT_TRUE(child_has_execed(maker->control[0]));
		by.at_exec = word_get(flushes) - before;
	}
	ASSERT_TRUE(ends(maker));
	EXPECT_EQ(EXITED(0), child_reap(&maker->child));
	by.in_all = word_get(flushes) - before;
	TH_LOG("%s, flags %#llx, %s: %u flushes, of them %u at exec",
	       names[way], maker->child.args.flags,
	       maker->exec ? "exec" : "exit", by.in_all, by.at_exec);
	return by;
}

#define FLUSHES(way, exec_, at_exec_, in_all_) do {			\
	struct flushing __by = flushing(_metadata, maker, flushes, way);\
									\
	EXPECT_EQ(at_exec_, __by.at_exec);				\
	EXPECT_EQ(in_all_, __by.in_all);				\
} while (0)

/*
 * Whoever closes a descriptor flushes its file, even if others have that open:
 * with FUSE, NFS, CIFS and others (f_op->flush) a request, for which it waits.
 * So a table that is copied costs one for each descriptor, when the child exits
 * or, with FD_CLOEXEC, execs.
 */
TEST_F(untouched, files_are_not_flushed)
{
	struct maker *maker = &self->maker;
	static const __u64 without[] = { 0, AVFORK_STDIO };
	char folder[] = "/tmp/avfork-XXXXXX", path[32], options[64];
	__u32 *flushes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fds[NR_FILES], fuse, status, exec, i;
	enum way way;
	pid_t server;

	ASSERT_NE(MAP_FAILED, (void *)flushes);
	ASSERT_NE(NULL, mkdtemp(folder));
	/* It ends with us, whatever happens. */
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	/* Without options it only loads the module, which makes the node. */
	ASSERT_EQ(-1, mount("avfork", folder, "fuse", 0, NULL));
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0) {
		rmdir(folder);
		SKIP(return, "no FUSE here");
	}
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	ASSERT_EQ(0, mount("avfork", folder, "fuse", 0, options));
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(serve(fuse, flushes));
	}
	close(fuse);
	for (i = 0; i < NR_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%d", folder, i);
		fds[i] = open(path, O_RDWR | (i < NR_CLOEXEC ? O_CLOEXEC : 0));
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(0, word_get(flushes));

	for (way = BY_FORK; way <= BY_POSIX_SPAWN; way++) {
		prepare(maker, true, 0);
		FLUSHES(way, true, NR_CLOEXEC, NR_FILES);
		if (way == BY_POSIX_SPAWN)
			break;
		prepare(maker, false, 0);
		FLUSHES(way, false, 0, NR_FILES);
	}
	for (exec = 0; exec < 2; exec++) {
		for (i = 0; i < ARRAY_SIZE(without); i++) {
			prepare(maker, exec, without[i]);
			FLUSHES(BY_AVFORK, exec, 0, 0);
		}
		/* What is granted, and no more. */
		prepare(maker, exec, AVFORK_INHERIT_FDS);
		FLUSHES(BY_AVFORK, exec, 0, NR_FILES - NR_CLOEXEC);
		prepare(maker, exec, 0);
		maker->grants[exec] = (struct avfork_fd){ fds[0], 5, 0, 0 };
		child_grant(&maker->child, maker->grants, exec + 1);
		FLUSHES(BY_AVFORK, exec, 0, 1);
	}

	for (i = 0; i < NR_FILES; i++)
		close(fds[i]);
	EXPECT_EQ(0, umount2(folder, 0));
	EXPECT_EQ(server, waitpid(server, &status, 0));
	EXPECT_EQ(EXITED(0), status);
	EXPECT_EQ(0, rmdir(folder));
}

TEST_HARNESS_MAIN
