// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Answers each connection with a program, from one thread, which is not held up by
 * making a child when a connection comes: it has some prepared, and prepares others
 * when nobody waits.
 *
 *	./server 7000 /bin/date
 *
 * The program has the connection as its input and output.
 */
#define _GNU_SOURCE
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <avfork.h>

#define PREPARED 16

static struct avfork_prepared *prepared[PREPARED];
static int nr_prepared;

static void prepare(void)
{
	struct avfork_prepared *child = avfork_prepare(NULL);

	if (child)
		prepared[nr_prepared++] = child;
	else
		warn("nothing prepared");
}

static void answer(int connection, char *const argv[])
{
	const struct avfork_fd fds[] = {
		{ .parent_fd = connection, .child_fd = STDIN_FILENO },
		{ .parent_fd = connection, .child_fd = STDOUT_FILENO },
		{ .parent_fd = STDERR_FILENO, .child_fd = STDERR_FILENO },
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts), .fds = fds, .nr_fds = 3,
	};
	pid_t pid = -1;

	if (nr_prepared) {
		struct avfork_prepared *child = prepared[--nr_prepared];

		pid = avfork_start_exec(child, fds, 3, argv[0], argv, NULL);
		if (pid < 0)
			avfork_discard(child);
	}
	/* More came at once than were prepared, or somebody has killed that one. */
	if (pid < 0)
		pid = avfork_exec(&opts, argv[0], argv, NULL);
	if (pid < 0)
		warn("%s", argv[0]);
	/* The child has it, from the moment of the call. */
	close(connection);
}

static int listen_at(int port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 128))
		err(1, "port %d", port);
	return fd;
}

int main(int argc, char *argv[])
{
	struct pollfd listener = { .events = POLLIN };

	if (argc < 3)
		errx(1, "usage: %s PORT PROGRAM [ARGUMENT...]", argv[0]);
	listener.fd = listen_at(atoi(argv[1]));
	for (;;) {
		const int patience = nr_prepared < PREPARED ? 0 : -1;

		if (poll(&listener, 1, patience) > 0) {
			int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				answer(fd, argv + 2);
		} else if (nr_prepared < PREPARED) {
			prepare();
		}
		/* Those that have ended; what waits to be started has not. */
		while (avfork_waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
