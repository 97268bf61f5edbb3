/* Which of the compiled SIMD levels to use: 0 baseline, 1 x86-64-v3 (AVX2 + FMA),
 * 2 x86-64-v4 (AVX-512). Decided once, from the CPU and the environment variable
 * FASTGRAD_SIMD (base | v3 | v4), which can only lower it. */
#ifndef FASTGRAD_DISPATCH_H
#define FASTGRAD_DISPATCH_H

#define FG_JOIN2(a, b) a##_##b
#define FG_JOIN(a, b) FG_JOIN2(a, b)
/* FG(name): the name of a function in a file that is compiled once per level. */
#define FG(name) FG_JOIN(name, SUF)

int simd_level(void);

/* FG_PICK(table): the address of table_base, table_v3 or table_v4, for this CPU. */
#ifdef HAVE_V4
#define FG_PICK4(table) simd_level() == 2 ? &table##_v4 :
#else
#define FG_PICK4(table)
#endif
#ifdef HAVE_V3
#define FG_PICK3(table) simd_level() >= 1 ? &table##_v3 :
#else
#define FG_PICK3(table)
#endif
#define FG_PICK(table) (FG_PICK4(table) FG_PICK3(table) &table##_base)

#endif
