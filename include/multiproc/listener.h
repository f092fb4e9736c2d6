/* SPDX-License-Identifier: MIT */
/**
 * @defgroup listener Listener and Client
 * Listener and Client: connections between processes that are not each other's
 * parents, Python's among them.
 *
 *     mp_listener *listener;
 *     mp_connection *connection;
 *     mp_listener_options options = {.auth = MP_AUTHKEY("secret")};
 *
 *     mp_listener_create(&listener, mp_inet("localhost", 6000), &options);
 *     mp_listener_accept(listener, MP_FOREVER, &connection);
 *
 * is Python's
 *
 *     listener = Listener(("localhost", 6000), authkey=b"secret")
 *     connection = listener.accept()
 *
 * Both sides prove that they know a key without sending it. Unlike Python's,
 * they do so by default, with the key of the current process, which only its
 * relatives know: mp_process_authkey(). Programs that are strangers agree on a
 * key (MP_AUTHKEY), or say that they want none (MP_NO_AUTH). The key proves who
 * connects; it hides nothing: over a network, what is sent can be read.
 *
 * The handshake is CPython's, with SHA-256. A Python before 3.12 knows only
 * MD5, which both sides refuse unless allow_md5 is set.
 * @{
 */
#ifndef MULTIPROC_LISTENER_H
#define MULTIPROC_LISTENER_H

#include <multiproc/connection.h>

#include <string.h>

MP_BEGIN_DECLS

/* -- Addresses ------------------------------------------------------------- */

/** What kind of address it is. */
typedef enum mp_family {
    MP_FAMILY_DEFAULT, /**< the fastest that is here: UNIX, on Windows PIPE */
    MP_FAMILY_INET,    /**< TCP over IPv4 */
    MP_FAMILY_INET6,   /**< TCP over IPv6 */
    MP_FAMILY_UNIX,    /**< a path; not on Windows */
    MP_FAMILY_PIPE     /**< a named pipe; only on Windows */
} mp_family;

/** The most bytes of a name, whichever the family; a UNIX path has a lower
 * limit, which is the system's (104 to 108). */
#define MP_ADDRESS_MAX 255

/** Where somebody listens. Made by the functions below; a value to copy. */
typedef struct mp_address {
    mp_family family; /**< which of the following count */
    /** Only of TCP; 0: any that is free. */
    unsigned port;
    /** UNIX, on Linux: a name without a file, Python's "\0name". Anybody on the
     * machine may connect to it: use a key. */
    bool is_abstract;
    /** Host, path, or pipe; "": the library chooses. One that is too long is
     * cut, and refused. */
    char name[MP_ADDRESS_MAX + 1];
    /** The name was longer than that. */
    bool is_cut;
} mp_address;

/**
 * @name Addresses
 * @{
 */

/**
 * An address of TCP over IPv4, or IPv6.
 * @param host  a name or a number; "" or NULL: all interfaces.
 * @param port  0: any that is free.
 * @return a value; what is wrong with it, whoever takes it tells.
 * @threads safe. @fork safe.
 */
MP_API mp_address mp_inet(const char *host, unsigned port);
MP_API mp_address mp_inet6(const char *host, unsigned port);
/** @} */

/**
 * A path in the file system, where there are sockets of that kind.
 * @param path  NULL: a new one in a directory that only this user can enter,
 *              `multiproc-<user id>` in TMPDIR or `/tmp`. The path goes when
 *              its listener is closed, or its process exits; the directory with
 *              the last path. What a process leaves that is killed is removed
 *              when the user's next listener with a path of this kind is
 *              created; until then it stays, and nobody answers there.
 * @return a value; what is wrong with it, whoever takes it tells.
 * @threads safe. @fork safe.
 */
MP_API mp_address mp_unix(const char *path);

/**
 * A name without a file, on Linux: Python's "\0name" (see mp_address).
 * @return a value; what is wrong with it, whoever takes it tells.
 * @threads safe. @fork safe.
 */
MP_API mp_address mp_unix_abstract(const char *name);

/**
 * A named pipe of Windows.
 * @param name  `\\.\pipe\name`; NULL: a new one.
 * @return a value; what is wrong with it, whoever takes it tells.
 * @threads safe. @fork safe.
 */
MP_API mp_address mp_named_pipe(const char *name);

/**
 * As Python's repr() has it: "('127.0.0.1', 6000)", "'/run/x'".
 * @param[out] out  free with mp_free().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_address_repr(const mp_address *address, char **out);

/* -- Authentication -------------------------------------------------------- */

/** How two sides prove who they are. All zero: with the key of the current
 * process, by SHA-256. */
typedef struct mp_auth {
    /** Copied. NULL: the current process's. */
    const void *key;
    /** In bytes; a key of no bytes is a key, too. */
    size_t key_size;
    /** Python's authkey=None: no proof is asked for. */
    bool is_none;
    /** To talk to a Python before 3.12. */
    bool allow_md5;
} mp_auth;

/** An mp_auth with the bytes of a string as the key. */
#define MP_AUTHKEY(text) MP_AUTHKEY_BYTES(text, strlen(text))
#ifdef __cplusplus
#define MP_AUTHKEY_BYTES(data, size) (mp_auth{(data), (size), false, false})
#define MP_NO_AUTH (mp_auth{nullptr, 0, true, false})
#else
/** An mp_auth with the @p size bytes at @p data as the key. */
#define MP_AUTHKEY_BYTES(data, size) ((mp_auth){(data), (size), false, false})
/** An mp_auth that asks for no proof: Python's authkey=None. */
#define MP_NO_AUTH ((mp_auth){NULL, 0, true, false})
#endif

