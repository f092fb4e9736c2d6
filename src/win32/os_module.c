/* SPDX-License-Identifier: MIT */
/*
 * The program and the DLLs it has loaded: which one an address lies in, and
 * what tells one build of it from another.
 *
 * The build id is what the linker wrote for the debugger (CodeView: a GUID and
 * an age, 20 bytes together). Without one it is a hash of the headers and the
 * code as they lie in memory, leaving out what the loader changes: the base
 * address, and the addresses inside the code that the relocation table lists.
 */
#include "os_internal.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum {
    WIDE_LIMIT = 32768,
    FIXUP_PAGE = 4096, /* what a block of relocations is for */
    HASH_LANES = 3,
    /* In a relocation: where in the page, and what kind. */
    OFFSET_MASK = 0xfff,
    KIND_SHIFT = 12,
};

/* The start of a CodeView record. */
typedef struct codeview {
    char signature[4]; /* "RSDS" */
    unsigned char id[MPOS_BUILD_ID_SIZE];
} codeview;

typedef struct pe_image {
    const unsigned char *base;
    const IMAGE_NT_HEADERS *headers;
    const IMAGE_SECTION_HEADER *sections;
    const unsigned char *relocations; /* cursor: blocks are in page order */
    const unsigned char *relocations_end;
} pe_image;

typedef struct code_hash {
    uint64_t lanes[HASH_LANES];
} code_hash;

/* -- Reading an image ------------------------------------------------------ */

static const IMAGE_DATA_DIRECTORY *directory(const pe_image *image,
                                             unsigned index)
{
    const IMAGE_OPTIONAL_HEADER *optional = &image->headers->OptionalHeader;

    if (index >= optional->NumberOfRvaAndSizes ||
        optional->DataDirectory[index].Size == 0)
        return NULL;
    return &optional->DataDirectory[index];
}

static void open_image(pe_image *image, HMODULE module)
{
    const unsigned char *base = (const unsigned char *)module;
    const IMAGE_DOS_HEADER *dos = (const void *)base;
    const IMAGE_DATA_DIRECTORY *table;

    image->base = base;
    image->headers = (const void *)(base + dos->e_lfanew);
    image->sections = IMAGE_FIRST_SECTION(image->headers);
    image->relocations = NULL;
    image->relocations_end = NULL;
    table = directory(image, IMAGE_DIRECTORY_ENTRY_BASERELOC);
    if (table != NULL) {
        image->relocations = base + table->VirtualAddress;
        image->relocations_end = image->relocations + table->Size;
    }
}

static bool is_code(const IMAGE_SECTION_HEADER *section)
{
    return (section->Characteristics & IMAGE_SCN_MEM_EXECUTE) != 0;
}

static bool has_code_at(const pe_image *image, const void *address)
{
    size_t offset = (size_t)((const unsigned char *)address - image->base);

    for (unsigned i = 0; i < image->headers->FileHeader.NumberOfSections; i++) {
        const IMAGE_SECTION_HEADER *section = &image->sections[i];

        if (is_code(section) && offset >= section->VirtualAddress &&
            offset - section->VirtualAddress < section->Misc.VirtualSize)
            return true;
    }
    return false;
}

/* -- Hashing --------------------------------------------------------------- */

/* FNV-1a by words in each lane, with a different start: enough to tell builds
 * apart by mistake, not to withstand somebody who wants them mistaken. */
static void hash_word(code_hash *hash, uint64_t word)
{
    for (unsigned i = 0; i < HASH_LANES; i++) {
        hash->lanes[i] ^= word + i;
        hash->lanes[i] *= UINT64_C(0x100000001b3);
        hash->lanes[i] ^= hash->lanes[i] >> 29;
    }
}

static void hash_bytes(code_hash *hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t word = 0;

    for (; size >= sizeof(word); size -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        hash_word(hash, word);
        bytes += sizeof(word);
    }
    word = size;
    memcpy(&word, bytes, size); /* little-endian: the size stays if 0 */
    hash_word(hash, word);
}

