/* SPDX-License-Identifier: MIT */
/* From errno to mp_error, with the system's own words in the sentence. */
#include "os_internal.h"

#include <errno.h>
#include <string.h>

static mp_error error_of(int error)
{
    switch (error) {
    case EBADF: /* somebody else has closed it */
        return MP_ECLOSED;
    case ENOMEM:
    case ENOBUFS:
        return MP_ENOMEM;
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS: /* too many descriptors in flight */
        return MP_EMFILE;
    case EAGAIN: /* fork, pthread_create */
        return MP_EPROCLIM;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
    case ECHILD:
        return MP_ENOTFOUND;
    case EACCES:
    case EPERM:
    case ENOEXEC:
    case EISDIR:
    case ETXTBSY:
    case EROFS:
        return MP_EACCES;
    case EPIPE:
    case ECONNRESET:
        return MP_EPIPE;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return MP_ENOSPC;
    case ECONNREFUSED:
        return MP_EREFUSED;
    case EADDRINUSE:
        return MP_EADDRINUSE;
    case ENOSYS:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
#if ENOTSUP != EOPNOTSUPP
    case ENOTSUP:
#endif
        return MP_ENOTSUP;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case E2BIG:
        return MP_EINVAL;
    default:
        return MP_EIO;
    }
}

mp_error mpos_fail_errno(const char *call, int error)
{
    return mpi_fail(error_of(error), "%s: %s", call, strerror(error));
}

bool mpos_is_unsupported(int error)
{
    return error_of(error) == MP_ENOTSUP;
}
