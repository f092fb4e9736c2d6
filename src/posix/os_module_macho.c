/* SPDX-License-Identifier: MIT */
/* The modules of this process, in Mach-O: macOS. */
#include "os_internal.h"

#include <mach-o/dyld.h>
#include <mach-o/loader.h>
#include <mach/vm_prot.h>
#include <string.h>

/*
 * Only the segments with code make up a module's addresses: the system's own
 * libraries are kept in one cache, where all code lies together and all data
 * lies together, so that from one's first to its last segment is a stretch
 * with every other library in it.
 */
static void add_segment(mpos_image *image,
                        const struct segment_command_64 *segment,
                        uintptr_t slide, const void *address)
{
    uintptr_t start = (uintptr_t)segment->vmaddr + slide;
    uintptr_t size = (uintptr_t)segment->vmsize;
    uintptr_t wanted = (uintptr_t)address;

    if ((segment->initprot & VM_PROT_EXECUTE) == 0)
        return;
    if (wanted >= start && wanted - start < size)
        image->has_code_at = true;
    if (image->code != NULL)
        return;
    image->base = start;
    image->size = size;
    image->code = (const unsigned char *)start;
    image->code_size = size;
}

static void describe(mpos_image *image, const struct mach_header_64 *header,
                     uintptr_t slide, const void *address)
{
    const unsigned char *place = (const unsigned char *)(header + 1);

    for (uint32_t i = 0; i < header->ncmds; i++) {
        const struct load_command *command = (const void *)place;

        if (command->cmd == LC_SEGMENT_64)
            add_segment(image, (const void *)place, slide, address);
        if (command->cmd == LC_UUID) {
            const struct uuid_command *found = (const void *)place;

            image->id = found->uuid;
            image->id_size = sizeof(found->uuid);
        }
        place += command->cmdsize;
    }
}

void mpos_images_visit(const void *address,
                       bool (*visit)(const mpos_image *image, void *context),
                       void *context)
{
    uint32_t count = _dyld_image_count();

    for (uint32_t i = 0; i < count; i++) {
        const struct mach_header_64 *header =
            (const void *)_dyld_get_image_header(i);
        mpos_image image = {.name = _dyld_get_image_name(i)};

        /* Unloaded in the meantime. */
        if (header == NULL || image.name == NULL)
            continue;
        image.is_program = header->filetype == MH_EXECUTE;
        describe(&image, header, (uintptr_t)_dyld_get_image_vmaddr_slide(i),
                 address);
        if (visit(&image, context))
            return;
    }
}
