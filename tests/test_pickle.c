/* SPDX-License-Identifier: MIT */
/* Pickle: the bytes written, every opcode read, and what is refused. */
#include "support/testing.h"

#include "obj.h"
#include "os_fault.h"
#include "pickle.h"
#include "repr.h"

#include <multiproc/box.h>
#include <multiproc/pickle.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* A pickle written as a string literal. */
#define LOADS(literal, out) \
    mp_pickle_loads((literal), sizeof(literal) - 1, (out))
#define ASSERT_LOADS(literal, expected) \
    assert_loads((literal), sizeof(literal) - 1, (expected))
#define ASSERT_REFUSED(literal, sentence) \
    assert_refused((literal), sizeof(literal) - 1, (sentence))
/* Consumes obj. */
#define ASSERT_DUMPS(obj, literal) \
    assert_dumps((obj), (literal), sizeof(literal) - 1)

static void assert_loads(const char *data, size_t size, const char *expected)
{
    mp_obj *obj = NULL;
    char *text = NULL;

    cr_assert_eq(mp_pickle_loads(data, size, &obj), MP_OK);
    cr_assert_eq(mp_obj_repr(obj, &text), MP_OK);
    cr_assert_str_eq(text, expected);
    mp_free(text);
    mp_obj_unref(obj);
}

static void assert_refused(const char *data, size_t size, const char *sentence)
{
    mp_obj *obj = NULL;

    cr_assert_eq(mp_pickle_loads(data, size, &obj), MP_EUNPICKLE);
    cr_assert_str_eq(mp_error_message(), sentence);
    cr_assert_null(obj);
}

static void assert_dumps(mp_obj *obj, const char *expected, size_t size)
{
    void *data = NULL;
    size_t written = 0;

    cr_assert_eq(mp_pickle_dumps(obj, &data, &written), MP_OK);
    cr_assert_eq(written, size);
    cr_assert_arr_eq((const char *)data, expected, size);
    mp_free(data);
    mp_obj_unref(obj);
}

/* Consumes obj; what comes back is equal. */
static void assert_survives(mp_obj *obj)
{
    mp_obj *copy = NULL;
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_OK);
    cr_assert_eq(mp_pickle_loads(data, size, &copy), MP_OK);
    cr_assert(mp_obj_equal(obj, copy));
    mp_free(data);
    mp_obj_unref(copy);
    mp_obj_unref(obj);
}

/* -- Writing --------------------------------------------------------------- */

Test(pickle, writes_what_cpython_writes_for_scalars)
{
    ASSERT_DUMPS(mp_obj_int(5), "\x80\x04K\x05.");
    ASSERT_DUMPS(mp_obj_int(256), "\x80\x04\x95\x04\0\0\0\0\0\0\0M\x00\x01.");
    ASSERT_DUMPS(mp_obj_int(-1),
                 "\x80\x04\x95\x06\0\0\0\0\0\0\0J\xFF\xFF\xFF\xFF.");
    ASSERT_DUMPS(mp_obj_int(INT64_C(1) << 31),
                 "\x80\x04\x95\x08\0\0\0\0\0\0\0\x8A\x05\0\0\0\x80\0.");
    ASSERT_DUMPS(mp_obj_int(INT64_MIN),
                 "\x80\x04\x95\x0B\0\0\0\0\0\0\0\x8A\x08\0\0\0\0\0\0\0\x80.");
    ASSERT_DUMPS(MP_NONE, "\x80\x04N.");
    ASSERT_DUMPS(MP_TRUE, "\x80\x04\x88.");
    ASSERT_DUMPS(mp_obj_float(1.0),
                 "\x80\x04\x95\x0A\0\0\0\0\0\0\0G\x3F\xF0\0\0\0\0\0\0.");
}

Test(pickle, writes_what_cpython_writes_for_containers)
{
    ASSERT_DUMPS(MP_TUPLE(), "\x80\x04).");
    ASSERT_DUMPS(MP_LIST(1), "\x80\x04\x95\x06\0\0\0\0\0\0\0]\x94K\x01"
                             "a.");
    ASSERT_DUMPS(MP_DICT("k", MP_NONE),
                 "\x80\x04\x95\x09\0\0\0\0\0\0\0}\x94\x8C\x01k\x94Ns.");
    ASSERT_DUMPS(MP_SET(1),
                 "\x80\x04\x95\x07\0\0\0\0\0\0\0\x8F\x94(K\x01\x90.");
    ASSERT_DUMPS(MP_TUPLE(MP_BYTES("", 0), 1),
                 "\x80\x04\x95\x08\0\0\0\0\0\0\0C\0\x94K\x01\x86\x94.");
}

