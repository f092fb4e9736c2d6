# SPDX-License-Identifier: MIT
# How many times as fast as the peer: gnuplot -c bars.gp OUT TITLE DATA ROWS
# A line of DATA: name, times, times that are the goal (0: none).
out = ARG1
title_text = ARG2
data = ARG3
rows = ARG4 + 0

# With room for the figures at the ends of bars.
stats data using 2 nooutput
least = STATS_min < 1 ? STATS_min : 1
most = STATS_max > 1 ? STATS_max : 1

set terminal svg size 900, 90 + 22 * rows font "sans-serif,12" \
    background "white" noenhanced
set output out
set title title_text
unset key
set logscale x
set xrange [least / 1.6 : most * 2.2]
set yrange [rows - 0.4 : -0.6]
set xlabel "times as fast as the peer"
set xtics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, \
    500, 1000, 2000, 5000)
set ytics nomirror scale 0
set border 1
set xtics nomirror
set grid xtics linecolor "#dddddd"
set arrow from 1, graph 0 to 1, graph 1 nohead linecolor "#555555" front
set style fill solid noborder
half = 0.32
colour(v) = v >= 1 ? 0x3b78b5 : 0xd98032

plot data using (1):0:(1):2:($0 - half):($0 + half):(colour($2)):ytic(1) \
        with boxxyerror linecolor rgb variable, \
    data using ($3 > 0 ? $3 : NaN):0:(0):(half + 0.12) \
        with vectors nohead linecolor "black" linewidth 2 notitle, \
    data using ($3 > 0 ? $3 : NaN):0:(0):(-half - 0.12) \
        with vectors nohead linecolor "black" linewidth 2 notitle, \
    data using ($2 > 1 ? $2 : 1):0:(sprintf(" %.3g", $2)) \
        with labels left offset 0.4, 0 notitle
