/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that the fuzzer makes: good ones, their mutations, and what the
 * documentation says of the result.
 */
#ifndef AVFORK_SELFTEST_FUZZ_CALL_H
#define AVFORK_SELFTEST_FUZZ_CALL_H

#include <linux/sched.h>
#include <stdbool.h>

#include "device.h"

#define NR_SLOTS	12
#define MAX_PROCESSES	400
#define MAX_GRANTS	2048
#define MAX_FDS		16384
#define MAX_ERRNO	134

#define KNOWN_FLAGS	(AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP | \
			 AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS | \
			 AVFORK_AUTOKILL | AVFORK_AUTOREAP | AVFORK_NNP | \
			 AVFORK_SHARE_FDS | AVFORK_ISOLATE)
#define KNOWN_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

/* Random numbers: splitmix64, a stream of its own for each thing. */
struct rng {
	__u64 state;
};

static __u64 seed;

static __u64 next(struct rng *rng)
{
	__u64 z = rng->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static __u64 below(struct rng *rng, __u64 limit)
{
	return next(rng) % limit;
}

static bool one_in(struct rng *rng, unsigned int n)
{
	return !below(rng, n);
}

#define PICK(rng, array) ((array)[below(rng, ARRAY_SIZE(array))])

static struct rng stream(__u64 a, __u64 b, __u64 c)
{
	struct rng rng = { seed };

	rng.state = next(&rng) ^ a;
	rng.state = next(&rng) ^ b;
	rng.state = next(&rng) ^ c;
	return rng;
}

/*
 * A worker's memory for pointers to point at. Three such views: for a call's
 * argument, for its grants, and for what is written or run on. Data is put there
 * by way of the alias, whatever the protection is.
 */
#define RW_PAGES	18
#define VIEW_PAGES	(RW_PAGES + 2)

struct view {
	char *pages;		/* read-only, changing, RW_PAGES, a hole */
	char *alias;
	char *none;		/* PROT_NONE */
};

static struct view args_view, grants_view, target_view;

#define CHANGING(view)	((view)->pages + PAGE)
#define RW(view)	((view)->pages + 2 * PAGE)
#define HOLE(view)	((view)->pages + VIEW_PAGES * PAGE)

static void view_init(struct view *view)
{
	int fd = memfd_create("avfork-fuzz", MFD_CLOEXEC);
	char *pages = mmap(NULL, (VIEW_PAGES + 2) * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	view->alias = MAP_FAILED;
	if (fd >= 0 && !ftruncate(fd, VIEW_PAGES * PAGE) && pages != MAP_FAILED)
		view->alias = mmap(NULL, VIEW_PAGES * PAGE,
				   PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view->alias == MAP_FAILED ||
	    mmap(pages, VIEW_PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		abort();
	view->pages = pages;
	view->none = HOLE(view) + PAGE;
	if (mprotect(pages, PAGE, PROT_READ) || munmap(HOLE(view), PAGE))
		abort();
	close(fd);
}

/* Another thread's doing. It maps the alias's memory again, not new pages. */
static void view_change(struct view *view, struct rng *rng)
{
	char *page = CHANGING(view);

	switch (below(rng, 5)) {
	case 0:
		mprotect(page, PAGE, PROT_NONE);
		break;
	case 1:
		mprotect(page, PAGE, PROT_READ);
		break;
	case 2:
		mprotect(page, PAGE, PROT_READ | PROT_WRITE);
		break;
	case 3:
		munmap(page, PAGE);
		break;
	default:
		mremap(view->alias + PAGE, 0, PAGE,
		       MREMAP_MAYMOVE | MREMAP_FIXED, page);
	}
}

enum verdict { NO, YES, PERHAPS };

/* Whether all of it can be read or, with @write, written. */
static enum verdict accessible(const struct view *view, __u64 start, __u64 size,
			       bool write)
{
	__u64 pages = (uintptr_t)view->pages;
	__u64 end = start + size;

	if (!size)
		return YES;
	if (start < pages || end > pages + VIEW_PAGES * PAGE || end < start)
		return NO;
	if (write && start < pages + PAGE)
		return NO;
	return start >= pages + 2 * PAGE || end <= pages + PAGE ? YES : PERHAPS;
}

/* An address that leads anywhere, in @view and out of it. */
static __u64 address(struct rng *rng, const struct view *view)
{
	const __u64 addresses[] = {
		0, below(rng, PAGE),
		(uintptr_t)view->pages + below(rng, PAGE),
		(uintptr_t)CHANGING(view) + below(rng, PAGE),
		(uintptr_t)RW(view) + below(rng, PAGE),
		(uintptr_t)HOLE(view) - below(rng, 128),
		(uintptr_t)HOLE(view), (uintptr_t)view->none,
		0xffffffff81000000, 0xffff888000000000, 0xffffffffff600000,
		1UL << 62, 1UL << 47, USER_END - below(rng, 64),
		-below(rng, PAGE), next(rng),
	};
	__u64 address = PICK(rng, addresses);

	return one_in(rng, 2) ? address & ~15UL : address;
}

/*
 * Put what a call is to read into @view, and tell of another place if @astray.
 * Return: the address for the call.
 */
static __u64 place(struct rng *rng, struct view *view, bool astray,
		   const void *data, size_t size)
{
	const __u64 end = (uintptr_t)HOLE(view);
	const __u64 addresses[] = {
		(uintptr_t)RW(view), (uintptr_t)RW(view) + 8 * below(rng, 64),
		end - size, (uintptr_t)view->pages, (uintptr_t)CHANGING(view),
		end - below(rng, size + 1), address(rng, view),
	};
	__u64 at = astray ? PICK(rng, addresses) : addresses[0];
	__u64 offset = at - (uintptr_t)view->pages;

	if (offset < VIEW_PAGES * PAGE) {
		if (size > VIEW_PAGES * PAGE - offset)
			size = VIEW_PAGES * PAGE - offset;
		memcpy(view->alias + offset, data, size);
	}
	return at;
}

/* A worker's descriptors. Others open and close from VOLATILE on. */
enum {
	DEVICE = 3, PROGRAM, ROOT, PIPE_READ, PIPE_WRITE, SOCKET, SOCKET_PEER,
	EPOLL, EVENT, PROC, CGROUP, PREPARED, VOLATILE, NR_OWN = VOLATILE + 12,
};

/* The numbers that children have two of them under. */
#define CHILD_DEVICE	20
#define CHILD_PROGRAM	21

/* Whether there is a file of the worker's. */
static enum verdict is_open(int fd)
{
	if (fd < 0 || fd >= NR_OWN + 2 * NR_SLOTS)
		return NO;
	return fd < VOLATILE ? YES : PERHAPS;
}

/* Whether CGROUP is one, and the worker in a user namespace of its own. */
static bool has_cgroup, has_privileges;

/* Whether the kernel reaps children, of which no account could be kept. */
static bool can_autoreap;

/* What a child does. Those before EXEC end by themselves. */
enum behaviour {
	RETURN, EXIT, SLEEP, SPAWN, GRANT, FORK, GROUP, SIGNAL_PARENT, EXEC,
	PAUSE, STOP, TRACED, NR_BEHAVIOURS,
};

/**
 * struct slot - a child of a worker
 * @child:     its stack, and the arguments of a good call for it
 * @behaviour: what it does
 * @shares:    whether it has the worker's table
 * @ends:      whether it ends by itself, for certain
 * @status:    the wait status with which it ends then, or -1 for any
 * @pidfd:     a descriptor of it, or -1
 */
struct slot {
	struct child child;
	enum behaviour behaviour;
	bool shares;
	bool ends;
	int status;
	int pidfd;
};

/*
 * What children run. Those that are given a stack or a thread pointer at random
 * begin in one of these, which can harm nobody; so do grandchildren, which may
 * outlive their memory.
 */
extern char entry_exit[], entry_push[], entry_undefined[], entry_breakpoint[],
	    entry_halt[], entry_null[], entry_divide[], entry_sigreturn[];

asm(FUZZ_ENTRIES);

static char *const entries[] = {
	entry_exit, entry_push, entry_undefined, entry_breakpoint, entry_halt,
	entry_null, entry_divide, entry_sigreturn,
};

/**
 * struct call - one call
 * @rng:     decides about it
 * @slot:    for the child
 * @args:    what it is to be passed
 * @grants:  at @args.fds
 * @device:  the descriptor
 * @cmd:     the ioctl's number
 * @size:    of what is passed: @args, and a tail with @tail in its last byte
 * @at:      where it is passed
 * @args_astray: whether that is anywhere
 * @fds_astray:  whether the grants are
 * @nofile:  RLIMIT_NOFILE for the call
 * @nproc:   RLIMIT_NPROC
 * @errors:  those that it may return
 * @success: whether it may return none
 */
struct call {
	struct rng rng;
	struct slot *slot;
	struct avfork_args args;
	struct avfork_fd grants[MAX_GRANTS];
	int device;
	unsigned int cmd;
	size_t size;
	char tail;
	__u64 at;
	bool args_astray;
	bool fds_astray;
	rlim_t nofile;
	rlim_t nproc;
	bool errors[MAX_ERRNO];
	bool success;
};

/* Mutations. Some of them make other good calls. */

static void mutate_number(struct call *call)
{
	static const unsigned int cmds[] = {
		_IOC(_IOC_NONE, AVFORK_IOC_MAGIC, 0x40, 96),
		_IOC(_IOC_READ, AVFORK_IOC_MAGIC, 0x40, 96),
		_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC, 0x3f, 96),
		_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC, 0x45, 96),
		_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC + 1, 0x40, 96),
		_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC - 1, 0x40, 96),
		AVFORK_IOC_INFO, AVFORK_IOC_INFO, AVFORK_IOC_PREPARE,
		AVFORK_IOC_START,
	};

	call->cmd = PICK(&call->rng, cmds);
}