static void hash_headers(code_hash *hash, const pe_image *image)
{
    IMAGE_NT_HEADERS headers = *image->headers;

    headers.OptionalHeader.ImageBase = 0; /* the loader writes the real one */
    headers.OptionalHeader.CheckSum = 0;
    hash_bytes(hash, &headers, sizeof(headers));
    hash_bytes(hash, image->sections,
               headers.FileHeader.NumberOfSections * sizeof(*image->sections));
}

static size_t relocated_size(unsigned kind)
{
    return kind == IMAGE_REL_BASED_DIR64      ? sizeof(uint64_t)
           : kind == IMAGE_REL_BASED_ABSOLUTE ? 0
                                              : sizeof(uint32_t);
}

/* Zeroes what one block of relocations changes. The copy is longer than a
 * page: the last address may reach into the next one. */
static void blank_block(unsigned char *copy, const unsigned char *block,
                        size_t size)
{
    for (size_t i = sizeof(IMAGE_BASE_RELOCATION); i + 2 <= size; i += 2) {
        uint16_t entry;

        memcpy(&entry, block + i, sizeof(entry));
        memset(copy + (entry & OFFSET_MASK), 0,
               relocated_size(entry >> KIND_SHIFT));
    }
}

/* Linkers write the blocks in the order of their pages, so one walk is enough
 * for the whole image. */
static void blank_page(pe_image *image, unsigned char *copy, size_t page)
{
    IMAGE_BASE_RELOCATION block;

    while (image->relocations != NULL &&
           image->relocations + sizeof(block) <= image->relocations_end) {
        memcpy(&block, image->relocations, sizeof(block));
        if (block.SizeOfBlock < sizeof(block) || block.VirtualAddress > page)
            return;
        if (block.VirtualAddress == page)
            blank_block(copy, image->relocations, block.SizeOfBlock);
        image->relocations += block.SizeOfBlock;
    }
}

static void hash_code(code_hash *hash, pe_image *image,
                      const IMAGE_SECTION_HEADER *section)
{
    unsigned char copy[FIXUP_PAGE + sizeof(uint64_t)];
    size_t end = section->VirtualAddress + section->Misc.VirtualSize;
    unsigned char spill[sizeof(uint64_t)];

    memset(spill, 0xff, sizeof(spill));
    for (size_t page = section->VirtualAddress; page < end;
         page += FIXUP_PAGE) {
        size_t size = end - page < FIXUP_PAGE ? end - page : FIXUP_PAGE;

        memset(copy, 0xff, sizeof(copy));
        memcpy(copy, image->base + page, size);
        blank_page(image, copy, page);
        /* What the page before reached over: zero where it did. */
        for (size_t i = 0; i < sizeof(spill); i++)
            copy[i] &= spill[i];
        memcpy(spill, copy + FIXUP_PAGE, sizeof(spill));
        hash_bytes(hash, copy, size);
    }
}

static void hash_image(pe_image *image, unsigned char id[MPOS_BUILD_ID_SIZE])
{
    code_hash hash = {{1, 2, 3}};

    hash_headers(&hash, image);
    for (unsigned i = 0; i < image->headers->FileHeader.NumberOfSections; i++) {
        if (is_code(&image->sections[i]))
            hash_code(&hash, image, &image->sections[i]);
    }
    memcpy(id, hash.lanes, MPOS_BUILD_ID_SIZE);
}

/* -- Build ids ------------------------------------------------------------- */

static bool read_codeview(const pe_image *image,
                          unsigned char id[MPOS_BUILD_ID_SIZE])
{
    const IMAGE_DATA_DIRECTORY *table =
        directory(image, IMAGE_DIRECTORY_ENTRY_DEBUG);
    const IMAGE_DEBUG_DIRECTORY *entries;

    if (table == NULL)
        return false;
    entries = (const void *)(image->base + table->VirtualAddress);
    for (size_t i = 0; i < table->Size / sizeof(*entries); i++) {
        const codeview *record =
            (const void *)(image->base + entries[i].AddressOfRawData);

        if (entries[i].Type == IMAGE_DEBUG_TYPE_CODEVIEW &&
            entries[i].AddressOfRawData != 0 &&
            entries[i].SizeOfData >= sizeof(*record) &&
            memcmp(record->signature, "RSDS", 4) == 0) {
            memcpy(id, record->id, MPOS_BUILD_ID_SIZE);
            return true;
        }
    }
    return false;
}

