/* SPDX-License-Identifier: MIT */
/*
 * What the documents' programs call when they call mp_main_guard(), see
 * cmake/documents.cmake: they don't choose a start method, the test does.
 */
#include "../../examples/example.h"

MP_API void mp_document_guard(int argc, char **argv);

void mp_document_guard(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();
}
