# SPDX-License-Identifier: GPL-2.0
#
# What the figures of all reports have in common. They are of the CSV in
# "folder", and are put there.

set datafile separator ","
set terminal svg size 860,520 font "sans,14" background "white" noenhanced
set key outside right center samplen 2
set logscale xy
set grid xtics ytics lt 1 lw 0.5 lc rgb "#cccccc"
set border 3
set tics nomirror

# Without popen and system, whose figures are rough.
methods = "fork vfork posix_spawn clone_vm clone_vm_files" . \
	" pthread_create preload avfork avfork_exec avfork_clone avfork_taskq"
colors = "#d62728 #ff7f0e #bcbd22 #7f7f7f #333333" . \
	" #9467bd #17becf #1f5fd6 #2ca02c #74a9ff #9fd3c7"
# What the page is about.
width(method) = word(methods, method) eq "avfork" ? 4 : 1.5

# Rows of the CSV: a quantity for a method, where a condition of awk's holds.
rows(file, quantity, method, where) = sprintf( \
	"< awk -F, '$1 == \"%s\" && $2 == \"%s\" && %s' %s/%s.csv", \
	quantity, method, where, folder, file)
small_memory = "$3 == 16 && $4 == \"small\""
few_descriptors = "$5 == 10 && $6 == \"cloexec\""
by_memory = "$4 == \"small\" && $7 == 1 && " . few_descriptors
by_huge_memory = "$4 == \"huge\" && $7 == 1 && " . few_descriptors
by_descriptors = "$6 == \"cloexec\" && $7 == 1 && " . small_memory
by_threads = small_memory . " && " . few_descriptors
