/* SPDX-License-Identifier: MIT */
/*
 * A chat: wait(guests), and at the same time for the next one to come. Each
 * guest answers the one before, so that the order is always the same.
 */
#include "example.h"

#include <string.h>

enum { GUESTS = 3 };
static const char *const lines[] = {"host: all are here", "Ann: hello host",
                                    "Bob: hello Ann", "Cid: hello Bob"};

static int chat(mp_args *args)
{
    const mp_obj *answer = mp_arg_obj(args, 1), *before = mp_arg_obj(args, 2);
    mp_connection *room;
    mp_address address;
    mp_obj *line;

    memcpy(&address, mp_arg_bytes(args, 0, &(size_t){0}), sizeof(address));
    mp_check(mp_client(&room, address, NULL));
    while (mp_connection_recv(room, &line) == MP_OK) {
        if (mp_obj_equal(line, before))
            mp_check(mp_connection_send(room, mp_obj_ref(answer)));
        mp_obj_unref(line);
    }
    return mp_connection_close(room);
}

/* To the screen, and to all in the room. */
static void tell(const mp_wait_item *guests, mp_obj *line)
{
    mp_check(mp_obj_print(line));
    for (int i = 0; i < GUESTS; i++)
        mp_check(mp_connection_send(guests[i].object, mp_obj_ref(line)));
    mp_obj_unref(line);
}

int main(int argc, char **argv)
{
    mp_process *guests[GUESTS];
    mp_wait_item items[1 + GUESTS];
    mp_listener *listener;
    mp_connection *guest;
    size_t count = 1;
    mp_obj *line;
    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_listener_create(&listener, (mp_address){0}, NULL));
    items[0] = MP_WAIT(listener);
    for (int i = 0; i < GUESTS; i++) {
        line = MP_BYTES(mp_listener_address(listener), sizeof(mp_address));
        mp_check(mp_process_create(
            &guests[i], chat, MP_ARGS(line, lines[i + 1], lines[i]), NULL));
        mp_check(mp_process_start(guests[i]));
    }
    for (int said = 0; said < GUESTS;) {
        mp_check(mp_wait(items, count, MP_FOREVER));
        for (size_t i = 1; i < count; i++)
            if (items[i].is_ready) {
                mp_check(mp_connection_recv(items[i].object, &line));
                tell(items + 1, line);
                said++;
            }
        if (items[0].is_ready) {
            mp_check(mp_listener_accept(listener, MP_FOREVER, &guest));
            items[count++] = MP_WAIT(guest);
            if (count == 1 + GUESTS)
                tell(items + 1, MP_BOX(lines[0]));
        }
    }
    while (--count > 0) /* and the guests go home */
        mp_check(mp_connection_close(items[count].object));
    for (int i = 0; i < GUESTS; i++) {
        mp_check(mp_process_join(guests[i], MP_FOREVER));
        mp_check(mp_process_close(guests[i]));
    }
    return mp_listener_close(listener);
}
