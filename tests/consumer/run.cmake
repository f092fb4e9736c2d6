# SPDX-License-Identifier: MIT
# Installs multiproc from BUILD_DIR into a prefix below WORK_DIR and uses it
# from there as a stranger would: find_package() with each of LIBRARIES, and
# pkg-config with the bare compiler. Every program must run and print its line.

# -- Helpers -------------------------------------------------------------------

function(run)
    execute_process(COMMAND ${ARGN}
        RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE errors)
    if(NOT code STREQUAL "0")
        string(REPLACE ";" " " command "${ARGN}")
        message(FATAL_ERROR "${command}\n${output}${errors}exit code ${code}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

function(run_program program)
    run(${EMULATOR} "${program}")
    if(NOT output MATCHES "^exit code 7\r?\n$")
        message(FATAL_ERROR "${program} printed: ${output}")
    endif()
    message(STATUS "${program}: as expected")
endfunction()

# -- Install -------------------------------------------------------------------

# A prefix with a space, moved after the installation: neither may matter.
file(REMOVE_RECURSE "${WORK_DIR}")
run(${CMAKE_COMMAND} --install "${BUILD_DIR}" --config "${CONFIG}"
    --prefix "${WORK_DIR}/first prefix")
set(prefix "${WORK_DIR}/the prefix")
file(RENAME "${WORK_DIR}/first prefix" "${prefix}")

# -- find_package --------------------------------------------------------------

string(REPLACE ";" " " flags "${FLAGS}")
file(GLOB dlls "${prefix}/bin/*.dll")
foreach(library IN LISTS LIBRARIES ITEMS multiproc)
    set(build "${WORK_DIR}/${library}")
    run(${CMAKE_COMMAND} -S "${SOURCE_DIR}" -B "${build}" -G "${GENERATOR}"
        "-DCMAKE_TOOLCHAIN_FILE=${TOOLCHAIN}"
        "-DCMAKE_C_COMPILER=${COMPILER}"
        "-DCMAKE_C_FLAGS=${flags}"
        "-Dmultiproc_DIR=${prefix}/${CMAKE_DIR}"
        "-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${build}/bin/$<0:>"
        "-DCMAKE_BUILD_TYPE=Release"
        "-DLIBRARY=${library}" "-DWITH_CXX=${WITH_CXX}")
    run(${CMAKE_COMMAND} --build "${build}" --config Release)
    if(dlls)
        file(COPY ${dlls} DESTINATION "${build}/bin") # where Windows looks
    endif()
    run_program("${build}/bin/consumer_c${SUFFIX}")
    if(WITH_CXX)
        run_program("${build}/bin/consumer_cxx${SUFFIX}")
    endif()
endforeach()

# -- pkg-config ----------------------------------------------------------------

find_program(PKG_CONFIG pkg-config)
if(NOT PKG_CONFIG OR HOST STREQUAL "Windows")
    message(STATUS "no pkg-config here: that part is skipped")
    return()
endif()
foreach(library IN LISTS LIBRARIES)
    set(program "${WORK_DIR}/pkg_config_${library}")
    run(sh "${SOURCE_DIR}/pkg_config.sh" ${library} "${prefix}"
        "${SOURCE_DIR}/consumer.c" "${program}" "${COMPILER}" ${FLAGS})
    run_program("${program}")
endforeach()
