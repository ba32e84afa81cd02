# SPDX-License-Identifier: GPL-2.0
#
#   gnuplot -c userspace/bench/plots.gp FOLDER
#
# Draws the figures of the report from the CSV in FOLDER, and puts them there.

folder = ARG1
load "userspace/bench/style.gp"

set ylabel "instructions"
set format xy "%.0s%c"

set xlabel "resident memory of the parent, MiB"
do for [quantity in "caller spawn"] {
	set output sprintf("%s/%s-memory.svg", folder, quantity)
	set title quantity eq "caller" ? \
		"What the caller pays until the call returns" : \
		"The whole spawn: call, exec, exit, reap"
	plot for [i = 1:words(methods)] \
		rows("exact", quantity, word(methods, i), by_memory) \
		using 3:10 with linespoints pt 7 ps 0.5 lw width(i) \
		lc rgb word(colors, i) title word(methods, i), \
		rows("exact", quantity, "fork", by_huge_memory) \
		using 3:10 with linespoints pt 6 ps 0.5 dt 2 \
		lc rgb word(colors, 1) title "fork, huge pages"
}

set xlabel "open descriptors of the parent, all with FD_CLOEXEC"
do for [quantity in "caller spawn"] {
	set output sprintf("%s/%s-descriptors.svg", folder, quantity)
	set title quantity eq "caller" ? \
		"What the caller pays until the call returns" : \
		"The whole spawn: call, exec, exit, reap"
	plot for [i = 1:words(methods)] \
		rows("exact", quantity, word(methods, i), by_descriptors) \
		using 5:10 with linespoints pt 7 ps 0.5 lw width(i) \
		lc rgb word(colors, i) title word(methods, i)
}

set xlabel "threads of the parent"
set output folder . "/caller-threads.svg"
set title "What the caller pays until the call returns"
plot for [i = 1:words(methods)] \
	rows("exact", "caller", word(methods, i), by_threads) \
	using 7:10 with linespoints pt 7 ps 0.5 lw width(i) \
	lc rgb word(colors, i) title word(methods, i)

# By the clock, so with the spread: between the quartiles.
unset logscale y
set logscale x 2
set yrange [0:*]
set ylabel "spawns/s"
set format xy "%g"
set xlabel "threads that spawn"
spawners = "1 2 3 5 7 8 9 10 11"
do for [file in "single wall"] {
	set output sprintf("%s/throughput-%s.svg", folder, file)
	set title file eq "single" ? "Throughput, one CPU" : \
		"Throughput, two CPUs"
	plot for [i in spawners] \
		rows(file, "throughput", word(methods, int(i)), "1") \
		using 7:10:11:12 with yerrorlines pt 7 ps 0.5 \
		lw width(int(i)) lc rgb word(colors, int(i)) \
		title word(methods, int(i))
}