Test(pickle, a_thousand_entries_are_followed_by_an_empty_batch_as_in_cpython)
{
    mp_obj *dict = MP_DICT();
    void *data = NULL;
    size_t size = 0;

    for (int i = 0; i < 1000; i++)
        cr_assert_eq(mp_obj_set_item(dict, mp_obj_int(i), MP_NONE), MP_OK);
    cr_assert_eq(mp_pickle_dumps(dict, &data, &size), MP_OK);
    cr_assert_arr_eq((const char *)data + size - 5, "Nu(u.", 5);
    mp_free(data);
    mp_obj_unref(dict);
}

Test(pickle, writes_a_shared_object_once)
{
    mp_obj *shared = MP_LIST(7);
    mp_obj *pair = MP_TUPLE(mp_obj_ref(shared), shared);
    const mp_obj *left;
    const mp_obj *right;
    mp_obj *copy = NULL;
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(pair, &data, &size), MP_OK);
    cr_assert_eq(mp_pickle_loads(data, size, &copy), MP_OK);
    cr_assert_eq(mp_obj_item(copy, 0, &left), MP_OK);
    cr_assert_eq(mp_obj_item(copy, 1, &right), MP_OK);
    cr_assert(left == right);
    mp_free(data);
    mp_obj_unref(copy);
    mp_obj_unref(pair);
}

Test(pickle, many_shared_objects_keep_their_identities)
{
    mp_obj *list = MP_LIST();
    mp_obj *copy = NULL;
    void *data = NULL;
    size_t size = 0;

    for (int i = 0; i < 1000; i++) {
        mp_obj *shared = MP_TUPLE(i, "x");

        mp_obj_append(list, mp_obj_ref(shared));
        mp_obj_append(list, shared);
    }
    cr_assert_eq(mp_pickle_dumps(list, &data, &size), MP_OK);
    cr_assert_eq(mp_pickle_loads(data, size, &copy), MP_OK);
    cr_assert(mp_obj_equal(list, copy));
    for (int i = 0; i < 2000; i += 2) {
        const mp_obj *left;
        const mp_obj *right;

        cr_assert_eq(mp_obj_item(copy, i, &left), MP_OK);
        cr_assert_eq(mp_obj_item(copy, i + 1, &right), MP_OK);
        cr_assert(left == right);
    }
    mp_free(data);
    mp_obj_unref(copy);
    mp_obj_unref(list);
}

Test(pickle, large_and_long_values_survive)
{
    const size_t size = 200000;
    char *large = calloc(1, size);
    mp_obj *list = MP_LIST();
    mp_obj *dict = MP_DICT();

    for (int i = 0; i < 5000; i++) {
        mp_obj_append(list, mp_obj_int(i * 1000003LL));
        mp_obj_set_item(dict, mp_obj_float(i), mp_obj_str("value"));
    }
    assert_survives(MP_LIST(MP_BYTES(large, size), list, dict, "end"));
    free(large);
}

Test(pickle, what_means_nothing_elsewhere_cannot_be_pickled)
{
    int here = 0;
    mp_obj *pointer = MP_LIST(1, &here);
    mpi_buffer out = {0};

    mpi_buffer_append(&out, "before", 6);
    cr_assert_eq(mpi_pickle_dump(&out, pointer, NULL), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "can't pickle pointer 0x"));
    cr_assert_not_null(
        strstr(mp_error_message(), ": it means nothing in another process"));
    cr_assert_eq(out.size, 6);
    mpi_buffer_free(&out);
    mp_obj_unref(pointer);
}

Test(pickle, an_error_object_is_answered_with_its_error)
{
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(MP_LIST("\xFF"), &data, &size), MP_EINVAL);
    cr_assert_str_eq(mp_error_message(), "a str is not UTF-8");
    cr_assert_eq(mp_pickle_dumps(NULL, &data, &size), MP_EINVAL);
    cr_assert_null(data);
}

