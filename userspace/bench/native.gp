# SPDX-License-Identifier: GPL-2.0
#
#   gnuplot -c userspace/bench/native.gp FOLDER
#
# Draws what was measured on the machine itself, with the quartiles.

folder = ARG1
load "userspace/bench/style.gp"

# Numbers of methods, as far as they were measured: some need the module.
found = system(sprintf("awk -F, '$1 == \"throughput\" { print $2 }' %s/native.csv", \
	folder))
native = ""
do for [i = 1:words(methods)] {
	do for [method in found] {
		if (method eq word(methods, i) && \
		    (native eq "" || word(native, words(native)) ne "" . i)) {
			native = native . " " . i
		}
	}
}
set ylabel "microseconds"
set format xy "%.0s%c"

array axes[3] = ["memory", "descriptors", "threads"]
array labels[3] = ["resident memory of the parent, MiB", \
	"open descriptors of the parent, all with FD_CLOEXEC", \
	"threads of the parent, all but one of which wait"]
array wheres[3] = [by_memory, by_descriptors, by_threads]
array columns[3] = [3, 5, 7]

set title "What the caller pays until the call returns"
do for [axis = 1:3] {
	set output sprintf("%s/native-%s.svg", folder, axes[axis])
	set xlabel labels[axis]
	plot for [i in native] \
		rows("native", "caller", word(methods, int(i)), wheres[axis]) \
		using columns[axis]:($10/1e3):($11/1e3):($12/1e3) \
		with yerrorlines pt 7 ps 0.5 lw width(int(i)) \
		lc rgb word(colors, int(i)) title word(methods, int(i))
}

unset logscale y
set logscale x 2
set yrange [0:*]
set ylabel "spawns/s"
set format xy "%g"
set xlabel "threads that spawn"
set title "Throughput"
set output folder . "/native-throughput.svg"
plot for [i in native] \
	rows("native", "throughput", word(methods, int(i)), "1") \
	using 7:10:11:12 with yerrorlines pt 7 ps 0.5 \
	lw width(int(i)) lc rgb word(colors, int(i)) title word(methods, int(i))
