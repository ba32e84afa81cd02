#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The manual pages are in step with the headers, and their examples print what
# the comments above them say:
#
#	.\" prints: LINE	for each line
#	.\" needs: FILE		where it cannot run without
#
# An example is a literal block with a main(). In Documentation/porting.rst it is a
# block of code, without its #includes and, where a line is outside of functions,
# without main() around that; what a comment says holds for all up to the next:
#
#	.. prints: LINE
#	.. package: NAME HEADER	what it is compiled with, as pkg-config has it
. "$(dirname "$0")/stage.sh"
command -v awk >/dev/null || skip "no awk"

echo "TAP version 13"
must_install "make install" make_in_source install
use_pkg_config /usr/local/lib
include=$root/usr/local/include
cd "$root/usr/local/share/man" || exit 1
pages=$(find . -type f | sort)

# Every name leads to its page; install.sh knows that every call has one.
names()
{
	for page in $pages; do
		name=$(sed -n '/^\.Sh NAME/{n;s/^\.Nm \([^ ]*\).*/\1/p}' "$page")
		[ "$name.${page##*.}" = "${page##*/}" ] ||
			{ echo "$page: .Nm $name"; return 1; }
	done
	sed -n 's/^\.Xr \([a-z-]*avfork[a-z_-]*\) \([1-9]\).*/man\2\/\1.\2/p' \
		$pages | sort -u >"$dir/references"
	while read -r page; do
		[ -f "$page" ] || { echo "no $page"; return 1; }
	done <"$dir/references"
}
try "each page has the name of its file, and is there where referred to" names

# "TYPE NAME(ARGUMENT, ...);" of each function in a synopsis.
prototypes()
{
	sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' $(find man3 -type f) | awk -F '"' '
	/^\.Ft / { type = substr($0, 5) }
	/^\.Fa / { arguments = arguments sep $2; sep = ", " }
	/^\.Fo / { name = substr($0, 5); arguments = sep = "" }
	/^\.Fn / {
		split($1, word, " ")
		name = word[2]
		arguments = word[3]
		for (i = 2; i < NF; i += 2)
			arguments = arguments (i > 2 ? ", " : "") $i
	}
	/^\.F[cn]/ { print type " " name "(" arguments ");" }'
}

synopses()
{
	prototypes >"$dir/prototypes"
	{ echo '#include <avfork.h>'; cat "$dir/prototypes"; } |
		cc -I"$include" -fsyntax-only -x c - || return
	grep -o '\<avfork[a-z_]*(' "$dir/prototypes" | tr -d '(' | sort |
		diff "$OLDPWD/declared.txt" -
}
try "the synopses declare what the header declares" synopses

structures()
{
	for struct in avfork_opts avfork_fd avfork_args avfork_grants \
			avfork_info; do
		sed -n "/^struct $struct {/,/^};/p" "$include/avfork.h" \
			"$include/linux/avfork.h" >"$dir/expected"
		cat $(grep -l "^struct $struct {" $pages) /dev/null |
			awk -v first="struct $struct {" '
			$0 == first && seen++ { exit }
			seen && !over { print; over = $0 == "};" }' |
			diff "$dir/expected" - || return
	done
}
try "the structures are those of the headers" structures

constants()
{
	for constant in $(sed -n 's/^#define \(AVFORK_[A-Z_]*\)\s.*/\1/p' \
			"$include/avfork.h" "$include/linux/avfork.h"); do
		# This serves only to define others.
		[ $constant = AVFORK_IOC_MAGIC ] ||
			grep -q "\\<$constant\\>" $pages ||
			{ echo "no page has $constant"; return 1; }
	done
}
try "every constant of the headers is in the manual" constants

errnos()	# FILE FROM TO
{
	sed -n "/$2/,/$3/{/^\.Sh/d;p}" "$1" | grep -ow 'E[0-9]*[A-Z][A-Z]*' | sort -u
}
errors()
{
	rst=$source/Documentation/avfork.rst
	errnos "$rst" '^AVFORK_IOC_INFO$' '^seccomp$' >"$dir/expected"
	errnos man4/avfork.4 '^.Sh ERRORS' '^.Sh SEE' | diff "$dir/expected" - ||
		return
	{ cat "$dir/expected"; errnos "$rst" '^libavfork$' '^Loading'; } |
		grep -vx -e ENOTTY -e EINTR | sort -u >"$dir/library"
	errnos man3/avfork.3 '^.Sh ERRORS' 'waitpid$' | diff "$dir/library" -
}
try "the errors are those of Documentation/avfork.rst" errors

