// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdint.h>
#include <string.h>

#include "strings.h"

static size_t count(char *const strings[])
{
	size_t n = 0;

	while (strings && strings[n])
		n++;
	return n;
}

size_t strings_size(char *const strings[])
{
	size_t i, n = count(strings), size = (n + 1) * sizeof(*strings);

	for (i = 0; i < n; i++)
		size += strlen(strings[i]) + 1;
	return (size + 7) & ~(size_t)7;
}

char *string_copy(char **to, const char *string)
{
	char *copy = *to;

	*to = stpcpy(copy, string) + 1;
	return copy;
}

char *const *strings_copy(char **to, char *const strings[])
{
	size_t i, n = count(strings);
	char **copy = (char **)*to;

	*to = (char *)(copy + n + 1);
	for (i = 0; i < n; i++)
		copy[i] = string_copy(to, strings[i]);
	copy[n] = NULL;
	*to = (char *)(((uintptr_t)*to + 7) & ~(uintptr_t)7);
	return copy;
}
