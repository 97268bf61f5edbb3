#include "dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_V3
#include <cpuid.h>

/* What a level needs of the CPU, by the words of cpuid it is told in, and of the
 * operating system: the registers that it saves. Not __builtin_cpu_supports: compilers
 * differ in the names that it takes, and on Windows it has no library. */
enum {
    LEAF1_V3 = bit_FMA | bit_MOVBE | bit_AVX | bit_F16C | bit_OSXSAVE,
    LEAF7_V3 = bit_AVX2 | bit_BMI | bit_BMI2,
    EXTENDED_V3 = bit_LZCNT,
    SAVED_V3 = 0x06, /* xmm, ymm */
    SAVED_V4 = 0xe6, /* and masks, both halves of zmm */
};
static const unsigned LEAF7_V4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD |
                                 bit_AVX512DQ | bit_AVX512VL;

static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int level_of_cpu(void)
{
    unsigned a, b, leaf1 = 0, leaf7 = 0, extended = 0, d, unused;
    __get_cpuid(1, &a, &b, &leaf1, &d);
    __get_cpuid_count(7, 0, &a, &leaf7, &unused, &d);
    __get_cpuid(0x80000001, &a, &b, &extended, &d);
    if ((leaf1 & LEAF1_V3) != LEAF1_V3 || (leaf7 & LEAF7_V3) != LEAF7_V3 ||
        (extended & EXTENDED_V3) != EXTENDED_V3)
        return 0;
    unsigned saved = saved_registers();
    if ((saved & SAVED_V3) != SAVED_V3)
        return 0;
    return (leaf7 & LEAF7_V4) == LEAF7_V4 && (saved & SAVED_V4) == SAVED_V4 ? 2 : 1;
}
#endif

static int detect(void)
{
    int level = 0;
#ifdef HAVE_V3
    level = level_of_cpu();
#endif
#ifndef HAVE_V4
    level = level > 1 ? 1 : level;
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
    /* Threads may find it at once: all find the same. */
    static atomic_int cached = -1;
    int level = atomic_load_explicit(&cached, memory_order_relaxed);
    if (level < 0) {
        level = detect();
        atomic_store_explicit(&cached, level, memory_order_relaxed);
    }
    return level;
}