static void mutate_size(struct call *call)
{
	const size_t sizes[] = {
		0, 1, 23, 24, 95, 97, 104, 192, PAGE, (1 << _IOC_SIZEBITS) - 1,
		below(&call->rng, 1 << _IOC_SIZEBITS),
	};

	call->size = PICK(&call->rng, sizes);
	call->tail = one_in(&call->rng, 3);
}

static void mutate_pointer(struct call *call)
{
	call->args_astray = one_in(&call->rng, 2);
	call->fds_astray = !call->args_astray;
}

static void mutate_device(struct call *call)
{
	const int fds[] = {
		-1, PIPE_READ, EVENT, ROOT,
		VOLATILE + below(&call->rng, NR_OWN - VOLATILE),
		VOLATILE + below(&call->rng, NR_OWN - VOLATILE),
	};

	call->device = PICK(&call->rng, fds);
}

static void mutate_flags(struct call *call)
{
	static const __u64 flags[] = {
		AVFORK_SYNC, AVFORK_STDIO, AVFORK_INHERIT_FDS,
		AVFORK_INHERIT_SIGNALS, AVFORK_AUTOKILL, AVFORK_AUTOREAP,
		AVFORK_NNP, AVFORK_SHARE_FDS,
	};

	call->args.flags ^= PICK(&call->rng, flags);
}