/* What travels beside the bytes, for the writer's half of it. */
static int thing_references = 1;

static void thing_ref(void *self)
{
    ++*(int *)self;
}

static void thing_unref(const mpi_resource_type *type, void *self)
{
    (void)type;
    --*(int *)self;
}

static mp_error thing_reduce(void *self, mpi_transport *transport,
                             mp_obj **state)
{
    (void)self;
    (void)transport;
    *state = MP_TUPLE(7);
    return mp_obj_error(*state);
}

static const mpi_resource_type thing_type = {
    .name = "Thing",
    .ref = thing_ref,
    .unref = thing_unref,
    .reduce = thing_reduce,
};

Test(pickle, a_handle_only_travels_with_a_transport)
{
    mp_obj *thing = mpi_obj_resource(&thing_type, &thing_references);
    mp_obj *pair = MP_TUPLE(mp_obj_ref(thing), thing);
    mpi_transport transport = {0};
    mpi_buffer out = {0};
    static const char expected[] =
        "\x80\x04\x95\x1C\0\0\0\0\0\0\0cmultiproc\nThing\nK\x07\x85\x94R\x94h"
        "\x01\x86\x94.";

    cr_assert_eq(thing_references, 2);
    cr_assert_eq(mpi_pickle_dump(&out, pair, NULL), MP_EPICKLE);
    cr_assert_str_eq(mp_error_message(),
                     "can't pickle Thing: it can only travel as an argument "
                     "of a process or of a pool's initializer, or over a pipe");
    cr_assert_eq(mpi_pickle_dump(&out, pair, &transport), MP_OK);
    cr_assert_eq(out.size, sizeof(expected) - 1);
    cr_assert_arr_eq(out.data, expected, sizeof(expected) - 1);
    mpi_buffer_free(&out);
    mp_obj_unref(pair);
    cr_assert_eq(thing_references, 1);
}

static int target(mp_args *args)
{
    (void)args;
    return 0;
}

Test(pickle, a_function_comes_back_as_the_same_function)
{
    mp_obj *pair = MP_TUPLE(target, target);
    mp_obj *copy = NULL;
    const mp_obj *item;
    mp_function function = NULL;
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(pair, &data, &size), MP_OK);
    cr_assert_eq(mp_pickle_loads(data, size, &copy), MP_OK);
    cr_assert_eq(mp_obj_item(copy, 1, &item), MP_OK);
    cr_assert_eq(mp_obj_as_function(item, &function), MP_OK);
    cr_assert(function == target);
    cr_assert(mp_obj_equal(pair, copy));
    mp_free(data);
    mp_obj_unref(copy);
    mp_obj_unref(pair);
}

/* -- Reading --------------------------------------------------------------- */

Test(pickle, reads_the_text_of_protocol_0)
{
    ASSERT_LOADS("(lp0\nI1\naI01\naI00\naNaL-5L\naF1.5\naFinf\na.",
                 "[1, True, False, None, -5, 1.5, inf]");
    ASSERT_LOADS("(dp0\nVk\\u00e9\\U0001f600\np1\n(I1\ntp2\ns.",
                 "{'k\xC3\xA9\xF0\x9F\x98\x80': (1,)}");
    ASSERT_LOADS("S'it\\'s \\x41\\n\\101'\n.", "\"it's A\\nA\"");
    ASSERT_LOADS("(Vab\np0\ng0\nt.", "('ab', 'ab')");
    ASSERT_LOADS("V\\\\u0041\n.", "'\\\\\\\\u0041'");
}

Test(pickle, reads_bytes_and_sets_as_old_protocols_call_them)
{
    ASSERT_LOADS("\x80\x02"
                 "c_codecs\nencode\nq\0X\x03\0\0\0a\xC3\xBFq\x01X\x06\0\0\0"
                 "latin1q\x02\x86q\x03Rq\x04.",
                 "b'a\\xff'");
    ASSERT_LOADS("c__builtin__\nset\n((lI1\naI2\natR.", "{1, 2}");
    ASSERT_LOADS("\x80\x03"
                 "cbuiltins\nfrozenset\n]\x85R.",
                 "set()");
    ASSERT_LOADS("\x80\x03"
                 "cbuiltins\nbytearray\nC\x02hi\x85R.",
                 "b'hi'");
    ASSERT_LOADS("\x80\x02"
                 "c__builtin__\nbytes\n)R.",
                 "b''");
}

