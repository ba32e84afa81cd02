// SPDX-License-Identifier: GPL-2.0
/*
 * What userspace/example/child.hpp promises. Prints a line for each test.
 */
#include <child.hpp>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <type_traits>

#include <poll.h>

using avf::child;

static_assert(!std::is_copy_constructible_v<child>);
static_assert(std::is_nothrow_move_constructible_v<child>);
static_assert(std::is_nothrow_move_assignable_v<child>);

static bool failed;

template <class Test> static void test(const char *name, Test holds)
{
	bool ok = false;

	try {
		ok = holds();
	} catch (const std::exception &error) {
		std::printf("# %s\n", error.what());
	}
	std::printf("%s %s\n", ok ? "ok" : "not ok", name);
	failed |= !ok;
}

/* The errno with which @call throws, 0 where it does not. */
template <class Call> static int error_of(Call call)
{
	try {
		call();
	} catch (const std::system_error &error) {
		return error.code().value();
	}
	return 0;
}

static std::string read_all(avf::descriptor &fd)
{
	std::string text;
	char buffer[64];
	ssize_t size;

	while ((size = read(fd.get(), buffer, sizeof(buffer))) > 0)
		text.append(buffer, static_cast<std::size_t>(size));
	return text;
}

static bool exists(pid_t pid)
{
	return !kill(pid, 0);
}

static const std::vector<std::string> forever = { "sleep", "100" };
static const std::vector<std::string> nowhere = { "/nonexistent/program" };

int main()
{
	test("a status", [] {
		return child({ "sh", "-c", "exit 3" }).wait() == 3 << 8 &&
		       child({ "true" }).wait() == 0;
	});
	test("wait() is the same again", [] {
		child sh({ "sh", "-c", "exit 3" });

		sh.wait();
		return sh.wait() == 3 << 8;
	});
	test("pipes", [] {
		child sh({ "sh", "-c", "read line; echo out $line; echo err >&2" },
			 child::in | child::out | child::err);

		return write(sh.to.get(), "x\n", 2) == 2 &&
		       read_all(sh.from) == "out x\n" &&
		       read_all(sh.errors) == "err\n" && sh.wait() == 0;
	});
	test("what cannot be exec'd", [] {
		child again(nowhere);

		return error_of([] { child(nowhere).started(); }) == ENOENT &&
		       error_of([] { child(nowhere).wait(); }) == ENOENT &&
		       error_of([] { child({ "/etc/passwd" }).wait(); }) == EACCES &&
		       error_of([&] { again.started(); }) == ENOENT &&
		       error_of([&] { again.started(); }) == ENOENT &&
		       error_of([] { child({ "true" }).started(); }) == 0;
	});
	test("nothing to exec", [] {
		return error_of([] { child({}); }) == EINVAL;
	});
	test("left() can be polled", [] {
		child sleeps(forever);
		pollfd left = { sleeps.left(), POLLIN, 0 };
		bool readable = poll(&left, 1, -1) == 1;

		sleeps.started();
		return readable && sleeps.left() == -1;
	});
	test("the destructor kills and reaps", [] {
		pid_t pid;

		{
			child sleeps(forever);

			pid = sleeps.id();
			if (!exists(pid))
				return false;
		}
		return !exists(pid);
	});
	test("it moves", [] {
		child first(forever);
		child second(std::move(first));
		pid_t pid = second.id();
		child third({ "true" });

		third = std::move(second);
		if (third.id() != pid || !exists(pid) || second.id() != -1)
			return false;
		third = child({ "sh", "-c", "exit 4" });
		return !exists(pid) && third.wait() == 4 << 8;
	});
	/* Where SIGCHLD is ignored, wait(2) loses each status. */
	test("nobody else reaps it", [] {
		int status;

		std::signal(SIGCHLD, SIG_IGN);
		status = child({ "sh", "-c", "exit 3" }).wait();
		std::signal(SIGCHLD, SIG_DFL);
		return status == 3 << 8;
	});
	test("kill()", [] {
		child sleeps(forever);

		sleeps.started();
		sleeps.kill();
		return WTERMSIG(sleeps.wait()) == SIGTERM;
	});
	/* Not so after fork(): the variable would be a copy. */
	test("before() runs in the child, in the parent's memory", [] {
		std::atomic<pid_t> seen = 0;
		child pwd({ "pwd" }, child::out, [&] {
			seen = getpid();
			if (chdir("/"))
				throw std::system_error(errno,
							std::generic_category());
		});
		pid_t pid = pwd.id();

		return read_all(pwd.from) == "/\n" && pwd.wait() == 0 &&
		       seen == pid && pid != getpid();
	});
	test("what before() throws", [] {
		child throws({ "true" }, 0, [] {
			throw std::system_error(EXDEV, std::generic_category());
		});
		child other({ "true" }, 0, [] { throw std::runtime_error("x"); });

		return error_of([&] { throws.started(); }) == EXDEV &&
		       error_of([&] { other.wait(); }) == ECANCELED;
	});
	test("moved while before() runs", [] {
		std::atomic<bool> go = false;
		child first({ "true" }, 0, [&] { while (!go) usleep(100); });
		child second(std::move(first));

		go = true;
		return second.wait() == 0;
	});
	test("grants", [] {
		avfork_opts opts = AVFORK_OPTS_INIT;
		avfork_fd grant = { 1, 9, 0, 0 };

		opts.fds = &grant;
		opts.nr_fds = 1;
		return child({ "sh", "-c", ": >&9" }, 0, nullptr, opts).wait() == 0 &&
		       child({ "sh", "-c", ": 2>/dev/null >&9" }).wait() != 0;
	});
	return failed;
}
