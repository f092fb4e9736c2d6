/* SPDX-License-Identifier: MIT */
/* Start blocks: written here, read here, and altered in between. */
#include "support/check.h"
#include "support/testing.h"

#include "block.h"

#include <multiproc/process.h>
#include "os.h"

#include <stdlib.h>
#include <string.h>

/* Shared memory whose first byte is number. */
static mpos_handle make_handle(size_t number)
{
    mpos_handle handle;
    void *address;

    cr_assert_eq(mpos_memory_create(1, 0, &handle), MP_OK);
    cr_assert_eq(mpos_memory_map(handle, &(mpos_extent){.size = 1}, &address),
                 MP_OK);
    *(unsigned char *)address = (unsigned char)number;
    mpos_memory_unmap(address, 1);
    return handle;
}

static void expect_handle(mpos_handle handle, size_t number)
{
    void *address;

    cr_assert_eq(mpos_memory_map(handle, &(mpos_extent){.size = 1}, &address),
                 MP_OK);
    cr_assert_eq(*(unsigned char *)address, number);
    mpos_memory_unmap(address, 1);
    mpos_close(handle);
}

/* Its handles are open, and the reader's to take over. */
static void make(mpi_block *block, const char *text, size_t handles)
{
    mpi_transport transport = {0};
    mpi_buffer pickle = {0};
    size_t index;

    for (size_t i = 0; i < handles; i++)
        cr_assert_eq(mpi_transport_add(&transport, make_handle(i), &index),
                     MP_OK);
    mpi_buffer_append(&pickle, text, strlen(text));
    cr_assert_eq(mpi_block_create(block, &transport, &pickle), MP_OK, "%s",
                 mp_error_message());
    mpi_buffer_free(&pickle);
    mpi_transport_free(&transport);
}

/* As another process would. */
static mp_error reopen(const mpi_block *block, const unsigned char *token,
                       mpi_block *opened)
{
    mpos_handle copy;

    cr_assert_eq(mpos_duplicate(block->memory, &copy), MP_OK);
    return mpi_block_open(opened, copy, token);
}

static void expect_refused(mpi_block *block, mp_error expected)
{
    mpi_block opened = {.memory = 4242};
    mp_error err = reopen(block, block->page->token, &opened);

    cr_assert_eq(err, expected, "%d", (int)err);
    cr_assert_eq(opened.memory, 4242, "untouched on failure");
    cr_assert_str_not_empty(mp_error_message());
    mpi_block_close(block);
}

static void expect_content(const char *text, size_t handles)
{
    mpi_transport transport = {0};
    mpi_block block, opened;
    const void *pickle;
    size_t size;

    make(&block, text, handles);
    cr_assert_eq(reopen(&block, block.page->token, &opened), MP_OK);
    cr_assert_neq(opened.page, block.page);
    pickle = mpi_block_pickle(&opened, &size);
    cr_assert_eq(size, strlen(text));
    cr_assert_eq(memcmp(pickle, text, size), 0);
    cr_assert_eq(mpi_block_handles(&opened, &transport), MP_OK);
    cr_assert_eq(transport.count, handles);
    for (size_t i = 0; i < handles; i++)
        expect_handle(transport.handles[i], i);
    mpi_transport_free(&transport);
    mpi_block_close(&opened);
    mpi_block_close(&block);
}

Test(block, pickle_and_handles_come_back)
{
    expect_content("hello", 0);
    expect_content("", 0);
    expect_content("", 3);
    expect_content("eight by", 1);
    expect_content("some longer text", 250);
}

Test(block, large_content_comes_back)
{
    char *text = malloc(3000000);

    cr_assert_not_null(text);
    memset(text, 'x', 3000000);
    text[2999999] = 0;
    expect_content(text, 2);
    free(text);
}

Test(block, each_has_a_token_of_its_own)
{
    mpi_block a, b;

    make(&a, "x", 0);
    make(&b, "x", 0);
    cr_assert_neq(memcmp(a.page->token, b.page->token, MPI_TOKEN_SIZE), 0);
    mpi_block_close(&a);
    mpi_block_close(&b);
}

Test(block, every_changed_byte_of_the_content_is_found)
{
    static const char text[] = "a pickle of forty-one bytes, or not quite";

    for (size_t i = 0; i < sizeof(text) - 1 + 2 * sizeof(int64_t); i++) {
        mpi_block block;

        make(&block, text, 2);
        ((unsigned char *)(block.page + 1))[i] ^= 0x40;
        expect_refused(&block, MP_EUNPICKLE);
    }
}