Test(pickle, reads_protocol_5_and_every_length_form)
{
    ASSERT_LOADS("\x80\x05\x96\x02\0\0\0\0\0\0\0hi.", "b'hi'");
    ASSERT_LOADS("\x80\x05(\x8D\x01\0\0\0\0\0\0\0aX\x01\0\0\0b\x8C\x01"
                 "c\x8E\x01\0\0\0\0\0\0\0d"
                 "B\x01\0\0\0eC\x01"
                 "fU\x01gT\x01\0\0\0ht.",
                 "('a', 'b', 'c', b'd', b'e', b'f', 'g', 'h')");
    ASSERT_LOADS("\x80\x05(\x8A\x00\x8A\x01\xFF\x8B\x02\0\0\0\0\x80t.",
                 "(0, -1, -32768)");
    ASSERT_LOADS("\x80\x04(K\x01K\x02\x91.", "{1, 2}");
}

Test(pickle, pop_and_dup_and_memo_work_as_in_cpython)
{
    ASSERT_LOADS("K\x01K\x02"
                 "0.",
                 "1");
    ASSERT_LOADS("K\x01(K\x02K\x03"
                 "1.",
                 "1");
    ASSERT_LOADS("K\x01(0.", "1");
    ASSERT_LOADS("]2\x86.", "([], [])");
    ASSERT_LOADS("\x80\x04]\x94q\x05j\x05\0\0\0r\x02\0\0\0h\0\x87.",
                 "([], [], [])");
}

Test(pickle, an_unknown_class_becomes_an_opaque_object)
{
    mp_obj *obj = NULL;
    void *data = NULL;
    size_t size = 0;

    ASSERT_LOADS("cdatetime\ndate\n(I1\ntR.", "<opaque datetime.date>");
    ASSERT_LOADS("\x80\x04\x8C\x01m\x8C\x01"
                 "C\x93)\x81}\x8C\x01xK\x01sb.",
                 "<opaque m.C>");
    ASSERT_LOADS("\x80\x04\x8C\x01m\x8C\x01"
                 "C\x93)}\x92.",
                 "<opaque m.C>");
    ASSERT_LOADS("ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nNtR"
                 ".",
                 "<opaque m.C>");
    ASSERT_LOADS("c__builtin__\ncomplex\n.", "<opaque builtins.complex>");
    ASSERT_LOADS("ccollections\ndeque\n)R(K\x01K\x02"
                 "e.",
                 "<opaque collections.deque>");
    cr_assert_eq(LOADS("cos\nsystem\n(S'true'\ntR.", &obj), MP_OK);
    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_EPICKLE);
    cr_assert_str_eq(mp_error_message(),
                     "can't pickle os.system: it is known by name only");
    mp_obj_unref(obj);
}

Test(pickle, lone_surrogates_come_back_as_they_were)
{
    mp_obj *obj = NULL;

    ASSERT_LOADS("X\x03\0\0\0\xED\xB2\x80.", "'\\udc80'");
    ASSERT_LOADS("V\\udc80\n.", "'\\udc80'");
    cr_assert_eq(LOADS("X\x03\0\0\0\xED\xB2\x80.", &obj), MP_OK);
    ASSERT_DUMPS(obj, "\x80\x04\x95\x07\0\0\0\0\0\0\0\x8C\x03\xED\xB2\x80\x94"
                      ".");
}

/* -- Refusing -------------------------------------------------------------- */

Test(pickle, what_is_no_whole_pickle_is_refused)
{
    ASSERT_REFUSED("", "the pickle is cut short");
    ASSERT_REFUSED("K", "the pickle is cut short");
    ASSERT_REFUSED("X\xFF\xFF\xFF\x7Fhi.", "the pickle is cut short");
    ASSERT_REFUSED("\x8E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.",
                   "the pickle is cut short");
    ASSERT_REFUSED("\x95\xFF\0\0\0\0\0\0\0N.", "the pickle is cut short");
    ASSERT_REFUSED("I1", "the pickle is cut short");
    ASSERT_REFUSED("N.N", "1 bytes are left after the pickle");
    ASSERT_REFUSED(".", "the pickle ends with 0 objects");
    ASSERT_REFUSED("NN.", "the pickle ends with 2 objects");
    ASSERT_REFUSED("\xFF", "no pickle: there is no opcode 0xff");
    ASSERT_REFUSED("\x80\x06N.", "unsupported pickle protocol: 6");
}