/* Mostly to a good call. */
static void mutate_sharing(struct call *call)
{
	call->args.flags |= AVFORK_SHARE_FDS;
	call->args.flags &= ~(__u64)(AVFORK_STDIO | AVFORK_INHERIT_FDS);
	call->args.nr_fds = one_in(&call->rng, 8);
}

/* To a start of the prepared child that there is then, and mostly a good one. */
static void mutate_prepared(struct call *call)
{
	call->cmd = AVFORK_IOC_START;
	call->device = PREPARED;
	if (one_in(&call->rng, 8))
		return;
	call->args.flags &= AVFORK_START_FLAGS;
	call->args.namespaces = 0;
	call->args.cgroup_fd = 0;
}

static void mutate_any_flag(struct call *call)
{
	call->args.flags ^= 1UL << below(&call->rng, 64);
}

static void mutate_namespaces(struct call *call)
{
	static const __u64 namespaces[] = {
		CLONE_NEWUSER, CLONE_NEWUSER, CLONE_NEWUSER, CLONE_NEWNS,
		CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWTIME,
		CLONE_NEWIPC,
	};
	unsigned int n = 1 + below(&call->rng, 3);

	while (n--)
		call->args.namespaces |= PICK(&call->rng, namespaces);
	/* Takes some 20 times longer than all others. */
	if (one_in(&call->rng, 64))
		call->args.namespaces |= CLONE_NEWNET;
}

