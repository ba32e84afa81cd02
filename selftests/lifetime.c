// SPDX-License-Identifier: GPL-2.0
/*
 * How long libavfork's children live, and what is left of them: AVFORK_AUTOKILL,
 * AVFORK_AUTOREAP; and what they can become: AVFORK_NNP.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

/* How an owner of children ends. */
enum end { BY_EXIT, BY_SIGKILL, BY_EXEC };

/**
 * struct owner - a process with one child, and what the test sees of it
 * @flags: of the child
 * @execs: the child execs a program that waits for its standard input to end
 * @end:   how the owner ends
 * @input: the other end of the child's standard input, a pipe
 * @alive: a pipe that the child alone has open for writing
 * @ready: the owner says here that there is a child
 * @hold:  standard input of what the owner becomes, which ends with that
 */
struct owner {
	int flags;
	bool execs;
	enum end end;
	int input[2];
	int alive[2];
	int ready[2];
	int hold[2];
};

static int waits_for_input(void *arg)
{
	char byte;

	(void)arg;
	(void)!read(STDIN_FILENO, &byte, 1);
	return 0;
}

static pid_t make_child(const struct owner *owner, int flags)
{
	const struct avfork_fd fds[] = {
		{ owner->input[0], 0, 0, 0 }, { owner->alive[1], 1, 0, 0 },
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = flags, .fds = fds, .nr_fds = 2,
	};

	if (owner->execs)
		return avfork_exec(&opts, "/bin/cat",
				   (char *[]){ "cat", NULL }, NULL);
	return avfork_with(&opts, waits_for_input, NULL);
}

/* What the owner becomes by BY_EXEC: it stays until the child has died. */
static int own(void *arg)
{
	struct owner *owner = arg;
	char *const argv[] = { "cat", NULL };
	char byte = 0;

	REQUIRE(make_child(owner, owner->flags) > 0);
	close(owner->input[0]);
	close(owner->alive[1]);
	REQUIRE(write(owner->ready[1], &byte, 1) == 1);
	switch (owner->end) {
	case BY_EXIT:
		return 0;
	case BY_EXEC:
		/* It lives until the test lets it go. */
		dup2(owner->hold[0], 0);
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		execv("/bin/cat", argv);
		return 1;
	default:
		pause();
		return 1;
	}
}

static void owner_init(struct owner *owner, int flags, bool execs, enum end end)
{
	*owner = (struct owner){ .flags = flags, .execs = execs, .end = end };
	if (pipe2(owner->input, O_CLOEXEC) || pipe2(owner->alive, O_CLOEXEC) ||
	    pipe2(owner->ready, O_CLOEXEC) || pipe2(owner->hold, O_CLOEXEC))
		abort();
}

/*
 * Whether the child dies with its owner. It never does of its own accord, as its
 * input does not end; where it is not killed the test ends that.
 */
static int dies_with_owner(struct owner *owner)
{
	struct pollfd alive = { .fd = owner->alive[0], .events = POLLIN };
	bool dies;
	char byte;
	pid_t pid;

	pid = fork();
	if (!pid) {
		close(owner->input[1]);
		_exit(own(owner));
	}
	close(owner->input[0]);
	close(owner->alive[1]);
	if (pid < 0 || read(owner->ready[0], &byte, 1) != 1)
		return -1;
	if (owner->end == BY_SIGKILL)
		kill(pid, SIGKILL);
	if (owner->end != BY_EXEC)
		waitpid(pid, NULL, 0);

	/* What must die, dies; what may live on gets a moment to die in. */
	dies = poll(&alive, 1, owner->flags & AVFORK_AUTOKILL ? -1 : 500) == 1;
	close(owner->input[1]);
	close(owner->ready[1]);
	close(owner->ready[0]);
	close(owner->hold[0]);
	close(owner->hold[1]);
	while (poll(&alive, 1, -1) != 1)
		;
	if (owner->end == BY_EXEC) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(owner->alive[0]);
	return dies;
}

FIXTURE(autokill) {
	struct owner owner;
};

