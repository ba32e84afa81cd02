// SPDX-License-Identifier: GPL-2.0
/*
 * What a child of /dev/avfork makes of signals.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "spawning.h"

#include <sys/prctl.h>
#include <sys/time.h>

struct kernel_sigaction {
	__u64 handler;
	__u64 flags;
	__u64 restorer;
	__u64 mask;
};

/**
 * struct signals - what a process makes of signals, as the kernel has it
 * @actions: of signals 1 to 64; the first is unused
 * @mask:    what is blocked
 * @pending: what waits
 * @stack:   the alternate stack
 */
struct signals {
	struct kernel_sigaction actions[65];
	__u64 mask;
	__u64 pending;
	stack_t stack;
};

static int signals_read(void *arg)
{
	struct signals *signals = arg;
	int i;

	for (i = 1; i <= 64; i++)
		sys(SYS_rt_sigaction, i, NULL, &signals->actions[i], 8);
	sys(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &signals->mask, 8);
	sys(SYS_rt_sigpending, &signals->pending, 8);
	sys(SYS_sigaltstack, NULL, &signals->stack);
	return 0;
}

/* In the parent: handlers, ignored signals, all blocked, some pending. */
static void signals_in_disorder(void *stack)
{
	const stack_t alternate = { .ss_sp = stack, .ss_size = 16384 };
	const __u64 all = ~0ULL;
	struct kernel_sigaction action = {
		.flags = SA_ONSTACK | SA_NODEFER | 0x04000000, /* SA_RESTORER */
		.restorer = 0x1000,
		.mask = all,
	};
	int i;

	sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	for (i = 1; i <= 64; i++) {
		/* Not SIGCHLD, which is odd: nothing is to be reaped here. */
		action.handler = i % 2 ? 0x2000 : (__u64)SIG_IGN;
		sys(SYS_rt_sigaction, i, &action, NULL, 8);
	}
	sys(SYS_sigaltstack, &alternate, NULL);
	sys(SYS_kill, getpid(), SIGUSR1);
	sys(SYS_kill, getpid(), SIGHUP);
	sys(SYS_tgkill, getpid(), gettid(), SIGTERM);
	sys(SYS_tgkill, getpid(), gettid(), 50);
}

static void signals_are_default(struct __test_metadata *_metadata,
				const struct signals *signals)
{
	const struct kernel_sigaction none = { 0 };
	int i;

	for (i = 1; i <= 64; i++) {
		EXPECT_EQ(0, memcmp(&none, &signals->actions[i],
				    sizeof(none))) {
			TH_LOG("signal %d", i);
		}
	}
	EXPECT_EQ(0, signals->mask);
	EXPECT_EQ(0, signals->pending);
	EXPECT_EQ(SS_DISABLE, signals->stack.ss_flags);
	EXPECT_EQ(NULL, signals->stack.ss_sp);
	EXPECT_EQ(0, signals->stack.ss_size);
}

static void signals_spawn(struct __test_metadata *_metadata,
			  FIXTURE_DATA(spawn) *self, __u64 flags)
{
	static char stack[16384];
	struct signals before = { 0 }, after = { 0 }, of_child;

	signals_in_disorder(stack);
	signals_read(&before);
	ASSERT_NE(0, before.pending);

	memset(&of_child, 0x55, sizeof(of_child));
	child_init(&self->child, signals_read, &of_child);
	self->child.args.flags = flags;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));
	signals_are_default(_metadata, &of_child);

	/* The child's death has left its signal. */
	signals_read(&after);
	before.pending |= 1ULL << (SIGCHLD - 1);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

TEST_F(spawn, signals_are_default)
{
	signals_spawn(_metadata, self, 0);
}

/* The kernel's vfork keeps the alternate stack. */
TEST_F(spawn, signals_are_inherited)
{
	static char stack[16384];
	struct signals before = { 0 }, of_child;
	int i;

	signals_in_disorder(stack);
	signals_read(&before);
	memset(&of_child, 0x55, sizeof(of_child));
	child_init(&self->child, signals_read, &of_child);
	self->child.args.flags = AVFORK_INHERIT_SIGNALS;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));

	EXPECT_EQ(before.mask, of_child.mask);
	EXPECT_NE(0, of_child.mask);
	/* What is ignored stays so; the rest is as without the flag. */
	for (i = 1; i <= 64; i++) {
		EXPECT_EQ(before.actions[i].handler == (__u64)SIG_IGN ?
			  (__u64)SIG_IGN : (__u64)SIG_DFL,
			  of_child.actions[i].handler) {
			TH_LOG("signal %d", i);
		}
		of_child.actions[i].handler = 0;
	}
	of_child.mask = 0;
	signals_are_default(_metadata, &of_child);
}

