/* SPDX-License-Identifier: MIT */
/*
 * Modules: whose code an address is, and what identifies it. How the linker
 * lists them is os_module_elf.c's or os_module_macho.c's.
 *
 * Also the program's own file, opened early: later it may be renamed, replaced
 * or removed, and still be what has to be executed again.
 */
#include "os_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORD = 8 };

/* -- The program's file ---------------------------------------------------- */

static struct {
    char path[PATH_MAX]; /* as it was when the library was loaded */
    char sentence[256];  /* why there is none */
    int descriptor;      /* -1: none */
    dev_t device;
    ino_t inode;
} program; /* of zeros, or the library's file would hold all of path */

static bool is_program_file(const struct stat *status)
{
    return status->st_dev == program.device && status->st_ino == program.inode;
}

static bool leads_to_program(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && is_program_file(&status);
}

void mpos_program_loaded(void)
{
    struct stat status;

    program.descriptor = -1;
    if (mpos_system_program(program.path, sizeof(program.path)) != MP_OK) {
        snprintf(program.sentence, sizeof(program.sentence), "%s",
                 mp_error_message());
        program.path[0] = '\0';
        return;
    }
    program.descriptor = mpos_system_open_program(program.path);
    if (program.descriptor >= 0 &&
        mpos_raise_descriptor(&program.descriptor) != MP_OK)
        program.descriptor = -1;
    if (program.descriptor >= 0 ? fstat(program.descriptor, &status) == 0
                                : stat(program.path, &status) == 0) {
        program.device = status.st_dev;
        program.inode = status.st_ino;
    }
}

static mp_error check_program_is_known(void)
{
    if (program.path[0] == '\0')
        return mpi_fail(MP_ENOTFOUND, "%s", program.sentence);
    return MP_OK;
}

static bool descriptor_is_valid(void)
{
    struct stat status;

    /* Somebody may have closed all there were, to become a daemon. */
    return program.descriptor >= 0 && fstat(program.descriptor, &status) == 0 &&
           is_program_file(&status);
}

/* Where it was, or where it was renamed to. */
static bool find_path(char *path)
{
    memcpy(path, program.path, sizeof(program.path));
    return leads_to_program(path) ||
           (mpos_system_program(path, PATH_MAX) == MP_OK &&
            leads_to_program(path));
}

mp_error mpos_program_find(char *path, int *descriptor)
{
    mp_error error = check_program_is_known();

    if (error != MP_OK)
        return error;
    *descriptor = -1;
    if (find_path(path))
        return MP_OK;
    if (!descriptor_is_valid())
        return mpi_fail(MP_ENOTFOUND,
                        "can't find this program's own file: it is no longer "
                        "at '%s'",
                        program.path);
    memcpy(path, program.path, sizeof(program.path));
    *descriptor = program.descriptor;
    return MP_OK;
}

mp_error mpos_program_path(char **path)
{
    char found[PATH_MAX];
    char *copy;
    mp_error error = check_program_is_known();

    if (error != MP_OK)
        return error;
    copy = mpi_strdup(find_path(found) ? found : program.path);
    if (copy == NULL)
        return mpi_no_memory();
    *path = copy;
    return MP_OK;
}

/* -- Build ids ------------------------------------------------------------- */

/* For a program that was linked without an id. Its code is the same in every
 * process; reading all of it takes a while, so it is done once. Not so for a
 * library: another one may have taken its place. */
static struct {
    bool is_known; /* all guarded by mpos_port_mutex */
    unsigned char id[MPOS_BUILD_ID_SIZE];
} kept;

static bool find_kept(const mpos_image *image, unsigned char *id)
{
    bool is_found;

    mpos_mutex_lock(&mpos_port_mutex);
    is_found = image->is_program && kept.is_known;
    if (is_found)
        memcpy(id, kept.id, MPOS_BUILD_ID_SIZE);
    mpos_mutex_unlock(&mpos_port_mutex);
    return is_found;
}

static void keep(const mpos_image *image, const unsigned char *id)
{
    if (!image->is_program)
        return;
    mpos_mutex_lock(&mpos_port_mutex);
    kept.is_known = true;
    memcpy(kept.id, id, MPOS_BUILD_ID_SIZE);
    mpos_mutex_unlock(&mpos_port_mutex);
}