Test(pickle, opcodes_without_their_operands_are_refused)
{
    static const char *const pickles[] = {
        "a.",    "]a.",   "s.",   "}Ns.",  "0.",    "2.",
        "R.",    "NR.",   "b.",   "Nb.",   "\x85.", "N\x86.",
        "\x93.", "p0\n.", "(Na.", "](Na.", "\x92."};
    static const char *const markless[] = {"t.", "l.", "d.",    "u.",
                                           "e.", "1.", "\x90.", "\x91."};
    mp_obj *obj = NULL;

    for (size_t i = 0; i < sizeof(pickles) / sizeof(pickles[0]); i++)
        cr_assert_eq(mp_pickle_loads(pickles[i], strlen(pickles[i]), &obj),
                     MP_EUNPICKLE);
    for (size_t i = 0; i < sizeof(markless) / sizeof(markless[0]); i++)
        assert_refused(markless[i], strlen(markless[i]),
                       "an opcode of the pickle has no mark");
    cr_assert_null(obj);
}

Test(pickle, numbers_cut_short_are_refused)
{
    static const struct {
        const char *data;
        size_t size;
    } pickles[] = {{"J\1\2\3", 4}, {"M\1", 2},  {"G\1\2\3", 4},
                   {"X\1\0", 3},   {"N0h", 3},  {"Nq", 2},
                   {"Nr\1\2", 4},  {"\x8A", 1}, {"\x8D\1", 2}};

    for (size_t i = 0; i < sizeof(pickles) / sizeof(pickles[0]); i++)
        assert_refused(pickles[i].data, pickles[i].size,
                       "the pickle is cut short");
}

Test(pickle, text_that_is_no_literal_is_refused)
{
    mp_obj *obj = NULL;

    cr_assert_eq(LOADS("Ng-1\n.", &obj), MP_EUNPICKLE);
    cr_assert_eq(LOADS("S'\\'\n.", &obj), MP_EUNPICKLE);
    cr_assert_eq(LOADS("S'\\x1'\n.", &obj), MP_EUNPICKLE);
    cr_assert_eq(LOADS("S'\\x1g'\n.", &obj), MP_EUNPICKLE);
    cr_assert_eq(LOADS("V\\u00\n.", &obj), MP_EUNPICKLE);
    cr_assert_null(obj);
    ASSERT_LOADS("S'\\x4A\\x4b'\n.", "'JK'");
}

/* Which functions mean something is a list, and they take what Python's do. */
Test(pickle, calls_with_the_wrong_arguments_are_refused)
{
    mp_obj *obj = NULL;

    cr_assert_eq(LOADS("c_codecs\nencode\n(V\\u0100\nVlatin1\ntR.", &obj),
                 MP_EUNPICKLE);
    cr_assert_eq(LOADS("c__builtin__\nbytes\n(I1\ntR.", &obj), MP_EUNPICKLE);
    cr_assert_eq(LOADS("c__builtin__\nbytearray\n(Va\nVutf-8\ntR.", &obj),
                 MP_EUNPICKLE);
    ASSERT_LOADS("c__builtin__\nbytearray\n(Va\nVlatin-1\ntR.", "b'a'");
    cr_assert_null(obj);
}

Test(pickle, a_memo_index_may_be_used_again)
{
    ASSERT_LOADS("]q\1K\7q\1h\1\x87.", "([], 7, 7)");
}

/* A ShareableList travels as a partial call; others mean nothing to us. */
Test(pickle, a_partial_call_of_something_else_is_opaque)
{
    ASSERT_LOADS("cfunctools\npartial\n(cm\nC\ntR)R.",
                 "<opaque functools.partial>");
    ASSERT_LOADS("cfunctools\npartial\n(cm\nC\ntR(NN)tb)R.",
                 "<opaque functools.partial>");
    ASSERT_LOADS("cfunctools\npartial\n(cm\nC\ntR(cm\nC\n)}Ntb)R.",
                 "<opaque functools.partial>");
}