TEST_F(spawn, signals_are_default_with_sync)
{
	signals_spawn(_metadata, self, AVFORK_SYNC);
}

/**
 * struct volley - signals to a process group that is just growing
 * @round:    the sender sends one when this changes
 * @sent:     the last round that it has sent one in
 * @parent:   whose handler it is
 * @handled:  how often the handler ran there
 * @strayed:  how often it ran anywhere else
 */
struct volley {
	__u32 round;
	__u32 sent;
	pid_t parent;
	unsigned int handled;
	unsigned int strayed;
};

static struct volley *volley;

static void count_signal(int sig)
{
	if (sys(SYS_getpid) == volley->parent)
		volley->handled++;
	else
		__atomic_add_fetch(&volley->strayed, 1, __ATOMIC_RELAXED);
}

static void send_volleys(void)
{
	unsigned int i, round = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, SIG_IGN);
	for (;;) {
		word_wait(&volley->round, round);
		round = word_get(&volley->round);
		for (i = 0; i < round % 64 * 50; i++)
			asm volatile("" : : : "memory");
		kill(0, SIGUSR1);
		word_set(&volley->sent, round);
	}
}

/* Until it has hit children in their very beginning a good many times. */
TEST_F(spawn, signal_to_the_group_does_not_run_parents_handler)
{
	unsigned int hit = 0, round;
	struct sigaction action = { .sa_handler = count_signal };
	pid_t sender;

	volley = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)volley);
	volley->parent = getpid();
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	sender = fork();
	if (!sender)
		send_volleys();

	for (round = 1; (round < 500 || hit < 50) && !volley->strayed;
	     round++) {
		struct child *child = &self->child;
		int status;

		child_init(child, child_pauses, NULL);
		word_set(&volley->round, round);
		SPAWN(child);
		word_wait(&volley->sent, round - 1);
		kill(child->pid, SIGTERM);
		status = child_reap(child);
		ASSERT_TRUE(status == SIGUSR1 || status == SIGTERM);
		hit += status == SIGUSR1;
	}
	EXPECT_EQ(0, volley->strayed);
	EXPECT_LT(0, volley->handled);
	kill(sender, SIGKILL);
	EXPECT_EQ(sender, waitpid(sender, NULL, 0));
}

static unsigned int restarts;

static void count_restart(int sig, siginfo_t *info, void *context)
{
	restarts += restarts_call(context, SYS_ioctl, AVFORK_IOC_SPAWN);
}

/*
 * A signal that arrives before the child exists: the handler runs, and the
 * call is made again without the caller's doing. One timer a call, so that each
 * is restarted once at most, until that has happened often enough.
 */
TEST_F(spawn, call_restarts_after_a_signal)
{
	struct sigaction action = {
		.sa_sigaction = count_restart,
		.sa_flags = SA_SIGINFO,		/* no SA_RESTART */
	};
	const struct itimerval off = { 0 };
	struct child *child = &self->child;
	struct avfork_fd grant;
	long spawned = read_number(AVFORK_SPAWNED);
	long failed = read_number(AVFORK_FAILED);
	int pipe_fd[2], i;
	char byte;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK));
	grant = (struct avfork_fd){ pipe_fd[1], 1, 0, 0 };
	for (i = 0; i < 1000 || restarts < 10; i++) {
		struct itimerval timer = {
			.it_value.tv_usec = 1 + i % 500,
		};

		child_init(child, child_returns, (void *)(long)(i % 100));
		child_grant(child, &grant, 1);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
		SPAWN(child);
		ASSERT_EQ(EXITED(i % 100), child_reap(child));
		ASSERT_TRUE(no_child_left());
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &off, NULL));
	/* Each counts once, as the success that it was in the end. */
	EXPECT_EQ(spawned + i, read_number(AVFORK_SPAWNED));
	EXPECT_EQ(failed, read_number(AVFORK_FAILED));
	/* No grant of a call that was made again is left. */
	close(pipe_fd[1]);
	EXPECT_EQ(0, read(pipe_fd[0], &byte, 1));
	close(pipe_fd[0]);
}

TEST_HARNESS_MAIN
