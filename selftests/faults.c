// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that runs out in the middle of a call: each allocation that the kernel
 * makes for it is made to fail in turn, and then many of them at random (see
 * Documentation/fault-injection/fault-injection.rst of the kernel). Whatever
 * comes of it is a child that lacks nothing, or the right errno and nothing
 * left over. Leaks that cannot be seen from here are for kmemleak, afterwards.
 *
 * On its way to its first instruction a child makes a table for the next one.
 * It starts without fail-nth, but it does inherit make-it-fail: it is the random
 * faults that strike there, and neither of the two children may notice.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "injection.h"

#include <poll.h>

/* Hundreds of calls a test. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 900

#define REFCNT		"/sys/module/avfork/refcnt"
#define NR_SCANNED	1280
#define MAX_GRANTS	1000
/* What the child has its grants from, and the parent what is inherited. */
#define FIRST_GRANT	10
#define FIRST_INHERITED	200
#define NR_AT_RANDOM	150
#define STATUS		7

/* What all tests have seen, for the last line. */
static struct total {
	unsigned long injected;
	unsigned long failed;
	pid_t printer;
} *total;

static void __attribute__((constructor)) total_map(void)
{
	total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (total == MAP_FAILED)
		abort();
	total->printer = getpid();
}

static void __attribute__((destructor)) total_print(void)
{
	if (getpid() == total->printer)
		printf("# %lu faults injected, %lu calls failed of it\n",
		       total->injected, total->failed);
}

/* Return: whether the allocation of nth_set() has failed. */
static bool nth_failed(int nth)
{
	if (nth_end(nth))
		return false;
	total->injected++;
	return true;
}

/* Which of the first descriptors are open: those without POLLNVAL. */
struct table {
	struct pollfd fds[NR_SCANNED];
};

static void table_scan(struct table *table)
{
	struct timespec now = { 0 };
	int fd;

	for (fd = 0; fd < NR_SCANNED; fd++)
		table->fds[fd] = (struct pollfd){ .fd = fd };
	/* In a child the fault may be here. */
	while (sys(SYS_ppoll, table->fds, NR_SCANNED, &now, NULL) == -ENOMEM)
		;
}

static bool table_has(const struct table *table, int fd)
{
	return !(table->fds[fd].revents & POLLNVAL);
}

FIXTURE(fault) {
	int device;
	int nth;
	int pipe[2];
	int cgroup;
	char cgroup_path[64];
	int pidfd;
	long refcnt;
	struct avfork_fd grants[MAX_GRANTS];
	struct table before;		/* the parent's own */
	struct table seen;		/* the child's, as it finds it */
	bool expected[NR_SCANNED];
	int speaks_on;			/* the pipe, for the child, or -1 */
	unsigned int n;			/* the fault, 0: at random */
	unsigned long failed;
};

/*
 * The shapes of a call. @error: what the kernel has besides ENOMEM for memory
 * that it lacks, ANY for too many to be listed. @step: from one fault to the
 * next, where not each is tried.
 */
#define ANY	-1

FIXTURE_VARIANT(fault) {
	int flags;
	int namespaces;
	int nr_fds;
	int nr_inherited;
	bool without_sigchld;
	bool prepared;
	bool pidfd;
	int error;
	int step;
};

#define SHAPE(name, ...) FIXTURE_VARIANT_ADD(fault, name) { __VA_ARGS__ }

SHAPE(plain, .flags = 0);
SHAPE(grants_1, .nr_fds = 1);
SHAPE(grants_3, .nr_fds = 3);
SHAPE(grants_100, .nr_fds = 100);
SHAPE(grants_1000, .nr_fds = 1000);
SHAPE(stdio, .flags = AVFORK_STDIO);
SHAPE(inherit_fds, .flags = AVFORK_INHERIT_FDS, .nr_inherited = 2);
SHAPE(inherit_fds_1000, .flags = AVFORK_INHERIT_FDS, .nr_inherited = 1000);
SHAPE(inherit_signals, .flags = AVFORK_INHERIT_SIGNALS);
SHAPE(sync, .flags = AVFORK_SYNC);
SHAPE(autokill, .flags = AVFORK_AUTOKILL);
SHAPE(nnp, .flags = AVFORK_NNP);
SHAPE(share_fds, .flags = AVFORK_SHARE_FDS);
SHAPE(share_fds_quietly, .flags = AVFORK_SHARE_FDS | AVFORK_AUTOKILL,
	.without_sigchld = true);
SHAPE(without_sigchld, .without_sigchld = true);
SHAPE(pidfd, .pidfd = true);
SHAPE(cgroup, .flags = AVFORK_INTO_CGROUP);
SHAPE(everything,
	.flags = AVFORK_SYNC | AVFORK_STDIO | AVFORK_INHERIT_FDS |
		 AVFORK_INHERIT_SIGNALS | AVFORK_INTO_CGROUP,
	.nr_fds = 100, .nr_inherited = 100, .without_sigchld = true,
	.pidfd = true);
