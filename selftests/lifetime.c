// SPDX-License-Identifier: GPL-2.0
/*
 * How long libavfork's children live, and what is left of them: AVFORK_AUTOKILL,
 * AVFORK_AUTOREAP; what they can become: AVFORK_NNP; and what is left of a program
 * that has ended before them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

/*
 * What a program leaves: children that have become programs, and nothing of its
 * memory, which the library's way to hide a child may not keep.
 */

#define ESTATE_SIZE	(16 << 20)

/* How a program ends: as owners do, and these. */
enum { BY_EXEC_IN_THREAD = BY_EXEC + 1, BY_LAST_THREAD };

/**
 * struct estate - a program with memory and one child, and what the test has of it
 * @make:   makes the child, whose standard input and output is @wire[1]; nonzero
 * @flags:  for that
 * @end:    how the program ends, when it is told to
 * @memory: a file that the program has mapped
 * @wire:   a conversation with the child: it answers what it is sent
 * @line:   with the program, which waits for a byte there, and answers if it has
 *          become another
 * @pid:    the program
 */
struct estate {
	bool (*make)(const struct estate *estate);
	int flags;
	int end;
	int memory;
	int wire[2];
	int line[2];
	pid_t pid;
};

static bool answers(int fd)
{
	char byte = 'a';

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && read(fd, &byte, 1) == 1;
}

static bool is_silent(int fd, int milliseconds)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return poll(&poller, 1, milliseconds) == 0;
}

/* Whether nobody is at the other end of @fd any more. */
static bool is_over(int fd)
{
	char byte;

	return read(fd, &byte, 1) <= 0;
}

/* Whether anybody has the file mapped to write to it: it could not be sealed. */
static bool is_mapped(int memory)
{
	return fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) && errno == EBUSY;
}

/* What a child of @estate has: its end of the wire as input and output. */
static struct avfork_opts wired(const struct estate *estate,
				struct avfork_fd fds[2])
{
	fds[0] = (struct avfork_fd){ estate->wire[1], 0, 0, 0 };
	fds[1] = (struct avfork_fd){ estate->wire[1], 1, 0, 0 };
	return (struct avfork_opts) {
		.size = sizeof(struct avfork_opts), .flags = estate->flags,
		.fds = fds, .nr_fds = 2,
	};
}

static bool make_program(const struct estate *estate)
{
	struct avfork_fd fds[2];
	const struct avfork_opts opts = wired(estate, fds);

	return avfork_exec(&opts, "/bin/cat", (char *[]){ "cat", NULL },
			   NULL) > 0;
}

static bool make_command(const struct estate *estate)
{
	/* Of its standard ones the stream is but one. */
	return dup2(estate->wire[1], 1) == 1 && dup2(estate->wire[1], 2) == 2 &&
	       avfork_popen("exec cat <&2", "w");
}

static int answer(void *arg)
{
	const struct estate *estate = arg;
	char byte;

	/* libc's read() may end with the main thread, whose storage is shared. */
	while (syscall(SYS_read, estate->wire[1], &byte, 1) == 1 &&
	       syscall(SYS_write, estate->wire[1], &byte, 1) == 1)
		;
	return 0;
}

/* The older way: a process that is there for another, and stays. */
static bool make_by_clone(const struct estate *estate)
{
	static char stack[65536] __attribute__((aligned(16)));

	return clone(answer, stack + sizeof(stack), CLONE_VM | SIGCHLD,
		     (void *)estate) > 0;
}

static void *exec_in_thread(void *arg)
{
	(void)arg;
	execv("/bin/cat", (char *[]){ "cat", NULL });
	_exit(1);
}

static void *end_when_told(void *arg)
{
	const struct estate *estate = arg;
	char byte;

	(void)!read(estate->line[1], &byte, 1);
	return NULL;
}