Test(pickle, needs_a_place_for_what_comes_out)
{
    mp_obj *obj = MP_BOX(1);
    void *data = NULL;
    size_t size;

    cr_assert_eq(mp_pickle_dumps(obj, NULL, &size), MP_EINVAL);
    cr_assert_eq(mp_pickle_dumps(obj, &data, NULL), MP_EINVAL);
    cr_assert_null(data);
    cr_assert_eq(mp_pickle_loads("N.", 2, NULL), MP_EINVAL);
    mp_obj_unref(obj);
    obj = NULL;
    cr_assert_eq(mp_pickle_loads(NULL, 2, &obj), MP_EINVAL);
    cr_assert_null(obj);
}

Test(pickle, ints_beyond_64_bits_are_refused)
{
    ASSERT_REFUSED("\x8A\x09\0\0\0\0\0\0\0\x80\0.",
                   "an int of 65 bits doesn't fit in 64");
    ASSERT_LOADS("\x8A\x09\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\0.",
                 "9223372036854775807");
    ASSERT_REFUSED("L9223372036854775808L\n.",
                   "an int of 19 digits doesn't fit in 64 bits");
    ASSERT_LOADS("L-9223372036854775808L\n.", "-9223372036854775808");
    ASSERT_REFUSED("I1x\n.", "malformed int in a pickle");
    ASSERT_REFUSED("F1.5.5\n.", "malformed float in a pickle");
    ASSERT_REFUSED("S'\\q'\n.", "malformed str in a pickle");
    ASSERT_REFUSED("V\\uZZZZ\n.", "malformed str in a pickle");
}

Test(pickle, containers_that_hold_themselves_are_refused)
{
    ASSERT_REFUSED("\x80\x04]\x94h\0a.",
                   "can't unpickle a list that holds itself");
    ASSERT_REFUSED("\x80\x04}\x94Nh\0s.",
                   "can't unpickle a dict that holds itself");
    ASSERT_REFUSED("\x80\x04]\x94(h\0t\x94"
                   "a.",
                   "can't unpickle a list that holds itself");
    ASSERT_REFUSED("]2a.", "can't unpickle a list that holds itself");
}

Test(pickle, an_object_whose_state_leads_back_to_it_is_read_without_it)
{
    ASSERT_LOADS("\x80\x04\x8C\x01m\x8C\x01"
                 "C\x93)\x81\x94}\x8C\x01xh\0sb.",
                 "<opaque m.C>");
}

Test(pickle, memo_indexes_do_not_decide_how_much_memory_is_taken)
{
    ASSERT_REFUSED("Nr\xFF\xFF\xFF\x7F.",
                   "memo index 2147483647 is out of range");
    ASSERT_REFUSED("Np99999999999\n.",
                   "memo index 99999999999 is out of range");
    ASSERT_REFUSED("j\xFF\xFF\xFF\x7F.", "nothing has memo index 2147483647");
}

Test(pickle, what_we_have_no_way_to_read_is_refused_with_its_reason)
{
    ASSERT_REFUSED("Pid\n.", "the pickle refers to an object by an id");
    ASSERT_REFUSED("\x82\x01.", "the pickle uses extension codes");
    ASSERT_REFUSED("(im\nC\n.",
                   "the pickle holds an instance of a Python 2 class");
    ASSERT_REFUSED("\x97.", "the pickle refers to a buffer beside the bytes");
    ASSERT_REFUSED("U\x01\xE9.", "a str of Python 2 is not ASCII, so its "
                                 "encoding is unknown");
    ASSERT_REFUSED("\x8C\x01\xE9.", "can't unpickle: a str is not UTF-8");
    ASSERT_REFUSED("}]Ns.", "can't unpickle: unhashable type: 'list'");
    ASSERT_REFUSED("NNR.", "a pickle calls NoneType with NoneType");
    ASSERT_REFUSED("N]b.", "a pickle gives NoneType a state");
    ASSERT_REFUSED("NNa.", "a pickle puts items into NoneType");
    ASSERT_REFUSED("cbuiltins\nset\nK\x01\x85R.",
                   "can't unpickle builtins.set: unexpected arguments");
    ASSERT_REFUSED("cmultiproc\nConnection\n)R.",
                   "can't unpickle Connection: no handles came with the "
                   "pickle");
}