Test(block, changed_header_is_refused)
{
    mpi_block block;

    make(&block, "hello", 1);
    block.page->magic[7]++;
    expect_refused(&block, MP_EUNPICKLE);
    make(&block, "hello", 1);
    block.page->version--;
    expect_refused(&block, MP_EVERSION);
    make(&block, "hello", 1);
    block.page->checksum++;
    expect_refused(&block, MP_EUNPICKLE);
    make(&block, "hello", 1);
    block.page->handle_count = 0;
    expect_refused(&block, MP_EUNPICKLE);
    make(&block, "hello", 1);
    block.page->pickle_size--;
    expect_refused(&block, MP_EUNPICKLE);
    make(&block, "hello", 1);
    block.page->pickle_size = UINT64_MAX;
    expect_refused(&block, MP_EUNPICKLE);
    make(&block, "hello", 1);
    block.page->handle_count = UINT32_MAX;
    expect_refused(&block, MP_EUNPICKLE);
}

Test(block, every_wrong_byte_of_the_token_is_found)
{
    for (int i = 0; i < MPI_TOKEN_SIZE; i++) {
        unsigned char token[MPI_TOKEN_SIZE];
        mpi_block block, opened;

        make(&block, "hello", 0);
        memcpy(token, block.page->token, sizeof(token));
        token[i] ^= 1;
        cr_assert_eq(reopen(&block, token, &opened), MP_EUNPICKLE);
        mpi_block_close(&block);
    }
}

Test(block, memory_that_is_none_is_refused)
{
    unsigned char token[MPI_TOKEN_SIZE] = {0};
    mpos_handle memory;
    mpi_block opened;

    cr_assert_eq(mpos_memory_create(8, 0, &memory), MP_OK);
    cr_assert_eq(mpi_block_open(&opened, memory, token), MP_EUNPICKLE);
}

Test(block, kept_page_is_still_shared)
{
    mpi_block block, opened;

    make(&block, "hello", 0);
    cr_assert_eq(reopen(&block, block.page->token, &opened), MP_OK);
    cr_assert_eq(mpi_block_keep_page(&block), MP_OK);
    cr_assert_eq(mpi_block_keep_page(&opened), MP_OK);
    cr_assert_eq(opened.memory, MPOS_NONE);
    mpi_atomic32_store(&opened.page->phase, 7);
    cr_assert_eq(mpi_atomic32_load(&block.page->phase), 7);
    mpi_block_close(&opened);
    mpi_block_close(&block);
    mpi_block_close(&block);
}

Test(block, leaves_no_handle_behind)
{
    mpi_block block, opened;
    unsigned char token[MPI_TOKEN_SIZE] = {0};
    size_t before = 0;

    for (int i = 0; i < 50; i++) {
        make(&block, "hello", 0);
        cr_assert_eq(reopen(&block, token, &opened), MP_EUNPICKLE);
        cr_assert_eq(reopen(&block, block.page->token, &opened), MP_OK);
        mpi_block_close(&opened);
        mpi_block_close(&block);
        if (before == 0)
            before = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), before);
}

/* As the fork server's does, whose block would be lent as long as it lives. */
Test(block, without_its_memory_is_no_longer_the_spare_one)
{
    const mpi_transport no_handles = {0};
    const mpi_buffer no_pickle = {0};
    mpi_block first, server, next;

    cr_assert_eq(mpi_block_create(&first, &no_handles, &no_pickle), MP_OK);
    cr_assert_eq(mpi_block_keep_for_child(&first), MP_OK);
    cr_assert(first.is_spare);
    mpi_atomic32_store(&first.page->phase, MP_PHASE_FINISHED);
    mpi_block_close(&first);
    cr_assert_eq(mpi_block_create(&server, &no_handles, &no_pickle), MP_OK);
    cr_assert(server.is_spare);
    cr_assert_eq(mpi_block_keep_page(&server), MP_OK);
    cr_assert_eq(mpi_block_create(&next, &no_handles, &no_pickle), MP_OK);
    cr_assert_eq(mpi_block_keep_for_child(&next), MP_OK);
    cr_assert(next.is_spare);
    mpi_block_close(&next);
    mpi_block_close(&server);
}
