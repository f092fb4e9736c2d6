# SPDX-License-Identifier: MIT
# multiproc_write_tree(<folder>): a small folder for wordcount's tests. What wc
# says of it is in ../expected/wordcount.txt.

function(multiproc_write_tree folder)
    macro(text path content)
        file(CONFIGURE OUTPUT "${folder}/${path}" CONTENT "${content}"
            @ONLY NEWLINE_STYLE UNIX)
    endmacro()

    text(empty.h "")
    text(ordinary.h "one two two three three three\n\n\tfour  four\n")
    text(spaces.h " \t\n \n")
    # Ends and beginnings that cat joins to one word, across an empty file, or
    # keeps apart.
    text(joined/1.h "beginning of a wo")
    text(joined/2.h "")
    text(joined/3.h "r")
    text(joined/4.h "d that goes on\nand a last line")
    text(joined/5.h "\nis complete\n")
    # More than what is read at once; a word that crosses that line.
    string(REPEAT "lorem ipsum dolor sit amet\n" 20000 long)
    text(long/lines.h "${long}")
    string(REPEAT "x" 400000 long)
    text(long/word.h "${long} and a tail\n")
    text("a folder/größe/日本語.h" "Ünïcode — 日本語\n")
    foreach(i RANGE 1 40)
        text(many/${i}.h "#define N${i} ${i}\n")
    endforeach()
    # Zero bytes, which CMake can't write itself.
    file(ARCHIVE_CREATE OUTPUT "${folder}/binary.tar"
        PATHS "${folder}/ordinary.h" FORMAT paxr)
endfunction()