Test(pickle, nesting_beyond_a_thousand_levels_is_refused)
{
    char data[2 * MPI_MAX_DEPTH + 4];
    mp_obj *obj = NULL;

    memset(data, ']', MPI_MAX_DEPTH);
    memset(data + MPI_MAX_DEPTH, 'a', MPI_MAX_DEPTH - 1);
    data[2 * MPI_MAX_DEPTH - 1] = '.';
    cr_assert_eq(mp_pickle_loads(data, 2 * MPI_MAX_DEPTH, &obj), MP_OK);
    assert_survives(obj);
    memset(data, ']', MPI_MAX_DEPTH + 1);
    memset(data + MPI_MAX_DEPTH + 1, 'a', MPI_MAX_DEPTH);
    data[2 * MPI_MAX_DEPTH + 1] = '.';
    obj = NULL;
    cr_assert_eq(mp_pickle_loads(data, 2 * MPI_MAX_DEPTH + 2, &obj),
                 MP_EOVERFLOW);
    cr_assert_null(obj);
}

Test(pickle, every_byte_cut_off_the_end_is_noticed)
{
    mp_obj *obj = MP_LIST(1, "text", MP_DICT(1.5, MP_TUPLE(MP_NONE)), 70000);
    mp_obj *copy = NULL;
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_OK);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(mp_pickle_loads(data, i, &copy), MP_EUNPICKLE);
    cr_assert_null(copy);
    mp_free(data);
    mp_obj_unref(obj);
}

Test(pickle, numbers_do_not_depend_on_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8",
                                        "German"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setlocale(LC_ALL, names[i]) == NULL)
            continue;
        ASSERT_LOADS("F1.5\n.", "1.5");
        ASSERT_LOADS("F2.5e-300\n.", "2.5e-300");
    }
    setlocale(LC_ALL, "C");
    ASSERT_LOADS("F1.5\n.", "1.5");
}

/* -- Memory ---------------------------------------------------------------- */

static mp_obj *something(void)
{
    mp_obj *shared = MP_TUPLE("shared", 1.5);
    mp_obj *list = MP_LIST();

    for (int i = 0; i < 100; i++)
        mp_obj_append(list, mp_obj_ref(shared));
    return MP_LIST(shared, list, MP_DICT("k", MP_SET(1, 2)), INT64_MIN,
                   MP_BYTES("b", 1));
}

Test(pickle, every_failing_allocation_in_dumps_leaves_the_outputs_alone)
{
    mp_obj *obj = something();
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        void *data = NULL;
        size_t size = 0;
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_pickle_dumps(obj, &data, &size);
        was_reached = mpi_fault_disarm(NULL, NULL);
        cr_assert_eq(err, was_reached ? MP_ENOMEM : MP_OK);
        cr_assert_eq(data != NULL, !was_reached);
        mp_free(data);
    }
    mp_obj_unref(obj);
}

static void fail_each_allocation(const void *data, size_t size)
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_obj *obj = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_pickle_loads(data, size, &obj);
        was_reached = mpi_fault_disarm(NULL, NULL);
        cr_assert(err == MP_OK || (err == MP_ENOMEM && obj == NULL));
        cr_assert(was_reached || err == MP_OK);
        mp_obj_unref(obj);
    }
}

Test(pickle, every_failing_allocation_in_loads_leaves_the_output_alone)
{
    mp_obj *obj = something();
    void *data = NULL;
    size_t size = 0;

    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_OK);
    fail_each_allocation(data, size);
    mp_free(data);
    mp_obj_unref(obj);
}

Test(pickle, every_failing_allocation_in_old_protocols_is_reported)
{
    static const char text[] =
        "(lp0\nVabc\np1\naS'x\\n'\np2\nac__builtin__\nset\n((lI1\naI2\natRa"
        "c_codecs\nencode\n(Va\nVlatin1\ntRacm\nC\n(I1\ntR(dVx\nF1.5\nsba";
    char data[1024];
    size_t size = sizeof(text) - 1;

    memcpy(data, text, size);
    /* More marks, objects and memo entries than there is room at first. */
    memset(data + size, '(', 100);
    memset(data + size + 100, 'N', 100);
    memset(data + size + 200, 0x94, 100);
    memset(data + size + 300, '1', 100);
    size += 400;
    data[size++] = '.';
    fail_each_allocation(data, size);
}