static int leave_estate(const struct estate *from)
{
	/* Where it stays when the main thread has left its stack. */
	static struct estate own;
	struct estate *estate = &own;
	pthread_t thread;
	void *map;

	own = *from;
	close(estate->wire[0]);
	close(estate->line[0]);
	map = mmap(NULL, ESTATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   estate->memory, 0);
	REQUIRE(map != MAP_FAILED);
	memset(map, 1, ESTATE_SIZE);
	REQUIRE(estate->make(estate));
	REQUIRE(dup2(estate->line[1], 0) == 0 && dup2(0, 1) == 1 &&
		dup2(0, 2) == 2);
	close(estate->wire[1]);

	if (estate->end == BY_LAST_THREAD) {
		REQUIRE(!pthread_create(&thread, NULL, end_when_told, estate));
		pthread_exit(NULL);
	}
	end_when_told(estate);
	if (estate->end == BY_SIGKILL)
		kill(getpid(), SIGKILL);
	if (estate->end == BY_EXEC)
		exec_in_thread(NULL);
	if (estate->end == BY_EXEC_IN_THREAD) {
		REQUIRE(!pthread_create(&thread, NULL, exec_in_thread, NULL));
		pause();
	}
	return 0;
}

/* Start the program. It has a child by then that has become a program itself. */
static bool estate_start(struct estate *estate)
{
	estate->memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(estate->memory, ESTATE_SIZE) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, estate->wire) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, estate->line))
		return false;
	estate->pid = fork();
	if (!estate->pid)
		_exit(leave_estate(estate));
	close(estate->wire[1]);
	close(estate->line[1]);
	return answers(estate->wire[0]);
}

/* Have the program end in its way. */
static bool estate_end(struct estate *estate)
{
	char byte = 'b';

	if (send(estate->line[0], &byte, 1, MSG_NOSIGNAL) != 1)
		return false;
	if (estate->end == BY_EXEC || estate->end == BY_EXEC_IN_THREAD)
		return answers(estate->line[0]);
	return COMES_TRUE(waitpid(estate->pid, NULL, WNOHANG) == estate->pid,
			  IDLE_LIMIT);
}

/* And nobody have anything of it any more. */
static bool estate_close(struct estate *estate)
{
	bool freed;

	shutdown(estate->wire[0], SHUT_WR);
	close(estate->line[0]);
	while (!is_over(estate->wire[0]))
		;
	waitpid(estate->pid, NULL, 0);
	freed = COMES_TRUE(!is_mapped(estate->memory), IDLE_LIMIT);
	close(estate->wire[0]);
	close(estate->memory);
	return freed;
}

FIXTURE(estate)
{
};

FIXTURE_VARIANT(estate)
{
	int end;
};

FIXTURE_SETUP(estate)
{
}

FIXTURE_TEARDOWN(estate)
{
}

FIXTURE_VARIANT_ADD(estate, exit) { .end = BY_EXIT };
FIXTURE_VARIANT_ADD(estate, sigkill) { .end = BY_SIGKILL };
FIXTURE_VARIANT_ADD(estate, exec) { .end = BY_EXEC };
FIXTURE_VARIANT_ADD(estate, exec_in_thread) { .end = BY_EXEC_IN_THREAD };
FIXTURE_VARIANT_ADD(estate, last_thread) { .end = BY_LAST_THREAD };

TEST_F(estate, memory_is_freed)
{
	/* The last: a thread of the library's stays for as long as the child. */
	const struct {
		bool (*make)(const struct estate *estate);
		int flags;
		bool has_thread;
	} ways[] = {
		{ make_program, 0, backend_is("taskq") },
		{ make_program, AVFORK_SYNC, false },
		{ make_program, AVFORK_WAITPID, !backend_is("kernel") },
		{ make_program, AVFORK_NOSIGCHLD | AVFORK_SYNC,
		  !backend_is("kernel") },
		{ make_program, AVFORK_AUTOREAP, true },
		{ make_command, 0, !backend_is("kernel") },
	};
	struct estate estate = { .make = make_by_clone, .end = variant->end };
	size_t i;

	/* The control: who shares the memory keeps it. */
	ASSERT_TRUE(estate_start(&estate) && estate_end(&estate));
	ASSERT_TRUE(is_mapped(estate.memory));
	ASSERT_TRUE(answers(estate.wire[0]));
	ASSERT_TRUE(is_mapped(estate.memory));
	ASSERT_TRUE(estate_close(&estate));

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		estate.make = ways[i].make;
		estate.flags = ways[i].flags;
		ASSERT_TRUE(estate_start(&estate));
		ASSERT_TRUE(is_mapped(estate.memory));
		if (variant->end == BY_LAST_THREAD && ways[i].has_thread) {
			/* As a thread that is still at work: with its child. */
			ASSERT_EQ(1, send(estate.line[0], "b", 1, 0));
			ASSERT_TRUE(answers(estate.wire[0]));
			ASSERT_TRUE(estate_close(&estate));
			continue;
		}
		ASSERT_TRUE(estate_end(&estate))
			TH_LOG("the program goes on, way %zu", i);
		ASSERT_TRUE(COMES_TRUE(!is_mapped(estate.memory), IDLE_LIMIT))
			TH_LOG("its memory stays, way %zu", i);
		/* The child lives on. */
		ASSERT_TRUE(answers(estate.wire[0]));
		ASSERT_TRUE(estate_close(&estate));
	}
}