FIXTURE_VARIANT(autokill) {
	bool execs;
	enum end end;
};

FIXTURE_SETUP(autokill)
{
}

FIXTURE_TEARDOWN(autokill)
{
}

#define OWNER_ENDS(name, execs_, end_)					\
	FIXTURE_VARIANT_ADD(autokill, name) {				\
		.execs = execs_, .end = end_,				\
	}

OWNER_ENDS(exit, false, BY_EXIT);
OWNER_ENDS(sigkill, false, BY_SIGKILL);
OWNER_ENDS(exec, false, BY_EXEC);
OWNER_ENDS(exit_of_program, true, BY_EXIT);
OWNER_ENDS(sigkill_of_program, true, BY_SIGKILL);
OWNER_ENDS(exec_of_program, true, BY_EXEC);

TEST_F(autokill, kills)
{
	owner_init(&self->owner, AVFORK_AUTOKILL, variant->execs, variant->end);
	ASSERT_EQ(1, dies_with_owner(&self->owner));
	/* Out of reach of the program's own waits, too. */
	owner_init(&self->owner, AVFORK_AUTOKILL | AVFORK_WAITPID,
		   variant->execs, variant->end);
	ASSERT_EQ(1, dies_with_owner(&self->owner));
	owner_init(&self->owner, AVFORK_AUTOKILL | AVFORK_AUTOREAP,
		   variant->execs, variant->end);
	ASSERT_EQ(1, dies_with_owner(&self->owner));
	/* The control. */
	owner_init(&self->owner, 0, variant->execs, variant->end);
	ASSERT_EQ(0, dies_with_owner(&self->owner));
}

/* A thread's end is not its process's: what PR_SET_PDEATHSIG alone gets wrong. */
static void *make_in_thread(void *arg)
{
	return (void *)(long)make_child(arg, AVFORK_AUTOKILL);
}

TEST(autokill_outlives_the_thread)
{
	struct owner owner;
	struct pollfd alive;
	pthread_t thread;
	void *pid;

	owner_init(&owner, AVFORK_AUTOKILL, true, BY_EXIT);
	ASSERT_EQ(0, pthread_create(&thread, NULL, make_in_thread, &owner));
	ASSERT_EQ(0, pthread_join(thread, &pid));
	ASSERT_LT(0, (long)pid);
	close(owner.alive[1]);
	alive = (struct pollfd){ .fd = owner.alive[0], .events = POLLIN };
	ASSERT_EQ(0, poll(&alive, 1, 300));
	/* It ends as it wishes, and is waited for as any other. */
	close(owner.input[1]);
	ASSERT_EQ(0, reap((long)pid));
	ASSERT_TRUE(threads_leave());
}

