/* Random numbers by counter: element i of a stream is a function of (stream, i) only.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror & Shaw, 2011) turns a 128-bit counter and a
 * 64-bit key into four 32-bit words. Elements come in groups of 64, made from 16
 * counters; element 64 g + 16 w + j is word w of counter
 *     (low half of 16 g + j, high half of 16 g + j, stream, stream),
 * so that a group is four runs of 16 lanes and is written without any shuffle. */
#ifndef FASTGRAD_PHILOX_H
#define FASTGRAD_PHILOX_H

#include <stddef.h>
#include <stdint.h>

enum { PHILOX_LANES = 16, PHILOX_GROUP = 64, PHILOX_ROUNDS = 10 };

enum philox_law {
    PHILOX_UNIFORM,  /* on (-scale, scale); one word each */
    PHILOX_NORMAL,   /* deviation scale; words 0 and 1, 2 and 3 make pairs */
    PHILOX_TRUNCATED /* scale * z, z normal and within the bound; one word each */
};

enum philox_dtype { PHILOX_F32, PHILOX_F64, PHILOX_F16, PHILOX_BF16 };

struct philox_draw {
    uint32_t key[2];
    uint32_t stream[2];
    int64_t offset; /* the element that the array's first place takes */
    int law;
    double scale;
    double fraction, power; /* their product is scale, power a power of two */
    double inside, outside; /* truncated: probability kept, and cut off at each end */
};

/* An array read in C order, whatever its strides (in bytes). */
struct philox_array {
    char *data;
    int dtype;
    int contiguous;
    int ndim;
    const ptrdiff_t *shape;
    const ptrdiff_t *strides;
};

struct philox_table {
    /* Write places start .. stop - 1 of the array. */
    void (*fill)(const struct philox_draw *, int64_t start, int64_t stop,
                 const struct philox_array *);
};

/* One counter, in place: the definition that the lanes are tested against. */
static inline void philox4x32(uint32_t x[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * x[0];
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * x[2];
        x[0] = (uint32_t)(p1 >> 32) ^ x[1] ^ k0;
        x[1] = (uint32_t)p1;
        x[2] = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
        x[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

extern const struct philox_table philox_table_base, philox_table_v3, philox_table_v4;

#endif
