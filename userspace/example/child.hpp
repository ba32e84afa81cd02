// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * avf::child, C++17: a program that does not outlive its object.
 *
 *	avf::child sort({"sort", "-u"}, avf::child::in | avf::child::out);
 *	...
 *	int status = sort.wait();
 *
 * The constructor does not wait for the exec. Who wants to know of the exec calls
 * started(), or polls left(); wait() tells as well. Both throw std::system_error with
 * the errno for which there is no program.
 */
#ifndef AVFORK_CHILD_HPP
#define AVFORK_CHILD_HPP

#include <cerrno>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <avfork.h>

/* Not avfork, for a function has that name. */
namespace avf {

class descriptor {
public:
	descriptor() = default;
	descriptor(descriptor &&from) noexcept : fd(std::exchange(from.fd, -1)) {}
	descriptor &operator=(descriptor &&from) noexcept
	{
		close();
		fd = std::exchange(from.fd, -1);
		return *this;
	}
	~descriptor() { close(); }

	int get() const { return fd; }
	int *receive() { return &fd; }

	void close()
	{
		if (fd >= 0)
			::close(std::exchange(fd, -1));
	}

private:
	int fd = -1;
};

class child {
public:
	using function = std::function<void()>;

	/* Pipes to and from the program. */
	enum : unsigned { in = 1, out = 2, err = 4 };
	descriptor to, from, errors;

	/*
	 * argv[0] is looked for along PATH. @before runs in the child, and what it
	 * throws is thrown by started(). Of @opts the members left, before_exec and
	 * before_arg are the object's own, and AVFORK_AUTOREAP is not for a child that
	 * is waited for.
	 */
	explicit child(const std::vector<std::string> &argv, unsigned pipes = 0,
		       function before = nullptr,
		       avfork_opts opts = AVFORK_OPTS_INIT)
		: name(argv.empty() ? "" : argv[0])
	{
		std::vector<char *> pointers;

		for (const auto &arg : argv)
			pointers.push_back(const_cast<char *>(arg.c_str()));
		pointers.push_back(nullptr);
		/* Nobody else reaps the child, so its pid is not another's. */
		opts.flags |= AVFORK_STDIO | AVFORK_SEARCH_PATH | AVFORK_WAITPID;
		opts.left = has_left.receive();
		opts.before_exec = nullptr;
		if (before) {
			/* In a place of its own, for the object may move. */
			runs = std::make_unique<function>(std::move(before));
			opts.before_exec = run;
			opts.before_arg = runs.get();
		}
		pid = avfork_exec_pipes(&opts, pointers[0], pointers.data(), nullptr,
					pipes & in ? to.receive() : nullptr,
					pipes & out ? from.receive() : nullptr,
					pipes & err ? errors.receive() : nullptr);
		if (pid < 0)
			fail(errno);
	}

	child(child &&other) noexcept { *this = std::move(other); }

	child &operator=(child &&other) noexcept
	{
		if (this == &other)
			return *this;
		end();
		to = std::move(other.to);
		from = std::move(other.from);
		errors = std::move(other.errors);
		name = std::move(other.name);
		has_left = std::move(other.has_left);
		runs = std::move(other.runs);
		failure = other.failure;
		status = other.status;
		pid = std::exchange(other.pid, -1);
		return *this;
	}

	~child() { end(); }

	pid_t id() const { return pid; }

	/* Readable when started() will not block; -1 after that. */
	int left() const { return has_left.get(); }

	/* Wait for the exec. */
	void started()
	{
		await_exec();
		if (failure)
			fail(failure);
	}

	/* Wait for the end. The status is that of waitpid(2). */
	int wait()
	{
		if (pid > 0 && !reap())
			fail(errno);
		started();
		return status;
	}

	/* Does nothing after wait(). */
	void kill(int signal = SIGTERM)
	{
		if (pid > 0)
			::kill(pid, signal);
	}

private:
	/* No exception may leave this: its caller is C. */
	static int run(void *before) noexcept
	{
		try {
			(*static_cast<function *>(before))();
			return 0;
		} catch (const std::system_error &error) {
			return error.code().value() > 0 ? error.code().value() :
							  ECANCELED;
		} catch (...) {
			return ECANCELED;
		}
	}

	[[noreturn]] void fail(int error) const
	{
		throw std::system_error(error, std::generic_category(), name);
	}

	void await_exec() noexcept
	{
		if (left() < 0)
			return;
		while (read(left(), &failure, sizeof(failure)) < 0 &&
		       errno == EINTR)
			;
		has_left.close();
		runs.reset();
	}

	bool reap() noexcept
	{
		pid_t reaped;

		do
			reaped = avfork_waitpid(pid, &status, 0);
		while (reaped < 0 && errno == EINTR);
		pid = -1;
		return reaped > 0;
	}

	/*
	 * Not killed before the exec: until then a lock that the child holds is one of
	 * ours, and would be held for good.
	 */
	void end() noexcept
	{
		if (pid <= 0)
			return;
		await_exec();
		kill(SIGKILL);
		reap();
	}

	std::string name;
	descriptor has_left;
	std::unique_ptr<function> runs;
	int failure = 0;
	int status = 0;
	pid_t pid = -1;
};

} // namespace avf

#endif // AVFORK_CHILD_HPP
