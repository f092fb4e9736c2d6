/* SPDX-License-Identifier: MIT */
/*
 * main() of a fuzz target without libFuzzer, so that every compiler builds it:
 * runs each file that is named, and each file of the folders that are named,
 * once. A folder may be missing or empty; a file may not.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

/* Not every target has the first. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long count;

/* The bytes lie in memory of their size: ASan sees what reads behind it. */
static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size + (size == 0));
    int code = 1;

    if (file != NULL && data != NULL && fread(data, 1, size, file) == size) {
        printf("%s\n", path); /* the last one is to blame for what follows */
        fflush(stdout);
        code = LLVMFuzzerTestOneInput(data, size);
        count++;
    } else {
        fprintf(stderr, "can't read %s\n", path);
    }
    if (file != NULL)
        fclose(file);
    free(data);
    return code;
}

static int run_folder(const char *folder)
{
    DIR *list = opendir(folder);
    int code = 0;

    for (struct dirent *entry;
         code == 0 && list != NULL && (entry = readdir(list)) != NULL;) {
        char path[PATH_SIZE];
        struct stat status;
        int length =
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (length >= (int)sizeof(path) || stat(path, &status) != 0)
            code = 1;
        else if (S_ISREG(status.st_mode))
            code = run_file(path, (size_t)status.st_size);
    }
    if (list != NULL)
        closedir(list);
    return code;
}

int main(int argc, char **argv)
{
    struct stat status;
    int code = 0;

    if (LLVMFuzzerInitialize != NULL)
        code = LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; code == 0 && i < argc; i++) {
        if (stat(argv[i], &status) == 0 && S_ISREG(status.st_mode))
            code = run_file(argv[i], (size_t)status.st_size);
        else
            code = run_folder(argv[i]);
    }
    printf("%lu inputs\n", count);
    return code == 0 && count > 0 ? 0 : 1; /* none: nothing was tested */
}
