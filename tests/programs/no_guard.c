/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of multiproc. */
int main(void)
{
    return 6;
}