/* A fork()ed copy of the owner, which has what that has open, lives on. */
TEST(autokill_in_spite_of_a_copy)
{
	struct owner owner;
	int hold[2], status;
	pid_t pid, copy;
	char byte;

	owner_init(&owner, AVFORK_AUTOKILL, true, BY_EXIT);
	ASSERT_EQ(0, pipe(hold));
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = fork();
	if (!pid) {
		pid_t first = make_child(&owner, AVFORK_AUTOKILL);

		copy = fork();
		if (!copy) {
			close_range(owner.alive[1], owner.alive[1], 0);
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) != 0);
		}
		_exit(first < 0 || copy < 0);
	}
	close(owner.alive[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* The child's end of the pipe is the only one. */
	ASSERT_EQ(0, read(owner.alive[0], &byte, 1));
	close(hold[1]);
	while (wait(&status) > 0)
		;
}

static int may_autokill(void *arg)
{
	const int fails = -1;

	(void)arg;
	REQUIRE(!syscall(SYS_setresuid, 65534, 65534, 65534));
	errno = 0;
	REQUIRE(avforkx(AVFORK_AUTOKILL, return_arg, NULL) == fails &&
		errno == EPERM);
	REQUIRE(reap(avforkx(AVFORK_AUTOKILL | AVFORK_NNP, return_arg, NULL)) ==
		0);
	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(reap(avforkx(AVFORK_AUTOKILL, return_arg, NULL)) == 0);
	return 0;
}

TEST(autokill_wants_no_new_privs)
{
	if (geteuid())
		SKIP(return, "only root can become somebody else");
	ASSERT_PASSED(in_copy(may_autokill, NULL));
}

static int no_new_privs(void *arg)
{
	(void)arg;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

TEST(no_new_privs_from_birth)
{
	char *const argv[] = { "grep", "-q", "^NoNewPrivs:.*1",
			       "/proc/self/status", NULL };
	struct avfork_opts opts = { .size = sizeof(opts) };

	ASSERT_EQ(0, reap(avfork(no_new_privs, NULL)));
	ASSERT_EQ(1, reap(avforkx(AVFORK_NNP, no_new_privs, NULL)));
	ASSERT_EQ(1, reap(avforkx(AVFORK_NNP | AVFORK_WAITPID, no_new_privs,
				  NULL)));
	ASSERT_EQ(1, reap(avfork_exec(&opts, "/bin/grep", argv, NULL)));
	opts.flags = AVFORK_NNP;
	ASSERT_EQ(0, reap(avfork_exec(&opts, "/bin/grep", argv, NULL)));
	ASSERT_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void count_signal(int sig)
{
	(void)sig;
	failure->line++;
}

/* It is nobody's to wait for, and leaves nothing. */
static int is_reaped(const struct owner *owner, int flags)
{
	int before = failure->line, pidfd = -1;
	/* Without a standard output cat(1) would end at once. */
	const struct avfork_fd fds[] = {
		{ owner->input[0], 0, 0, 0 }, { owner->alive[1], 1, 0, 0 },
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_AUTOREAP | flags,
		.fds = fds, .nr_fds = 2, .pidfd = &pidfd,
	};
	struct pollfd dead = { .events = POLLIN };
	char name[32];
	pid_t pid;

	pid = owner->execs ? avfork_exec(&opts, "/bin/cat",
					 (char *[]){ "cat", NULL }, NULL) :
			     avfork_with(&opts, waits_for_input, NULL);
	REQUIRE(pid > 0);
	/* A loop that waits for all children does not see it. */
	REQUIRE(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	REQUIRE(!kill(pid, 0));
	close(owner->input[1]);
	dead.fd = pidfd;
	REQUIRE(poll(&dead, 1, -1) == 1);
	close(pidfd);
	snprintf(name, sizeof(name), "/proc/%d", pid);
	REQUIRE(COMES_TRUE(access(name, F_OK) && errno == ENOENT, IDLE_LIMIT));
	/* Where a thread of the library's reaps it, this may be faster, once. */
	REQUIRE(COMES_TRUE(avfork_waitpid(pid, NULL, WNOHANG) == -1 &&
			   errno == ECHILD, IDLE_LIMIT));
	REQUIRE(failure->line == before);
	return 0;
}

TEST(autoreap_leaves_nothing)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct owner owner;
	int execs;

	ASSERT_EQ(0, sigaction(SIGCHLD, &action, NULL));
	for (execs = 0; execs < 2; execs++) {
		owner_init(&owner, 0, execs, BY_EXIT);
		ASSERT_PASSED(is_reaped(&owner, 0));
		close(owner.input[0]);
		owner_init(&owner, 0, execs, BY_EXIT);
		ASSERT_PASSED(is_reaped(&owner, AVFORK_AUTOKILL));
		close(owner.input[0]);
	}
	ASSERT_TRUE(threads_leave());
	/* The control: there was a handler that would have noticed. */
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_EQ(1, failure->line);
}

TEST(autoreap_with_the_callers_signals)
{
	pid_t pid;

	errno = 0;
	pid = avforkx(AVFORK_AUTOREAP | AVFORK_INHERIT_SIGNALS, return_arg,
		      NULL);
	/* A thread of the library's cannot give them; a kernel can. */
	ASSERT_TRUE(pid > 0 || (pid == -1 && errno == EOPNOTSUPP));
}

TEST_HARNESS_MAIN
