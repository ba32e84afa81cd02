// SPDX-License-Identifier: GPL-2.0
/*
 * The program that children exec: copies its input to its output until that
 * ends, and exits with the number of its arguments.
 */
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[64];
	ssize_t size;

	(void)argv;
	while ((size = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		if (write(STDOUT_FILENO, buf, size) != size)
			return 125;
	return argc - 1;
}