static void mutate_any_namespace(struct call *call)
{
	__u64 bit = 1UL << below(&call->rng, 64);

	if (bit != CLONE_NEWNET)
		call->args.namespaces ^= bit;
}

static void mutate_entry(struct call *call)
{
	if (one_in(&call->rng, 4))
		call->args.entry = address(&call->rng, &target_view);
	else
		call->args.entry = (uintptr_t)PICK(&call->rng, entries);
}

static void mutate_arg(struct call *call)
{
	call->args.entry = (uintptr_t)PICK(&call->rng, entries);
	call->args.arg = next(&call->rng);
}

static void mutate_stack(struct call *call)
{
	call->args.stack = address(&call->rng, &target_view);
}

static void mutate_stack_size(struct call *call)
{
	const __u64 sizes[] = {
		0, 16, AVFORK_STACK_MIN - 16, AVFORK_STACK_MIN,
		AVFORK_STACK_MIN + 8, 1UL << 46, USER_END, 1UL << 63,
		-call->args.stack, -AVFORK_STACK_MIN, next(&call->rng),
	};

	call->args.stack_size = PICK(&call->rng, sizes);
}

static void mutate_tls(struct call *call)
{
	call->args.tls = address(&call->rng, &target_view);
}

static void mutate_release(struct call *call)
{
	call->args.release = address(&call->rng, &target_view);
	if (one_in(&call->rng, 4))
		call->args.release = (uintptr_t)&call->slot->child.in_memory +
				     below(&call->rng, 4);
}

static void mutate_pidfd(struct call *call)
{
	if (one_in(&call->rng, 2))
		call->args.pidfd = address(&call->rng, &target_view);
	else
		call->args.pidfd = (uintptr_t)&call->slot->pidfd;
}

static void mutate_grants(struct call *call)
{
	static const unsigned int numbers[] = { 1, 4, 16, 64 };
	struct rng *rng = &call->rng;
	unsigned int limit = one_in(rng, 16) ? MAX_GRANTS : PICK(rng, numbers);
	unsigned int nr = below(rng, limit + 1);
	unsigned int first = below(rng, one_in(rng, 16) ? MAX_FDS / 2 : 100);
	unsigned int step = 1 + below(rng, one_in(rng, 16) ? 16 : 2);
	unsigned int sources = one_in(rng, 4) ? NR_OWN : VOLATILE;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		call->grants[i] = (struct avfork_fd) {
			.parent_fd = below(rng, sources),
			.child_fd = first + i * step,
			.flags = below(rng, 2),
		};
	}
	call->args.nr_fds = nr;
}

static void mutate_a_grant(struct call *call)
{
	struct rng *rng = &call->rng;
	const int numbers[] = {
		-1, AT_FDCWD, INT32_MIN, INT32_MAX, MAX_FDS, MAX_FDS - 1,
		below(rng, 30), VOLATILE + below(rng, NR_OWN - VOLATILE),
		next(rng),
	};
	struct avfork_fd *grant;

	if (!call->args.nr_fds || call->args.nr_fds > MAX_GRANTS)
		return;
	grant = &call->grants[below(rng, call->args.nr_fds)];
	switch (below(rng, 5)) {
	case 0:
		grant->parent_fd = PICK(rng, numbers);
		break;
	case 1:
		grant->child_fd = PICK(rng, numbers);
		break;
	case 2:
		grant->flags ^= 1U << below(rng, 32);
		break;
	case 3:
		grant->reserved ^= 1U << below(rng, 32);
		break;
	default:
		*grant = call->grants[0];
	}
}

static void mutate_nr_fds(struct call *call)
{
	const __u32 numbers[] = {
		0, 1, 3, 17, MAX_GRANTS, MAX_GRANTS + 1, MAX_FDS, MAX_FDS + 1,
		INT32_MAX / 16, INT32_MAX, UINT32_MAX, next(&call->rng),
	};

	call->args.nr_fds = PICK(&call->rng, numbers);
}