SHAPE(prepared, .prepared = true);
SHAPE(prepared_everything, .prepared = true,
	.flags = AVFORK_STDIO | AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS |
		 AVFORK_INTO_CGROUP | AVFORK_AUTOKILL | AVFORK_NNP,
	.nr_fds = 100, .nr_inherited = 100, .without_sigchld = true,
	.pidfd = true);
SHAPE(newns, .namespaces = CLONE_NEWNS);
SHAPE(newcgroup, .namespaces = CLONE_NEWCGROUP);
SHAPE(newuts, .namespaces = CLONE_NEWUTS);
SHAPE(newipc, .namespaces = CLONE_NEWIPC);
SHAPE(newpid, .namespaces = CLONE_NEWPID);
SHAPE(newtime, .namespaces = CLONE_NEWTIME);
/* set_cred_ucounts() */
SHAPE(newuser, .namespaces = CLONE_NEWUSER, .error = EAGAIN);
/* For example EEXIST in proc_net_ns_init(). Hundreds of allocations, and slow. */
SHAPE(newnet, .namespaces = CLONE_NEWNET, .error = ANY, .step = 16);
SHAPE(container,
	.namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID |
		      CLONE_NEWUSER | CLONE_NEWCGROUP,
	.nr_fds = 3, .error = EAGAIN);

FIXTURE_SETUP(fault)
{
	int i, fd;

	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	self->nth = nth_open();
	self->cgroup = -1;
	if (variant->flags & AVFORK_INTO_CGROUP)
		self->cgroup = cgroup_make(self->cgroup_path,
					   sizeof(self->cgroup_path));
	limit_descriptors(2 * NR_SCANNED);
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC | O_NONBLOCK));
	self->refcnt = read_number(REFCNT);

	self->speaks_on = -1;
	for (i = 0; i < variant->nr_fds; i++) {
		self->speaks_on = FIRST_GRANT + i;
		self->grants[i] = (struct avfork_fd){
			.parent_fd = self->pipe[1],
			.child_fd = self->speaks_on,
		};
		self->expected[self->speaks_on] = true;
	}
	for (i = 0; i < variant->nr_inherited; i++) {
		self->speaks_on = FIRST_INHERITED + i;
		ASSERT_EQ(self->speaks_on, dup2(self->pipe[1],
						self->speaks_on));
	}
	table_scan(&self->before);
	for (fd = 0; fd < NR_SCANNED; fd++)
		if (table_has(&self->before, fd) &&
		    ((variant->flags & AVFORK_STDIO && fd < 3) ||
		     (variant->flags & AVFORK_INHERIT_FDS &&
		      !(fcntl(fd, F_GETFD) & FD_CLOEXEC))))
			self->expected[fd] = true;
}

FIXTURE_TEARDOWN(fault)
{
	if (self->cgroup >= 0)
		rmdir(self->cgroup_path);
}

static int look(void *arg)
{
	FIXTURE_DATA(fault) *self = arg;

	table_scan(&self->seen);
	if (self->speaks_on >= 0)
		while (sys(SYS_write, self->speaks_on, "", 1) == -ENOMEM)
			;
	return STATUS;
}

static void prepare(struct child *child, FIXTURE_DATA(fault) *self,
		    const FIXTURE_VARIANT(fault) *variant)
{
	child_init(child, look, self);
	/* No faults of the other kind. */
	memset(child->memory, 0, CHILD_MEMORY);
	memset(&self->seen, 0, sizeof(self->seen));
	child->args.flags = variant->flags;
	child->args.namespaces = variant->namespaces;
	if (variant->nr_fds)
		child_grant(child, self->grants, variant->nr_fds);
	if (variant->without_sigchld)
		child->args.exit_signal = 0;
	if (variant->pidfd)
		child->args.pidfd = (uintptr_t)&self->pidfd;
	if (variant->flags & AVFORK_INTO_CGROUP)
		child->args.cgroup_fd = self->cgroup;
}

static void spawn(struct child *child, FIXTURE_DATA(fault) *self,
		  const FIXTURE_VARIANT(fault) *variant)
{
	if (variant->prepared)
		child_spawn_prepared(self->device, child);
	else
		child_spawn(self->device, child);
}

