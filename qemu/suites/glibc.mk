# SPDX-License-Identifier: GPL-2.0
# In glibc's source: builds ../bin, the programs that are named in ../tests, with
# those of glibc's headers that are not installed.

paths := SRCDIR OBJDIR INSTDIR LIBDIR BINDIR SBINDIR ROOTSBINDIR COMPLOCALEDIR \
	SYSCONFDIR SLIBDIR OBJDIR_ELF_LDSO
includes := . include generated sysdeps/x86_64 sysdeps/x86 \
	sysdeps/unix/sysv/linux sysdeps/generic
CFLAGS = -std=gnu11 -O2 -w -D_GNU_SOURCE -D_ISOMAC -include limits.h \
	-DMODULE_NAME=testsuite -DIN_MODULE=testsuite -DTIMEOUTFACTOR=1 \
	-D'libc_hidden_proto(x)=' -D'libc_hidden_def(x)=' -DOBJPFX='"./"' \
	$(paths:%=-D%_PATH='"/"') -Isupport $(addprefix -idirafter ,$(includes))
LDFLAGS = -rdynamic -Wl,-rpath,'$$ORIGIN'

support := $(filter-out support/test-% support/tst-% %_main.c %-container.c \
	%support_time64.c %timestamp_time64.c, $(wildcard support/*.c)) \
	support/support_test_main.c

all: $(addprefix ../bin/,$(file <../tests) shell-container \
	tst-atfork2mod.so tst-atfork3mod.so tst-atfork4mod.so)
../bin/%.so: %.c
	$(CC) $(CFLAGS) -shared -fPIC -o $@ $<
../bin/%: %.c libsupport.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
../bin/%: support/%.c libsupport.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
libsupport.a: $(support:.c=.o)
	$(AR) rc $@ $^
