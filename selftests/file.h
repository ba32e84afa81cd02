/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files in which the kernel has a number, or takes a word.
 */
#ifndef AVFORK_SELFTEST_FILE_H
#define AVFORK_SELFTEST_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What @path begins with, as a string, empty if it cannot be read. Return: its
 * length, or -1.
 */
static inline ssize_t read_text(const char *path, char *text, size_t size)
{
	ssize_t len = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		len = read(fd, text, size - 1);
		close(fd);
	}
	text[len < 0 ? 0 : len] = '\0';
	return len;
}

/* Return: the number in @path, or -1. */
static inline long read_number(const char *path)
{
	char text[64];

	if (read_text(path, text, sizeof(text)) <= 0)
		return -1;
	return strtol(text, NULL, 10);
}

/* The letter of @pid's state in /proc, 0 if there is none. */
static inline char state_of(pid_t pid)
{
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	end = strrchr(text, ')');
	return end ? end[2] : 0;
}

/* Return: 0 or -1 */
static inline int write_file(const char *path, const char *text)
{
	ssize_t len = -1;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		len = write(fd, text, strlen(text));
		close(fd);
	}
	return len == (ssize_t)strlen(text) ? 0 : -1;
}

#endif
