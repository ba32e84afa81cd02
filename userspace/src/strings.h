/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies, for a child, of arrays of strings that end with NULL: argv and envp.
 */
#ifndef STRINGS_H
#define STRINGS_H

#include <stddef.h>

/* Bytes, a multiple of 8, that a copy of @strings needs; NULL is none. */
size_t strings_size(char *const strings[]);

/* Copy @strings to *@to, a multiple of 8, which moves on by their size. */
char *const *strings_copy(char **to, char *const strings[]);

/* Copy one to *@to, which moves on by its length and a zero. */
char *string_copy(char **to, const char *string);

#endif
