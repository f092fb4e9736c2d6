/* SPDX-License-Identifier: MIT */
/* Addresses: made, checked, printed. */
#include "address.h"

#include "internal.h"

#include <multiproc/object.h>

#include <stdio.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
    REASON_SIZE = 256,
    PLACE_MAX = 230, /* bytes of an address in a sentence */
};

/* -- Making ---------------------------------------------------------------- */

static mp_address make(mp_family family, const char *name)
{
    mp_address address = {.family = family};
    size_t size = name == NULL ? 0 : strlen(name);

    address.is_cut = size > MP_ADDRESS_MAX;
    if (address.is_cut)
        size = MP_ADDRESS_MAX;
    if (size > 0)
        memcpy(address.name, name, size);
    return address;
}

mp_address mp_inet(const char *host, unsigned port)
{
    mp_address address = make(MP_FAMILY_INET, host);

    address.port = port;
    return address;
}

mp_address mp_inet6(const char *host, unsigned port)
{
    mp_address address = make(MP_FAMILY_INET6, host);

    address.port = port;
    return address;
}

mp_address mp_unix(const char *path)
{
    return make(MP_FAMILY_UNIX, path);
}

mp_address mp_unix_abstract(const char *name)
{
    mp_address address = make(MP_FAMILY_UNIX, name);

    address.is_abstract = true;
    return address;
}

mp_address mp_named_pipe(const char *name)
{
    return make(MP_FAMILY_PIPE, name);
}

/* -- To the seam and back -------------------------------------------------- */

static mp_error family_to_os(mp_family family, mpos_family *out)
{
    switch (family) {
    case MP_FAMILY_DEFAULT:
        *out = mpos_system.has_message_pipes ? MPOS_PIPE : MPOS_UNIX;
        return MP_OK;
    case MP_FAMILY_INET:
        *out = MPOS_INET;
        return MP_OK;
    case MP_FAMILY_INET6:
        *out = MPOS_INET6;
        return MP_OK;
    case MP_FAMILY_UNIX:
        *out = MPOS_UNIX;
        return MP_OK;
    case MP_FAMILY_PIPE:
        *out = MPOS_PIPE;
        return MP_OK;
    default:
        return mpi_fail(MP_EINVAL, "there is no family of addresses %d",
                        (int)family);
    }
}

mp_error mpi_address_to_os(const mp_address *address, mpos_address *out)
{
    mpos_address result = {.is_abstract = address->is_abstract};
    mp_error err = family_to_os(address->family, &result.family);
    bool is_tcp = result.family == MPOS_INET || result.family == MPOS_INET6;

    if (err != MP_OK)
        return err;
    if (address->is_cut ||
        memchr(address->name, 0, sizeof(address->name)) == NULL)
        return mpi_fail(MP_EOVERFLOW,
                        "the name of the address is longer than "
                        "%d bytes",
                        MP_ADDRESS_MAX);
    if (is_tcp ? address->port > PORT_MAX : address->port != 0)
        return mpi_fail(MP_EINVAL, "there is no port %u", address->port);
    if (address->is_abstract && result.family != MPOS_UNIX)
        return mpi_fail(MP_EINVAL, "only UNIX addresses can be abstract");
    if (address->is_abstract && address->name[0] == 0)
        return mpi_fail(MP_EINVAL, "the name of the address is empty");
    result.port = address->port;
    memcpy(result.name, address->name, sizeof(result.name));
    *out = result;
    return MP_OK;
}

mp_address mpi_address_from_os(const mpos_address *address)
{
    static const mp_family families[] = {
        [MPOS_INET] = MP_FAMILY_INET,
        [MPOS_INET6] = MP_FAMILY_INET6,
        [MPOS_UNIX] = MP_FAMILY_UNIX,
        [MPOS_PIPE] = MP_FAMILY_PIPE,
    };
    mp_address result = {
        .family = families[address->family],
        .port = address->port,
        .is_abstract = address->is_abstract,
    };

    memcpy(result.name, address->name, sizeof(result.name));
    return result;
}

/* -- Printing -------------------------------------------------------------- */

static mp_obj *abstract_name(const char *name)
{
    char text[MP_ADDRESS_MAX + 2] = {0};

    memcpy(text + 1, name, strlen(name));
    return mp_obj_strn(text, strlen(name) + 1);
}

static mp_obj *to_obj(const mp_address *address)
{
    mp_obj *items[2];

    if (address->family == MP_FAMILY_DEFAULT && address->name[0] == 0)
        return mp_obj_none();
    if (address->family != MP_FAMILY_INET && address->family != MP_FAMILY_INET6)
        return address->is_abstract ? abstract_name(address->name)
                                    : mp_obj_str(address->name);
    items[0] = mp_obj_str(address->name);
    items[1] = mp_obj_int((int64_t)address->port);
    return mp_obj_tuple(items, 2);
}

mp_error mp_address_repr(const mp_address *address, char **out)
{
    mpos_address checked;
    mp_obj *obj;
    mp_error err;

    if (address == NULL || out == NULL)
        return mpi_fail(MP_EINVAL, "there is no address, or nowhere to print");
    err = mpi_address_to_os(address, &checked);
    if (err != MP_OK)
        return err == MP_EOVERFLOW ? MP_EINVAL : err;
    obj = to_obj(address);
    err = mp_obj_error(obj);
    if (err == MP_OK)
        err = mp_obj_repr(obj, out);
    mp_obj_unref(obj);
    return err;
}

mp_error mpi_address_context(mp_error error, const char *what, const char *at,
                             const mp_address *address)
{
    bool is_tcp =
        address->family == MP_FAMILY_INET || address->family == MP_FAMILY_INET6;
    char reason[REASON_SIZE];
    char *place = NULL;

    snprintf(reason, sizeof(reason), "%s", mp_error_message());
    /* One that is none is what the reason tells about. */
    if ((is_tcp || address->name[0] != 0) &&
        mp_address_repr(address, &place) == MP_OK)
        (void)mpi_fail(error, "%s %s %.*s: %s", what, at, PLACE_MAX, place,
                       reason);
    else
        (void)mpi_fail(error, "%s: %s", what, reason);
    mp_free(place);
    return error;
}
