/* SPDX-License-Identifier: MIT */
/*
 * Bytes and a list with a name: the child is told nothing but the two names,
 * and could as well be another program, or a Python:
 *
 *     memory = SharedMemory(bytes_name, track=False)
 *     memory.buf[:5] = b"HELLO"
 *     ShareableList(name=list_name)[1] = "naïve"
 */
#include "example.h"

#include <ctype.h>
#include <string.h>

static int child(mp_args *args)
{
    mp_shared_memory *memory;
    mp_shareable_list *list;
    char *text;

    mp_check(mp_shared_memory_open(&memory, mp_arg_str(args, 0)));
    text = mp_shared_memory_data(memory);
    for (size_t i = 0; text[i] != '\0'; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    mp_check(mp_shared_memory_close(memory));

    mp_check(mp_shareable_list_open(&list, mp_arg_str(args, 1)));
    mp_check(mp_shareable_list_set(list, 1, MP_BOX("na\xc3\xafve")));
    mp_check(mp_shareable_list_set(list, -1, MP_TRUE));
    return mp_shareable_list_close(list);
}

int main(int argc, char **argv)
{
    mp_shared_memory *memory;
    mp_shareable_list *list;
    const char *list_name;
    mp_process *p;
    mp_obj *items;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_shared_memory_create(&memory, NULL, 100));
    strcpy(mp_shared_memory_data(memory), "hello from a parent");
    mp_check(mp_shareable_list_create(
        &list, MP_LIST(42, "ten letters", 3.5, MP_NONE), NULL));
    list_name = mp_shared_memory_name(mp_shareable_list_memory(list));

    mp_check(mp_process_create(
        &p, child, MP_ARGS(mp_shared_memory_name(memory), list_name), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));

    say("%s, %zu bytes\n", (char *)mp_shared_memory_data(memory),
        mp_shared_memory_size(memory));
    items = mp_shareable_list_items(list);
    mp_check(mp_obj_print(items));
    mp_obj_unref(items);
    say("more than fits: %s\n",
        mp_error_name(
            mp_shareable_list_set(list, 1, MP_BOX("more than sixteen bytes"))));

    /* Without this, the names and what they stand for would stay. */
    mp_check(mp_shared_memory_unlink(memory));
    mp_check(mp_shareable_list_unlink(list));
    mp_check(mp_shared_memory_close(memory));
    return mp_shareable_list_close(list);
}