static void mutate_exit_signal(struct call *call)
{
	static const __u32 wild[] = { 65, 0x80, 0x100, INT32_MAX, UINT32_MAX };
	__u32 signal = below(&call->rng, 65);

	/* It ends the generation. */
	if (signal == SIGKILL && !one_in(&call->rng, 8))
		signal = 0;
	call->args.exit_signal = one_in(&call->rng, 4) ?
				 PICK(&call->rng, wild) : signal;
}

static void mutate_cgroup(struct call *call)
{
	static const int fds[] = { CGROUP, CGROUP, PIPE_READ, ROOT, -1, 1 << 20 };

	if (!one_in(&call->rng, 4))
		call->args.flags |= AVFORK_INTO_CGROUP;
	call->args.cgroup_fd = PICK(&call->rng, fds);
}

static void mutate_reserved(struct call *call)
{
	call->args.reserved = 1U << below(&call->rng, 32);
}

static void mutate_limits(struct call *call)
{
	const rlim_t limits[] = { 0, 10, NR_OWN, 64, 1024 };

	if (one_in(&call->rng, 3))
		call->nproc = 1;
	else
		call->nofile = PICK(&call->rng, limits);
}

static void (*const mutations[])(struct call *call) = {
	mutate_number, mutate_size, mutate_pointer, mutate_device,
	mutate_flags, mutate_flags, mutate_sharing, mutate_prepared,
	mutate_any_flag,
	mutate_namespaces,
	mutate_any_namespace, mutate_entry, mutate_arg, mutate_stack,
	mutate_stack_size, mutate_tls, mutate_release, mutate_pidfd,
	mutate_grants, mutate_grants, mutate_a_grant, mutate_a_grant,
	mutate_nr_fds, mutate_exit_signal, mutate_cgroup, mutate_reserved,
	mutate_limits,
};

/* Whether the child has all of its own stack and thread pointer. */
static bool has_own_memory(const struct call *call)
{
	const struct avfork_args *good = &call->slot->child.args;

	return call->args.stack == good->stack && call->args.tls == good->tls &&
	       call->args.stack_size <= good->stack_size;
}

/* A good call */
static void call_init(struct call *call, struct slot *slot, struct rng rng)
{
	struct avfork_args *args = &call->args;

	call->rng = rng;
	call->slot = slot;
	call->device = DEVICE;
	call->cmd = AVFORK_IOC_SPAWN;
	call->size = sizeof(*args);
	call->tail = 0;
	call->args_astray = false;
	call->fds_astray = false;
	call->nofile = MAX_FDS;
	call->nproc = MAX_PROCESSES;
	*args = slot->child.args;
	args->pidfd = one_in(&call->rng, 2) ? (uintptr_t)&slot->pidfd : 0;
	args->nr_fds = 2;
	call->grants[0] = (struct avfork_fd){ DEVICE, CHILD_DEVICE, 0, 0 };
	call->grants[1] = (struct avfork_fd){ PROGRAM, CHILD_PROGRAM, 1, 0 };

	slot->behaviour = RETURN;
	slot->status = EXITED(below(&call->rng, 256));
	slot->pidfd = -1;
	slot->child.in_memory = 1;
}

static void mutate(struct call *call)
{
	PICK(&call->rng, mutations)(call);
}

