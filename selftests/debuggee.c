// SPDX-License-Identifier: GPL-2.0
/*
 * A program for debuggers.sh: children of every kind, and what became of each.
 * It prints the same whoever watches it, and exits with 0.
 *
 * Usage: debuggee [plain | forever]
 *
 * plain    makes no child with another exit signal than SIGCHLD.
 * forever  starts over and over, without a word, until the end of its input.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "helpers.h"

#define ROUNDS 3

/* Where a debugger stops the parent, and where the child. */
int __attribute__((noinline)) in_parent(int round)
{
	__asm__ volatile ("");
	return round;
}

int __attribute__((noinline)) in_child(void *arg)
{
	__asm__ volatile ("");
	return (int)(long)arg;
}

static int play(bool plain, bool silent)
{
	char *const argv[] = { "echo", "one", "two", NULL };
	const char *program = strdup(sibling("echo"));
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		char line[16] = "";
		FILE *stream;
		int ends[4];

		in_parent(round);
		ends[0] = reap(avfork(in_child, (void *)(long)(round + 1)));
		ends[1] = reap(avforkx(plain ? 0 : AVFORK_NOSIGCHLD, in_child,
				       (void *)5));
		ends[2] = reap(avforkx(AVFORK_SYNC, in_child, (void *)6));
		ends[3] = reap(avfork_exec(NULL, program, argv, NULL));
		for (i = 0; !silent && i < 4; i++)
			printf("%d ", ends[i]);
		if (ends[0] != round + 1 || ends[1] != 5 || ends[2] != 6 ||
		    ends[3] != 2)
			return 1;
		if (!plain) {
			stream = avfork_popenv((char *[]){ "echo", "text",
							   NULL }, "r");
			if (!stream || !fgets(line, sizeof(line), stream) ||
			    avfork_pclose(stream))
				return 1;
			line[strcspn(line, "\n")] = '\0';
		}
		if (!silent)
			puts(line);
	}
	/* No child is left. */
	return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD ?
	       0 : 1;
}

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	bool forever = argc > 1 && !strcmp(argv[1], "forever");
	int status;

	do
		status = play(argc > 1 && !forever, forever);
	while (forever && !status && poll(&input, 1, 0) == 0);
	return status;
}