static uint64_t mixed(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

/* FNV's idea, a word at a time, in three lanes that begin differently. Against
 * accidents, not against an enemy: he would already be in this process. */
static void hash_code(const unsigned char *code, size_t size, unsigned char *id)
{
    uint64_t lanes[3] = {UINT64_C(0xcbf29ce484222325),
                         UINT64_C(0x84222325cbf29ce4), size};

    for (size_t i = 0; i < size; i += WORD) {
        uint64_t word = 0;

        memcpy(&word, code + i, size - i < WORD ? size - i : WORD);
        lanes[0] = mixed(lanes[0], word);
        lanes[1] = mixed(lanes[1], word + i);
        lanes[2] = mixed(lanes[2], ~word);
    }
    memcpy(id, lanes, MPOS_BUILD_ID_SIZE);
}

static void identify(const mpos_image *image, unsigned char *id)
{
    if (image->id != NULL) {
        size_t size = image->id_size;

        memset(id, 0, MPOS_BUILD_ID_SIZE);
        memcpy(id, image->id,
               size < MPOS_BUILD_ID_SIZE ? size : MPOS_BUILD_ID_SIZE);
        return;
    }
    if (find_kept(image, id))
        return;
    hash_code(image->code, image->code_size, id);
    keep(image, id);
}

/* -- Looking for a module -------------------------------------------------- */

typedef struct search {
    const void *address; /* or */
    const char *path;    /* or neither: the program */
    bool must_compare_files;
    struct stat file;
    mpos_module *module;
    bool is_found;
    mp_error error;
} search;

static bool is_wanted(const search *wanted, const mpos_image *image)
{
    struct stat status;

    if (wanted->address != NULL)
        return image->has_code_at;
    if (wanted->path == NULL)
        return image->is_program;
    if (!wanted->must_compare_files)
        return strcmp(wanted->path,
                      image->is_program ? program.path : image->name) == 0;
    return stat(image->is_program ? program.path : image->name, &status) == 0 &&
           status.st_dev == wanted->file.st_dev &&
           status.st_ino == wanted->file.st_ino;
}

/* NULL: no memory. */
static char *absolute_path(const mpos_image *image)
{
    char *resolved = NULL;

    if (image->is_program)
        return mpi_strdup(program.path);
    if (image->name[0] != '/')
        resolved = realpath(image->name, NULL);
    return resolved != NULL ? resolved : mpi_strdup(image->name);
}

static bool visit(const mpos_image *image, void *context)
{
    search *wanted = context;
    mpos_module *module = wanted->module;
    char *path;

    if (!is_wanted(wanted, image))
        return false;
    wanted->is_found = true;
    path = absolute_path(image);
    if (path == NULL) {
        wanted->error = mpi_no_memory();
        return true;
    }
    module->path = path;
    module->base = image->base;
    module->size = image->size;
    module->is_program = image->is_program;
    identify(image, module->build_id);
    return true;
}

static bool run_search(search *wanted)
{
    mpos_images_visit(wanted->address, visit, wanted);
    return wanted->is_found;
}

mp_error mpos_module_of(const void *address, mpos_module *module)
{
    search wanted = {.address = address, .module = module, .error = MP_OK};

    if (address == NULL || !run_search(&wanted))
        return mpi_fail(MP_ENOTFOUND, "no module has code at %p", address);
    return wanted.error;
}

mp_error mpos_module_find(const char *path, mpos_module *module)
{
    search wanted = {.path = path, .module = module, .error = MP_OK};

    if (run_search(&wanted))
        return wanted.error;
    /* Loaded by another name? */
    wanted.must_compare_files = true;
    if (path != NULL && stat(path, &wanted.file) == 0 && run_search(&wanted))
        return wanted.error;
    return mpi_fail(MP_ENOTFOUND, "no module '%s' is loaded",
                    path != NULL ? path : program.path);
}

mp_error mpos_module_load(const char *path)
{
    const char *cause;

    if (dlopen(path, RTLD_NOW) != NULL)
        return MP_OK;
    cause = dlerror();
    return mpi_fail(access(path, F_OK) != 0 ? MP_ENOTFOUND : MP_EINVAL,
                    "dlopen: %s", cause != NULL ? cause : path);
}
