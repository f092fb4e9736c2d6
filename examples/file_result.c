/* SPDX-License-Identifier: MIT */
/*
 * A result through a file; join() before reading it:
 *
 *     def func(sex):
 *         with open('file', 'w') as f:
 *             f.write(str(eval(sex)))
 *
 *     p = Process(target=func, args=['3*5'])
 *     p.start()
 *     ret = 4 * 5
 *     p.join()
 *     with open('file') as f:
 *         ret += int(f.read())
 *     print(ret)
 */
#include "example.h"

static int func(mp_args *args)
{
    FILE *file = fopen(mp_arg_str(args, 0), "w");
    int left, right;

    if (file == NULL || sscanf(mp_arg_str(args, 1), "%d*%d", &left, &right) < 2)
        return 1;
    fprintf(file, "%d", left * right);
    return fclose(file);
}

static int read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    int number = 0;

    if (file == NULL || fscanf(file, "%d", &number) != 1)
        mp_exit(1);
    fclose(file);
    return number;
}

int main(int argc, char **argv)
{
    mp_process *p;
    char path[64];
    int ret;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    snprintf(path, sizeof(path), "file_result.%lld", (long long)mp_getpid());
    mp_check(mp_process_create(&p, func, MP_ARGS(path, "3*5"), NULL));
    mp_check(mp_process_start(p));
    ret = 4 * 5;
    mp_check(mp_process_join(p, MP_FOREVER)); /* now the file is complete */
    ret += read_number(path);
    say("%d\n", ret);

    remove(path);
    mp_check(mp_process_close(p));
    return 0;
}
