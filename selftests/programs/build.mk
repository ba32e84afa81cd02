# SPDX-License-Identifier: GPL-2.0
# A parallel build of a program of many small files; "make failures" fails in
# each way that a recipe can.
parts := $(shell seq 40)

run: sum
	./sum
	@echo done by $$0

sum: sum.o $(parts:%=part%.o)
	cc -o $@ $^

sum.c:
	{ echo '#include <stdio.h>'; \
	  printf 'int part%s(void);\n' $(parts); \
	  echo 'int main(void) { return printf("%d", 0'; \
	  printf ' + part%s()' $(parts); echo ') != 3; }'; } >$@

part%.c:
	echo 'int part$*(void) { return $*; }' >$@

# Straight from make, with no shell between.
%.o: %.c
	cc -O0 -c -o $@ $<

failures: failures-async format

# Without a script that is for the shell: make 4.4 learns of it by posix_spawn()'s
# ENOEXEC, which one that returns before the exec cannot give.
failures-async: status signal missing denied input

status: ; exit 3
signal: ; kill -9 $$$$
missing: ; no-such-program
denied: ; /etc/passwd
format: script ; ./script
script: ; echo 'echo "a file without #! is for the shell"; exit 4' >$@; chmod +x $@
input: ; cat; exit 5

.SECONDARY:
.PHONY: run failures failures-async status signal missing denied format input