/* Put it where the ioctl finds it. */
static void call_place(struct call *call)
{
	static char passed[sizeof(call->args) + (1 << _IOC_SIZEBITS)];
	struct avfork_args *args = &call->args;
	struct slot *slot = call->slot;
	unsigned int nr_grants;
	bool behaves;

	/* Nobody would know of the child: it may only do what soon ends. */
	if (args->flags & AVFORK_SYNC && slot->behaviour > EXEC)
		slot->behaviour = SLEEP;
	if (args->entry == slot->child.args.entry && !has_own_memory(call))
		args->entry = (uintptr_t)entry_push;
	behaves = args->entry == slot->child.args.entry;
	slot->ends = !behaves || slot->behaviour < EXEC;
	if (!behaves || slot->behaviour > EXIT)
		slot->status = -1;

	if (can_autoreap)
		args->flags &= ~(__u64)AVFORK_AUTOREAP;

	slot->shares = args->flags & AVFORK_SHARE_FDS;

	nr_grants = args->nr_fds < MAX_GRANTS ? args->nr_fds : MAX_GRANTS;
	args->fds = place(&call->rng, &grants_view, call->fds_astray,
			  call->grants, nr_grants * sizeof(call->grants[0]));
	if (slot->shares && !args->nr_fds && !one_in(&call->rng, 8))
		args->fds = 0;
	memset(passed, 0, sizeof(*args) + call->size);
	memcpy(passed, args, sizeof(*args));
	if (call->size > sizeof(*args))
		passed[call->size - 1] = call->tail;
	call->at = place(&call->rng, &args_view, call->args_astray, passed,
			 call->size);
	call->cmd = (call->cmd & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT)) |
		    call->size << _IOC_SIZESHIFT;
}

/* What the documentation says of such a call. */

/* Unless @met, @call may fail with @error; it does if it cannot be. */
static void needs(struct call *call, enum verdict met, int error)
{
	if (met == YES)
		return;
	call->errors[error] = true;
	if (met == NO)
		call->success = false;
}

static enum verdict in_user_space(__u64 start, __u64 size)
{
	start = UNTAGGED(start);
	if (size <= USER_END && start <= USER_END - size)
		return YES;
	return size <= USER_END_5 && start <= USER_END_5 - size ? PERHAPS : NO;
}

static void expect_grants(struct call *call)
{
	static unsigned int seen[MAX_FDS], round;
	const struct avfork_args *args = &call->args;
	const struct avfork_fd *fds;
	enum verdict readable;
	__u32 i;

	needs(call, args->nr_fds <= call->nofile, EMFILE);
	readable = accessible(&grants_view, args->fds,
			      (__u64)args->nr_fds * sizeof(*fds), false);
	needs(call, readable, EFAULT);
	if (readable == NO)
		return;

	fds = (void *)(grants_view.alias +
		       (args->fds - (uintptr_t)grants_view.pages));
	round++;
	for (i = 0; i < args->nr_fds; i++) {
		needs(call, is_open(fds[i].parent_fd), EBADF);
		needs(call, !(fds[i].flags & ~FD_CLOEXEC) && !fds[i].reserved,
		      EINVAL);
		needs(call, fds[i].child_fd >= 0, EINVAL);
		needs(call, fds[i].child_fd < (long)call->nofile, EMFILE);
		if (fds[i].child_fd < 0 || fds[i].child_fd >= MAX_FDS)
			continue;
		needs(call, seen[fds[i].child_fd] != round, EINVAL);
		seen[fds[i].child_fd] = round;
	}
}

static void expect_args(struct call *call)
{
	/* What the whole machine has. */
	needs(call, PERHAPS, ENOMEM);

	needs(call, call->size >= AVFORK_ARGS_SIZE_VER0, EINVAL);
	needs(call, call->size <= sizeof(call->args) || !call->tail, E2BIG);
	needs(call, accessible(&args_view, call->at, call->size, false),
	      EFAULT);
	needs(call, !call->args.reserved, EINVAL);
}

/* Of a good call, which it was, a field is left that is not PREPARE's. */
static void expect_prepare(struct call *call)
{
	expect_args(call);
	needs(call, PERHAPS, EMFILE);
	needs(call, NO, EINVAL);
}

/* What a child starts with. */
static void expect_start(struct call *call)
{
	const struct avfork_args *args = &call->args;

	expect_args(call);
	needs(call, args->exit_signal <= 64, EINVAL);
	needs(call, args->entry && args->stack, EINVAL);
	needs(call, args->stack_size >= AVFORK_STACK_MIN, EINVAL);
	needs(call, !((args->stack | args->stack_size) % 16), EINVAL);
	needs(call, !(args->release % 4), EINVAL);
	needs(call, in_user_space(args->entry, 1), EFAULT);
	needs(call, in_user_space(args->stack, args->stack_size), EFAULT);
	needs(call, in_user_space(args->tls, 1), EFAULT);
	needs(call, in_user_space(args->release, 4), EFAULT);

	if (args->nr_fds)
		expect_grants(call);

	if (args->pidfd) {
		needs(call, args->pidfd == (uintptr_t)&call->slot->pidfd ? YES :
		      accessible(&target_view, args->pidfd, sizeof(int), true),
		      EFAULT);
		needs(call, call->nofile > NR_OWN + 2 * NR_SLOTS ? YES :
		      PERHAPS, EMFILE);
	}
}