# PAGE.N.c with PAGE.N.expected and perhaps PAGE.N.needs, for each example.
mkdir "$dir/examples"
for page in $pages; do
	awk -v to="$dir/examples/${page##*/}" '
	/^\.\\" prints: / { expected = expected substr($0, 13) "\n" }
	/^\.\\" needs: / { needs = substr($0, 12) }
	/^\.Bd -literal/ { inside = 1; code = ""; next }
	/^\.Ed/ {
		if (code ~ /main\(/) {
			name = to "." ++n
			printf "%s", code >(name ".c")
			printf "%s", expected >(name ".expected")
			if (needs)
				print needs >(name ".needs")
		}
		inside = 0
		expected = needs = ""
	}
	inside {
		gsub(/\\-/, "-")
		gsub(/\\\(aq/, "\047")
		gsub(/\\e/, "\\")
		code = code $0 "\n"
	}' "$page"
done

# The same for porting.rst, perhaps with PAGE.N.package. Python needs no compiler.
headers='avfork.h errno.h fcntl.h poll.h semaphore.h signal.h spawn.h stdio.h
	stdlib.h string.h sys/pidfd.h sys/resource.h sys/stat.h sys/syscall.h
	sys/wait.h unistd.h'
awk -v to="$dir/examples/porting" -v headers="$headers" '
function finish()
{
	inside = 0
	started = 1
	name = sprintf("%s.%02d", to, ++n)
	printf "%s", expected >(name ".expected")
	if (language == "python") {
		print "#!/usr/bin/env python3\n" code >name
		return
	}
	print "#define _GNU_SOURCE" >(name ".c")
	for (i = split(headers " " header, include); i; i--)
		print "#include <" include[i] ">" >(name ".c")
	print functions "int main(void)\n{\n" code "return 0;\n}" >(name ".c")
	if (package)
		print package >(name ".package")
}
inside && /^[^ ]/ { finish() }
/^\.\. (prints|package): / && started {
	started = 0
	expected = package = header = ""
}
/^\.\. prints: / { expected = expected substr($0, 12) "\n" }
/^\.\. package: / { package = $3; header = $4 }
/^\.\. code-block:: / {
	language = $3
	inside = 1
	code = functions = ""
	next
}
inside { code = code substr($0, 4) "\n" }
inside && /^   {$/ { in_function = 1 }
inside && /^   }$/ && in_function {
	functions = functions code
	code = ""
	in_function = 0
}
END { if (inside) finish() }' "$source/Documentation/porting.rst"

host_pkg_config()
{
	(unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR; pkg-config "$@")
}

has_backend && backend=1 || backend=
run()		# EXAMPLE
{
	"$1" >"$1.out" 2>"$1.err"
	status=$?
	sed 's/^/stderr: /' "$1.err"
	[ $status = 0 ] || { echo "status $status"; return 1; }
	[ ! -s "$1.err" ] && diff "$1.expected" "$1.out"
}
for expected in "$dir"/examples/*.expected; do
	program=${expected%.expected}
	name=${program##*/}
	needs=$(cat "$program.needs" 2>/dev/null)
	package=$(cat "$program.package" 2>/dev/null)
	if [ "$package" ] && ! host_pkg_config --exists "$package"; then
		result 0 "$name # SKIP no $package"
		continue
	elif [ -e "$program.c" ]; then
		try "$name compiles without a warning" \
			cc -Wall -Wextra -Werror -o "$program" "$program.c" \
			$(pkg-config --cflags --libs libavfork) \
			${package:+$(host_pkg_config --cflags --libs "$package")}
	elif command -v python3 >/dev/null; then
		chmod +x "$program"
	else
		result 0 "$name # SKIP no python3"
		continue
	fi
	if ! [ "$backend" ]; then
		result 0 "$name # SKIP no backend of libavfork works here"
	elif [ "$needs" ] && ! [ -e "$needs" ]; then
		result 0 "$name # SKIP no $needs"
	else
		try "$name prints what the page says" run "$program"
	fi
done
echo "1..$n"
exit $failed