/* Of the call that has just been made. */
static void check(struct __test_metadata *_metadata, struct child *child,
		  FIXTURE_DATA(fault) *self,
		  const FIXTURE_VARIANT(fault) *variant)
{
	struct table after;
	char byte;
	int fd;

	if (child->pid < 0) {
		ASSERT_TRUE(child->pid == -ENOMEM ||
			    child->pid == -variant->error ||
			    variant->error == ANY) {
			TH_LOG("error %d with fault %u", -child->pid, self->n);
		}
		/* It has never been touched. */
		ASSERT_EQ(1, child->in_memory);
		child_free(child);
		self->failed++;
	} else {
		ASSERT_EQ(EXITED(STATUS), child_reap(child));
		ASSERT_EQ(0, child->in_memory);
		for (fd = 0; fd < NR_SCANNED; fd++)
			ASSERT_EQ(variant->flags & AVFORK_SHARE_FDS ?
				  table_has(&self->before, fd) :
				  self->expected[fd],
				  table_has(&self->seen, fd)) {
				TH_LOG("descriptor %d", fd);
			}
		if (self->speaks_on >= 0)
			ASSERT_EQ(1, read(self->pipe[0], &byte, 1));
		if (variant->pidfd)
			ASSERT_EQ(0, close(self->pidfd));
	}
	ASSERT_TRUE(no_child_left());
	table_scan(&after);
	for (fd = 0; fd < NR_SCANNED; fd++)
		ASSERT_EQ(table_has(&self->before, fd),
			  table_has(&after, fd)) {
			TH_LOG("our own descriptor %d", fd);
		}
}

/* Of all the calls together: nobody holds what we do not hold ourselves. */
static void check_released(struct __test_metadata *_metadata,
			   FIXTURE_DATA(fault) *self)
{
	char byte;
	int i;

	ASSERT_EQ(-1, read(self->pipe[0], &byte, 1));
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, close(self->pipe[1]));
	ASSERT_EQ(0, close_range(FIRST_INHERITED, NR_SCANNED, 0));
	ASSERT_EQ(0, read(self->pipe[0], &byte, 1));

	/* An exit signal that is kept is let go in an RCU callback. */
	for (i = 0; i < 100 && read_number(REFCNT) > self->refcnt; i++)
		sys(SYS_membarrier, MEMBARRIER_CMD_GLOBAL);
	ASSERT_GE(self->refcnt, read_number(REFCNT));
	/* The control: there was something to see. */
	ASSERT_LT(0, self->failed);
	total->failed += self->failed;
}

TEST_F(fault, in_turn)
{
	struct child child;
	bool failed;

	if (self->nth < 0)
		SKIP(return, NO_INJECTION);
	if (variant->flags & AVFORK_INTO_CGROUP && self->cgroup < 0)
		SKIP(return, "no cgroup v2");

	do {
		prepare(&child, self, variant);
		/* One that has nothing left of an earlier child. */
		close(self->device);
		self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
		self->n += variant->step ?: 1;
		nth_set(self->nth, self->n);
		spawn(&child, self, variant);
		failed = nth_failed(self->nth);
		check(_metadata, &child, self, variant);
	} while (failed);
	/* What nothing was refused to. */
	ASSERT_LT(0, child.pid);
	check_released(_metadata, self);
	TH_LOG("faults before allocation %u: %lu calls failed", self->n,
	       self->failed);
}

static const char *const injectors[] = { "failslab", "fail_page_alloc" };

static int injector_set(const char *injector, const char *name,
			const char *value)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/%s", injector, name);
	return injection_set(file, value);
}

#define MAX_FAULTS	"1000000"

/* Return: how many there were since random_start(). */
static long random_stop(void)
{
	char path[80];
	long faults = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(injectors); i++) {
		if (injector_set(injectors[i], "probability", "0"))
			return -1;
		snprintf(path, sizeof(path), INJECTION "%s/times",
			 injectors[i]);
		faults += atol(MAX_FAULTS) - read_number(path);
	}
	return faults;
}

/* One of ten allocations fails of who has make-it-fail. Return: 0 or -1 */
static int random_start(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(injectors); i++)
		if (injector_set(injectors[i], "task-filter", "Y") ||
		    injector_set(injectors[i], "times", MAX_FAULTS) ||
		    injector_set(injectors[i], "interval", "1") ||
		    injector_set(injectors[i], "probability", "10"))
			return -1;
	return 0;
}

TEST_F(fault, at_random)
{
	struct child child;
	long faults;
	int fails, i;

	if (self->nth < 0)
		SKIP(return, NO_INJECTION);
	if (variant->flags & AVFORK_INTO_CGROUP && self->cgroup < 0)
		SKIP(return, "no cgroup v2");

	fails = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fails);
	table_scan(&self->before);
	ASSERT_EQ(0, random_start());
	for (i = 0; i < NR_AT_RANDOM; i++) {
		prepare(&child, self, variant);
		ASSERT_EQ(1, pwrite(fails, "1", 1, 0));
		spawn(&child, self, variant);
		ASSERT_EQ(1, pwrite(fails, "0", 1, 0));
		check(_metadata, &child, self, variant);
	}
	faults = random_stop();
	ASSERT_LE(self->failed, faults);
	total->injected += faults;
	check_released(_metadata, self);
	TH_LOG("%ld faults, %lu of %d calls failed", faults, self->failed, i);
}

