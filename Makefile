# SPDX-License-Identifier: GPL-2.0
#
# Everything that is built goes to build/, everything that is downloaded to
# the cache folder (qemu/common). What runs in a VM is built with the programs of a
# root folder in there, of the release of Debian that its kernel's description names;
# what is for this machine (lib, install, module with KDIR) with this machine's own.

# A file in qemu/kernels
KERNEL ?= stock
kernels := $(notdir $(filter-out %.config,$(wildcard qemu/kernels/*)))

build := $(CURDIR)/build
describe = $(shell . qemu/common; arch=amd64; . qemu/kernels/$(1); echo $(2))
arch := $(call describe,$(KERNEL),$$arch)
# Where the kernel runs, and where what runs there is built.
root := $(call describe,$(KERNEL),$$debian-$$arch)
tools := $(call describe,$(KERNEL),$$debian-$$machine)
within := qemu/enter $(tools)
vm := qemu/vm --kernel $(KERNEL)
# A compiler for another architecture. "make" has ARCH, CROSS_COMPILE and CC of all
# that it starts.
cross := $(call describe,$(KERNEL),$$(cross $$arch))
ifneq ($(cross),)
export ARCH := $(arch:amd64=x86_64)
export CROSS_COMPILE := $(cross)
export CC := $(cross)gcc
export LD := $(cross)ld
export AR := $(cross)ar
export OBJCOPY := $(cross)objcopy
endif
# A kernel that is not in qemu/kernels is known by its KDIR alone, as two trees may have
# one version, and its modules are built as it was, on this machine. From the
# environment KDIR would be for something else.
ifeq ($(origin KDIR),command line)
override KDIR := $(or $(realpath $(wildcard $(KDIR))),$(error there is no $(KDIR)))
ifeq ($(wildcard $(KDIR)/include/generated/utsrelease.h),)
$(error no kernel is built in $(KDIR), nor prepared for modules)
endif
kbuild_dir := $(build)/$(subst /,_,$(KDIR))
kernel := FORCE
kdir := $(KDIR)
kbuild = $(MAKE) -C $(KDIR) $(llvm)
vm += --kdir $(KDIR)
else
kbuild_dir := $(build)/$(KERNEL)
kernel := $(kbuild_dir)/kernel/id
kbuild = $(within) $(MAKE) -C $(kbuild_dir)/kernel/kdir $(llvm)
endif
# By the compiler of the kernel.
llvm = $(shell grep -qs ^CONFIG_CC_IS_CLANG=y \
	$(or $(kdir),$(kbuild_dir)/kernel/kdir)/include/config/auto.conf && echo LLVM=1)
# What runs in user space is built once for all kernels of a root.
user_dir := $(build)/$(root)
lib := $(user_dir)/lib
linux := $(user_dir)/linux
selftests := $(linux)/tools/testing/selftests/avfork
# One for all kernels of this machine's architecture.
bench := $(if $(cross),$(user_dir),$(build))/bench/bench
export AVFORK_BENCH := $(bench)

help:
	@echo 'make demo       set up what is missing, run the demonstration in a VM'
	@echo 'make test       the same for the tests; ends with "N passed, N failed"'
	@echo 'make test-all   on every kernel that was not tried since the last change, and'
	@echo '                writes Documentation/kernels.rst; hours'
	@echo "make suites     other projects' tests with the preloaded library; 15 minutes"
	@echo 'make bench      what each way to make a child costs: Documentation/bench; half an hour'
	@echo 'make bench-native  the same on this machine itself, by clone(2); ten minutes'
	@echo 'make bench-targets  only what is aimed at, in three minutes'
	@echo 'make bench-record   have "make test" compare with what it costs now'
	@echo 'make check      warnings, sparse, checkpatch, gcc and clang; the ABI; the manual; DKMS'
	@echo 'make abi-record have "make check" compare with the ABI of now'
	@echo 'make check-sanitized  the tests that need no module, with ASan, UBSan and TSan'
	@echo 'make check-musl  the same, statically linked with musl'
	@echo 'make module     build/$$KERNEL/avfork.ko'
	@echo 'make modules_install  the module, to $$INSTALL_MOD_PATH/lib/modules'
	@echo 'make lib        build/lib/libavfork.{a,so.0}'
	@echo 'make install    the library, its headers, its manual pages: to $$DESTDIR$$prefix'
	@echo 'make dist       the source as build/avfork-$$VERSION.tar.gz, the same bytes each time'
	@echo "make deb        Debian's packages, in build/deb"
	@echo 'make check-deb  these, in new roots of Debian 12 and 13: the module in the VM'
	@echo 'make uninstall  remove just that'
	@echo 'make clean      remove build/'
	@echo
	@echo 'KERNEL=NAME     for which kernel, of: $(kernels) ($(KERNEL))'
	@echo 'TESTS=NAMES     only these programs of selftests/, for "make test"'
	@echo 'KDIR=FOLDER     for which other kernel, by where it is built, for "make test";'
	@echo '                or where its modules are built, for "make module":'
	@echo '                make module KDIR=/lib/modules/$$(uname -r)/build'
	@echo
	@echo 'qemu/vm -- COMMAND runs any command next to the module; see qemu/vm --help.'

ifneq ($(words $(CURDIR)),1)
$(error kbuild cannot build in a folder with a space in its path: $(CURDIR))
endif

# $(kbuild_dir)/kernel leads to what qemu/kernel prepared.
userland:
	@mkdir -p $(kbuild_dir)
	@dir=$$(qemu/kernel $(KERNEL) $(kdir)) && \
		ln -sfn "$$dir" $(kbuild_dir)/kernel

$(kbuild_dir)/kernel/id: userland ;

# kbuild puts objects next to the sources, hence a copy of these for each
# kernel. A new version of the kernel makes the module out of date.
module: $(kbuild_dir)/avfork.ko

module_sources := Kbuild $(shell find module uapi -type f)

$(kbuild_dir)/avfork.ko: $(module_sources) VERSION $(kernel)
	@mkdir -p $(kbuild_dir)
	cp -rp Kbuild VERSION module uapi $(kbuild_dir)
	$(kbuild) M=$(kbuild_dir) modules
	@touch $@

# As kbuild's, it builds nothing: root may run it on what a user has built. But
# without a module that would succeed.
modules_install:
	@[ -e $(kbuild_dir)/avfork.ko ] || { echo 'first: make module'; false; }
	$(kbuild) M=$(kbuild_dir) \
		INSTALL_MOD_PATH='$(or $(INSTALL_MOD_PATH),$(DESTDIR))' $@

# Where the library for this machine is.
LIBAVFORK_BUILD ?= $(build)/lib

lib:
	@$(MAKE) -s -C userspace O=$(LIBAVFORK_BUILD) all

# They need but a compiler, and none where all is built.
install uninstall:
	@$(MAKE) -C userspace O=$(LIBAVFORK_BUILD) $@

$(lib)/libavfork.a: userland
	@$(within) $(MAKE) -s -C userspace O=$(lib) all

# What the tests are built with, and what a few of them run where there is a compiler
# already; what selftests/programs.sh tries the preloaded library with, the tools of
# debuggers.sh, and what examples.sh, manual.sh and bindings.sh compile with: 500 MB,
# which a demonstration need not wait for, and which is not for another architecture's
# root.
test_packages := build-essential pkg-config perl python3 procps
programs := mandoc ninja-build ^libpython3.*-testsuite$$ ocaml-interp fd-find \
	default-jre-headless strace gdb linux-perf liburing-dev libglib2.0-dev rustc

test-packages: userland
	@qemu/root $(root) install $(test_packages) $(if $(cross),,$(programs))

# The kernel's own test runner and checkpatch, in the kernel's own layout: always
# of one version, that of Debian 12. The wildcards are tar's.
t := tools/testing/selftests
source_root := $(call describe,stock,$$debian-$$machine)
$(linux)/.unpacked:
	@mkdir -p $(linux)
	@qemu/root $(source_root) install linux-source-6.1 xz-utils
	@echo unpacking kselftest and checkpatch from linux-source-6.1...
	@qemu/enter $(source_root) tar -C $(linux) --strip-components=1 \
		-xJf /usr/src/linux-source-6.1.tar.xz \
		--wildcards --no-wildcards-match-slash \
		'*/$t/lib.mk' '*/$t/kselftest*.h' '*/$t/kselftest/*' \
		'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/subarch.include'
	@touch $@

# Our tests join them where they would be in the kernel. Built anew whenever
# anything changed: lib.mk knows nothing about libraries and headers.
run_selftests = $(MAKE) -C $(selftests) OUTPUT=$(selftests) \
	KHDR_INCLUDES='-isystem $(CURDIR)/uapi' \
	LIBAVFORK_CFLAGS='-I$(CURDIR)/userspace/include' \
	LIBAVFORK_LIBS='$(lib)/libavfork.a -pthread' \
	LIBAVFORK_BUILD='$(lib)' AVFORK_SOURCE='$(CURDIR)'

$(selftests)/.built: $(shell find selftests uapi userspace/include -type f) \
		$(lib)/libavfork.a $(linux)/.unpacked
	rm -rf $(selftests)
	cp -rp selftests $(selftests)
	@$(within) $(run_selftests) -s all
	@touch $@

selftests: test-packages $(selftests)/.built

test: userland module selftests $(bench)
	@qemu/tally $(MAKE) --no-print-directory run-tests

# What is the same on every backend. Two of them need no module, and so no VM.
# The last of them set, or count, what the whole machine has.
backend_tests := $(addprefix $(selftests)/,library options hidden nested backend \
	calls popen system async shortage exec pool copies workers hazards \
	lifetime descriptors reaping inherited sync container prepared_lib \
	caller-static caller-tls)
# Compilers take long in a VM.
host_tests := $(addprefix $(selftests)/,examples.sh manual.sh bindings.sh)
vm_tests := $(addprefix $(selftests)/,memory stress)

# The other backends have nothing of the module, and little of the kernel: on one
# kernel of each C library, and by "make test-all" alone (EVERYTHING) on a kernel other
# than this machine's.
other_backends := $(if $(TESTS)$(kdir),,$(if $(filter stock latest,$(KERNEL)),clone taskq))

only_tests = $(if $(TESTS),TEST_PROGS='$(filter %.sh,$(TESTS))' \
	TEST_GEN_PROGS='$(addprefix $(selftests)/,$(filter-out %.sh,$(TESTS)))')

# Instructions that count once do what one can: no fast string instructions.
comma := ,
counted := --icount $(if $(cross),,--cpu -erms$(comma)-fsrm)

# The limits on what a caller pays are tested where the clock counts
# instructions: times mean nothing on a shared machine. A debug kernel's
# instructions are mostly checks; it takes its time for these, and so has less
# stress.
run-tests:
	@status=0; \
	[ $(KERNEL) != debug ] || export AVFORK_STRESS_SPAWNS=2000; \
	[ "$(EVERYTHING)$(KERNEL)" != 1stock ] || \
		export AVFORK_PREPARED=1000000; \
	$(vm) --timeout 9000 -- \
		$(run_selftests) --no-print-directory run_tests $(only_tests) || \
		status=1; \
	for backend in $(other_backends); do \
		export AVFORK_BACKEND=$$backend AVFORK_STRESS_SPAWNS=10000 \
			LD_LIBRARY_PATH=$(lib) LIBAVFORK_BUILD=$(lib) \
			AVFORK_SOURCE=$(CURDIR); \
		$(within) qemu/kselftest $(linux) $(backend_tests) $(host_tests) || \
			status=1; \
		[ -z "$(EVERYTHING)" ] || \
		$(vm) --timeout 3600 -- \
			qemu/kselftest $(linux) $(backend_tests) $(vm_tests) || \
			status=1; \
	done; \
	unset AVFORK_BACKEND; \
	[ "$(filter debug,$(KERNEL))$(TESTS)$(kdir)" ] || \
	$(vm) $(counted) --timeout 900 -- \
		qemu/kselftest $(linux) userspace/bench/regression || status=1; \
	exit $$status

# The table has what "make test" said of each, passed or failed; a kernel that does
# not build has failed, too. When that was ended, the rows that are done stay; one
# that failed is as good as out of date.
rows := $(kernels:%=$(build)/%/test.log)
everything := Makefile Kbuild VERSION $(shell find module uapi userspace selftests qemu -type f)

test-all:
	@status=0; \
	$(MAKE) --no-print-directory -k $(rows) $(build)/suites.log || status=1; \
	qemu/report $(build) $(kernels) >Documentation/kernels.rst; \
	exit $$status

$(build)/suites.log: command := suites KERNEL=stock
$(rows): command = test KERNEL=$(notdir $(@D)) EVERYTHING=1
$(rows) $(build)/suites.log: $(everything)
	@mkdir -p $(@D)
	@status=0; \
	echo "commit $$(git describe --always --dirty 2>/dev/null || cat VERSION)" >$@.new; \
	$(MAKE) --no-print-directory $(command) >>$@.new 2>&1 || status=1; \
	mv $@.new $@; \
	echo "$(command): $$(tail -n 1 $@)"; \
	[ $$status = 0 ] || touch -d @0 $@; \
	exit $$status

# Other projects' tests, of the root's C library and programs. GNU make's and
# CPython's would take the VM longer than all the rest.
suites: module $(lib)/libavfork.a
	@qemu/tally $(MAKE) --no-print-directory run-suites

run-suites:
	@status=0; \
	qemu/suite || status=1; \
	$(vm) --timeout 2400 -- \
		qemu/suite -b kernel glibc gnulib ninja || status=1; \
	exit $$status

demo: module $(user_dir)/demo
	@$(vm) -- $(user_dir)/demo

$(user_dir)/demo: userspace/demo/demo.c $(lib)/libavfork.a
	$(within) $(CC) -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread \
		-Iuserspace/include -Iuapi -o $@ $(filter %.c,$^) $(lib)/libavfork.a

bench_packages := python3 gnuplot-nox
bench-packages: userland
	@qemu/root $(tools) install $(bench_packages)

bench: module $(bench) bench-packages
	@within='$(within)' userspace/bench/run all

# By the module where it is loaded, else by what needs none.
bench-native: $(bench) bench-packages
	@within='$(within)' userspace/bench/run native

# Only what the targets are about: in three minutes.
bench-targets: module $(bench) bench-packages
	@within='$(within)' userspace/bench/run targets $(KERNEL)

# What userspace/bench/regression compares with from then on.
bench-record: module $(bench)
	@$(vm) $(counted) --timeout 900 -- \
		userspace/bench/regression record >$(build)/bench/expected
	@cp $(build)/bench/expected userspace/bench/expected/$(KERNEL)

# What is measured, with copies of the library: one for each backend.
ifneq ($(root),$(if $(cross),$(root),$(source_root)))
$(bench): FORCE
	@$(MAKE) --no-print-directory KERNEL=stock $@
else
$(bench): $(wildcard userspace/bench/*.[ch]) $(lib)/libavfork.a
	@mkdir -p $(@D)
	for backend in kernel clone taskq; do \
		cp $(lib)/libavfork.so.0 $(@D)/libavfork-$$backend.so || exit; \
	done
	cp $(lib)/libavfork-preload.so $(@D)
	for program in nothing telling; do \
		$(within) $(CC) -Os -static -nostdlib -Wl,--build-id=none \
			-D$$program -o $(@D)/$$program \
			userspace/bench/nothing.c || exit; \
	done
	$(within) $(CC) -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread -Wl,-z,now \
		-Iuserspace/include -Iuapi -o $@ \
		$(filter-out %/nothing.c,$(filter %.c,$^)) -lm
endif

# Each of these finds what the others miss; none may find anything.
check: check-module check-style check-lib check-abi check-manual check-packaging
check: check-licenses check-dist

check_packages := clang sparse dkms abigail-tools
check-packages: test-packages
	@qemu/root $(tools) install $(check_packages)

check-module: $(kernel) check-packages
	rm -rf $(build)/check/module
	mkdir -p $(build)/check/module
	cp -rp Kbuild VERSION module uapi $(build)/check/module
	$(kbuild) M=$(build)/check/module W=1 C=2 \
		CF=-D__CHECK_ENDIAN__ modules 2>$(build)/check/module.log || \
		{ cat $(build)/check/module.log; false; }
	@! grep -E '(warning|error):' $(build)/check/module.log

# From there, for it leaves a file in the working directory.
check-style: $(linux)/.unpacked test-packages
	cd $(linux) && $(CURDIR)/$(within) scripts/checkpatch.pl --no-tree --strict --terse \
		--quiet --show-types --no-summary \
		--file $(addprefix $(CURDIR)/,$(module_sources))

check-lib: check-packages
	for cc in gcc clang; do \
		$(within) $(MAKE) -s -C userspace O=$(build)/check/$$cc CC=$$cc \
			CFLAGS='-O2 -g -Wall -Wextra -Werror' all || exit; \
	done
	$(within) $(MAKE) -s -C userspace O=$(build)/check/lto \
		CFLAGS='-O2 -g -flto=auto -ffat-lto-objects -Werror' all
	$(within) $(CC) -flto=auto -pthread -Iuserspace/include -Iuapi -D_GNU_SOURCE \
		-o $(build)/check/lto/demo userspace/demo/demo.c \
		$(build)/check/lto/libavfork.a

# What programs that were built against the library rely on: symbols, their types, and
# where each member of a structure lies. A change that is meant is recorded.
abi := userspace/libavfork.abi

check-abi: check-lib
	$(within) abidiff --no-show-locs $(abi) $(build)/check/gcc/libavfork.so.0

abi-record: $(lib)/libavfork.a check-packages
	$(within) abidw --drop-undefined-syms --no-corpus-path --no-comp-dir-path \
		--no-show-locs --no-elf-needed --type-id-style hash \
		--out-file $(abi) $(lib)/libavfork.so.0

# What follows is tried on this machine, with the backends that need no module.
define run_built	# FOLDER TESTS ENVIRONMENT
@status=0; \
for backend in clone taskq; do \
	for test in $(2); do \
		$(within) env AVFORK_BACKEND=$$backend $(3) timeout 300 $(1)/$$test \
			>$(1)/log 2>&1 && \
			{ echo "$$test passed on $$backend"; continue; }; \
		cat $(1)/log; \
		echo "$$test failed on $$backend"; status=1; \
	done; \
done; \
exit $$status
endef

check-sanitized: check-address check-thread

# Whatever is found ends the process that did it, and so fails its test: many a
# child has no descriptor for a report. echo is static, as no sanitizer can be.
# Leaks are not looked for: mapped memory, where the pool has its pointers, counts
# for nothing there. Not pool and its kin: they count mappings, and fork while other
# threads hold the sanitizer's locks.
address := $(build)/check/address
sanitize := -fsanitize=address,undefined -fno-sanitize=null -fno-sanitize-recover \
	-fno-omit-frame-pointer
# A crash is what some of them want to see. With a signal stack of its own, gcc 12's
# takes the frames of a thread that was cancelled for ones that are still in use.
asan_options := detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0
asan_options := $(asan_options):use_sigaltstack=0
address_tests := library options hidden nested backend calls popen system async \
	shortage exec hazards descriptors reaping

check-address: selftests
	rm -rf $(address)
	@$(within) $(MAKE) -s -C userspace O=$(address) CFLAGS='-O1 -g $(sanitize)' \
		$(address)/libavfork.a
	cp $(selftests)/echo $(address)
	@CFLAGS='$(sanitize)' $(within) $(run_selftests) -s OUTPUT=$(address) \
		LIBAVFORK_LIBS='$(address)/libavfork.a -pthread' \
		$(addprefix $(address)/,$(address_tests))
	$(call run_built,$(address),$(address_tests),ASAN_OPTIONS=$(asan_options))

# Programs with ThreadSanitizer and the library that is installed, without. Not what
# forks while another thread runs, nor what wants vfork() to be one.
thread := $(build)/check/thread
thread_tests := descriptors reaping inherited

check-thread: selftests
	rm -rf $(thread)
	mkdir -p $(thread)
	cp $(selftests)/echo $(thread)
	@CFLAGS='-fsanitize=thread' $(within) $(run_selftests) -s OUTPUT=$(thread) \
		$(addprefix $(thread)/,$(thread_tests))
	$(call run_built,$(thread),$(thread_tests),TSAN_OPTIONS=atexit_sleep_ms=0)

# Statically linked with musl, which comes without the kernel's headers.
musl := $(build)/check/musl
musl_cflags := -O2 -g -idirafter $(musl)/include
musl_tests := library options hidden nested backend exec descriptors reaping

check-musl: selftests
	@qemu/root $(tools) install musl-tools
	rm -rf $(musl)
	mkdir -p $(musl)/include
	ln -s /usr/include/linux /usr/include/asm-generic \
		/usr/include/$(shell $(within) $(CC) -dumpmachine)/asm $(musl)/include
	@$(within) $(MAKE) -s -C userspace O=$(musl) CC=musl-gcc CFLAGS='$(musl_cflags)' \
		$(musl)/libavfork.a
	cp $(selftests)/echo $(musl)
	@CFLAGS='$(musl_cflags) -static' $(within) $(run_selftests) -s OUTPUT=$(musl) \
		CC=musl-gcc LIBAVFORK_LIBS=$(musl)/libavfork.a \
		$(addprefix $(musl)/,$(musl_tests))
	$(call run_built,$(musl),$(musl_tests))

check-manual: test-packages
	$(within) mandoc -T lint -W warning Documentation/man/*

check-packaging: $(kernel) check-packages
	$(within) packaging/check $(kbuild_dir)/kernel

# In a checkout: git knows which files are meant.
check-licenses:
	[ ! -e .git ] || packaging/licenses

# The same tarball under another umask, time zone, clock, and from another clone.
check-dist:
	@[ ! -e .git ] || { \
	dir=$(build)/check/dist; \
	rm -rf $$dir && mkdir -p $$dir/again && \
	git clone -q . $$dir/clone && \
	packaging/dist $$dir && sleep 1 && ( umask 077; \
		TZ=Asia/Tokyo $$dir/clone/packaging/dist $$dir/again ) && \
	cmp $$dir/*.tar.gz $$dir/again/*.tar.gz; }

dist:
	@mkdir -p $(build)
	@packaging/dist $(build)

# In Debian 12, whose libraries are older than those of all who may install them.
deb:
	@packaging/deb bookworm-amd64 $(build)/deb

check-deb: deb
	@packaging/try stock $(build)/deb
	@packaging/try trixie $(build)/deb

clean:
	rm -rf $(build)

FORCE:
.PHONY: help userland module lib install uninstall selftests test run-tests test-all
.PHONY: bench bench-native bench-targets bench-record demo clean modules_install FORCE
.PHONY: check check-module check-style check-lib check-abi check-manual
.PHONY: check-packaging check-licenses check-dist dist abi-record
.PHONY: deb check-deb
.PHONY: check-sanitized check-address check-thread check-musl suites run-suites
.PHONY: test-packages check-packages bench-packages