TEST_F(estate, memory_is_freed_of_the_killed)
{
	const int flags[] = {
		AVFORK_AUTOKILL, AVFORK_AUTOKILL | AVFORK_WAITPID,
		AVFORK_AUTOKILL | AVFORK_AUTOREAP,
	};
	struct estate estate = { .make = make_program, .end = variant->end };
	size_t i;

	if (geteuid())
		SKIP(return, "needs root, whose children may be killed");
	if (variant->end == BY_LAST_THREAD)
		SKIP(return, "the program goes on until the child has ended");
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		estate.flags = flags[i];
		ASSERT_TRUE(estate_start(&estate) && estate_end(&estate));
		ASSERT_TRUE(is_over(estate.wire[0]));
		ASSERT_TRUE(estate_close(&estate));
	}
}

/*
 * A child that asks to be killed with its parent (setpriv --pdeathsig, bubblewrap,
 * Go's Pdeathsig): to the kernel that is the thread that has made it.
 */

static int program_with_death_signal(void *arg)
{
	char *const argv[] = { "cat", NULL };

	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return execv("/bin/cat", argv);
}

static bool make_with_death_signal(const struct estate *estate)
{
	struct avfork_fd fds[2];
	const struct avfork_opts opts = wired(estate, fds);

	return avfork_with(&opts, program_with_death_signal, NULL) > 0;
}

static void *fork_with_death_signal(void *arg)
{
	const struct estate *estate = arg;
	int asked[2];
	pid_t pid;

	if (pipe2(asked, O_CLOEXEC))
		return NULL;
	pid = fork();
	if (!pid) {
		dup2(estate->wire[1], 0);
		dup2(estate->wire[1], 1);
		_exit(program_with_death_signal(NULL));
	}
	/* It has asked when it has exec'd, and is to do so before its maker ends. */
	close(asked[1]);
	is_over(asked[0]);
	close(asked[0]);
	return (void *)(long)(pid > 0);
}

/* The older way: a thread that is there to make a child, and ends. */
static bool make_in_thread_with_death_signal(const struct estate *estate)
{
	pthread_t thread;
	void *made;

	return !pthread_create(&thread, NULL, fork_with_death_signal,
			       (void *)estate) &&
	       !pthread_join(thread, &made) && made;
}

TEST(death_signal_of_the_parent)
{
	static const int flags[] = {
		0, AVFORK_SYNC, AVFORK_WAITPID, AVFORK_NOSIGCHLD,
		AVFORK_WAITPID | AVFORK_SYNC, AVFORK_AUTOREAP,
	};
	struct estate estates[ARRAY_SIZE(flags)] = { };
	size_t i;

	/* Longer than the threads of the library stay that have nothing to do. */
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		estates[i].make = make_with_death_signal;
		estates[i].flags = flags[i];
		estates[i].end = i % 2 ? BY_EXIT : BY_SIGKILL;
		ASSERT_TRUE(estate_start(&estates[i]));
	}
	ASSERT_TRUE(is_silent(estates[0].wire[0], 3000));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_TRUE(answers(estates[i].wire[0]))
			TH_LOG("killed while its parent lived: flags %x",
			       flags[i]);
		ASSERT_TRUE(estate_end(&estates[i]));
		ASSERT_TRUE(is_over(estates[i].wire[0]))
			TH_LOG("outlives its parent: flags %x", flags[i]);
		ASSERT_TRUE(estate_close(&estates[i]));
	}
}

TEST(death_signal_of_a_thread)
{
	struct estate estate = { .make = make_in_thread_with_death_signal };

	/* The control: whether it comes to answer or not, it does not live. */
	estate_start(&estate);
	ASSERT_TRUE(is_over(estate.wire[0]));
	ASSERT_EQ(0, waitpid(estate.pid, NULL, WNOHANG));
	ASSERT_TRUE(estate_end(&estate));
	ASSERT_TRUE(estate_close(&estate));
}

TEST_HARNESS_MAIN
