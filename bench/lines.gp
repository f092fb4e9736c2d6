# SPDX-License-Identifier: MIT
# A line for each side: gnuplot -c lines.gp OUT TITLE DATA SIDES X Y COLUMN
# A block of DATA is a side: its name; then number, median, quartiles, fairness.
# COLUMN is 2 for the time, with its quartiles, or 5 for fairness.
out = ARG1
title_text = ARG2
data = ARG3
sides = ARG4 + 0
what = ARG7 + 0
is_memory = ARG5 eq "MiB touched"

set terminal svg size 760, 420 font "sans-serif,12" background "white" \
    noenhanced
set output out
set title title_text
set key outside right top
set xlabel ARG5
set ylabel ARG6
set border 3
set grid ytics linecolor "#dddddd"
set tics nomirror
if (is_memory) {
    set xtics (0, 256, 1024, 4096)
    set xrange [-100 : 4200]
} else {
    set logscale x (ARG5 eq "objects" ? 10 : 2)
    set xtics format "%g"
}
if (what == 2) {
    set logscale y
    set ytics format "%g"
} else {
    set yrange [0 : 1.05]
}
array colours[6] = [0x3b78b5, 0xd98032, 0x4f9d4f, 0xa04fa0, 0x888888, 0xb53b3b]

if (what == 2) {
    plot for [i = 0 : sides - 1] data index i using 1:2:3:4 \
        with yerrorlines linecolor rgb colours[i + 1] pointtype 7 \
        pointsize 0.5 linewidth 1.5 title columnheader(1)
} else {
    plot for [i = 0 : sides - 1] data index i using 1:($5 >= 0 ? $5 : NaN) \
        with linespoints linecolor rgb colours[i + 1] pointtype 7 \
        pointsize 0.5 linewidth 1.5 title columnheader(1)
}