TEST(opening)
{
	int nth = nth_open(), fd, descriptors = count_descriptors();
	unsigned int n = 0;
	bool failed;

	if (nth < 0)
		SKIP(return, NO_INJECTION);
	do {
		nth_set(nth, ++n);
		fd = sys(SYS_openat, AT_FDCWD, AVFORK_DEVICE,
			 O_RDWR | O_CLOEXEC);
		failed = nth_failed(nth);
		if (fd >= 0) {
			ASSERT_EQ(0, close(fd));
		} else {
			ASSERT_EQ(-ENOMEM, fd);
			total->failed++;
		}
		ASSERT_EQ(descriptors, count_descriptors());
	} while (failed);
	ASSERT_LE(0, fd);
	/* The control. */
	ASSERT_LT(1, n);
}

TEST(info_takes_no_memory)
{
	int nth = nth_open(), device;
	struct avfork_info info;
	bool failed;

	if (nth < 0)
		SKIP(return, NO_INJECTION);
	device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, device);
	nth_set(nth, 1);
	ASSERT_EQ(0, sys(SYS_ioctl, device, AVFORK_IOC_INFO, &info));
	failed = nth_failed(nth);
	ASSERT_FALSE(failed);
}

/* Loading the module. */

#define KPROBES		INJECTION "kprobes/list"
/* More than a load takes. */
#define MANY		100000

static int module_load(int file, const char *parameters)
{
	return sys(SYS_finit_module, file, parameters, 0);
}

static int module_unload(void)
{
	int i, ret;

	/* A child's exit signal may hold it for another grace period. */
	for (i = 0; i < 100; i++) {
		ret = sys(SYS_delete_module, "avfork", O_NONBLOCK);
		if (ret != -EWOULDBLOCK)
			break;
		sys(SYS_membarrier, MEMBARRIER_CMD_GLOBAL);
	}
	return ret;
}

static bool module_works(void)
{
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	struct child child;
	bool works;

	if (device < 0)
		return false;
	child_init(&child, child_returns, (void *)STATUS);
	works = child_spawn(device, &child) > 0 &&
		child_reap(&child) == EXITED(STATUS);
	close(device);
	return works;
}

static long count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	long lines = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		lines += c == '\n';
	if (file)
		fclose(file);
	return lines;
}

/* Nothing of it is there, not even for who exits. */
static bool module_absent(long kprobes)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return waitpid(pid, NULL, 0) == pid &&
	       access("/sys/module/avfork", F_OK) &&
	       access("/sys/class/misc/avfork", F_OK) &&
	       access(AVFORK_DEVICE, F_OK) && count_lines(KPROBES) == kprobes;
}

/*
 * The kernel makes hundreds of allocations before the module runs, and it warns
 * where one for its tracepoints fails. These are left out: a load with a
 * parameter that is refused, which is one step before sysfs and two before the
 * module, shows how many they are.
 */
TEST(loading)
{
	int nth = nth_open(), file, ret, failures = 0;
	const char *path = getenv("AVFORK_KO");
	unsigned int first, n;
	bool failed;
	long kprobes;

	if (nth < 0)
		SKIP(return, NO_INJECTION);
	file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		SKIP(return, "the module's file is not known (set AVFORK_KO)");
	if (module_unload())
		SKIP(return, "the module is in use");
	kprobes = count_lines(KPROBES);

	nth_set(nth, MANY);
	EXPECT_EQ(-EINVAL, module_load(file, "allow_seccomp=perhaps"));
	first = MANY - nth_end(nth);
	n = first;
	do {
		nth_set(nth, ++n);
		ret = module_load(file, "");
		failed = nth_failed(nth);
		if (!ret) {
			EXPECT_TRUE(module_works());
			EXPECT_EQ(0, module_unload());
		} else {
			EXPECT_EQ(-ENOMEM, ret);
			failures++;
		}
		EXPECT_TRUE(module_absent(kprobes)) {
			TH_LOG("with fault %u, which gave %d", n, ret);
		}
	} while (failed && _metadata->passed);
	EXPECT_EQ(0, ret);
	EXPECT_LT(0, failures);
	total->failed += failures;
	EXPECT_EQ(0, module_load(file, ""));
	EXPECT_TRUE(module_works());
	TH_LOG("%u faults after allocation %u: %d loads failed",
	       n - first - 1, first, failures);
}

TEST_HARNESS_MAIN