static void expect_start_prepared(struct call *call)
{
	const struct avfork_args *args = &call->args;

	expect_start(call);
	needs(call, !(args->flags & ~AVFORK_START_FLAGS), EINVAL);
	needs(call, !args->namespaces && !args->cgroup_fd, EINVAL);
}

static void expect_spawn(struct call *call)
{
	const struct avfork_args *args = &call->args;
	__u64 new = args->namespaces;

	expect_start(call);
	/* Limits that others reach. */
	needs(call, PERHAPS, EAGAIN);
	needs(call, !(args->flags & ~KNOWN_FLAGS), EINVAL);
	needs(call, !(args->namespaces & ~KNOWN_NAMESPACES), EINVAL);
	if (args->flags & AVFORK_AUTOREAP) {
		needs(call, !args->exit_signal, EINVAL);
		needs(call, NO, EOPNOTSUPP);
	}
	if (args->flags & AVFORK_SHARE_FDS)
		needs(call, !(args->flags & (AVFORK_STDIO |
					     AVFORK_INHERIT_FDS)) &&
		      !args->fds && !args->nr_fds, EINVAL);
	if (args->flags & AVFORK_AUTOKILL)
		needs(call, has_privileges || args->flags & AVFORK_NNP, EPERM);
	if (args->flags & AVFORK_INTO_CGROUP)
		needs(call, NO, args->cgroup_fd == CGROUP && has_cgroup ?
		      EACCES : EBADF);
	else
		needs(call, !args->cgroup_fd, EINVAL);
	if (args->flags & AVFORK_ISOLATE)
		new = KNOWN_NAMESPACES & ~new;
	/* Linux before 6.3. */
	if (args->flags & AVFORK_ISOLATE && new & CLONE_NEWTIME)
		needs(call, PERHAPS, EOPNOTSUPP);
	if (new) {
		needs(call, has_privileges ||
		      new & CLONE_NEWUSER ? PERHAPS : NO, EPERM);
		needs(call, PERHAPS, ENOSPC);
	}
	/* For want of memory, too. */
	if (new & CLONE_NEWNET) {
		needs(call, PERHAPS, EEXIST);
		needs(call, PERHAPS, ENODEV);
	}
}

/* Whether the number is that of @cmd, for a structure of whatever size. */
static bool is_cmd(const struct call *call, unsigned int cmd)
{
	return (call->cmd & ~IOCSIZE_MASK) == (cmd & ~IOCSIZE_MASK);
}

static void expect(struct call *call)
{
	memset(call->errors, 0, sizeof(call->errors));
	call->success = true;
	if (call->device == PREPARED) {
		if (is_cmd(call, AVFORK_IOC_START))
			expect_start_prepared(call);
		else
			needs(call, NO, ENOTTY);
		return;
	}
	if (call->device != DEVICE) {
		bool any = call->device >= VOLATILE;

		needs(call, any ? PERHAPS : NO,
		      is_open(call->device) == NO || call->device == ROOT ?
		      EBADF : ENOTTY);
		/* Some devices say so of an ioctl that they do not know. */
		needs(call, any ? PERHAPS : YES, EINVAL);
		needs(call, any ? PERHAPS : YES, EBADF);
		if (!any)
			return;
	}
	if (is_cmd(call, AVFORK_IOC_SPAWN)) {
		expect_spawn(call);
	} else if (is_cmd(call, AVFORK_IOC_PREPARE)) {
		expect_prepare(call);
	} else if (is_cmd(call, AVFORK_IOC_INFO)) {
		needs(call, call->size >= AVFORK_INFO_SIZE_VER0, EINVAL);
		needs(call, accessible(&args_view, call->at, call->size, true),
		      EFAULT);
	} else {
		needs(call, NO, ENOTTY);
	}
}

#endif