/* -- Modules --------------------------------------------------------------- */

static mp_error module_path(HMODULE module, char **path)
{
    wchar_t *wide = mpi_malloc(WIDE_LIMIT * sizeof(*wide));
    DWORD length;
    mp_error err;

    if (wide == NULL)
        return mpi_no_memory();
    length = GetModuleFileNameW(module, wide, WIDE_LIMIT);
    if (length == 0 || length >= WIDE_LIMIT)
        err = mpi_win32_fail("can't tell the path of a module");
    else
        err = mpi_win32_narrow(wide, path);
    free(wide);
    return err;
}

static mp_error describe(HMODULE handle, pe_image *image, mpos_module *module)
{
    mpos_module found = {
        .base = (uintptr_t)image->base,
        .size = image->headers->OptionalHeader.SizeOfImage,
        .is_program = handle == GetModuleHandleW(NULL),
    };
    mp_error err = module_path(handle, &found.path);

    if (err != MP_OK)
        return err;
    if (!read_codeview(image, found.build_id))
        hash_image(image, found.build_id);
    *module = found;
    return MP_OK;
}

mp_error mpos_module_of(const void *address, mpos_module *module)
{
    HMODULE handle = NULL;
    pe_image image;

    if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                               GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                           (const wchar_t *)address, &handle)) {
        open_image(&image, handle);
        if (has_code_at(&image, address))
            return describe(handle, &image, module);
    }
    return mpi_fail(MP_ENOTFOUND, "no module has code at %p", address);
}

/* The system compares whole paths, with backslashes. */
static mp_error full_path(const char *path, wchar_t **full)
{
    wchar_t *wide;
    wchar_t *buffer;
    mp_error err = mpi_win32_wide(path, &wide);

    if (err != MP_OK)
        return err;
    buffer = mpi_malloc(WIDE_LIMIT * sizeof(*buffer));
    if (buffer == NULL) {
        err = mpi_no_memory();
    } else if (GetFullPathNameW(wide, WIDE_LIMIT, buffer, NULL) - 1 >=
               WIDE_LIMIT - 1) { /* 0 or too long */
        err = mpi_win32_fail("can't tell the full path of a module");
        free(buffer);
    } else {
        *full = buffer;
    }
    free(wide);
    return err;
}

static mp_error find_handle(const char *path, HMODULE *handle)
{
    wchar_t *wide;
    mp_error err;

    if (path == NULL) {
        *handle = GetModuleHandleW(NULL);
        return MP_OK;
    }
    err = full_path(path, &wide);
    if (err != MP_OK)
        return err;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, wide,
                            handle))
        err = mpi_fail(MP_ENOTFOUND, "no module %s is loaded", path);
    free(wide);
    return err;
}

mp_error mpos_module_find(const char *path, mpos_module *module)
{
    HMODULE handle;
    pe_image image;
    mp_error err = find_handle(path, &handle);

    if (err != MP_OK)
        return err;
    open_image(&image, handle);
    return describe(handle, &image, module);
}

mp_error mpos_module_load(const char *path)
{
    wchar_t *wide;
    HMODULE handle;
    mp_error err = full_path(path, &wide);

    if (err != MP_OK)
        return err;
    /* Its own folder is searched for what it needs, not the program's. */
    handle = LoadLibraryExW(wide, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (handle == NULL ||
        !GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN, wide, &handle))
        err = mpi_win32_fail("can't load a library");
    free(wide);
    return err == MP_OK ? MP_OK : mpi_context(err, "%s", path);
}

mp_error mpos_program_path(char **path)
{
    wchar_t *wide = mpi_malloc(WIDE_LIMIT * sizeof(*wide));
    DWORD length = WIDE_LIMIT;
    mp_error err;

    if (wide == NULL)
        return mpi_no_memory();
    /* Asks the file that runs, wherever it has been moved to;
     * GetModuleFileNameW repeats where it was. */
    if (QueryFullProcessImageNameW(GetCurrentProcess(), 0, wide, &length))
        err = mpi_win32_narrow(wide, path);
    else
        err = module_path(NULL, path);
    free(wide);
    return err;
}
