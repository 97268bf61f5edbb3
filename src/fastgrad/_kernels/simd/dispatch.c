#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

static int detect(void)
{
    int level = 0;
#ifdef HAVE_V3
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v3"))
        level = 1;
#endif
#ifdef HAVE_V4
    if (__builtin_cpu_supports("x86-64-v4"))
        level = 2;
#endif
    const char *wanted = getenv("FASTGRAD_SIMD");
    if (wanted && strcmp(wanted, "base") == 0)
        return 0;
    if (wanted && strcmp(wanted, "v3") == 0 && level > 1)
        return 1;
    return level;
}

int simd_level(void)
{
    /* A benign race: every thread would store the same value. */
    static int cached = -1;
    if (cached < 0)
        cached = detect();
    return cached;
}
