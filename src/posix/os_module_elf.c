/* SPDX-License-Identifier: MIT */
/* The modules of this process, in ELF: Linux, the BSDs. */
#include "os_internal.h"

#include <link.h>
#include <string.h>

/* FreeBSD calls them by the machine's word size only. */
#ifndef ElfW
#define ElfW(type) Elf_##type
#endif

enum { GNU_BUILD_ID = 3 };

typedef struct walk {
    const void *address;
    bool (*visit)(const mpos_image *image, void *context);
    void *context;
    size_t count;
} walk;

typedef ElfW(Phdr) program_header;
typedef ElfW(Nhdr) note_header;

static size_t align_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) / alignment * alignment;
}

/* elf(5): notes follow one another, names and contents each padded. */
static void find_build_id(mpos_image *image, const unsigned char *notes,
                          size_t size, size_t alignment)
{
    size_t place = 0;

    while (size - place >= sizeof(note_header)) {
        note_header note;
        size_t name = place + sizeof(note);
        size_t content;

        memcpy(&note, notes + place, sizeof(note));
        content = align_up(name + note.n_namesz, alignment);
        if (content > size || note.n_descsz > size - content)
            return;
        if (note.n_type == GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(notes + name, "GNU", 4) == 0 && note.n_descsz > 0) {
            image->id = notes + content;
            image->id_size = note.n_descsz;
            return;
        }
        place = align_up(content + note.n_descsz, alignment);
        if (place > size)
            return;
    }
}

static void add_segment(mpos_image *image, const program_header *segment,
                        uintptr_t start, const void *address)
{
    uintptr_t wanted = (uintptr_t)address;

    /* They are in ascending order, says the standard. */
    if (image->size == 0)
        image->base = start;
    image->size = start + segment->p_memsz - image->base;
    if ((segment->p_flags & PF_X) == 0)
        return;
    if (wanted >= start && wanted - start < segment->p_memsz)
        image->has_code_at = true;
    if (image->code == NULL) {
        image->code = (const unsigned char *)start;
        image->code_size = segment->p_filesz;
    }
}

static void describe(mpos_image *image, const struct dl_phdr_info *info,
                     const void *address)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const program_header *segment = &info->dlpi_phdr[i];
        uintptr_t start = (uintptr_t)(info->dlpi_addr + segment->p_vaddr);

        if (segment->p_type == PT_LOAD)
            add_segment(image, segment, start, address);
        if (segment->p_type == PT_NOTE && image->id == NULL)
            find_build_id(image, (const unsigned char *)start, segment->p_memsz,
                          segment->p_align == 8 ? 8 : 4);
    }
}

static int visit_one(struct dl_phdr_info *info, size_t size, void *context)
{
    walk *walking = context;
    mpos_image image = {.name = info->dlpi_name};

    (void)size;
    /* The program comes first, whatever its name is said to be. */
    image.is_program = walking->count++ == 0;
    /* Without a path: the kernel's own pages, which have no file. */
    if (!image.is_program &&
        (image.name == NULL || strchr(image.name, '/') == NULL))
        return 0;
    describe(&image, info, walking->address);
    return walking->visit(&image, walking->context);
}

void mpos_images_visit(const void *address,
                       bool (*visit)(const mpos_image *image, void *context),
                       void *context)
{
    walk walking = {address, visit, context, 0};

    dl_iterate_phdr(visit_one, &walking);
}
