/* SPDX-License-Identifier: MIT */
/* Growing runs of bytes. */
#include "support/system.h"
#include "support/testing.h"

#include "internal.h"
#include "os.h"
#include "os_fault.h"

#include <string.h>

Test(buffer, empty_one_needs_no_memory)
{
    mpi_buffer buffer = {0};

    mpi_buffer_append(&buffer, NULL, 0);
    cr_assert_eq(buffer.size, 0);
    cr_assert_null(buffer.data);
    mpi_buffer_free(&buffer);
    mpi_buffer_free(&buffer);
}

Test(buffer, appended_bytes_stay_in_order)
{
    mpi_buffer buffer = {0};

    for (int i = 0; i < 10000; i++) {
        unsigned char byte = (unsigned char)(i % 251);

        mpi_buffer_append(&buffer, &byte, 1);
    }
    cr_assert_not(buffer.has_failed);
    cr_assert_eq(buffer.size, 10000);
    for (int i = 0; i < 10000; i++)
        cr_assert_eq(buffer.data[i], i % 251);
    mpi_buffer_free(&buffer);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer.size, 0);
}

Test(buffer, printf_appends_text_of_any_length)
{
    mpi_buffer buffer = {0};

    mpi_buffer_printf(&buffer, "%d-", 5);
    mpi_buffer_printf(&buffer, "%01000d", 7);
    cr_assert_eq(buffer.size, 1002);
    cr_assert_eq(buffer.data[0], '5');
    cr_assert_eq(buffer.data[1001], '7');
    cr_assert_eq(buffer.data[1002], 0, "terminated beyond its size");
    mpi_buffer_append(&buffer, "x", 1);
    cr_assert_eq(buffer.data[1002], 'x');
    mpi_buffer_free(&buffer);
}

Test(buffer, reserved_room_is_there)
{
    mpi_buffer buffer = {0};

    mpi_buffer_append(&buffer, "ab", 2);
    cr_assert(mpi_buffer_reserve(&buffer, 100000));
    cr_assert_geq(buffer.capacity - buffer.size, 100000);
    memset(buffer.data + buffer.size, 'x', 100000);
    cr_assert_eq(memcmp(buffer.data, "ab", 2), 0);
    mpi_buffer_free(&buffer);
}

Test(buffer, size_beyond_memory_is_refused)
{
    mpi_buffer buffer = {0};

    mpi_buffer_append(&buffer, "ab", 2);
    cr_assert_not(mpi_buffer_reserve(&buffer, SIZE_MAX));
    cr_assert(buffer.has_failed);
    mpi_buffer_free(&buffer);
    if (support_is_watched())
        cr_skip_test("a sanitizer takes that for a mistake");
    cr_assert_not(mpi_buffer_reserve(&buffer, SIZE_MAX / 2));
    mpi_buffer_free(&buffer);
}

Test(buffer, failure_is_remembered_until_it_is_freed)
{
    mpi_buffer buffer = {0};

    mpi_buffer_append(&buffer, "ab", 2);
    mpi_fault_arm(1, MP_ENOMEM);
    cr_assert_not(mpi_buffer_reserve(&buffer, 100000));
    mpi_fault_disarm(NULL, NULL);
    cr_assert(buffer.has_failed);
    cr_assert_eq(buffer.size, 2, "what was there stays");
    mpi_buffer_append(&buffer, "c", 1);
    mpi_buffer_printf(&buffer, "%d", 5);
    cr_assert_eq(buffer.size, 2);
    mpi_buffer_free(&buffer);
    cr_assert_not(buffer.has_failed);
    mpi_buffer_append(&buffer, "c", 1);
    cr_assert_eq(buffer.size, 1);
    mpi_buffer_free(&buffer);
}