/* -- Listener -------------------------------------------------------------- */

/** Who listens at an address. */
typedef struct mp_listener mp_listener;

/** For mp_listener_create(). Zero is the default for every field. */
typedef struct mp_listener_options {
    mp_auth auth; /**< what clients have to prove */
    /** Seconds a client has to prove itself; 0: 10. */
    double handshake_timeout;
    /** Connections the system keeps until they are accepted; 0: 128. */
    unsigned backlog;
    /** Of those that prove themselves at the same time; beyond, the system
     * keeps the rest. 0: 64. Each takes some 1 KiB. */
    unsigned handshakes;
    /** Only clients of the same user, told by the system; root's, too. Of UNIX
     * and PIPE; MP_ENOTSUP for the others. */
    bool same_user_only;
} mp_listener_options;

/**
 * Listens at an address: Listener(address, authkey=...).
 *
 * A path of a listener that has ended, perhaps by being killed, is taken over;
 * one that somebody listens at is not. A normal exit removes the path. A forked
 * child does not have its parent's listeners, so daemon() comes before.
 *
 * A host is looked up by the system, which takes as long as it likes; numbers
 * take no time. Who starts processes meanwhile does not wait for it. What fails
 * is told with the address: "can't listen at ('127.0.0.1', 6000): ...".
 *
 * @param[out] out  the caller owns it: mp_listener_close().
 * @param options  NULL: all defaults.
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE
 * @return MP_EADDRINUSE  somebody listens there, or the path is no socket.
 * @return MP_ENOTFOUND  no such host, or no such directory.
 * @return MP_EACCES  not allowed to.
 * @return MP_EOVERFLOW  the path is longer than the system takes.
 * @return MP_ENOTSUP  there is no such family here.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_listener_create(mp_listener **out, mp_address address,
                                   const mp_listener_options *options);

/**
 * The next client that has proved itself; blocks for it. Others that connect
 * meanwhile and say nothing do not hold it up: when as many as there may be are
 * proving themselves and more knock, the oldest goes after 0.25 s. Over TCP,
 * one that is refused while it still speaks is listened to for up to a second,
 * or it would not hear why; accept() returns before, and later calls do that.
 *
 * @param timeout  in seconds; MP_FOREVER; 0 or less only looks.
 * @param[out] out  the caller owns it: mp_connection_close().
 * @return MP_OK
 * @return MP_TIMED_OUT  there was none.
 * @return MP_EAUTH  one did not prove itself, or we not to it; it is gone, and
 *                   the next call serves the next one.
 * @return MP_EMFILE, MP_ENOMEM  no room for one more; it keeps waiting.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe: a client goes to one of them. @fork safe.
 */
MP_API mp_error mp_listener_accept(mp_listener *listener, double timeout,
                                   mp_connection **out);

/**
 * Where it really listens.
 * @return valid until it is closed; all zero if it is.
 * @threads safe. @fork safe.
 */
MP_API const mp_address *mp_listener_address(const mp_listener *listener);

/**
 * Whose connection accept() returned or refused last; all zero if none. Of UNIX
 * clients, the name is "".
 * @return a copy.
 * @threads safe. @fork safe.
 */
MP_API mp_address mp_listener_last_accepted(mp_listener *listener);

/**
 * Closes it. Clients that are not accepted yet are sent away, and the path, if
 * it is still this listener's, is removed. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads who waits in accept() gets MP_ECLOSED. @fork the parent's goes on.
 */
MP_API mp_error mp_listener_close(mp_listener *listener);

/* -- Client ---------------------------------------------------------------- */

/** For mp_client(). Zero is the default for every field. */
typedef struct mp_client_options {
    mp_auth auth; /**< what both sides have to prove */
    /** Seconds to connect and to prove oneself; 0: 20, MP_FOREVER. It may
     * take longer if the system takes longer to look up a host. */
    double timeout;
    /** Only to a listener of the same user or root's, told by the system. Of
     * UNIX and PIPE. */
    bool same_user_only;
} mp_client_options;

/**
 * Connects: Client(address, authkey=...).
 *
 * If only one side has a key, it gets MP_EAUTH when its time is over, and the
 * other side's first recv() is MP_EAUTH if it is the client, else MP_EEOF.
 * What fails is told with the address: "can't connect to ('127.0.0.1', 6000):
 * connect: Connection refused".
 *
 * @param[out] out  the caller owns it: mp_connection_close().
 * @param options  NULL: all defaults.
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_EACCES, MP_ENOTSUP
 * @return MP_EOVERFLOW  the path is longer than the system takes.
 * @return MP_EREFUSED  nobody listens there.
 * @return MP_ENOTFOUND  no such host or path.
 * @return MP_EAUTH  the other side did not prove itself, does not know us, or
 *                   has no key.
 * @return MP_TIMED_OUT  it was not connected in time.
 * @return MP_EEOF  the other side hung up.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_client(mp_connection **out, mp_address address,
                          const mp_client_options *options);

/**
 * Who is at the other end, as the system tells it: of UNIX and PIPE, not of
 * TCP.
 * @param[out] pid   0: not known; may be NULL.
 * @param[out] is_same_user  the same user as this process, or root; may be
 *                       NULL.
 * @return MP_OK, MP_ECLOSED
 * @return MP_EINVAL  connection is NULL, or both others are.
 * @return MP_ENOTSUP  it is a connection over TCP.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_connection_peer(mp_connection *connection, int64_t *pid,
                                   bool *is_same_user);

MP_END_DECLS

/** @} */

#endif
