// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server that answers each connection with a program, from one thread: how long the
 * thread is held up by that, "held_p50" and so on, and how long the client waits for
 * the program's first word, "reply_p50". The client connects now and then, so that the
 * server has time to prepare what can be prepared. (../example/server.c is such a
 * server.)
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "program.h"

#define ROUNDS		5	/* that the methods take turns in */
#define CONNECTIONS	1000	/* of one round */
#define PAUSE_NS	300000	/* between two */

static const struct {
	const char *held, *reply;
	double quantile;
} figures[] = {
	{ "held_p50", "reply_p50", 0.5 },
	{ "held_p90", "reply_p90", 0.9 },
	{ "held_p99", "reply_p99", 0.99 },
};

#define NR_FIGURES ((int)(sizeof(figures) / sizeof(*figures)))

/**
 * struct served - what one method has done
 * @held:  for each figure, of each round
 * @reply: likewise
 */
struct served {
	struct samples held[NR_FIGURES];
	struct samples reply[NR_FIGURES];
};

/* A process of its own, which writes to @replies. */
static pid_t start_client(const struct sockaddr_un *server, socklen_t size,
			  struct samples *replies)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	double start, started;
	int fd, i;
	pid_t pid = fork();

	if (pid)
		return pid;
	for (i = 0; i < CONNECTIONS; i++) {
		nanosleep(&pause, NULL);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		start = sample_clock();
		/* The end: the server has gone, or the program could not be run. */
		if (connect(fd, (const struct sockaddr *)server, size) ||
		    read(fd, &started, sizeof(started)) != sizeof(started))
			_exit(1);
		sample_add(replies, sample_clock() - start);
		close(fd);
	}
	_exit(0);
}

/* The program writes its word to standard error, which every child must have. */
static void answer(const struct method *method, int listener,
		   struct samples *held)
{
	int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	double start;
	long child;

	if (connection < 0 || dup2(connection, STDERR_FILENO) < 0)
		err(1, "accept");
	close(connection);
	start = sample_clock();
	child = method->call(method);
	sample_add(held, sample_clock() - start);
	/* The client sees the end as well, should there be no program. */
	dup2(STDIN_FILENO, STDERR_FILENO);
	if (child == -1 || method->reap(method, child))
		exit(1);
	if (method->prepare)
		method->prepare(method);
}

static void measure(const struct method *method, int listener,
		    const struct sockaddr_un *server, socklen_t size,
		    struct samples *replies, struct served *served)
{
	struct samples held = { .count = 0 };
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), status, i;
	pid_t client;

	replies->count = 0;
	client = start_client(server, size, replies);
	for (i = 0; i < CONNECTIONS; i++)
		answer(method, listener, &held);
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (waitpid(client, &status, 0) != client || status)
		errx(1, "%s: a client that had no answer", method->name);
	for (i = 0; i < NR_FIGURES; i++) {
		sample_add(&served->held[i],
			   sample_quantile(&held, figures[i].quantile));
		sample_add(&served->reply[i],
			   sample_quantile(replies, figures[i].quantile));
	}
}

void serve(const struct bench *bench)
{
	struct served *served = calloc(bench->nr, sizeof(*served));
	struct samples *replies = mmap(NULL, sizeof(*replies),
				       PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un server = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(server);
	int round, i, f;

	/* Under a name that the kernel chooses. */
	if (!served || replies == MAP_FAILED || listener < 0 ||
	    bind(listener, (struct sockaddr *)&server, sizeof(sa_family_t)) ||
	    listen(listener, 8) ||
	    getsockname(listener, (struct sockaddr *)&server, &size))
		err(1, "serve");
	program_tells();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < bench->nr; i++) {
			bench_progress("serve", bench->methods[i]);
			measure(bench->methods[i], listener, &server, size,
				replies, &served[i]);
		}
	}
	for (i = 0; i < bench->nr; i++) {
		for (f = 0; f < NR_FIGURES; f++) {
			bench_result(bench, figures[f].held, bench->methods[i],
				     &served[i].held[f]);
			bench_result(bench, figures[f].reply, bench->methods[i],
				     &served[i].reply[f]);
		}
	}
	close(listener);
	munmap(replies, sizeof(*replies));
	free(served);
}
