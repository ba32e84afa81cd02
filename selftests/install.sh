#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# "make install": what a program needs comes along and works by pkg-config
# alone; "make uninstall" takes just that away.
. "$(dirname "$0")/stage.sh"

echo "TAP version 13"
echo "1..16"

# Neither of these may be asked for anything.
mkdir "$dir/bin"
for tool in sudo apt-get; do
	printf '#!/bin/sh\necho "$0" >>"%s"\nexit 1\n' "$dir/asked" \
		>"$dir/bin/$tool"
	chmod +x "$dir/bin/$tool"
done
PATH=$dir/bin:$PATH

defaults()
{
	make_in_source install && [ ! -e "$dir/asked" ]
}
must_install "make install asks for no packages and no privileges" defaults

lib=usr/local/lib
version=$(cat "$source/VERSION")
use_pkg_config /$lib

# The manual is looked at below.
installed()
{
	(cd "$root" && find . ! -type d ! -path '*/man/*' -printf '%P:%l %m\n' |
		sort) >"$dir/found"
	sort >"$dir/expected" <<-END
	usr/local/include/avfork.h: 644
	usr/local/include/linux/avfork.h: 644
	usr/local/bin/avfork-preload: 755
	$lib/libavfork-preload.so: 755
	$lib/libavfork.a: 644
	$lib/libavfork.so:libavfork.so.0 777
	$lib/libavfork.so.0:libavfork.so.$version 777
	$lib/libavfork.so.$version: 755
	$lib/pkgconfig/libavfork.pc: 644
	END
	diff -B "$dir/expected" "$dir/found"
}
try "it installs these files, with these modes" installed

manual()
{
	for name in $(cat declared.txt); do
		page=$root/usr/local/share/man/man3/$name.3
		[ -f "$page" ] || { echo "no page for $name"; return 1; }
		[ "$(stat -L -c %a "$page")" = 644 ] || return
	done
	page=$root/usr/local/share/man/man4/avfork.4
	[ -f "$page" ] && grep -qx "\.Os avfork $version" "$page"
}
try "a manual page for each function, and for the device" manual

# Below $root the library is not where the command looks for it.
command_runs()
{
	preload=$root/usr/local/bin/avfork-preload
	[ "$("$preload" --help | head -n 1)" = \
		"Usage: avfork-preload [--async] [--] PROGRAM [ARGUMENT...]" ] ||
		return
	"$preload" true 2>"$dir/err"
	[ $? = 125 ] && grep -q "no /$lib/libavfork-preload.so" "$dir/err" ||
		return
	sed "s|^library=|&$root|" "$preload" >"$dir/preload"
	for wrong in "" --unknown "--async --"; do
		sh "$dir/preload" $wrong 2>"$dir/err"
		[ $? = 125 ] && grep -q Usage: "$dir/err" || return
	done
	[ "$(LD_PRELOAD=libc.so.6 sh "$dir/preload" -- \
		sh -c 'echo $LD_PRELOAD $AVFORK_PRELOAD')" = \
		"$root/$lib/libavfork-preload.so:libc.so.6" ] || return
	[ "$(sh "$dir/preload" --async sh -c 'echo $AVFORK_PRELOAD; exit 3')" = \
		async ] || return
	sh "$dir/preload" --async sh -c 'exit 3'
	[ $? = 3 ]
}
try "avfork-preload runs a program with the library" command_runs

says()
{
	[ "$(pkg-config --modversion libavfork)" = $version ] &&
		pkg-config --static --libs libavfork | grep -q -e -pthread
}
try "pkg-config knows its version, and what a static link needs" says

for std in c99 c11 c++17; do
	headers()
	{
		for header in avfork.h linux/avfork.h; do
			echo "#include <$header>" >"$dir/header.c"
			cc -x ${std%[0-9][0-9]} -std=$std -Wall -Wextra -pedantic \
				-Werror $(pkg-config --cflags libavfork) \
				-fsyntax-only "$dir/header.c" || return
		done
	}
	try "each header is complete and clean in $std" headers
done

cp -r "$source/userspace/example" "$dir/example"
example()	# [VARIABLE...]
{
	make -s -B -C "$dir/example" "$@"
}

commands()
{
	cat <<-'END'
	echo one
	exit 3
	echo two; kill -KILL $$
	cat; echo three
	END
}

runs()
{
	commands | "$dir/example/parallel" 2 >"$dir/out" 2>"$dir/err"
	[ $? = 1 ] || return
	printf '%s\n' one three two >"$dir/expected"
	sort "$dir/out" | diff "$dir/expected" - || return
	printf 'parallel: %s\n' 'Killed: echo two; kill -KILL $$' \
		'status 3: exit 3' >"$dir/expected"
	sort "$dir/err" | diff "$dir/expected" -
}

try_to_run()	# NAME
{
	if [ "$backend" ]; then
		try "$1" runs
	else
		result 0 "$1 # SKIP no backend of libavfork works here"
	fi
}

has_backend && backend=1 || backend=
try "the example builds by pkg-config alone" example
try_to_run "it runs with the installed library"
try "it builds statically" \
	example LDFLAGS=-static PKG_CONFIG='pkg-config --static'
unset LD_LIBRARY_PATH
try_to_run "it runs statically linked"

# Uninstall must leave alone what it did not install.
touch "$root/$lib/libother.so.0" "$root/usr/local/include/linux/other.h"
left()
{
	(cd "$root" && find . ! -type d | sort) >"$dir/found"
	printf '%s\n' ./usr/local/include/linux/other.h ./$lib/libother.so.0 |
		diff - "$dir/found"
}
again_and_gone()
{
	make_in_source install && make_in_source uninstall && left
}
try "installed once more and uninstalled, it leaves nothing" again_and_gone

# Debian's name of this machine's architecture.
triplet=$(uname -m)-linux-gnu
distribution="prefix=/usr libdir=/usr/lib/$triplet"
multiarch()
{
	make_in_source install $distribution || return
	use_pkg_config /usr/lib/$triplet
	[ -x "$root/usr/lib/$triplet/libavfork.so.0" ] &&
		[ -f "$root/usr/share/man/man3/avfork.3" ] &&
		[ "$(pkg-config --variable=libdir libavfork)" = \
			"$root/usr/lib/$triplet" ]
}
try "a distribution chooses its folders" multiarch
try "the example builds there" example
gone()
{
	make_in_source uninstall $distribution && left
}
try "uninstalled from there, it leaves nothing" gone
exit $failed
